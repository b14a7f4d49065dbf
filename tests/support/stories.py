"""A rollout that was rolled back, entry by entry, as a run writes it: for the documents about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rollout.changes.backup import take
from rollout.context import RolloutContext
from rollout.core.scenario import Impact, Operator, Waiver
from rollout.journal.record import Kind
from tests.support.clocks import BEGINNING
from tests.support.rollouts import NEW, OLD, ScriptedGateway, rollout_in

BREACH: dict[str, Any] = {
    "clause": "MON-2",
    "state": "breached",
    "value": 0.0884,
    "limit": 0.05,
    "samples": 147,
    "source": "users",
    "span": "the window's 8 s",
    "message": "error rate 8.8 % over the window's 8 s (13 of 147 requests) is above 5 %",
    "decided": True,
    "watched_s": 8.0,
}
WHY = f"MON-2: {BREACH['message']}"
PROOF = {
    "RBK-2.2": "the gateway reports ollama:gemma3:4b active",
    "RBK-4.1": "gemma3:4b answered in 59 ms",
    "RBK-4.2": "ollama was connected 3 times in a row",
    "RBK-4.3": "the diff is empty",
}


class Calm(ScriptedGateway):
    """A gateway that answers after the rollback, too."""

    def uninterruptible(self) -> Calm:
        """Return the gateway itself."""
        return self


def opened(folder: Path, *, secrets: tuple[str, ...] = (), **parts: Any) -> RolloutContext:
    """Return a rollout of production whose backup is taken; `parts` are the scenario's."""
    rollout = rollout_in(folder, Calm(), secrets=secrets)
    scenario = replace(
        rollout.scenario,
        operator=Operator("carol", "carol@example.com"),
        impact=Impact("medium, a new contract", "every chat user", "40 USD a day"),
        waivers=(Waiver("PRE-2.3", "the form is down", "dora", BEGINNING),),
    )
    rollout = replace(rollout, scenario=replace(scenario, **parts))
    facts = {"digest": rollout.digest, "change": str(NEW), "author": "alice", "ticket": "T-1", "url": "u"}
    rollout.append(Kind.OPENED, scenario={"approved_by": ["bob"]}, **facts)
    rollout.take_lease()
    backup = take(
        rollout.gateway,
        rollout.target,
        rollout.folder / "backup",
        clock=rollout.clock,
        redact=rollout.redactor.value,
        label=rollout.id,
    )
    rollout.append(Kind.BACKUP, **backup.record())
    rollout.record()
    return rollout


def rolled_back(
    rollout: RolloutContext, *, verified: bool = True, message: str = "upstream error"
) -> list[dict[str, Any]]:
    """Let its change go wrong and be rolled back; return the steps of the rollback, as rows."""
    rollout.append(Kind.CLAUSE, run=rollout.run, clause="VER-2", outcome="passed", message="")
    _write(rollout, "APP-1.2", "forward", str(NEW))
    rollout.append(Kind.FINDING, clause="VER-3", text="the gateway's audit log does not name the model")
    rollout.append(Kind.WINDOW, began_at="2026-11-23T12:00:02.000Z", window_s=1800)
    for at_s, total, failed in ((0, 100, 0), (4, 180, 6), (8, 248, 13)):
        rollout.append(
            Kind.SAMPLE, source="metrics", at_s=at_s, at=_now(rollout), total=total, failed=failed, samples=9
        )
        reading = {"ok": False, "reason": message} if failed else {"ok": True, "latency_ms": 5.0}
        rollout.append(Kind.SAMPLE, source="synthetic", at_s=at_s, at=_now(rollout), **reading)
        rollout.clock.wait(4)
    rollout.append(Kind.VERDICT, **BREACH, at=_now(rollout))
    rollout.append(Kind.ROLLBACK, reason=WHY)
    _write(rollout, "RBK-2.1", "back", str(OLD))
    steps = [_step(rollout, "RBK-1.2", "passed", "no critical alert is firing")]
    for clause, seen in PROOF.items():
        wrong = not verified and clause == "RBK-4.3"
        result = "the gateway differs from the backup: LOG_LEVEL: INFO -> DEBUG" if wrong else seen
        steps.append(_step(rollout, clause, "failed" if wrong else "passed", result))
    return steps


def _now(rollout: RolloutContext) -> str:
    return rollout.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write(rollout: RolloutContext, step: str, direction: str, to: str) -> None:
    intent = rollout.append(Kind.INTENT, step=step, direction=direction, to=to)
    rollout.clock.wait(1)
    rollout.append(Kind.OUTCOME, intent=intent.seq, result="done", detail="")


def _step(rollout: RolloutContext, clause: str, outcome: str, seen: str) -> dict[str, Any]:
    rollout.append(Kind.STEP, clause=clause, outcome=outcome, message=seen)
    return {"at": _now(rollout), "clause": clause, "outcome": outcome, "seen": seen}
