"""The documents that a rollout's run writes once its verdict is printed: the report, the list of files, the seal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout.context import RolloutContext
from rollout.engine.closure import Closure
from rollout.journal.record import Kind
from rollout.plugin.evidence import RunEvidence
from rollout.reporting.html import report_process


def write_final_documents(
    rollout: RolloutContext, journal_url: str, evidence: RunEvidence, env: Mapping[str, str], reporter: Any
) -> tuple[str, ...]:
    """Build the report and seal the journal, and return what could not be written.

    Args:
        rollout: the rollout.
        journal_url: its journal's URL.
        evidence: of this run of it.
        env: the environment variables.
        reporter: prints where they are.
    """
    try:
        problem = build_report(rollout, journal_url, evidence, env, reporter)
    except Exception as error:  # noqa: BLE001 - the verdict is out, and a report that fails must not replace its code
        problem = f"report.html: {error!r}"
    return tuple(filter(None, (problem, seal_journal(rollout, env, reporter))))


def record_missing(rollout: RolloutContext, closed: Closure, evidence: RunEvidence, late: tuple[str, ...]) -> bool:
    """Record what is missing of a kept change's evidence, and return whether anything is.

    Args:
        rollout: the rollout.
        closed: how this run of it ended.
        evidence: of this run of it.
        late: what could not be written after the verdict was printed.
    """
    missing = missing_of(closed, evidence, late)
    if missing != rollout.last_known_record().missing_evidence:
        rollout.append_or_spool(Kind.EVIDENCE, run=rollout.run, missing=list(missing), due=None)
    return bool(missing)


def missing_of(closed: Closure, evidence: RunEvidence, late: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return what is missing of the evidence, each line once."""
    return tuple(dict.fromkeys((*closed.undocumented, *evidence.unwritten, *late)))


def build_report(
    rollout: RolloutContext, journal_url: str, evidence: RunEvidence, env: Mapping[str, str], reporter: Any
) -> str:
    """Build the report, and return why it could not be written; empty where it was, or waits for its generator.

    Arguments as in `write_final_documents`.
    """
    announce_fetch(env, reporter)
    results = {rollout.run: evidence.results}
    line, problem = report_process.build_in_own_process(journal_url, rollout.id, rollout.folder, results, env)
    reporter.write_line(line)
    return problem


def announce_fetch(env: Mapping[str, str], reporter: Any) -> None:
    """Print what a first report waits for; what is printed so far reaches a log before that wait.

    Args:
        env: the environment variables.
        reporter: prints the line.
    """
    from rollout.reporting.html.allure_generator import fetch_notice  # noqa: PLC0415 - as above

    if notice := fetch_notice(env):
        reporter.write_line(notice)
    reporter.flush()


def seal_journal(rollout: RolloutContext, env: Mapping[str, str], reporter: Any) -> str:
    """List what was written and seal the journal, and return why that failed; empty where it did not."""
    from rollout.audit.seal import conclude  # noqa: PLC0415 - as above

    line, problem = conclude(rollout.journal, rollout.id, rollout.folder, env, by=rollout.run)
    if line:
        reporter.write_line(line)
    return problem
