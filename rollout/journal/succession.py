"""Succession: an entry that may only follow the entries that its writer has read.

The function runs inside `Store.write()`, so that no other writer comes between the read and the entry.
"""

from __future__ import annotations

from sqlalchemy import Connection

from rollout.core.errors import RolloutError
from rollout.journal import schema
from rollout.journal.chain import Entry


class Overtaken(RolloutError):
    """The rollout has an entry that this process had not read when it decided what to write."""


def refuse(connection: Connection, rollout: str, last: int) -> None:
    """Refuse an entry of a rollout whose newest entry is not number `last` any more.

    Raises:
        Overtaken: it has a newer one.
    """
    row = connection.execute(schema.chosen(rollout, ()), {"after": last}).first()
    if row is not None:
        newer = Entry.of(row)
        raise Overtaken(
            f"rollout {rollout} has entry {newer.seq} ({newer.kind}) of {newer.at}, which was written after it was "
            f"read up to entry {last}; nothing was written: read it again"
        )
