"""The outcome of a check: a waiver is applied, the reason becomes one line, and the run records both."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.context import RolloutContext
from rollout.core.clauses import Clause
from rollout.core.errors import RolloutError
from rollout.core.redaction import Redactor
from rollout.journal.record import EXCEPTIONS, Kind
from rollout.plugin.run import SuiteRun
from rollout.reporting.allure import NOT_RUN

_NO_FAILURE = (pytest.skip.Exception, pytest.exit.Exception, KeyboardInterrupt)


def apply_waiver(run: SuiteRun, clause: Clause | None, call: pytest.CallInfo[None]) -> None:
    """Turn a failure that a waiver or a pending approval covers into a skip with that reason, before it is reported."""
    if clause is None or call.when != "call" or call.excinfo is None or call.excinfo.errisinstance(_NO_FAILURE):
        return
    reason = _reason(call.excinfo, run.evidence.redactor)
    is_covered, message = run.judge_failure(clause, call.excinfo.value, reason)
    if is_covered:
        try:
            pytest.skip(message)
        except pytest.skip.Exception as skipped:
            call.excinfo = pytest.ExceptionInfo.from_exception(skipped)


def record_outcome(
    run: SuiteRun,
    clause: Clause | None,
    report: pytest.TestReport,
    excinfo: pytest.ExceptionInfo[BaseException] | None,
) -> None:
    """Put a failure into one line, print the check's line, and let the run record the outcome."""
    message = _message(run, clause, report, excinfo)
    if report.passed and report.when != "call":
        run.durations.setup_s = report.duration
        return
    seen = run.evidence.show.take_remarks()
    message = seen if report.passed and seen else message
    outcome, took_s = _outcome(report, message), run.durations.total(report.duration)
    run.terminal.row(clause, outcome, message, took_s)
    if clause is not None:
        run.record_outcome(clause, outcome, message, took_s=took_s, error=None if excinfo is None else excinfo.value)


def journal_outcome(rollout: RolloutContext, clause: Clause, outcome: str, message: str, took_s: float) -> None:
    """Write a check's outcome to the journal of the rollout that the run works on.

    Raises:
        RolloutError: it was not written, and what is not recorded is not a pass.
    """
    rollout.append(
        Kind.CLAUSE, run=rollout.run, clause=clause.id, outcome=outcome, message=message, took_s=round(took_s, 3)
    )


def _message(
    run: SuiteRun,
    clause: Clause | None,
    report: pytest.TestReport,
    excinfo: pytest.ExceptionInfo[BaseException] | None,
) -> str:
    """Return why a check did not pass, and reduce the report of a failure to that."""
    if report.failed and excinfo is not None:
        message = _reason(excinfo, run.evidence.redactor)
        if clause is not None and report.when == "call":
            _, message = run.judge_failure(clause, excinfo.value, message)
        report.longrepr = message
        report.sections.clear()
        return message
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return ""


def _reason(excinfo: pytest.ExceptionInfo[BaseException], redactor: Redactor) -> str:
    error = excinfo.value
    text = str(error) or type(error).__name__
    if isinstance(error, AssertionError):
        # The introspection below the message repeats complete values; the reason for the operator is above it.
        text = text.split("\nassert ")[0]
    elif not isinstance(error, (RolloutError, pytest.fail.Exception)):
        place = excinfo.traceback[-1]
        text = f"defect in the suite: {type(error).__name__}: {text} ({Path(place.path).name}:{place.lineno + 1})"
    return redactor.text(text)


def _outcome(report: pytest.TestReport, message: str) -> str:
    if not report.skipped:
        return report.outcome
    words = {"not run": NOT_RUN, **EXCEPTIONS}
    return next((word for word, begins in words.items() if message.startswith(begins)), "skipped")
