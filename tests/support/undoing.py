"""A change that was applied to a scripted gateway, with everything that a rollback needs: milliseconds, no server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rollout.changes import catalogue
from rollout.changes.backup import Backup, recorded, take
from rollout.changes.rollback import RolledBack, roll_back
from rollout.changes.rollback_run import RollbackRun
from rollout.context import RolloutContext
from rollout.core.clock import format_utc
from rollout.core.errors import JournalError
from rollout.core.scenario import Change, Scenario
from rollout.core.target import Routing, Service, Target
from rollout.gateway.host import commands as host_commands
from rollout.journal.chain import Entry
from rollout.journal.journal import Journal
from rollout.journal.record import Kind, What
from tests.support.clocks import SimulatedClock
from tests.support.gateways import LiveGateway, State
from tests.support.rollouts import NEW, OLD, rollout_in

SERVICE = Service(stop=("gateway", "stop"), start=("gateway", "start"))
URL = "http://127.0.0.1:1"
TARGET = Target("t", "sandbox", url=URL)
RESTARTABLE = Target("t", "sandbox", url=URL, service=SERVICE)
ROUTED = Target("t", "sandbox", url=URL, routing=Routing())


class ScriptedJournal:
    """A journal that works until it is cut off, and reports each call before it is made.

    Attributes:
        is_down: whether every call fails.
        on_call: called before each call, with its name.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.is_down = False
        self.on_call: Callable[[str], object] = lambda _name: None

    def __getattr__(self, name: str) -> Any:
        """Return the journal's own, which fails while the journal is down."""
        part = getattr(self._journal, name)
        if not callable(part):
            return part

        def called(*args: Any, **kwargs: Any) -> Any:
            self.on_call(name)
            if self.is_down:
                raise JournalError("the journal cannot be reached")
            return part(*args, **kwargs)

        return called


class Undoing:
    """One rollout on a scripted gateway.

    Attributes:
        clock: the time.
        gateway: the gateway; its `state`, `writes` and `served` are the judge.
        journal: the journal, which can be cut off.
        rollout: the rollout, with a backup, and the lease.
        restarts: step and moment of each restart of the service.
        restart_fails: what the service's commands raise; None lets them work.
    """

    def __init__(
        self, folder: Path, *planned: Change, target: Target = TARGET, state: State | None = None, **parts: Any
    ) -> None:
        self.clock = SimulatedClock()
        self.gateway = LiveGateway(self.clock, state)
        scenario = Scenario("s", "s.yaml", "t", planned or (NEW,), "alice", **parts)
        opened = rollout_in(folder, self.gateway, clock=self.clock, scenario=scenario, target=target)
        self.journal = ScriptedJournal(opened.journal)
        opened.journal = self.journal  # type: ignore[assignment]
        self.rollout: RolloutContext = opened
        self.folder = folder
        self.restart_fails: Exception | None = None
        self._back_up()
        self.rollout.take_lease()
        self.rollout.record()
        self._others = 0

    def _back_up(self) -> None:
        taken = take(
            self.gateway,  # type: ignore[arg-type]
            self.rollout.target,
            self.rollout.folder / "backup",
            clock=self.clock,
            redact=self.rollout.redactor.value,
            label=self.rollout.id,
        )
        self.rollout.append(Kind.BACKUP, **taken.record())

    @property
    def backup(self) -> Backup:
        """The backup of the journal."""
        return recorded(self.rollout.last_known_record().backup)

    def restart(self, _service: Service, **_: Any) -> tuple[host_commands.Ran, host_commands.Ran]:
        """Stand in for `rollout.gateway.host.restart`."""
        if self.restart_fails is not None:
            raise self.restart_fails
        self.gateway.restart()
        return host_commands.Ran(("gateway", "stop"), 0, "", 0.1), host_commands.Ran(("gateway", "start"), 0, "", 0.1)

    def apply(self) -> catalogue.Applied:
        """Apply the changes, as the phase does, and keep its verdict."""
        applied = catalogue.apply(self.rollout)
        self.rollout.append(Kind.PHASE, phase="apply", passed=applied.failed is None, problems=[])
        return applied

    def write(
        self,
        to: str,
        *,
        step: str = "APP-1.2",
        direction: str = "forward",
        what: What = What.PROVIDER,
        result: str | None = "done",
    ) -> None:
        """Put a write into the journal that was never sent from here; without a result its writer died."""
        intent = self.rollout.append(Kind.INTENT, step=step, direction=direction, to=to, what=what)
        if result is not None:
            self.rollout.append(Kind.OUTCOME, intent=intent.seq, result=result, detail="")

    def take_back(self, reason: str = "a test wants it") -> RolledBack:
        """Roll back."""
        return roll_back(self.rollout, reason)

    def run(self) -> RollbackRun:
        """Return a rollback that has begun and done nothing yet."""
        record = self.rollout.last_known_record()
        return RollbackRun(
            self.rollout,
            self.gateway,  # type: ignore[arg-type]
            recorded(record.backup),
            record,
            "a test wants it",
        )

    def another_takes_over(self) -> None:
        """Give the target to another rollout, as `rollout emergency` does."""
        held = self.journal.is_down, self.journal.on_call
        self.journal.is_down, self.journal.on_call = False, lambda _name: None
        self._others += 1
        self.journal.acquire(self.rollout.lease_target, f"other-{self._others}", "bob@elsewhere", 60.0, preempts=True)
        self.journal.is_down, self.journal.on_call = held

    def close(self) -> None:
        """Close the journal."""
        self.journal.is_down, self.journal.on_call = False, lambda _name: None
        self.journal.close()

    def entries(self, *kinds: Kind) -> list[Entry]:
        """Return the rollout's entries of these kinds."""
        return list(self.journal.entries(self.rollout.id, *kinds))

    def sent(self) -> list[tuple[str, str, str, str | None]]:
        """Return step, direction, place and result of every announced write."""
        return [(w.step, w.direction, w.to, w.result) for w in self.rollout.last_known_record().writes]

    def now(self) -> str:
        """Return the time as entries have it."""
        return format_utc(self.clock.now())


def outcomes(result: RolledBack) -> dict[str, str]:
    """Return the latest outcome of each step of a rollback."""
    return {step.clause: step.outcome for step in result.steps}


def message(result: RolledBack, clause: str) -> str:
    """Return what was seen at a step, the latest time."""
    return next(step.message for step in reversed(result.steps) if step.clause == clause)


__all__ = [
    "NEW",
    "OLD",
    "RESTARTABLE",
    "ROUTED",
    "SERVICE",
    "TARGET",
    "ScriptedJournal",
    "Undoing",
    "message",
    "outcomes",
]
