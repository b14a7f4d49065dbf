"""A journal of many rollouts: copies of a few that the suite has run, in a chain that holds.

    with Lab(folder) as lab:
        models = [lab.run().id]
        write_journal(path, models_of(lab.reports / "journal.sqlite", models), rollouts=1000)

Each copy has the entries of its model under an id of its own, and the moments of its model. It ends as one of long ago:
what it owed is settled, and its files are archived, so that `rollout verify-journal` finds nothing missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from rollout.core.clock import SystemClock
from rollout.journal import schema
from rollout.journal.chain import GENESIS, Entry
from rollout.journal.journal import Journal
from rollout.journal.record import Kind
from rollout.journal.store import Store

_TOKENS = 10
"""More than a rollout takes."""
_ARCHIVE = {"by": "carol", "archive": "/archive/rollout.tar", "sha256": GENESIS}


def models_of(journal: Path, rollouts: Sequence[str]) -> list[tuple[Entry, ...]]:
    """Return the entries of closed rollouts, from which copies are made.

    Raises:
        ValueError: one of them is not closed, or is sealed: a seal holds for its own journal only.
    """
    with Journal.open(str(journal), clock=SystemClock(), create=False) as opened:
        models = [opened.entries(rollout) for rollout in rollouts]
    for rollout, model in zip(rollouts, models, strict=True):
        kinds = {entry.kind for entry in model}
        if Kind.CLOSED not in kinds or Kind.SEAL in kinds:
            raise ValueError(f"rollout {rollout} is no model: it is not closed, or it is sealed")
    return models


def write_journal(path: Path, models: Sequence[Sequence[Entry]], rollouts: int) -> int:
    """Write a new journal of so many copies, of each model in turn, and return the number of its entries."""
    with Journal.open(str(path), clock=SystemClock()):
        """The tables are made; no entry is written one by one: a commit to the disk each takes minutes."""
    store = Store(str(path), wait_s=10.0)
    last, count = (0, GENESIS), 0
    with store.write() as connection:
        for number, model in enumerate(islice(cycle(models), rollouts), 1):
            copies = list(_copies(model, number, last))
            connection.execute(schema.ADD, [schema.row_of(entry) for entry in copies])
            last, count = (copies[-1].seq, copies[-1].hash), count + len(copies)
    store.close()
    return count


def _copies(model: Sequence[Entry], number: int, last: tuple[int, str]) -> Iterator[Entry]:
    """Yield the entries of one copy, in the chain after `last`."""
    was, rollout, places = model[0].rollout, f"copy-{number:05}", dict[Any, int]()
    for entry in (*model, *_afterwards(model)):
        body = json.loads(json.dumps(entry.body).replace(was, rollout))
        if entry.kind == Kind.OUTCOME:
            # An outcome names the entry of its intent.
            body["intent"] = places.get(body["intent"], body["intent"])
        if body.get("fence"):
            # The tokens of a target only ever grow.
            body["fence"] += number * _TOKENS
        copy = Entry.following(last, rollout=rollout, at=entry.at, kind=entry.kind, body=body)
        places[entry.seq], last = copy.seq, (copy.seq, copy.hash)
        yield copy


def _afterwards(model: Sequence[Entry]) -> Iterator[Entry]:
    """Yield what is written after the ending: its obligations are settled, and its files are archived."""
    settled = [(Kind.SETTLED, {"what": owed.body["what"], "by": "bob"}) for owed in model if owed.kind == Kind.OWED]
    parts: list[tuple[Kind, Mapping[str, Any]]] = [*settled, (Kind.PRUNED, _ARCHIVE)]
    for seq, (kind, body) in enumerate(parts, model[-1].seq + 1):
        yield Entry(seq, model[0].rollout, model[-1].at, kind, body, "", "")
