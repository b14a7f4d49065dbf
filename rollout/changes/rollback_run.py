"""A rollback in progress: its steps, and the state that they share (RBK)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.changes.backup import Backup
from rollout.context import RolloutContext
from rollout.core.clauses import CLAUSES, PROOF
from rollout.core.clock import format_utc
from rollout.core.errors import ConcurrentChange, NotOffered, RolloutError
from rollout.gateway.client import Gateway
from rollout.journal.leases import LeaseLost
from rollout.journal.record import Kind, RolloutRecord

TRIES = 3
AGAIN_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a rollback: ``passed``, ``failed``, ``not needed`` or ``not applicable``, and what was seen."""

    clause: str
    outcome: str
    message: str
    at: str


@dataclass(slots=True)
class RollbackRun:
    """The rollback in progress.

    Attributes:
        rollout: the rollout whose change is rolled back.
        gateway: its gateway; calls are not interrupted.
        backup: the state before the change.
        record: the rollout's record at the beginning.
        reason: why it is necessary.
        steps: the steps so far.
        changed_elsewhere: whether the gateway was changed outside this rollout, which is not overwritten.
        superseded: whether another process holds the target by now: this one sends nothing more.
        edited: the limits that were changed outside this rollout before the rollback restarted the service.
        lost: the limits that this restart has lost; None before it is known.
    """

    rollout: RolloutContext
    gateway: Gateway
    backup: Backup
    record: RolloutRecord
    reason: str
    steps: list[Step] = field(default_factory=list)
    changed_elsewhere: bool = False
    superseded: bool = False
    edited: frozenset[str] = frozenset()
    lost: frozenset[str] | None = None

    @property
    def is_over(self) -> bool:
        """Whether no step may follow: this process may not write."""
        return self.changed_elsewhere or self.superseded

    def step(self, clause: str, work: Callable[[], str]) -> None:
        """Do one step; an error that it raises is its outcome and does not stop the later ones."""
        self.keep(clause, *self._tried(work))

    def prove(self, clause: str, work: Callable[[], str]) -> None:
        """Do a step of the proof, again if it fails: one lost answer must not fail the rollback.

        Where an earlier proof has failed, once is enough: nothing can be verified any more.
        """
        tries = 1 if any(step.outcome == "failed" and step.clause in PROOF for step in self.steps) else TRIES
        until = self.rollout.clock.monotonic() + self.rollout.target.timeouts.activate_s
        outcome, message = self._tried(work)
        while outcome == "failed" and not self.is_over and (tries := tries - 1):
            if self.rollout.clock.monotonic() >= until:
                break
            self.rollout.clock.wait(AGAIN_AFTER_S)
            outcome, message = self._tried(work)
        self.keep(clause, outcome, message)

    def _tried(self, work: Callable[[], str]) -> tuple[str, str]:
        try:
            return "passed", work()
        except ConcurrentChange as error:
            self.changed_elsewhere = True
            return "failed", str(error)
        except NotOffered as error:
            return "not applicable", error.reason
        except LeaseLost as error:
            self.superseded = True
            return "failed", str(error)
        except Exception as error:  # noqa: BLE001 - nothing may stop the rollback, not even a defect of the suite
            return "failed", str(error) if isinstance(error, RolloutError) else repr(error)

    def keep(self, clause: str, outcome: str, message: str) -> None:
        """Record a step's outcome; that its entry is refused shows that this process is superseded."""
        message = self.rollout.redactor.text(message)
        self.steps.append(Step(clause, outcome, message, format_utc(self.rollout.clock.now())))
        self.rollout.append_or_spool(Kind.STEP, clause=clause, outcome=outcome, message=message)
        self.superseded = self.superseded or self.rollout.successor is not None


def table(steps: tuple[Step, ...]) -> list[Mapping[str, Any]]:
    """Return the steps as rows for a report."""
    return [
        {"at": s.at, "clause": s.clause, "step": CLAUSES[s.clause].title, "outcome": s.outcome, "seen": s.message}
        for s in steps
    ]
