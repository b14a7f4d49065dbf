"""A rollout for unit tests: a real journal in a file, a simulated clock, a gateway that is a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rollout.context import RolloutContext
from rollout.core.clock import StopFlag
from rollout.core.policy import Policy
from rollout.core.redaction import Redactor
from rollout.core.scenario import ProviderChange, Scenario
from rollout.core.target import Target
from rollout.gateway.drivers.selection import driver_of
from rollout.gateway.responses import Connection, Governance, Provider, Providers, RuntimeConfig
from rollout.gateway.state_reads import StateReads
from rollout.journal.journal import Journal
from tests.support.clocks import SimulatedClock

NEW = ProviderChange("openai", "gpt-4o")
OLD = ProviderChange("ollama", "gemma3:4b")


class ScriptedGateway(StateReads):
    """Answers with the values of its attributes.

    Attributes:
        config: the runtime configuration.
        active: the provider that is reported active.
        cost_limits: scope -> limits.
        rate_limits: scope -> limits.
    """

    def __init__(self) -> None:
        """Begin with `OLD` active."""
        self.config = {"ACTIVE_PROVIDER": OLD.provider, "LLM_MODEL_NAME": OLD.model, "OPENAI_API_KEY": "sk-d****cdef"}
        self.active: str | None = OLD.provider
        self.cost_limits = {"global": {"soft_limit_usd": 10.0, "hard_limit_usd": 50.0}}
        self.rate_limits: dict[str, dict[str, float]] = {}
        self.driver = driver_of(Target("t", "sandbox"))

    def runtime_config(self) -> RuntimeConfig:
        """Return the configuration."""
        return RuntimeConfig(dict(self.config), dict.fromkeys(self.config, "env"))

    def providers(self) -> Providers:
        """Return two providers."""
        connected = Connection("connected", "ok", None, None)
        names = ("ollama", "openai")
        listed = tuple(
            Provider(
                name=name,
                provider_type="x",
                capabilities={"activate": True},
                connection=connected,
                is_active=name == self.active,
                endpoint=None,
            )
            for name in names
        )
        return Providers(listed, self.active)

    def governance(self) -> Governance:
        """Return the limits."""
        return Governance(self.cost_limits, self.rate_limits, ())


def rollout_in(folder: Path, gateway: Any = None, **parts: Any) -> RolloutContext:
    """Return a rollout whose journal and folder are below `folder`."""
    clock = parts.pop("clock", None) or SimulatedClock()
    redactor = Redactor(parts.pop("secrets", ()))
    fields: dict[str, Any] = {
        "id": "r-1",
        "run": "run-1",
        "scenario": Scenario("s", "s.yaml", "t", (NEW,), author="alice", approved_by=("bob",), ticket="T-1"),
        "target": Target("t", "sandbox", url="http://127.0.0.1:1"),
        "policy": Policy("sandbox", review="named", operator_ack_max_age_s=None, on_missing_evidence="keep"),
        "digest": "d" * 64,
        "folder": folder / parts.get("id", "r-1"),
        "journal": Journal.open(str(folder / "journal.sqlite"), clock=clock, redact=redactor.value),
        "gateway": gateway or ScriptedGateway(),
        "clock": clock,
        "stop": StopFlag(),
        "redactor": redactor,
    }
    rollout = RolloutContext(**{**fields, **parts})
    if isinstance(rollout.gateway, StateReads):
        rollout.gateway.driver = driver_of(rollout.target)
    return rollout
