"""A legal hold on a rollout's evidence: `rollout prune` does not touch it until the hold is released.

Both are entries of the journal, with who and why. A later one counts.
"""

from __future__ import annotations

from rollout.core.errors import RolloutError
from rollout.journal.journal import Journal
from rollout.journal.record import Kind, RolloutRecord


def place_legal_hold(journal: Journal, record: RolloutRecord, *, by: str, reason: str) -> None:
    """Place a legal hold.

    Raises:
        RolloutError: there is no reason, or one is in place already.
        JournalError: it is not in the journal, so it does not hold.
    """
    if not reason.strip():
        raise RolloutError("a legal hold needs a reason, for whoever releases it; give --reason")
    if record.legal_hold is not None:
        raise RolloutError(f"{record.id} is under a legal hold already, {describe_legal_hold(record)}")
    journal.append(record.id, Kind.LEGAL_HOLD, {"by": by, "reason": reason, "is_placed": True})


def release_legal_hold(journal: Journal, record: RolloutRecord, *, by: str, reason: str) -> None:
    """Release the legal hold.

    Raises:
        RolloutError: there is no reason, or none is in place.
        JournalError: it is not in the journal, so the hold stays.
    """
    if not reason.strip():
        raise RolloutError("the release of a legal hold needs a reason, for the record; give --reason")
    if record.legal_hold is None:
        raise RolloutError(f"{record.id} is under no legal hold")
    journal.append(record.id, Kind.LEGAL_HOLD, {"by": by, "reason": reason, "is_placed": False})


def describe_legal_hold(record: RolloutRecord) -> str:
    """Return ``by alice since 2026-11-30T12:00:00.000Z: case 7``; empty where there is none."""
    hold = record.legal_hold
    return "" if hold is None else f"by {hold['by']} since {hold['at']}: {hold['reason']}"
