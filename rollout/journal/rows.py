"""The SQL statements that read and write a journal's entries."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import Select, insert, select

from rollout.core.canonical_json import canonical
from rollout.journal import schema
from rollout.journal.chain import Entry
from rollout.journal.reconciled import KIND

# Made once: to build a statement takes SQLAlchemy as long as to run it.
HEAD = select(schema.entry.c.seq, schema.entry.c.hash).order_by(schema.entry.c.seq.desc()).limit(1)
ALL = select(schema.entry).order_by(schema.entry.c.seq)
ADD = insert(schema.entry)


def of(entry: Entry) -> dict[str, Any]:
    """Return an entry as the database keeps it."""
    return {
        "seq": entry.seq,
        "rollout": entry.rollout,
        "at": entry.at,
        "kind": entry.kind,
        "body": canonical(entry.body).decode(),
        "prev": entry.prev,
        "hash": entry.hash,
    }


@lru_cache(maxsize=64)
def chosen(rollout: str | None, kinds: tuple[str, ...]) -> Select[Any]:
    """Return the query for the entries of one rollout, None for all, and of these kinds, none for all; in order.

    Those of kind `KIND` are always among them: the entry that each holds is known once it is read.
    """
    query = select(schema.entry).order_by(schema.entry.c.seq)
    if rollout is not None:
        query = query.where(schema.entry.c.rollout == rollout)
    return query.where(schema.entry.c.kind.in_([*map(str, kinds), KIND])) if kinds else query
