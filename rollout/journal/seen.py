"""The entries and tokens that a process has seen in a journal: a journal without them has lost confirmed writes.

A server that fails over to a replica that lags, or that an older backup was restored on, answers without an error.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, func, null, select

from rollout.core.errors import JournalError
from rollout.journal import schema
from rollout.journal.leases import Lease


class JournalBehind(JournalError):
    """The journal lacks what this process has seen in it: it is in an earlier state, or is another journal."""


class Seen:
    """The newest entry that a process has seen or written, and the newest token of each target that it was granted.

    Attributes:
        where: the journal's path or URL, without a password, for messages.
        head: number and hash of that entry; None before the first.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.head: tuple[int, str] | None = None
        self._granted: dict[str, int] = {}

    def learn(self, seq: int, hash_: str) -> None:
        """Keep an entry, if it is newer than what is kept."""
        if self.head is None or seq > self.head[0]:
            self.head = (seq, hash_)

    def grant(self, lease: Lease) -> None:
        """Keep the token of a lease."""
        self._granted[lease.target] = max(lease.token, self._granted.get(lease.target, 0))

    def compare(self, connection: Connection, target: str | None = None) -> None:
        """Compare the journal with what is kept, in one query by key; with a target also the tokens of its leases.

        Raises:
            JournalBehind: it holds less, or something else.
        """
        granted = 0 if target is None else self._granted.get(target, 0)
        if self.head is None and not granted:
            return
        seq, expected = self.head or (0, None)
        query, values = (_BOTH, {"seq": seq, "target": target}) if granted else (_HASH, {"seq": seq})
        hash_, token = connection.execute(query, values).one()
        if hash_ != expected:
            raise self._behind(self._lacks(connection, seq, hash_))
        if (token or 0) < granted:
            raise self._behind(
                f"the newest token of {target} is {token or 0}, and this process was granted token {granted}"
            )

    def _lacks(self, connection: Connection, seq: int, hash_: Any) -> str:
        if hash_ is not None:
            return f"entry {seq} is another one than this process has seen there"
        last = connection.scalar(_LAST) or 0
        missing = f"entry {seq} is" if last >= seq - 1 else f"entries {last + 1} to {seq} are"
        return f"it ends with entry {last}, and {missing} missing, which this process has seen"

    def _behind(self, what: str) -> JournalBehind:
        return JournalBehind(
            f"journal {self.where}: {what}. It went back to an earlier state (a replica that lagged took over, a "
            "backup was restored, rows were deleted) or is another one. Keep it as it is, restore the one that "
            "holds what is missing, and call again; until then read the gateway itself, not this journal"
        )


# Made once: to build a statement takes SQLAlchemy as long as to run it.
_AT = select(schema.entry.c.hash).where(schema.entry.c.seq == bindparam("seq")).scalar_subquery()
_TOKEN = select(schema.lease.c.token).where(schema.lease.c.target == bindparam("target")).scalar_subquery()
_HASH = select(_AT, null())
_BOTH = select(_AT, _TOKEN)
_LAST = select(func.max(schema.entry.c.seq))
