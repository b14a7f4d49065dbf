"""A pytest plugin (``-p tests.torture.killer``) that hurts its own process at one very entry of the journal.

``TORTURE_ENTRY`` is the entry's number in this process, from 1, or a kind and the number among its entries, such as
``intent 2``. Right after it is on disk, ``TORTURE_DO`` happens:

- the name of a signal: it is sent to this process;
- ``both``: the watchdog is killed, then this process;
- ``full``: the disk is full from here on: SQLite may not add a page any more;
- ``deleted``: the journal's file is removed;
- ``readonly``: every write to it is refused.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from rollout.journal import Entry, Journal

_ORIGINAL = {
    name: getattr(Journal, name) for name in ("append", "append_held", "append_ending", "append_soon", "extend")
}
_counts: Counter[str] = Counter()
_lock = threading.Lock()
_watchdog: int | None = None


def _counted(journal: Journal, entry: Entry) -> None:
    global _watchdog  # noqa: PLW0603 - a process has one
    with _lock:
        _counts.update(["", entry.kind])
        mine = os.environ["TORTURE_ENTRY"] in {str(_counts[""]), f"{entry.kind} {_counts[entry.kind]}"}
    if str(entry.kind) == "armed":
        _watchdog = int(entry.body["pid"])
    if mine:
        Path(os.environ["TORTURE_REACHED"]).write_text(f"{entry.seq} {entry.kind}", encoding="utf-8")
        _hurt(journal, os.environ["TORTURE_DO"])


def _counting(name: str) -> Callable[..., Any]:
    def call(self: Journal, *args: Any, **more: Any) -> Any:
        result = _ORIGINAL[name](self, *args, **more)
        if name == "append":
            # It is one of `extend`, which counts it.
            return result
        for entry in (result.result(),) if name == "append_soon" else result if name == "extend" else (result,):
            _counted(self, entry)
        return result

    return call


def _hurt(journal: Journal, how: str) -> None:
    if how in _DISK:
        _DISK[how](journal)
        return
    if how == "both" and _watchdog is not None:
        os.kill(_watchdog, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL if how == "both" else signal.Signals[how])


def _each_connection(do: Callable[[sqlite3.Connection], object]) -> None:
    event.listen(Engine, "connect", lambda connection, _record: do(connection))


def _full(_journal: Journal) -> None:
    # Below the number of pages that it has already: SQLite takes that as "not one more".
    _each_connection(lambda connection: connection.execute("PRAGMA max_page_count = 1"))


def _deleted(journal: Journal) -> None:
    Path(journal._store.where).unlink()


def _readonly(_journal: Journal) -> None:
    _each_connection(lambda connection: connection.execute("PRAGMA query_only = 1"))


_DISK = {"full": _full, "deleted": _deleted, "readonly": _readonly}

for _name in _ORIGINAL:
    setattr(Journal, _name, _counting(_name))
