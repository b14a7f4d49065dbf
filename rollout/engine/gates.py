"""The gates between phases: cleared, recent, unchanged, and no other run or rollout at it (PRE-3.3, safety rule 3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rollout.context import RolloutContext
from rollout.core.clauses import PHASES
from rollout.core.errors import JournalError, NotCleared, RolloutError, TryLater
from rollout.core.policy import WAIT, usual
from rollout.journal.record import Decision, Kind, RolloutRecord
from rollout.journal.records import records_in_flight, records_where

VOLATILE_S = 300.0
"""Health, alerts, window and lease are checked again when the precheck is older than so many seconds."""


def refusal(phases: Sequence[str], record: RolloutRecord | None, digest: str) -> RolloutError | None:
    """Return why a run of `phases` may not continue the rollout of `record`; None if it may.

    Args:
        phases: the phases of this run.
        record: the latest rollout of this very content; None if there is none.
        digest: the content's digest.
    """
    if record is not None and writes_evidence(phases, record):
        return None
    if phases[0] == PHASES[0]:
        return _still_in_flight(record)
    predecessor = PHASES[PHASES.index(phases[0]) - 1]
    if record is None:
        return NotCleared(
            f"{phases[0]} needs a passed {predecessor} of this very content (SHA-256 {digest[:12]}) in the journal, "
            f"and there is none; run `pytest -m {PHASES[0]}` first, with the same scenario, target and policy"
        )
    if record.decision in (Decision.ROLLED_BACK, Decision.ROLLBACK_FAILED):
        return NotCleared(f"rollout {record.id} ended at {record.closed_at}: {record.decision.replace('_', ' ')}")
    return _not_passed(record, phases[0], predecessor)


def writes_evidence(phases: Sequence[str], record: RolloutRecord) -> bool:
    """Return whether a run of `phases` only writes the evidence that an earlier run could not write."""
    policy = record.opened.get("policy", {})
    waits = {**usual(policy.get("name", "")), **policy}["on_missing_evidence"] == WAIT
    return waits and bool(record.missing_evidence) and phases[-1] == PHASES[-1]


def _still_in_flight(record: RolloutRecord | None) -> RolloutError | None:
    if record is None or not record.in_flight:
        return None
    passed = [phase for phase in PHASES if phase in record.phases and record.phases[phase].passed]
    next_phase = PHASES[min(len(passed), len(PHASES) - 1)]
    return TryLater(
        f"rollout {record.id} of this content is in flight since {record.opened_at}: go on with "
        f"`pytest -m {next_phase}`, or roll it back with `rollout rollback {record.id}`"
    )


def _not_passed(record: RolloutRecord, phase: str, predecessor: str) -> RolloutError | None:
    verdict = record.phases.get(predecessor)
    if verdict is None:
        return NotCleared(
            f"{phase} needs a passed {predecessor}, which was never run to its end in rollout {record.id}; "
            f"run `pytest -m {predecessor}` first"
        )
    if not verdict.passed:
        return NotCleared(f"{predecessor} of rollout {record.id} did not pass: {'; '.join(verdict.problems)}")
    return None


def too_old(rollout: RolloutContext, phase: str, age_s: float) -> str | None:
    """Return the message that `phase` passed more than `age_s` seconds ago; None if it is recent enough."""
    age = age_of(rollout, rollout.record().phases[phase].at)
    if age <= age_s:
        return None
    return f"{phase} passed {age / 60:.0f} min ago; policy {rollout.policy.name!r} accepts {age_s / 60:.0f} min"


def age_of(rollout: RolloutContext, at: str) -> float:
    """Return the age in seconds of `at`, a record's UTC time."""
    return (rollout.clock.now() - datetime.fromisoformat(at).astimezone(UTC)).total_seconds()


def concurrent_rollout(rollout: RolloutContext) -> TryLater | None:
    """Return the refusal of a run during which another rollout wrote to this target; None if none did.

    A check that failed meanwhile saw the other change, so it does not judge this one. A journal that cannot be
    read returns None.
    """
    try:
        began = rollout.journal.entries(rollout.id, Kind.RUN)[-1].at
        others = others_here(rollout)
    except JournalError:
        return None
    for other in reversed(others):
        if any(write.result != "refused" and write.at >= began for write in other.writes):
            return TryLater(
                f"rollout {other.id} ({other.opened['change']}) changed this target meanwhile; run it again"
            )
    return None


def others_here(rollout: RolloutContext) -> list[RolloutRecord]:
    """Return the other rollouts of this target, oldest first."""
    here = records_where(rollout.journal, lambda opened: opened["url"] == rollout.lease_target)
    return [other for other in here if other.id != rollout.id]


def find_rivals(rollout: RolloutContext) -> list[RolloutRecord]:
    """Return the other rollouts in flight on this target, oldest first; what is closed is not read."""
    others = (other for other in records_in_flight(rollout.journal) if other.id != rollout.id)
    return [other for other in others if other.opened["url"] == rollout.lease_target]


def refuse_rivals(rivals: list[RolloutRecord]) -> RolloutError | None:
    """Return the refusal of a run whose target has other rollouts in flight; None if it has none."""
    if not rivals:
        return None
    rival = rivals[-1]
    return TryLater(
        f"rollout {rival.id} ({rival.opened['change']}) is in flight on this target since {rival.opened_at}: "
        f"let it finish, or roll it back with `rollout rollback {rival.id}`; or, its runs gone, with `rollout recover`"
    )
