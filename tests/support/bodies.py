"""What the entries of a made-up rollout hold that does not depend on what happens in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from rollout.core.caller import Caller
from rollout.core.canonical_json import to_json
from rollout.core.clock import format_utc
from rollout.core.policy import Policy
from rollout.core.scenario import ChangeClass, EnvironmentChange, Impact, LimitChange, Operator, Scenario
from rollout.core.target import Target
from rollout.engine.emergency_order import Order
from rollout.monitoring.samples import Baseline
from tests.support.canaries import SHORT
from tests.support.clocks import BEGINNING
from tests.support.journals import ID
from tests.support.rollouts import NEW, OLD

URL = "http://127.0.0.1:1"
SAFE = "vllm:gemma-3-4b-it"


@cache
def asked(changes: str, class_: str, *, canary: bool) -> tuple[Scenario, Target, Policy]:
    """Return scenario, target and policy."""
    kinds = {
        "provider": (NEW,),
        "environment": (EnvironmentChange(values={"LOG_LEVEL": "debug"}, secrets={}),),
        "limits": (LimitChange("cost", "openai", {"soft_limit_usd": 200.0, "hard_limit_usd": 250.0}),),
    }
    chosen = sum(kinds.values(), ()) if changes == "all" else kinds[changes]
    scenario = Scenario(
        "s",
        "s.yaml",
        "t",
        chosen,
        author="alice",
        approved_by=("bob",),
        ticket="T-1",
        operator=Operator("carol", "carol@example.com"),
        impact=Impact("none", "nobody", "none"),
        change_class=ChangeClass(class_),
        canary=SHORT if canary else None,
    )
    return scenario, Target("t", "sandbox", url=URL), Policy("sandbox", review="named", operator_ack_max_age_s=None)


@cache
def opened(changes: str, class_: str, *, canary: bool) -> Mapping[str, Any]:
    """Return the body of a rollout's first entry."""
    scenario, target, policy = asked(changes, class_, canary=canary)
    return {
        "digest": "d" * 64,
        "scenario": to_json(replace(scenario, file=None)),
        "target": to_json(target),
        "policy": to_json(policy),
        "change": ", ".join(map(str, scenario.changes)),
        "author": scenario.author,
        "class": str(scenario.change_class),
        "ticket": scenario.ticket,
        "url": target.url,
    }


@cache
def backup() -> Mapping[str, Any]:
    """Return a backup's body; its files are nowhere."""
    return {
        "taken_at": format_utc(BEGINNING),
        "previous": to_json(OLD),
        "reported_as": OLD.provider,
        "config": {"ACTIVE_PROVIDER": OLD.provider, "LLM_MODEL_NAME": OLD.model, "LOG_LEVEL": "info"},
        "cost_limits": {},
        "rate_limits": {},
        "files": {"config": "/nowhere/config.json"},
        "digests": {"config": "c" * 64},
        "env": None,
        "weights": {},
    }


def baseline() -> Mapping[str, Any]:
    users = {"users_p95_ms": 63.0, "users_samples": 3, "users_requests": 3, "users_error_rate": 0.0}
    own = {"synthetic_p95_ms": 68.0, "synthetic_samples": 3, "synthetic_latencies_ms": (61.0, 64.0, 68.0)}
    return Baseline("ollama", **users, **own).record()


def order() -> Order:
    """Return the request of an emergency."""
    return Order(
        id=ID,
        at=format_utc(BEGINNING),
        by="eve",
        reason="fire",
        target={"name": "t", "environment": "sandbox", "url": URL},
        channels=("log",),
        provider=SAFE.partition(":")[0],
        model=SAFE.partition(":")[2],
        before=None,
        reports=Path("/nowhere"),
        targets=Path("targets.yaml"),
        wanted=("t", None),
        restart=False,
        journal="",
        caller=Caller("eve").facts(),
    )
