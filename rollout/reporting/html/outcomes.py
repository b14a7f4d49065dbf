"""The outcome of every clause, once each, from the journal and the plan: JUnit and the summary count it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rollout.core.clauses import CLAUSES, Clause
from rollout.monitoring.window_outcome import IN_PROGRESS
from rollout.reporting.allure import NOT_RUN
from rollout.reporting.html.rows import UNREACHED, why_not_asked_for
from rollout.reporting.html.story import Run, Story


@dataclass(frozen=True, slots=True)
class ClauseResult:
    """The outcome of one clause.

    Attributes:
        clause: the clause.
        outcome: ``passed``, ``failed``, ``waived`` or ``owed`` (no pass, and a person is accountable), ``not run``
            (planned, and never reached: no pass), ``not applicable`` (the gateway lacks what it observes: no pass),
            ``pending`` (its phase is still to come, or goes on), or ``not demanded``.
        message: why; where it passed, the remarks of its check.
        took_s: how long its check took; 0 where none ran, or where an earlier version of the suite did not record it.
    """

    clause: Clause
    outcome: str
    message: str = ""
    took_s: float = 0.0


def outcomes(story: Story) -> tuple[ClauseResult, ...]:
    """Return the outcome of every clause, those left out of the plan included, in the procedure's order."""
    return tuple(result for phase in story.phases for result in _of_phase(story, phase))


def _of_phase(story: Story, phase: str) -> Iterator[ClauseResult]:
    run = _decisive(story, phase)
    for clause in story.planned((phase,), {}):
        if clause.id in story.left_out:
            yield ClauseResult(clause, "not demanded", story.left_out[clause.id])
        else:
            yield _result(story, clause, run)


def _decisive(story: Story, phase: str) -> Run | None:
    """Return the latest run that has an outcome in the phase, else the latest one that was asked for the phase."""
    asked = [run for run in story.runs if run.checks and phase in run.phases]
    decided = [run for run in asked if any(CLAUSES[id_].phase == phase for id_ in run.outcomes)]
    return next(reversed(decided or asked), None)


def _result(story: Story, clause: Clause, run: Run | None) -> ClauseResult:
    if run is None:
        outcome = "pending" if story.is_pending else "not run"
        return ClauseResult(clause, outcome, why_not_asked_for(story, clause.phase))
    found = run.outcomes.get(clause.id)
    if found is None:
        return ClauseResult(clause, "not run", f"{NOT_RUN}{UNREACHED}")
    if found.outcome == "skipped":
        # A check that the plan wanted and that skipped itself is no pass; a window that goes on is none yet.
        return ClauseResult(clause, "pending" if found.message.startswith(IN_PROGRESS) else "not run", found.message)
    return ClauseResult(clause, found.outcome, found.message, found.took_s)
