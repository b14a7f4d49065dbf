"""Leases: who may change a target now, for how long, with a fencing token that only ever grows.

One row a target, never deleted, so that tokens grow for ever. Expiry is judged by the caller's clock: machines that
share a journal need clocks that agree to well within a lease's length. Every function here runs inside
`Store.write()`, which makes it atomic between processes, or `Store.read()`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from rollout.core.clock import format_utc
from rollout.core.errors import RolloutError, TryLater
from rollout.journal import schema

LEASE_S = 60.0
"""How long a lease outlives its last renewal; half of it is left at every renewal."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to change one target, for one rollout, until a moment.

    Attributes:
        target: the target's name.
        rollout: the rollout that holds it.
        token: the fencing token, strictly increasing per target, for ever.
        holder: who holds it, as messages show it (user, host, process).
        since: since when this rollout has held it without a gap, UTC, whole milliseconds.
        until: the first moment at which it is free again, UTC, whole milliseconds.
    """

    target: str
    rollout: str
    token: int
    holder: str
    since: datetime
    until: datetime


class LeaseHeld(TryLater):
    """Another rollout holds the target (exit code 13).

    Attributes:
        lease: the other rollout's lease.
    """

    def __init__(self, lease: Lease) -> None:
        """Compose the message: who holds it, since when, until when, and what to do."""
        self.lease = lease
        super().__init__(
            f"{lease.target} is being changed by rollout {lease.rollout} ({lease.holder}), "
            f"since {format_utc(lease.since)}, "
            f"until {format_utc(lease.until)}. Call again after that, or have that rollout closed first: "
            "`rollout status` shows it, `rollout abort` ends it"
        )


class LeaseLost(RolloutError):
    """A lease is not the newest any more, or was given back.

    No `JournalError`: the journal works, and shows that this process is superseded.
    """


def acquire(
    connection: Connection,
    now: datetime,
    for_s: float,
    *,
    target: str,
    rollout: str,
    holder: str,
    after: int | None = None,
    preempts: bool = False,
) -> Lease:
    """Take the target for `for_s` seconds from now, with a new token; a longer lease of the same rollout stays longer.

    With `after`, only if that is still the newest token: of two who saw the same, one gets it.
    `preempts` takes it also from another holder, whose next read finds the newer token.

    Raises:
        LeaseHeld: another rollout holds the target, or a newer token than `after` was given out.
    """
    row = _row(connection, target)
    if after is not None and row is not None and row.token != after:
        raise LeaseHeld(_lease(row))
    held = None if preempts else _unexpired(row, now)
    if held and held.rollout != rollout:
        raise LeaseHeld(held)
    until = _whole_ms(now + timedelta(seconds=for_s))
    lease = Lease(
        target=target,
        rollout=rollout,
        token=row.token + 1 if row else 1,
        holder=holder,
        since=held.since if held else _whole_ms(now),
        until=max(held.until, until) if held else until,
    )
    columns = {**asdict(lease), "since": format_utc(lease.since), "until": format_utc(lease.until), "released": False}
    if row:
        connection.execute(update(schema.lease).where(schema.lease.c.target == target).values(columns))
    else:
        connection.execute(insert(schema.lease).values(columns))
    return lease


def renew(connection: Connection, now: datetime, for_s: float, lease: Lease) -> Lease:
    """Prolong a lease to `for_s` seconds from now, never shorten it; one that expired untaken is still its holder's.

    Raises:
        LeaseLost: a newer token was given out, or the lease was released.
    """
    row = held(connection, lease)
    until = max(_lease(row).until, _whole_ms(now + timedelta(seconds=for_s)))
    connection.execute(
        update(schema.lease).where(schema.lease.c.target == lease.target).values(until=format_utc(until))
    )
    return replace(_lease(row), until=until)


def held(connection: Connection, lease: Lease) -> Row[Any]:
    """Return the row of a lease that is still its holder's, whether or not it has expired untaken.

    Raises:
        LeaseLost: a newer token was given out, or the lease was released.
    """
    row = _row(connection, lease.target)
    if row is None or row.token != lease.token or row.released:
        raise LeaseLost(_how_lost(row, lease))
    return row


def release(connection: Connection, lease: Lease) -> None:
    """Give the target back; a lease with a newer token stays."""
    mine = (schema.lease.c.target == lease.target) & (schema.lease.c.token == lease.token)
    connection.execute(update(schema.lease).where(mine).values(released=True))


def holder(connection: Connection, now: datetime, target: str) -> Lease | None:
    """Return the lease that holds the target now; None while it is free."""
    return _unexpired(_row(connection, target), now)


def newest_token(connection: Connection, target: str) -> int:
    """Return the newest token ever given out for the target; 0 before the first."""
    row = _row(connection, target)
    return int(row.token) if row else 0


def _row(connection: Connection, target: str) -> Row[Any] | None:
    return connection.execute(select(schema.lease).where(schema.lease.c.target == target)).one_or_none()


def _unexpired(row: Row[Any] | None, now: datetime) -> Lease | None:
    if row is None or row.released or datetime.fromisoformat(row.until) <= now:
        return None
    return _lease(row)


def _lease(row: Row[Any]) -> Lease:
    return Lease(
        target=row.target,
        rollout=row.rollout,
        token=row.token,
        holder=row.holder,
        since=datetime.fromisoformat(row.since),
        until=datetime.fromisoformat(row.until),
    )


def _whole_ms(moment: datetime) -> datetime:
    # What the database keeps: a lease read back equals the one that was granted.
    return datetime.fromisoformat(format_utc(moment))


def _how_lost(row: Row[Any] | None, lease: Lease) -> str:
    what = f"the lease of {lease.rollout} on {lease.target} (token {lease.token})"
    if row is not None and row.token == lease.token:
        return f"{what} was given back. Acquire it again before you change the target"
    newer = f"rollout {row.rollout} ({row.holder}) has token {row.token}" if row else "the journal knows none"
    return f"{what} is lost: {newer}. Change nothing on {lease.target} any more"
