"""A change in effect on a gateway that is a script, with a real journal: what decides about it is tested on this."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rollout.changes.backup import take
from rollout.context import RolloutContext
from rollout.core.canonical_json import to_json
from rollout.core.clauses import PHASES, Clause, planned
from rollout.core.errors import JournalError
from rollout.core.scenario import Monitor
from rollout.engine.session import Session
from rollout.journal.record import Kind, What
from tests.support.clocks import SimulatedClock
from tests.support.gateways import LiveGateway
from tests.support.rollouts import NEW, rollout_in

GONE = "the journal is out of reach"


class Faulty:
    """A journal of which some calls fail; everything else about it is the real one's.

    Attributes:
        broken: names of calls that raise a `JournalError`; ``append_ending after`` fails once the entry is on disk.
    """

    def __init__(self, rollout: RolloutContext, *calls: str) -> None:
        """Take the place of the rollout's journal; without calls, every one of them fails."""
        self._journal = rollout.journal
        self.broken = set(calls) or {"*"}
        self.calls: list[str] = []
        rollout.journal = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        """Return what the real journal has, or a call that fails."""
        found = getattr(self._journal, name)
        if not callable(found) or name in {"now", "close", "remember"}:
            return found

        def called(*args: Any, **parts: Any) -> Any:
            self.calls.append(name)
            if self.broken & {name, "*"}:
                raise JournalError(GONE)
            answer = found(*args, **parts)
            if f"{name} after" in self.broken:
                raise JournalError(GONE)
            return answer

        return called


def begun(folder: Path, **parts: Any) -> RolloutContext:
    """Return a rollout that holds its lease and has a backup, on a `LiveGateway`."""
    clock = parts.pop("clock", None) or SimulatedClock()
    rollout = rollout_in(folder, parts.pop("gateway", None) or LiveGateway(clock), clock=clock, **parts)
    rollout = replace(rollout, scenario=replace(rollout.scenario, monitor=Monitor(window_s=60)))
    rollout.append(
        Kind.OPENED,
        digest=rollout.digest,
        scenario=to_json(rollout.scenario),
        target=to_json(rollout.target),
        policy=to_json(rollout.policy),
        change=str(NEW),
        author="alice",
        ticket="T-1",
        url=rollout.lease_target,
    )
    rollout.append(Kind.RUN, run=rollout.run, phases=list(PHASES), pid=1)
    rollout.acquire_lease()
    backup = take(
        rollout.gateway,
        rollout.target,
        rollout.folder / "backup",
        clock=clock,
        redact=rollout.redactor.value,
        label=rollout.id,
    )
    rollout.append(Kind.BACKUP, **backup.record())
    rollout.record()
    return rollout


def apply(rollout: RolloutContext, step: str = "APP-1.2") -> None:
    """Let the rollout activate its provider, as the suite does."""
    with (
        rollout.journaled_write(step, "forward", str(NEW), what=What.PROVIDER),
        rollout.gateway.allow_writes(step),
    ):
        rollout.gateway.activate(NEW.provider, NEW.model)


def applied(folder: Path, **parts: Any) -> RolloutContext:
    """Return a rollout whose change is in effect; the gateway's list of writes is empty again."""
    rollout = begun(folder, **parts)
    apply(rollout)
    live(rollout).writes.clear()
    return rollout


def live(rollout: RolloutContext) -> LiveGateway:
    """Return the rollout's gateway as what it is."""
    gateway: Any = rollout.gateway
    return gateway  # type: ignore[no-any-return]


def passed(rollout: RolloutContext, *phases: str, but: Mapping[str, str] | None = None) -> tuple[Clause, ...]:
    """Record a pass of every check of these phases, and of the phases; `but` fails with these messages."""
    plan = planned(phases)
    for clause in plan:
        why = (but or {}).get(clause.id, "")
        seen = {"clause": clause.id, "outcome": "failed" if why else "passed", "message": why}
        rollout.append(Kind.CLAUSE, run=rollout.run, **seen)
    for phase in phases:
        problems = [clause.id for clause in plan if clause.phase == phase and clause.id in (but or {})]
        rollout.append(Kind.PHASE, phase=phase, passed=not problems, problems=problems, run=rollout.run)
    rollout.record()
    return plan


def successor(rollout: RolloutContext, **parts: Any) -> RolloutContext:
    """Return another process's part of the same rollout, which has taken the newer token."""
    shared = {"journal": rollout.journal, "clock": rollout.clock, "run": "run-2", **parts}
    other = rollout_in(rollout.folder.parent, rollout.gateway, **shared)
    other.take_lease()
    return other


def session_of(rollout: RolloutContext, *phases: str, **parts: Any) -> Session:
    """Return one pytest run's part of the rollout."""
    fields: dict[str, Any] = {
        "rollout": rollout,
        "phases": phases or PHASES,
        "left_out": {},
        "plan": planned(phases or PHASES),
        "refusal": None,
        "resumed": False,
        "embedded": None,
        "journal_url": str(rollout.folder.parent / "journal.sqlite"),
        "exchanges": [],
    }
    return Session(**{**fields, **parts})


def said(rollout: RolloutContext) -> str:
    """Return the operations log; empty where none was written."""
    with suppress(OSError):
        return (rollout.folder.parent / "operations.log").read_text(encoding="utf-8")
    return ""
