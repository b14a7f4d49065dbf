"""One rollout at work: what the operations share, and the two ways to write its journal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollout.clock import Clock, StopFlag, stamp
from rollout.errors import GatewayError, Interrupted, JournalError, Refused, RolloutError
from rollout.gateway.client import Gateway
from rollout.journal import Entry, Journal, Lease
from rollout.policy import Policy
from rollout.record import FOLDED, Kind, Record, fold
from rollout.redaction import Redactor
from rollout.scenario import ProviderChange, Scenario
from rollout.target import Target


@dataclass(slots=True)
class Rollout:
    """One scenario on one target, with an id; its state is the journal and nothing else.

    Attributes:
        id: the rollout's id, a folder's name below the reports.
        run: this process's part of it, ``precheck-20261123-120000``.
        scenario: what is asked.
        target: where; its `url` is the effective one.
        policy: what the environment demands.
        digest: SHA-256 of the content that was approved and cleared.
        folder: ``reports/<rollout id>``.
        journal: the record.
        gateway: the sealed client.
        clock: the time.
        stop: set when somebody asks the run to stop.
        redactor: takes secrets out of everything that is written.
        fence: fencing token of the lease; 0 while none is held.
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
    fence: int = field(default=0)
    _lease: Lease | None = field(default=None)

    @property
    def change(self) -> ProviderChange:
        """The change; this version knows one per scenario."""
        return self.scenario.changes[0]

    def record(self) -> Record:
        """Return the rollout as the journal tells it now."""
        return fold(self.id, self.journal.entries(self.id, *FOLDED))

    def write(self, kind: Kind, **body: Any) -> Entry:
        """Write an entry that must be on disk before what follows.

        Raises:
            JournalError: it is not; what follows must not happen.
        """
        return self.journal.append(self.id, kind, {**body, "fence": self.fence})

    def take_lease(self) -> None:
        """Become the one rollout that may change this target, until it is closed or nobody has confirmed it in time.

        Raises:
            TryLater: another rollout holds the lease.
        """
        for_s = self.scenario.monitor.window_s + self.policy.confirm_within_s
        self._lease = self.journal.acquire(self.target.url or self.target.name, self.id, self.run, for_s)
        self.fence = self._lease.token

    def release_lease(self) -> None:
        """Let the next rollout at this target; without a lease there is nothing to do."""
        if self._lease is not None:
            with suppress(RolloutError):
                self.journal.release(self._lease)
            self._lease = None

    def note(self, kind: Kind, **body: Any) -> None:
        """Write an entry if the journal takes it, else into a spool file: a rollback does not wait for its record."""
        try:
            self.write(kind, **body)
        except JournalError as error:
            self._spool(kind, body, error)

    def _spool(self, kind: Kind, body: dict[str, Any], error: JournalError) -> None:
        line = {"at": stamp(self.clock.now()), "rollout": self.id, "kind": kind, "body": self.redactor.value(body)}
        line["because"] = str(error)
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "journal-spool.jsonl").open("a", encoding="utf-8") as spool:
            spool.write(json.dumps(line, default=str) + "\n")

    @contextmanager
    def announced(self, step: str, direction: str, to: ProviderChange) -> Iterator[None]:
        """Announce a write before it happens and record what became of it.

        A refused write changed nothing. Any other failure leaves it unknown whether it did.

        Raises:
            JournalError: the intent is not on disk, so the write must not happen; never on the way back.
        """
        intent = self._intent(step, direction, to)
        try:
            yield
        except Refused as error:
            self.note(Kind.OUTCOME, intent=intent, result="refused", detail=str(error))
            raise
        except (GatewayError, Interrupted) as error:
            self.note(Kind.OUTCOME, intent=intent, result="unknown", detail=str(error))
            raise
        self.note(Kind.OUTCOME, intent=intent, result="done", detail="")

    def _intent(self, step: str, direction: str, to: ProviderChange) -> int:
        try:
            return self.write(Kind.INTENT, step=step, direction=direction, to=str(to)).seq
        except JournalError as error:
            if direction != "back":
                raise
            self._spool(Kind.INTENT, {"step": step, "direction": direction, "to": str(to)}, error)
            return 0
