"""How much a function reads of a journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from sqlalchemy import Engine, event

from rollout.journal import journal as module
from rollout.journal.journal import Journal


@dataclass(frozen=True, slots=True)
class Reads:
    """What was read.

    Attributes:
        entries: how many entries.
        queries: how many statements the database got.
    """

    entries: int
    queries: int


def counted_reads(journal: Journal, read: Callable[[Journal], Any]) -> Reads:
    """Return what `read` reads; of any journal that it opens, too."""
    entries, queries = [0], [0]

    class Counting(module.Entry):
        """Counts the entries that are made of rows."""

        @classmethod
        def of(cls, row: Any) -> module.Entry:
            entries[0] += 1
            return super().of(row)

    def count(*_: Any) -> None:
        queries[0] += 1

    event.listen(Engine, "before_cursor_execute", count)
    try:
        with patch.object(module, "Entry", Counting):
            read(journal)
    finally:
        event.remove(Engine, "before_cursor_execute", count)
    return Reads(entries[0], queries[0])
