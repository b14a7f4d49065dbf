"""One rollout: what its operations share, and the two ways to write its journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from rollout.core.clock import Clock, StopFlag, format_utc
from rollout.core.errors import JournalError, NotCleared, Refused, RolloutError
from rollout.core.policy import Policy
from rollout.core.redaction import Redactor
from rollout.core.request import Origin
from rollout.core.scenario import ProviderChange, Scenario
from rollout.core.target import Target
from rollout.gateway.client import Gateway
from rollout.journal.chain import Entry
from rollout.journal.journal import Journal
from rollout.journal.leases import LEASE_S, Lease, LeaseHeld, LeaseLost
from rollout.journal.record import FENCED, Kind, RolloutRecord, What
from rollout.journal.replay import REPLAYED, apply_entry, replay
from rollout.journal.spool import append_to_spool


@dataclass(slots=True)
class RolloutContext:
    """One scenario on one target, with an id; its state is the journal and nothing else.

    Attributes:
        id: the rollout's id, a folder's name below the reports.
        run: this process's part of it, ``20261123-120000-precheck-4711``; it ends with the process's id.
        scenario: the change.
        target: where; its `url` is the effective one.
        policy: what the environment demands.
        digest: SHA-256 of the content that was approved and cleared.
        folder: ``reports/<rollout id>``.
        journal: the record.
        gateway: the sealed client.
        clock: the time.
        stop: set when a stop of the run is requested.
        redactor: removes secrets from everything that is written.
        env: the environment variables: tokens, new secrets, channels.
        origin: where scenario, target and policy were read; unknown to a process that only rolls the change back.
        lease: the right to change the target; None before it is taken and after it was given back.
        unwritten: the kinds of the entries that the journal did not take, and that wait in the spool file.
        successor: why this process may only read any more: another one has a newer fencing token; None while it holds.
        on_write: is handed each intent and outcome, so that the watchdog knows of entries that the journal may lose.
        is_emergency: whether its writes do not wait for the journal or a lease (safety rule 8's exception).
    """

    id: str
    run: str
    scenario: Scenario
    target: Target
    policy: Policy
    digest: str
    folder: Path
    journal: Journal
    gateway: Gateway
    clock: Clock
    stop: StopFlag
    redactor: Redactor
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    origin: Origin = field(default_factory=Origin)
    lease: Lease | None = field(default=None)
    unwritten: list[Kind] = field(default_factory=list)
    successor: str | None = field(default=None)
    on_write: Callable[[Entry], None] = field(default=lambda _entry: None, repr=False)
    is_emergency: bool = False
    _read: dict[int, Entry] = field(default_factory=dict, repr=False)
    _known: RolloutRecord | None = field(default=None)
    _lease_ends_s: float = field(default=0.0)
    _spooled: int = field(default=0)
    _waiting: list[Entry] = field(default_factory=list)

    @property
    def change_text(self) -> str:
        """Every change of the scenario, as text."""
        return ", ".join(map(str, self.scenario.changes))

    @property
    def expected_active(self) -> ProviderChange:
        """The provider and model that serve once the changes are applied: the new one, or the one of the backup.

        Raises:
            NotCleared: the scenario activates none, and there is no backup yet.
        """
        if self.scenario.activation is not None:
            return self.scenario.activation
        backup = self.last_known_record().backup
        if backup is None:
            raise NotCleared("there is no backup in the journal; run `pytest -m precheck` first")
        return ProviderChange(**backup["previous"])

    def record(self) -> RolloutRecord:
        """Return the rollout as the journal records it now, with the spooled writes that it did not take.

        Raises:
            JournalError: the journal cannot be read.
        """
        # A journal only grows, and each call compares it with what was seen of it: only what is new is read.
        newer = self.journal.entries(self.id, *REPLAYED, after=next(reversed(self._read), 0))
        self._read.update((entry.seq, entry) for entry in newer)
        entries = [*self._read.values()]
        reconciled = {entry.body.get("spool") for entry in entries}
        waiting = [entry for entry in self._waiting if entry.body["spool"] not in reconciled]
        self._known = replay(self.id, [*entries, *waiting])
        return self._known

    def last_known_record(self) -> RolloutRecord:
        """Return the rollout as the journal records it, or as last read: a rollback does not wait for its record.

        Raises:
            JournalError: the journal cannot be read, and never could.
        """
        try:
            return self.record()
        except JournalError:
            if self._known is None:
                raise
            return self._known

    def append(self, kind: Kind, **body: Any) -> Entry:
        """Write an entry that must be on disk before what follows.

        An entry of `FENCED` is written under the comparison of the fencing token, in the same transaction.

        Raises:
            JournalError: it is not; what follows must not happen.
            LeaseLost: this process is superseded; it may only read.
        """
        self._refuse_superseded()
        if kind in FENCED and self.lease is not None:
            with self._superseding():
                entry = self.journal.append_held(self.lease, self.id, kind, self._fenced(body))
        else:
            entry = self.journal.append(self.id, kind, self._fenced(body))
        self._remember(entry)
        return entry

    def append_all(self, parts: Iterable[tuple[Kind, Mapping[str, Any]]]) -> None:
        """Write entries side by side: all of them are on disk before what follows, or none. Raises as `write`."""
        self._refuse_superseded()
        for entry in self.journal.extend(self.id, [(kind, self._fenced(body)) for kind, body in parts]):
            self._remember(entry)

    def append_soon(self, kind: Kind, **body: Any) -> Future[Entry]:
        """Write an entry without waiting for it: a journal that hangs must not delay the caller.

        Returns:
            the entry, or a `JournalError` within the journal's deadline.
        """
        return self.journal.append_soon(self.id, kind, self._fenced(body))

    def end(self, *, spools: bool, **body: Any) -> None:
        """Write the entry that ends the rollout, if this process still holds the target and it has not ended.

        Args:
            spools: whether it waits in the spool file where the journal cannot be reached.
            body: the facts of the closure (`Closure.facts`).

        Raises:
            LeaseLost: this process is superseded; the successor ends the rollout.
            AlreadyEnded: it has an ending that this one must not replace.
            JournalError: it is not on disk.
        """
        self._refuse_superseded()
        try:
            with self._superseding():
                entry = self.journal.append_ending(self.lease, self.id, self._fenced(body))
        except JournalError as error:
            if not spools:
                raise
            self._spool(Kind.CLOSED, body, error)
        else:
            self._remember(entry)

    def _refuse_superseded(self) -> None:
        if self.successor is not None:
            raise LeaseLost(self.successor)

    @contextmanager
    def _superseding(self) -> Iterator[None]:
        """Note that this process is superseded, once the journal raises `LeaseLost`: from then on it only reads."""
        try:
            yield
        except LeaseLost as error:
            self.successor = str(error)
            raise

    def _fenced(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {**body, "fence": self.lease.token if self.lease else 0}

    def _remember(self, entry: Entry) -> None:
        """Apply a written entry to the known record, for a rollback that cannot read the journal any more."""
        if self._known is not None and entry.kind in REPLAYED:
            apply_entry(self._known, entry)
        if entry.kind in (Kind.INTENT, Kind.OUTCOME):
            self.on_write(entry)

    def learn(self, entry: Entry) -> None:
        """Take an entry that another process of this rollout has written: the journal may lose it again."""
        if "spool" not in entry.body:
            self.journal.remember(entry.seq, entry.hash)
        if self._known is not None and entry.kind in REPLAYED:
            apply_entry(self._known, entry)

    @property
    def lease_target(self) -> str:
        """The name under which the target's lease is held: the effective URL, whatever name a scenario gives it."""
        return self.target.url or self.target.name

    def take_lease(self, after: int | None = None) -> None:
        """Become the one rollout that may change this target. Again by the same rollout gives a newer fencing token.

        Raises:
            LeaseHeld: another rollout holds the target, or, with `after`, a newer token was given out.
        """
        asked_s, holder = self.clock.monotonic(), f"{self.run}@{self.journal.host}"
        self.adopt(self.journal.acquire(self.lease_target, self.id, holder, LEASE_S, after=after), asked_s)

    def adopt(self, lease: Lease, asked_s: float | None = None, for_s: float = inf) -> None:
        """Hold a lease that was granted to this rollout.

        Args:
            lease: the lease.
            asked_s: monotonic seconds when it was requested; None counts from now.
            for_s: the seconds requested; by a wall clock that was set back the lease would seem to run for longer.
        """
        left_s = min((lease.until - self.clock.now()).total_seconds(), for_s)
        asked_s = self.clock.monotonic() if asked_s is None else asked_s
        self.lease, self._lease_ends_s = lease, asked_s + left_s

    def lease_runs(self) -> bool:
        """Return whether the lease still runs, by the wall clock and by the monotonic one.

        A wall clock that was set back would prolong it, and a monotonic clock is no measure for other machines.
        """
        return self._left_s() > 0

    def acquire_lease(self) -> None:
        """Take the lease for a run: the target is free, or this rollout's last run has handed over to this one.

        Raises:
            LeaseHeld: another rollout holds the target, or another run of this rollout, which has not handed over.
        """
        newest, held = self.journal.newest_token(self.lease_target), self.journal.holder(self.lease_target)
        if held is not None and held.rollout == self.id and not self.record().has_handed_over(held.token):
            raise LeaseHeld(held)
        if held is not None and held.rollout != self.id and self._closed_under(held):
            # Its process died between the verdict and giving the lease back.
            self.journal.release(held)
        self.take_lease(after=newest)

    def _closed_under(self, held: Lease) -> bool:
        return any(entry.body["fence"] == held.token for entry in self.journal.entries(held.rollout, Kind.CLOSED))

    def hold_lease(self, for_s: float = LEASE_S) -> None:
        """Keep the lease for at least `for_s` seconds from now; without one there is nothing to keep.

        Raises:
            LeaseLost: a newer token was given out; nothing may be written any more.
        """
        self._refuse_superseded()
        if self.lease is not None and self._left_s() < for_s:
            asked_s, for_s = self.clock.monotonic(), max(for_s, LEASE_S)
            with self._superseding():
                self.adopt(self.journal.renew(self.lease, for_s), asked_s, for_s)

    def release_lease(self) -> None:
        """Give the lease back; without one there is nothing to do."""
        if self.lease is not None:
            with suppress(RolloutError):
                self.journal.release(self.lease)
            self.lease = None

    def superseded(self) -> bool:
        """Return whether a newer token was given out for the target of this rollout.

        Raises:
            JournalError: the journal cannot be read.
        """
        if self.successor is None and self.lease is not None:
            newest = self.journal.newest_token(self.lease_target)
            if newest != self.lease.token:
                self.successor = f"token {newest} was given out for {self.lease_target} after {self.lease.token}"
        return self.successor is not None

    def _left_s(self) -> float:
        if self.lease is None:
            return 0.0
        by_wall_clock_s = (self.lease.until - self.clock.now()).total_seconds()
        return min(by_wall_clock_s, self._lease_ends_s - self.clock.monotonic())

    def append_or_spool(self, kind: Kind, **body: Any) -> None:
        """Write an entry if the journal takes it, else into a spool file: a rollback does not wait for its record.

        A superseded process writes nothing any more.
        """
        try:
            self.append(kind, **body)
        except LeaseLost:
            return
        except JournalError as error:
            self._spool(kind, body, error)

    def _spool(self, kind: Kind, body: dict[str, Any], error: JournalError) -> Entry:
        """Keep an entry in the spool file, under a number of its own, and in memory."""
        self._spooled += 1
        at, number = format_utc(self.clock.now()), f"{self.run}/{self._spooled}"
        body = {**self._fenced(body), "spool": number}
        entry = Entry(0, self.id, at, kind, body, "", "")
        self.unwritten.append(kind)
        if kind in (Kind.INTENT, Kind.OUTCOME):
            self._waiting.append(entry)
        self._remember(entry)
        append_to_spool(
            self.folder,
            {"at": at, "rollout": self.id, "kind": kind, "body": self.redactor.value(body), "because": str(error)},
        )
        return entry

    @contextmanager
    def journaled_write(self, step: str, direction: str, to: str, *, what: What, **details: Any) -> Iterator[None]:
        """Announce a write before it happens and record its outcome.

        A refused write changed nothing. Any other failure leaves it unknown whether it did.

        Args:
            step: the clause that writes.
            direction: ``forward``, ``proof`` or ``back``.
            to: what is set, as text.
            what: what is changed.
            details: further fields of the intent.

        Raises:
            LeaseLost: another process holds the target, or this one's lease has ended: the write must not happen.
            JournalError: the intent is not on disk, so the write must not happen; a rollback's intent is spooled
                instead, while the lease runs.
        """
        self._hold_for_a_write(direction)
        intent = self._intent({"step": step, "direction": direction, "to": to, "what": what, **details})
        self._refuse_late(intent)
        try:
            yield
        except RolloutError as error:
            result = "refused" if isinstance(error, Refused) else "unknown"
            self.append_or_spool(Kind.OUTCOME, intent=intent, result=result, detail=str(error))
            raise
        self.append_or_spool(Kind.OUTCOME, intent=intent, result="done", detail="")

    def _hold_for_a_write(self, direction: str) -> None:
        """Keep the lease for as long as the write takes: what is sent must have ended before another may start."""
        if self.lease is None and not self.is_emergency:
            raise LeaseLost(f"rollout {self.id} holds no lease on {self.lease_target}, so it writes nothing there")
        try:
            self.hold_lease(2 * self.target.timeouts.activate_s)
        except JournalError:
            if direction != "back":
                raise

    def _intent(self, body: dict[str, Any]) -> int | str:
        try:
            return self.append(Kind.INTENT, **body).seq
        except JournalError as error:
            if body["direction"] != "back" or not (self.is_emergency or self.lease_runs()):
                raise
            return str(self._spool(Kind.INTENT, body, error).body["spool"])

    def _refuse_late(self, intent: int | str) -> None:
        """Refuse to send a write announced before a pause, if the process is superseded or its lease has ended.

        Between these comparisons and the send a process may still be paused; no fencing token of the journal reaches
        the gateway. A process that takes over reads again after the longest duration of an activation (safety rule 9).

        Raises:
            LeaseLost: nothing was sent.
        """
        if self.lease is None or self.is_emergency:
            return
        with suppress(JournalError):
            if self.superseded():
                raise LeaseLost(f"rollout {self.id} sent nothing: {self.successor}; see `rollout status`")
        if self.lease_runs():
            return
        why = "its lease ended between the announcement and the write, so another process may hold the target"
        self.append_or_spool(Kind.OUTCOME, intent=intent, result="refused", detail=f"not sent: {why}")
        raise LeaseLost(f"rollout {self.id} sent nothing: {why}; `rollout status` shows who holds it")
