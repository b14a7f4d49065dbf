"""Every rollout of a journal, replayed."""

from __future__ import annotations

from rollout.journal.journal import Journal
from rollout.journal.record import FOLDED, RolloutRecord, replay


def records(journal: Journal) -> list[RolloutRecord]:
    """Return every rollout of the journal, oldest first."""
    return [replay(id_, journal.entries(id_, *FOLDED)) for id_ in journal.rollouts()]
