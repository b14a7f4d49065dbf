"""The rollouts of a journal, replayed: all of them, those of one sort, or those with something left to do."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
    return _read(journal, journal.rollouts())


def partial_records(journal: Journal, kinds: Collection[str]) -> Iterator[RolloutRecord]:
    """Yield every rollout of the journal, oldest first, replayed from its entries of these kinds alone.

    What the other kinds tell is missing in the records. Only some of the records are in memory at once.
    """
    return (replay(id_, entries) for id_, entries in entries_by_rollout(journal, kinds=kinds))


def entries_by_rollout(
    journal: Journal, rollouts: Sequence[str] | None = None, kinds: Collection[str] = REPLAYED
) -> Iterator[tuple[str, tuple[Entry, ...]]]:
    """Yield each of these rollouts, all by default, and its entries of these kinds; in the order that is given.

    By default these are all rollouts, the oldest first, and the entries from which a record is replayed. Where an
    ending was spooled, all of these are yielded, whatever the kinds.

    They are read some rollouts at a time: a call for each would take longer than its entries, and a call for all of a
    large journal longer than its deadline.
    """
    left = iter(journal.rollouts() if rollouts is None else rollouts)
    while batch := tuple(islice(left, _AT_ONCE)):
        found: dict[str, list[Entry]] = {id_: [] for id_ in batch}
        for entry in journal.entries_of(batch, *kinds):
            found[entry.rollout].append(entry)
        for id_, entries in found.items():
            needs_all = kinds is not REPLAYED and any(map(_is_spooled_ending, entries))
            yield id_, journal.entries(id_, *REPLAYED) if needs_all else tuple(entries)


def _is_spooled_ending(entry: Entry) -> bool:
    """Return whether it counts only where no entry, of whatever kind, has a newer fencing token (safety rule 8)."""
    return entry.kind == Kind.CLOSED and "spool" in entry.body


def records_where(journal: Journal, fits: Callable[[Mapping[str, Any]], bool]) -> list[RolloutRecord]:
    """Return the rollouts whose opening fits, oldest first; nothing else is read of the others.

    Args:
        journal: the journal.
        fits: is given what `RolloutRecord.opened` holds; empty for a rollout without an opening.
    """
    opened = {entry.rollout: entry.body for entry in journal.entries(None, Kind.OPENED)}
    return _read(journal, [id_ for id_ in journal.rollouts() if fits(opened.get(id_, {}))])


def records_in_flight(journal: Journal) -> list[RolloutRecord]:
    """Return the rollouts in flight, oldest first; of the others, those that wrote nothing and are open are not read.

    Nothing is read either of the rollouts that are closed, however many there are.
    """
    return [record for record in _read(journal, _ids_written_and_open(journal)) if record.in_flight]


def newest_record(journal: Journal, digest: str) -> RolloutRecord | None:
    """Return the newest rollout of the content with this digest; None where there is none. No other one is read."""
    # The text may stand deeper in the body, or in an opening that a later one replaces.
    text = f'"digest":{json.dumps(digest)}'
    for id_ in reversed(journal.rollouts_with(Kind.OPENED, Kind.RECONCILED, text=text)):
        (record,) = _read(journal, [id_])
        if record.opened.get("digest") == digest:
            return record
    return None


def find_record(journal: Journal, rollout: str) -> RolloutRecord | None:
    """Return the rollout of this id; None where there is none. No other one is read."""
    entries = journal.entries(rollout, *REPLAYED)
    return replay(rollout, entries) if entries else None


def unsettled_records(journal: Journal) -> list[RolloutRecord]:
    """Return the rollouts that are in flight, owe something, or wait for evidence, oldest first.

    Some that are closed may be among them; none is left out that is in flight. What the others did is not read.
    """
    # In this order, a rollout that ends between the two reads is not taken for one that owes nothing.
    wanted, left = set(_ids_written_and_open(journal)), defaultdict[str, list[Entry]](list)
    for entry in journal.entries(None, Kind.OWED, Kind.SETTLED, Kind.EVIDENCE):
        left[entry.rollout].append(entry)
    wanted.update(id_ for id_, entries in left.items() if _has_left(replay(id_, entries)))
    return _read(journal, [id_ for id_ in journal.rollouts() if id_ in wanted])


def _ids_written_and_open(journal: Journal) -> tuple[str, ...]:
    """Return the ids of the rollouts that may be in flight: without an ending, and not without a write.

    An entry that waited in a spool file may be a write.
    """
    return journal.rollouts_with(Kind.INTENT, Kind.RECONCILED, without=Kind.CLOSED)


def _has_left(settlement: RolloutRecord) -> bool:
    """Return whether obligations or evidence are open, of a record that is replayed from their entries alone."""
    return bool(settlement.owed or settlement.missing_evidence)


def _read(journal: Journal, rollouts: Sequence[str]) -> list[RolloutRecord]:
    return [replay(id_, entries) for id_, entries in entries_by_rollout(journal, rollouts)]
