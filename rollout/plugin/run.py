"""What brings pytest to a gateway: a rollout, its review, or a look before a release; and what all of them share."""

from __future__ import annotations

import os
import signal
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from rollout.core.clauses import Clause
from rollout.core.clock import StopFlag
from rollout.core.errors import ExitCode, RolloutError
from rollout.core.redaction import Redactor
from rollout.core.streams import quiet
from rollout.core.visible import for_terminal
from rollout.gateway.transport import Exchange
from rollout.journal.record import EXCUSED
from rollout.plugin.terminal import LEFT_OUT, TerminalReporter
from rollout.plugin.terminal_text import OneLine, guard, guard_logs
from rollout.reporting import allure

NOT_RUN = allure.NOT_RUN
_NO_FAILURE = (pytest.skip.Exception, pytest.exit.Exception, KeyboardInterrupt)


class SuiteRun(ABC):
    """One pytest run that looks at a gateway.

    Attributes:
        env: the environment variables, for tokens and channels.
        redactor: takes secrets out of everything that is written.
        stop: set when somebody asks the run to stop.
        show: attaches evidence to the running check.
        former: the signal handlers that were in place before it.
        folder: where its evidence goes.
        results: where its Allure results go, once pytest is configured.
        run: this process's part of it, a folder's name below ``allure-results``.
        is_answered: whether `exit_code` was asked for.
        junit: the name of the file with its counts, where pytest writes it; None where the report does.
        closes: whether its last row is the closure: kept or rolled back.
        only_closes: whether its closure is all that runs.
        spares: the ids of clauses whose checks are no part of it, and not shown.
    """

    junit: str | None = None
    closes = only_closes = False
    excluded_clauses: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        folder: Path,
        run: str,
        redactor: Redactor,
        stop: StopFlag,
        exchanges: list[Exchange],
        listing: TerminalReporter,
        env: Mapping[str, str],
    ) -> None:
        """Start before the first check."""
        self.folder, self.run, self.env = folder, run, env
        self.results = folder
        self.show = allure.Show(redactor)
        self.former: dict[int, Any] = {}
        self.redactor, self.stop, self._exchanges = redactor, stop, exchanges
        self._terminal = listing
        self._watcher = allure.guard(redactor)
        self._setup_s = self._took_s = 0.0
        self._own_s: float | None = None
        self._timer: threading.Timer | None = None
        self._error: str | None = None
        self._left_out_by: dict[str, str] = {}
        self._code = int(ExitCode.CHECK_FAILED)
        self.is_answered = False
        self._is_summed_up = self._is_over = False

    # What each kind decides

    @abstractmethod
    def ignores_folder(self, folder: str) -> bool:
        """Tell whether the checks of this folder below ``checks/`` are those of other occasions."""

    @abstractmethod
    def start_phase(self, clause: Clause | None) -> None:
        """Note the phase that is about to run."""

    @abstractmethod
    def skip_reason(self, clause: Clause | None) -> str | None:
        """Return why a check must not run any more; None if it may."""

    @abstractmethod
    def check_admission(self, clause: Clause | None) -> None:
        """Raise why this run may not go on, before a check.

        Raises:
            RolloutError: the refusal.
        """

    @abstractmethod
    def end(self) -> None:
        """Decide how the run ends; once, whoever asks first."""

    @abstractmethod
    def labels(self, clause: Clause | None) -> Iterable[tuple[str, str]]:
        """Return the labels of a check's row in the report, as (type, value)."""

    def links(self) -> Iterable[tuple[str, str]]:
        """Return the links of every row, as (URL, name)."""
        return ()

    def title(self, clause: Clause | None) -> str:
        """Return the title of a check's row in the report."""
        return "Closure: kept or rolled back" if clause is None else str(clause)

    @abstractmethod
    def header(self, option: Any) -> list[str]:
        """Return the header's lines."""

    @abstractmethod
    def write_environment(self, results: str) -> None:
        """Write what Allure shows about the run beside its results."""

    @abstractmethod
    def summarise(self, reporter: Any) -> None:
        """Print the closing block, the verdict first."""

    @abstractmethod
    def _judged(self, clause: Clause, outcome: str, message: str, error: BaseException | None) -> None:
        """Take a check's outcome; `error` is what it raised, None where it failed for nothing."""

    @abstractmethod
    def _exit_code(self, status: int) -> int:
        """Return what the process answers; `status` is pytest's own."""

    @abstractmethod
    def _finish(self) -> None:
        """Let go of what this run holds."""

    def collected(self, clauses: Collection[str], by: str) -> None:
        """Note which clauses have a check in this session, so that the others can be told from what was not reached.

        Args:
            clauses: their ids.
            by: the options that may have left the others out, with their values; empty where there are none.
        """
        self._left_out_by = {
            clause.id: f"{NOT_RUN}{LEFT_OUT}{by}; run the phase whole: pytest -m {clause.phase}"
            for clause in self._owed()
            if by and clause.id not in clauses
        }

    @abstractmethod
    def _owed(self) -> Iterable[Clause]:
        """Return the clauses that must pass in this run."""

    # What came of a check

    def apply_waiver(self, clause: Clause | None, call: pytest.CallInfo[None]) -> None:
        """Turn a failure that somebody answers for into a skip that says so, before anything reports it."""
        if clause is None or call.when != "call" or call.excinfo is None or call.excinfo.errisinstance(_NO_FAILURE):
            return
        excused, message = self._answered_for(clause, call.excinfo.value, self._reason(call.excinfo))
        if excused:
            try:
                pytest.skip(message)
            except pytest.skip.Exception as skipped:
                call.excinfo = pytest.ExceptionInfo.from_exception(skipped)

    def _answered_for(self, clause: Clause, error: BaseException, message: str) -> tuple[bool, str]:  # noqa: ARG002 - for others
        """Return whether somebody answers for a check that did not pass, and what is said of it."""
        return False, message

    def conclude(
        self, clause: Clause | None, report: pytest.TestReport, excinfo: pytest.ExceptionInfo[BaseException] | None
    ) -> None:
        """Put a failure into one line, and keep the outcome."""
        message = ""
        if report.failed and excinfo is not None:
            message = self._reason(excinfo)
            if clause is not None and report.when == "call":
                _, message = self._answered_for(clause, excinfo.value, message)
            report.longrepr = message
            report.sections.clear()
        elif report.skipped and isinstance(report.longrepr, tuple):
            message = str(report.longrepr[2]).removeprefix("Skipped: ")
        if report.passed and report.when != "call":
            self._setup_s = report.duration
            return
        seen = self.show.take_said()
        message = seen if report.passed and seen else message
        outcome = _outcome(report, message)
        self._took_s = (self._setup_s if self._own_s is None else self._own_s) + report.duration
        self._own_s = None
        self._terminal.row(clause, outcome, message, self._took_s)
        if clause is not None:
            self._judged(clause, outcome, message, None if excinfo is None else excinfo.value)

    def timed(self, seconds: float) -> None:
        """Take how long the running check's own work took, which a fixture has done for several checks at once."""
        self._own_s = seconds

    def _reason(self, excinfo: pytest.ExceptionInfo[BaseException]) -> str:
        error = excinfo.value
        text = str(error) or type(error).__name__
        if isinstance(error, AssertionError):
            # The introspection below the message repeats whole values; what a person needs stands above it.
            text = text.split("\nassert ")[0]
        elif not isinstance(error, (RolloutError, pytest.fail.Exception)):
            place = excinfo.traceback[-1]
            text = f"defect in the suite: {type(error).__name__}: {text} ({Path(place.path).name}:{place.lineno + 1})"
        return self.redactor.text(text)

    def attach_exchanges(self) -> None:
        """Attach what was said to the gateway since the last check."""
        exchanges, self._exchanges[:] = list(self._exchanges), []
        self.show.exchanges([asdict(exchange) for exchange in exchanges])

    # How it ends

    def limit(self, item: str, seconds: float) -> None:
        """Let pytest-timeout ask for a stop like a signal does: its own methods would cut a rollback in the middle."""
        reason = f"pytest-timeout: {item} took longer than {seconds:g} s"
        self._timer = threading.Timer(seconds, self.stop.set, (reason,))
        self._timer.daemon = True
        self._timer.start()

    def unlimit(self) -> None:
        """End the time limit of the check."""
        if self._timer is not None:
            self._timer.cancel()

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Set the sticky flag; everything that waits reads it (MON-7). Further signals change nothing."""
        self.stop.set(f"{signal.Signals(number).name} asked the run to stop")

    def exit_code(self, status: int) -> int:
        """Return what the process answers (README.md, exit codes); `status` is pytest's own."""
        self.is_answered = True
        try:
            self._code = self._exit_code(status)
        except Exception as error:  # noqa: BLE001 - a defect of ours must not pass for a verdict
            self.record_error(error)
        return self._code

    @property
    def answer(self) -> int:
        """What the process answers, whatever pytest's own status became since `exit_code`."""
        return self._code

    def record_error(self, error: BaseException) -> None:
        """Note what went wrong after the decision, for the closing block."""
        self._error = f"{type(error).__name__}: {error}"

    def attempt(self, work: Callable[[], object]) -> None:
        """Do one part of the end; one that fails is noted, and keeps no other from being done."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the exit code still tells the verdict
            self.record_error(error)

    def redact(self, junit: str | None) -> None:
        """Take secrets out of what pytest has written by itself, where somebody asked for it (``--junitxml``)."""
        if junit is not None:
            # As pytest reads the option.
            allure.redact_junit(Path(os.path.expanduser(os.path.expandvars(junit))), self.redactor)  # noqa: PTH111

    @property
    def is_summed_up(self) -> bool:
        """Whether the closing block is printed."""
        return self._is_summed_up

    def summarise_once(self, reporter: Any) -> None:
        """Print the closing block; after it, only what went wrong since."""
        if self._is_summed_up:
            OneLine(reporter).write_line(f"trouble: {self._error}", red=True, bold=True)
            return
        self._is_summed_up = True
        self.summarise(OneLine(reporter))

    def close(self) -> None:
        """End what belongs to this run, and give the signals back; once."""
        if self._is_over:
            return
        self._is_over = True
        try:
            self._finish()
        except Exception as error:  # noqa: BLE001 - the exit code is decided, and a traceback would replace it
            quiet(sys.stderr, self.redactor.text).write(for_terminal(f"rollout: {error}\n"))
        # Here, and not at exit, where a reader that has left would set the exit code.
        quiet(sys.stdout).flush()
        allure.unguard(self._watcher)
        for number, handler in self.former.items():
            signal.signal(number, handler)

    # What people see

    def attach_terminal(self, reporter: Any) -> None:
        """Print a line a clause instead of pytest's dots, as long as somebody reads it."""
        # Whatever pytest prints passes: warnings, and the traceback of what fails outside of a check.
        guard(reporter._tw, self.redactor.text)  # noqa: SLF001 - pytest has no public way to it
        self._terminal.attach(reporter)
        if (logs := reporter.config.pluginmanager.get_plugin("logging-plugin")) is not None:
            guard_logs(logs, self.redactor.text)
        if getattr(reporter.config.option, "capture", None) == "no":
            sys.stdout, sys.stderr = (quiet(each, self.redactor.text) for each in (sys.stdout, sys.stderr))

    def status(self, report: pytest.TestReport) -> tuple[str, str, str]:
        """Tell pytest which counter to raise, and to print nothing: the line is printed already."""
        if report.when == "setup" and report.passed:
            return "", "", ""
        category = "error" if report.failed and report.when == "setup" else report.outcome
        return category, "", ""


def _outcome(report: pytest.TestReport, message: str) -> str:
    if not report.skipped:
        return report.outcome
    words = {"not run": NOT_RUN, **EXCUSED}
    return next((word for word, begins in words.items() if message.startswith(begins)), "skipped")


SUITE_RUN = pytest.StashKey[SuiteRun]()
"""Where a pytest session keeps what brought it to a gateway; absent in sessions that run no checks."""
