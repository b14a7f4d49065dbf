"""Faults of a journal: a stopped server, a silent connection, lost last entries."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import threading
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from rollout.core.clock import format_utc
from tests.journal.postgres_server import PostgresServer
from tests.torture.support import Bench

CHUNK = 65_536
LEASE_LASTS = timedelta(seconds=60)


class Frozen:
    """A PostgreSQL server of its own, whose processes can be stopped; they are continued before it is removed."""

    def __enter__(self) -> Self:
        """Start it."""
        self._server = PostgresServer()
        self._server.start()
        self.url = self._server.new_database()
        self.port = self._server.port
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no process behind."""
        self.thaw()
        self._server.remove()

    def freeze(self) -> None:
        """Stop the first process, which would start others, and then all that it has started."""
        self._each(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue them."""
        self._each(signal.SIGCONT)

    def _each(self, number: signal.Signals) -> None:
        first = self._server._process.pid
        for pid in (first, *_children(first)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _children(of: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            # The name, in brackets, may have spaces.
            if int((folder / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[1]) == of:
                found.append(int(folder.name))
    return found


class SilentProxy:
    """A proxy to a port of this machine; once silent it accepts everything and forwards nothing."""

    def __init__(self, port: int) -> None:
        """Keep the port."""
        self._to = port
        self._silent, self._over = threading.Event(), threading.Event()
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        """Listen on a free port."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets.append(self._listener)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection."""
        self._over.set()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def fall_silent(self) -> None:
        """Forward nothing from now on."""
        self._silent.set()

    def speak(self) -> None:
        """Forward everything again; what was sent meanwhile is not lost."""
        self._silent.clear()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(near)
            threading.Thread(target=self._joined, args=(near,), daemon=True).start()

    def _joined(self, near: socket.socket) -> None:
        with suppress(OSError, ValueError):
            far = socket.create_connection(("127.0.0.1", self._to))
            self._sockets.append(far)
            other = {near: far, far: near}
            while not self._over.is_set():
                ready = [] if self._silent.is_set() else select.select([near, far], [], [], 0.05)[0]
                if self._silent.is_set():
                    self._over.wait(0.05)
                    continue
                for each in ready:
                    if not (data := each.recv(CHUNK)):
                        near.close()
                        far.close()
                        return
                    other[each].sendall(data)


def cut(bench: Bench, count: int) -> None:
    """Delete the newest entries, and restore the lease of that time: the state of a lagging replica."""
    with closing(_connected(bench)) as journal:
        mark = "%s" if bench.journal_url else "?"
        cursor = journal.cursor()
        cursor.execute("SELECT max(seq) FROM rollout_entry")
        last = cursor.fetchone()[0] - count
        cursor.execute(f"DELETE FROM rollout_entry WHERE seq > {mark}", [last])  # noqa: S608 - a mark for a number
        cursor.execute("SELECT at, body FROM rollout_entry ORDER BY seq")
        rows = cursor.fetchall()
        token = max(json.loads(body).get("fence", 0) for _, body in rows)
        until = format_utc(datetime.fromisoformat(rows[-1][0]) + LEASE_LASTS)
        set_back = f"UPDATE rollout_lease SET token = {mark}, until = {mark}, released = {mark} WHERE target = {mark}"  # noqa: S608
        cursor.execute(set_back, [token, until, False, bench.liar.url])
        if not token:
            cursor.execute(f"DELETE FROM rollout_lease WHERE target = {mark}", [bench.liar.url])  # noqa: S608
        journal.commit()


def _connected(bench: Bench) -> Any:
    if bench.journal_url:
        import psycopg

        return psycopg.connect(bench.journal_url.replace("+psycopg", ""))
    import sqlite3

    return sqlite3.connect(bench.reports / "journal.sqlite", timeout=10)
