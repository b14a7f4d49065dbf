"""The journal: the state between processes, and the record for the auditor."""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Connection, Select, select, update

from rollout.core.canonical_json import to_json
from rollout.core.clock import Clock, format_utc
from rollout.journal import chain, endings, leases, schema, succession
from rollout.journal.chain import GENESIS, Entry
from rollout.journal.deadline import Deadline
from rollout.journal.leases import Lease
from rollout.journal.seen import Seen
from rollout.journal.store import Store

_PAGE_ENTRIES, _LOWEST = 2000, -(2**63)  # a row that was inserted before the first entry is read as well

P = ParamSpec("P")
T = TypeVar("T")


def _as_is(value: Any) -> Any:
    return value


def _in_time(method: Callable[Concatenate[Journal, P], T]) -> Callable[Concatenate[Journal, P], T]:
    """Return the method as a call in the journal's own thread, which is waited for with a deadline."""

    @wraps(method)
    def called(self: Journal, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._deadline.call(partial(method, self, *args, **kwargs))

    return called


class Journal(AbstractContextManager["Journal"]):
    """Intents and outcomes of every rollout, in one chain, shared by threads, processes and (PostgreSQL) machines.

    Every method raises `JournalError` when the database cannot be read or written: one sentence, never a password;
    and `JournalBehind`, one of them, when it does not hold any more what was seen or written through this object.
    A connection that breaks during the commit on a server may leave an entry although `append` raised.
    Use it as a context manager, or call `close`.
    """

    def __init__(self, store: Store, *, clock: Clock, redact: Callable[[Any], Any], host: str) -> None:
        self._store = store
        self._clock = clock
        self._redact = redact
        self.host = host
        self._seen = Seen(store.where)
        self._deadline = Deadline(store.where, store.patience_s, store.abandon)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Clock,
        redact: Callable[[Any], Any] = _as_is,
        host: str | None = None,
        wait_s: float = 10.0,
        create: bool = True,
    ) -> Self:
        """Open the journal at `url`; make folder, file (0600) and tables where there are none.

        An existing journal is opened without writing to its tables, so that a read-only one can be read and verified.

        Args:
            url: a path, ``sqlite:////absolute/path`` or ``postgresql+psycopg://user:password@host:port/database``.
            clock: what stamps entries and judges leases.
            redact: applied to each body, as JSON types, before it is written.
            host: this machine's name; by default what the machine calls itself.
            wait_s: how long a call waits for another writer, in seconds.
            create: False refuses a journal that is not there yet, and changes nothing where there is one.

        Raises:
            JournalError: it cannot be opened or made, is damaged, is something else, or has a newer schema.
        """
        journal = cls(Store(url, wait_s=wait_s), clock=clock, redact=redact, host=host or platform.node())
        try:
            journal._prepare(create=create)
        except BaseException:
            journal.close()
            raise
        return journal

    def redact_with(self, redact: Callable[[Any], Any]) -> None:
        """Apply `redact` from here on: a process that continues a rollout learns its secrets from the journal."""
        self._redact = redact

    def remember(self, seq: int, hash_: str) -> None:
        """Expect the journal to hold this entry from here on: the newest one that another process has seen."""
        self._seen.learn(seq, hash_)

    def append(self, rollout: str, kind: str, body: Mapping[str, Any]) -> Entry:
        """Write an entry at the end of the chain; it is on disk when this returns.

        `body` is redacted first. NaN and infinities are kept as the words ``nan``, ``inf``, ``-inf``.

        Raises:
            JournalError: the entry was not written.
            TypeError: `body` holds something that has no canonical form.
        """
        return self.extend(rollout, [(kind, body)])[0]

    @_in_time
    def extend(self, rollout: str, parts: Iterable[tuple[str, Mapping[str, Any]]]) -> tuple[Entry, ...]:
        """Write entries of (kind, body) side by side at the end of the chain: all of them, or none.

        They take as long as one, because the time is the disk's. Errors as in `append`.
        """
        return self._appended(rollout, self._kept(parts))

    def append_soon(self, rollout: str, kind: str, body: Mapping[str, Any]) -> Future[Entry]:
        """Append an entry without waiting for it: before every later call of this process, with the time of this one.

        Returns:
            the entry, once it is on disk; or, within the deadline of a call, the `JournalError` why it was not written.
            `close` waits for it; a process that ends without that may lose it.

        Raises:
            TypeError: `body` holds something that has no canonical form.
        """
        kept, at = self._kept([(kind, body)]), format_utc(self._clock.now())
        return self._deadline.soon(lambda: self._appended(rollout, kept, at=at)[0])

    @_in_time
    def append_held(self, lease: Lease, rollout: str, kind: str, body: Mapping[str, Any]) -> Entry:
        """Append an entry only if `lease` is still its holder's: comparison and entry are one transaction.

        Args:
            lease: the right to write it; one that has expired and was not taken is still its holder's.
            rollout: whose entry it is; not necessarily the lease's own rollout.
            kind: what sort of entry.
            body: as in `append`; the entry carries the lease's token as its ``fence``.

        Raises:
            LeaseLost: a newer token was given out for the target, or the lease was released; nothing was written.
            JournalError: the entry was not written.
        """
        return self._appended(
            rollout,
            self._kept([(kind, {**body, "fence": lease.token})]),
            target=lease.target,
            check=partial(leases.held, lease=lease),
        )[0]

    @_in_time
    def append_next(self, last: int, rollout: str, kind: str, body: Mapping[str, Any]) -> Entry:
        """Append an entry only if number `last` is its rollout's newest; comparison and entry are one transaction.

        Raises:
            Overtaken: the rollout has a newer entry; nothing was written.
            JournalError: the entry was not written.
        """
        check = partial(succession.refuse, rollout=str(rollout), last=last)
        return self._appended(rollout, self._kept([(kind, body)]), check=check)[0]

    @_in_time
    def append_ending(self, lease: Lease | None, rollout: str, body: Mapping[str, Any]) -> Entry:
        """Append the entry ``closed`` of a rollout, unless it has ended: comparison and entry are one transaction.

        With a lease, an ending of a lower token may stand already: a rollback under a newer token ends a rollout anew.
        Without one, as for a run that never got it, the rollout has neither an ending nor an intent.

        Args:
            lease: the right to end it, as in `append_held`; None for a run that applied nothing.
            rollout: the rollout that ends.
            body: as in `append`; the entry carries the lease's token as its ``fence``, 0 without one.

        Raises:
            AlreadyEnded: an ending stands that this one may not replace; nothing was written.
            LeaseLost: another run owns the rollout or its target; nothing was written.
            JournalError: the entry was not written.
        """
        return self._appended(
            rollout,
            self._kept([(endings.CLOSED, {**body, "fence": lease.token if lease else 0})]),
            target=lease.target if lease else None,
            check=partial(endings.refuse, rollout=str(rollout), lease=lease),
        )[0]

    @_in_time
    def entries(self, rollout: str | None = None, *kinds: str, after: int = 0) -> tuple[Entry, ...]:
        """Return the entries of one rollout, or of all, in the order in which they were written.

        Args:
            rollout: its id; None for every rollout.
            kinds: only these kinds; none given means all.
            after: only entries with a higher number.

        Raises:
            JournalError: the journal cannot be read, or an entry of it is not JSON any more.
        """
        return self._chosen(schema.chosen(rollout, kinds), frozenset(kinds), after=after)

    @_in_time
    def entries_of(self, rollouts: Sequence[str], *kinds: str) -> tuple[Entry, ...]:
        """Return the entries of some rollouts, of these kinds, in the order and with the errors of `entries`."""
        return self._chosen(schema.chosen_of_some(kinds), frozenset(kinds), rollouts=rollouts)

    def _chosen(self, query: Select[Any], kinds: Collection[str], **parameters: Any) -> tuple[Entry, ...]:
        with self._compared(self._store.read()) as connection:
            found = connection.execute(query, parameters).all()
        entries = map(chain.unwrapped, self._learnt(tuple(map(Entry.of, found))))
        return tuple(entry for entry in entries if not kinds or entry.kind in kinds)

    @_in_time
    def rollouts(self) -> tuple[str, ...]:
        """Return the ids of all rollouts, in the order of their first entries."""
        with self._compared(self._store.read()) as connection:
            return tuple(connection.scalars(schema.ROLLOUTS))

    @_in_time
    def rollouts_with(self, *kinds: str, text: str = "", without: str | None = None) -> tuple[str, ...]:
        """Return the ids of the rollouts with an entry of one of these kinds, as `schema.holding` chooses them."""
        query = schema.holding(tuple(map(str, kinds)), text, without)
        with self._compared(self._store.read()) as connection:
            return tuple(connection.scalars(query))

    @_in_time
    def head(self) -> tuple[int, str] | None:
        """Return number and hash of the latest entry; None while there is none. Kept elsewhere, it seals the chain."""
        with self._compared(self._store.read()) as connection:
            row = connection.execute(schema.HEAD).one_or_none()
        if row is not None:
            self._seen.learn(row.seq, row.hash)
        return row and (row.seq, row.hash)

    def head_text(self) -> str:
        """Return number and hash of the latest entry, as ``verify-journal --head`` reads it; empty without an entry."""
        return ":".join(map(str, self.head() or ()))

    def raw_entries(self) -> tuple[Entry, ...]:
        """Check every entry of the chain, and return them as they were checked.

        An unkeyed chain cannot show that its tail was cut off, nor that it was recomputed from some entry to the end:
        for that, keep its last hash somewhere else.

        Raises:
            JournalError: names the first entry that was changed, dropped, inserted or moved.
        """
        return self._learnt(tuple(chain.verified(self._rows())))

    def _rows(self) -> Iterator[chain.Row]:
        """Yield every row in order, read in pages: each within the deadline of a call, however many there are."""
        page = self._page(_LOWEST)
        yield from page
        while len(page) == _PAGE_ENTRIES:
            page = self._page(page[-1].seq + 1)
            yield from page

    @_in_time
    def _page(self, first: int) -> Sequence[chain.Row]:
        with self._compared(self._store.read()) as connection:
            return connection.execute(schema.PAGE, {"first": first, "at_most": _PAGE_ENTRIES}).all()

    @_in_time
    def foreign_host(self) -> str | None:
        """Return the host that this file belongs to, if that is another one; None here, and for a shared server."""
        if not self._store.is_file:
            return None
        with self._compared(self._store.read()) as connection:
            owner = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == "host"))
        return None if owner == self.host else str(owner)

    @_in_time
    def lock_host(self) -> None:
        """Note this host as the file's own; for a caller who has seen that no rollout is open on the former one."""
        with self._compared(self._store.write()) as connection:
            connection.execute(update(schema.meta).where(schema.meta.c.key == "host").values(value=self.host))

    @_in_time
    def acquire(
        self, target: str, rollout: str, holder: str, for_s: float, *, after: int | None = None, preempts: bool = False
    ) -> Lease:
        """Take a target for `for_s` seconds with a new fencing token; again by the same rollout prolongs it.

        Args:
            target: the target's name.
            rollout: the rollout that will change it.
            holder: who holds it, as messages to other processes show it.
            for_s: seconds from now; a lease that the rollout already holds for longer is not shortened.
            after: take it only if this is still the newest token, so that of two who saw it one gets the lease.
            preempts: take it also from another holder, whose next read finds the newer token (EMG-1).

        Raises:
            LeaseHeld: another rollout holds it (a `TryLater`, exit code 13).
        """
        with self._compared(self._store.write(), target) as connection:
            lease = leases.acquire(
                connection,
                self._clock.now(),
                for_s,
                target=target,
                rollout=rollout,
                holder=holder,
                after=after,
                preempts=preempts,
            )
        self._seen.grant(lease)
        return lease

    @_in_time
    def renew(self, lease: Lease, for_s: float) -> Lease:
        """Prolong a lease to `for_s` seconds from now under the same token; never shorten it.

        Raises:
            LeaseLost: a newer token was given out, or the lease was released.
        """
        with self._compared(self._store.write(), lease.target) as connection:
            renewed = leases.renew(connection, self._clock.now(), for_s, lease)
        self._seen.grant(renewed)
        return renewed

    @_in_time
    def release(self, lease: Lease) -> None:
        """Give a target back. Releasing again, or after a newer token was given out, changes nothing."""
        with self._compared(self._store.write(), lease.target) as connection:
            leases.release(connection, lease)

    @_in_time
    def holder(self, target: str) -> Lease | None:
        """Return the lease that holds the target now; None while it is free."""
        with self._compared(self._store.read(), target) as connection:
            return leases.holder(connection, self._clock.now(), target)

    @_in_time
    def newest_token(self, target: str) -> int:
        """Return the newest fencing token ever given out for the target; 0 before the first."""
        with self._compared(self._store.read(), target) as connection:
            return leases.newest_token(connection, target)

    def now(self) -> datetime:
        """Return the time by which leases are judged, UTC."""
        return self._clock.now()

    def close(self) -> None:
        """Close every connection, once the entries of `append_soon` are written; waits no longer than a call."""
        self._deadline.close()
        self._store.close()

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @contextmanager
    def _compared(self, opened: AbstractContextManager[Connection], target: str | None = None) -> Iterator[Connection]:
        """Give a connection to read or write on, once the journal was compared with what was seen of it."""
        with opened as connection:
            self._seen.compare(connection, target)
            yield connection

    def _learnt(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        """Keep the last of entries that are in the order in which they were written, and return them."""
        if entries:
            self._seen.learn(entries[-1].seq, entries[-1].hash)
        return entries

    @_in_time
    def _prepare(self, *, create: bool) -> None:
        self._store.prepare(host=self.host, created=format_utc(self._clock.now()), create=create)

    def _kept(self, parts: Iterable[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, Any]]:
        """Return kinds and bodies as they are written: redacted, and nothing that a database cannot hold."""
        return [(str(kind), chain.recordable(self._redact(to_json(body)))) for kind, body in parts]

    def _appended(
        self,
        rollout: str,
        kept: Iterable[tuple[str, Any]],
        *,
        at: str | None = None,
        target: str | None = None,
        check: Callable[[Connection], object] | None = None,
    ) -> tuple[Entry, ...]:
        """Continue the chain in one transaction, with the time of now where `at` is None.

        `check` may refuse that inside the transaction, in which `target` is compared with what was seen of it.
        """
        entries: list[Entry] = []
        with self._compared(self._store.write(), target) as connection:
            if check is not None:
                check(connection)
            row = connection.execute(schema.HEAD).one_or_none()
            at = at or format_utc(self._clock.now())
            head = (row.seq, row.hash) if row else (0, GENESIS)
            for kind, body in kept:
                entries.append(Entry.following(head, rollout=str(rollout), at=at, kind=kind, body=body))
                head = (entries[-1].seq, entries[-1].hash)
            connection.execute(schema.ADD, [schema.row_of(entry) for entry in entries])
        return self._learnt(tuple(entries))
