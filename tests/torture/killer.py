"""A pytest plugin (``-p tests.torture.killer``) that injects a fault into its own process at one entry of the journal.

``TORTURE_ENTRY`` is the entry's number in this process, from 1, or a kind and the number among its entries, such as
``intent 2``. Right after it is on disk, ``TORTURE_DO`` happens:

- the name of a signal: it is sent to this process; SIGSTOP stops it until it gets SIGCONT;
- ``both``: the watchdog is killed, then this process;
- ``stop watchdog``, ``stop both``: the same with SIGSTOP; the first leaves this process alone;
- ``hold``: this thread waits until the file ``TORTURE_GO`` exists, and the process lives on;
- ``full``: the disk is full from here on: SQLite may not add a page any more;
- ``deleted``: the journal's file is removed;
- ``readonly``: every write to it is refused.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from functools import wraps
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from rollout.journal.chain import Entry
from rollout.journal.journal import Journal

POLL_S = 0.02
APPENDING = ("append", "extend")
"""The prefixes of the methods that write entries."""

_counts: Counter[str] = Counter()
_lock = threading.Lock()
_here = threading.local()
_watchdog: int | None = None


def _counted(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method that writes entries count them; one that calls another counts once."""

    @wraps(method)
    def counting(self: Journal, *args: Any, **kwargs: Any) -> Any:
        is_outermost, _here.inside = not getattr(_here, "inside", False), True
        try:
            made = method(self, *args, **kwargs)
        finally:
            _here.inside = not is_outermost
        if is_outermost:
            _count(self, made)
        return made

    return counting


def _count(journal: Journal, made: Entry | tuple[Entry, ...] | Future[Entry]) -> None:
    if isinstance(made, Future):
        if made.exception() is not None:
            return
        made = made.result()
    for entry in made if isinstance(made, tuple) else (made,):
        _check_entry(journal, entry)


def _check_entry(journal: Journal, entry: Entry) -> None:
    global _watchdog  # noqa: PLW0603 - a process has one
    with _lock:
        _counts.update(["", entry.kind])
        mine = os.environ["TORTURE_ENTRY"] in {str(_counts[""]), f"{entry.kind} {_counts[entry.kind]}"}
    if str(entry.kind) == "armed":
        _watchdog = int(entry.body["pid"])
    if mine:
        reached = Path(os.environ["TORTURE_REACHED"])
        # Atomically: the test that waits for it reads it at once.
        reached.with_suffix(".new").write_text(f"{entry.seq} {entry.kind}", encoding="utf-8")
        reached.with_suffix(".new").rename(reached)
        _hurt(journal, os.environ["TORTURE_DO"])


def _hurt(journal: Journal, how: str) -> None:
    if how in _OTHER:
        _OTHER[how](journal)
        return
    if how == "both" and _watchdog is not None:
        os.kill(_watchdog, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL if how == "both" else signal.Signals[how])


def _stop_watchdog(_journal: Journal) -> None:
    if _watchdog is not None:
        os.kill(_watchdog, signal.SIGSTOP)


def _stop_both(journal: Journal) -> None:
    _stop_watchdog(journal)
    os.kill(os.getpid(), signal.SIGSTOP)


def _hold(_journal: Journal) -> None:
    go = Path(os.environ["TORTURE_GO"])
    while not go.exists():
        time.sleep(POLL_S)


def _each_connection(do: Callable[[sqlite3.Connection], object]) -> None:
    event.listen(Engine, "connect", lambda connection, _record: do(connection))


def _full(_journal: Journal) -> None:
    # Below the number of pages that it has already, SQLite adds no page.
    _each_connection(lambda connection: connection.execute("PRAGMA max_page_count = 1"))


def _deleted(journal: Journal) -> None:
    Path(journal._store.where).unlink()


def _readonly(_journal: Journal) -> None:
    _each_connection(lambda connection: connection.execute("PRAGMA query_only = 1"))


_OTHER = {
    "full": _full,
    "deleted": _deleted,
    "readonly": _readonly,
    "stop watchdog": _stop_watchdog,
    "stop both": _stop_both,
    "hold": _hold,
}

for _name in [name for name in vars(Journal) if name.startswith(APPENDING)]:
    setattr(Journal, _name, _counted(getattr(Journal, _name)))
