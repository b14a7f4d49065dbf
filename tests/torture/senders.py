"""Who sent each write, and whose the newest fencing token was when it arrived."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.liar import Visit
from tests.torture.support import Bench, name_of

WRITES = r"^/api/v1/.*(/activate|/limits|/weights)$"


@dataclass(frozen=True)
class Sent:
    """A write as it arrived.

    Attributes:
        request: method and path.
        pid: the process that sent it; 0 where it is gone already.
        token: the newest fencing token that was given out for the target.
        holder: the process that it was given to; 0 where it is not named, as with an emergency's first one.
        rollout: the rollout that it was given to.
    """

    request: str
    pid: int
    token: int
    holder: int
    rollout: str


class Senders:
    """The writes to the gateway of a bench, in order of arrival; each is passed on once its sender is known."""

    def __init__(self, bench: Bench) -> None:
        """Begin to note."""
        self.sent: list[Sent] = []
        self._bench = bench
        bench.liar.rule(WRITES, self._noted)

    def late(self, pid: int, rollout: str) -> list[Sent]:
        """Return what a process sent for its rollout when the newest token was another's.

        A watchdog that was started with the token of its runner takes one of its own before it writes.
        """
        mine = [each for each in self.sent if each.pid == pid]
        return [each for each in mine if each.rollout != rollout or each.holder not in {0, pid}]

    async def _noted(self, visit: Visit) -> None:
        if visit.request.method != "GET":
            ports = [visit.writer.get_extra_info(name)[1] for name in ("peername", "sockname")]
            self.sent.append(await asyncio.to_thread(self._sent, f"{visit.request.method} {visit.request.path}", ports))
        await visit.reply(await visit.forward())

    def _sent(self, request: str, ports: list[int]) -> Sent:
        token, holder, rollout = newest(self._bench)
        return Sent(name_of(request), sender_at(*ports), token, holder, rollout)


def newest(bench: Bench) -> tuple[int, int, str]:
    """Return the newest token of the bench's target, the process and the rollout that it was given to; zeros if none.

    The file is read as it is: whatever the suite's own code takes for the holder is what a case judges.
    """
    found = None
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"file:{bench.reports / 'journal.sqlite'}?mode=ro", uri=True)) as journal,
    ):
        query = "SELECT token, holder, rollout FROM rollout_lease WHERE target = ?"
        found = journal.execute(query, [bench.liar.url]).fetchone()
    if found is None:
        return 0, 0, ""
    token, holder, rollout = found
    named = re.search(r"-(\d+)@", holder)
    return int(token), int(named[1]) if named else 0, str(rollout)


def sender_at(port: int, to: int) -> int:
    """Return the process that has the connection between these local ports; 0 where none has it any more."""
    name = f"socket:[{_inode(port, to)}]"
    for folder in Path("/proc").glob("[0-9]*"):
        if name in _files(folder):
            return int(folder.name)
    return 0


def _files(folder: Path) -> set[str]:
    """Return what a process has open; it opens and closes meanwhile."""
    found = set()
    with suppress(OSError):
        for each in (folder / "fd").iterdir():
            with suppress(OSError):
                found.add(str(each.readlink()))
    return found


def _inode(port: int, to: int) -> str:
    # One that has ended may linger with the same port, to somewhere else.
    ours = [f"0100007F:{each:04X}" for each in (port, to)]
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1:3] == ours:
            return fields[9]
    return ""
