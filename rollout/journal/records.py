"""Every rollout of a journal, replayed."""

from __future__ import annotations

from rollout.journal.journal import Journal
from rollout.journal.record import RolloutRecord
from rollout.journal.replay import REPLAYED, replay


def records(journal: Journal) -> list[RolloutRecord]:
    """Return every rollout of the journal, oldest first."""
    return [replay(id_, journal.entries(id_, *REPLAYED)) for id_ in journal.rollouts()]
