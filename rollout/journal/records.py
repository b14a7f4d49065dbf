"""The rollouts of a journal, replayed: all of them, those of one sort, or those with something left to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from rollout.journal.chain import Entry
from rollout.journal.journal import Journal
from rollout.journal.record import Kind, RolloutRecord
from rollout.journal.replay import REPLAYED, replay

_AT_ONCE = 50
"""So many rollouts are read in one call."""


def records(journal: Journal) -> list[RolloutRecord]:
    """Return every rollout of the journal, oldest first."""
    return [replay(id_, entries) for id_, entries in entries_by_rollout(journal)]


def entries_by_rollout(
    journal: Journal, rollouts: Sequence[str] | None = None
) -> Iterator[tuple[str, tuple[Entry, ...]]]:
    """Yield each of these rollouts, all by default, and the entries from which it is replayed; oldest first.

    They are read some rollouts at a time: a call for each would take longer than its entries, and a call for all of a
    large journal longer than its deadline.
    """
    left = iter(journal.rollouts() if rollouts is None else rollouts)
    while batch := tuple(islice(left, _AT_ONCE)):
        found: dict[str, list[Entry]] = {id_: [] for id_ in batch}
        for entry in journal.entries_of(batch, *REPLAYED):
            found[entry.rollout].append(entry)
        yield from ((id_, tuple(entries)) for id_, entries in found.items())


def records_where(journal: Journal, fits: Callable[[Mapping[str, Any]], bool]) -> list[RolloutRecord]:
    """Return the rollouts whose opening fits, oldest first; nothing else is read of the others.

    Args:
        journal: the journal.
        fits: is given what `RolloutRecord.opened` holds; empty for a rollout without an opening.
    """
    opened = {entry.rollout: entry.body for entry in journal.entries(None, Kind.OPENED)}
    return _read(journal, [id_ for id_ in journal.rollouts() if fits(opened.get(id_, {}))])


def unsettled_records(journal: Journal) -> list[RolloutRecord]:
    """Return the rollouts that are not closed, owe something, or wait for evidence, oldest first.

    Some that are closed may be among them; none is left out that is open. What the others did is not read.
    """
    # In this order, a rollout that ends between the two reads is not taken for one that owes nothing.
    closed, left = journal.rollouts_with(Kind.CLOSED), defaultdict[str, list[Entry]](list)
    for entry in journal.entries(None, Kind.OWED, Kind.SETTLED, Kind.EVIDENCE):
        left[entry.rollout].append(entry)
    known = journal.rollouts()
    return _read(journal, [id_ for id_ in known if id_ not in closed or _has_left(replay(id_, left.get(id_, ())))])


def _has_left(settlement: RolloutRecord) -> bool:
    """Return whether obligations or evidence are open, of a record that is replayed from their entries alone."""
    return bool(settlement.owed or settlement.missing_evidence)


def _read(journal: Journal, rollouts: Sequence[str]) -> list[RolloutRecord]:
    return [replay(id_, entries) for id_, entries in entries_by_rollout(journal, rollouts)]
