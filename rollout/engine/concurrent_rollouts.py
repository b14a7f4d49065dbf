"""The other rollouts of the same target: those that changed it meanwhile, and those that are in flight."""

from __future__ import annotations

from rollout.context import RolloutContext
from rollout.core.errors import JournalError, RolloutError, TryLater
from rollout.journal.record import Kind, RolloutRecord
from rollout.journal.records import records


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
    found = records(rollout.journal)
    return [other for other in found if other.id != rollout.id and other.opened["url"] == rollout.lease_target]


def refuse_rivals(rivals: list[RolloutRecord]) -> RolloutError | None:
    """Return the refusal of a run whose target has other rollouts in flight; None if it has none."""
    if not rivals:
        return None
    rival = rivals[-1]
    return TryLater(
        f"rollout {rival.id} ({rival.opened['change']}) is in flight on this target since {rival.opened_at}: "
        f"let it finish, or roll it back with `rollout rollback {rival.id}`; or, its runs gone, with `rollout recover`"
    )
