"""A gateway that splits its requests by weights, on the clock of the tests; and a rollout whose canary it is."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from rollout.changes import canary
from rollout.changes.backup import take
from rollout.changes.rollback import RolledBack, roll_back
from rollout.context import RolloutContext
from rollout.core.canary_stages import stages
from rollout.core.errors import GatewayError
from rollout.core.histogram import Histogram
from rollout.core.scenario import Canary, Monitor, ProviderChange, Scenario, Share
from rollout.core.target import Routing, Target
from rollout.core.writes import HttpCall
from rollout.gateway.drivers.selection import driver_of
from rollout.gateway.responses import (
    Alert,
    Completion,
    Connection,
    ConnectionTest,
    Governance,
    Metrics,
    Provider,
    Providers,
    RuntimeConfig,
    Weights,
)
from rollout.gateway.state_reads import StateReads
from rollout.journal.record import Kind
from rollout.monitoring.canary import watch_stages
from rollout.monitoring.live_heading import Heading
from rollout.monitoring.live_view import view_for
from rollout.monitoring.samples import Baseline
from rollout.monitoring.window_result import WindowResult
from tests.support.clocks import SimulatedClock
from tests.support.rollouts import rollout_in
from tests.support.windows import metrics

NEW = ProviderChange("openai", "gpt-4o")
OLD = ProviderChange("ollama", "gemma3:4b")
USERS_PER_S = 10.0
BOUNDS_S = (0.05, 0.1, 0.2, 0.4, math.inf)
TARGET = Target("t", "sandbox", url="http://127.0.0.1:1", routing=Routing())
SHORT = Canary((Share(0.1, 600), Share(0.25, 600), Share(0.5, 600), Share(1.0, 600)), stabilise_s=900)


class Splitting(StateReads):
    """A gateway with users; who fails, and how slow each provider is, are attributes.

    Attributes:
        active: the active provider and model.
        shares: the weights in effect.
        fails: provider -> fraction of its requests that fail.
        p95_ms: provider -> its P95.
        connection: provider -> its status.
        writes: what was written, in order; ``"PUT {…}"`` and ``"POST provider:model"``.
        written_at_s: when each was.
        refuses: what writes raise, by their number from 1 on.
        clears: whether an activation takes the weights away.
        has_histogram: whether it shows each provider's latencies in buckets, and not only its P95.
    """

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self.active = OLD
        self.shares: dict[str, float] = {}
        self.fails: dict[str, float] = {}
        self.p95_ms = {"openai": 100.0, "ollama": 100.0}
        self.connection: dict[str, Connection] = {}
        self.writes: list[str] = []
        self.written_at_s: list[float] = []
        self.refuses: dict[int, Exception] = {}
        self.clears = True
        self.has_histogram = True
        self.driver = driver_of(TARGET)
        self.open = 0
        self._served = {"openai": 0.0, "ollama": 5000.0}
        self._failed = {"openai": 0.0, "ollama": 0.0}
        self._latencies: dict[str, dict[float, float]] = {"openai": {}, "ollama": {}}
        self._at_s = clock.monotonic()
        self._dice = random.Random(7)

    def share(self, provider: str) -> float:
        """Return the share of a provider now."""
        if not self.shares:
            return float(self.active.provider == provider)
        return sum(weight for name, weight in self.shares.items() if name.startswith(f"{provider}:"))

    def _settle(self) -> None:
        """Count what the users have asked since the last time."""
        passed_s, self._at_s = self.clock.monotonic() - self._at_s, self.clock.monotonic()
        for provider in self._served:
            asked = USERS_PER_S * passed_s * self.share(provider)
            self._served[provider] += asked
            self._failed[provider] += asked * self.fails.get(provider, 0.0)
            self._time(provider, asked)

    def _time(self, provider: str, requests: float) -> None:
        """Count requests that all take as long as the provider's P95."""
        counts, seconds = self._latencies[provider], self.p95_ms[provider] / 1000
        counts[seconds] = counts.get(seconds, 0.0) + requests

    # Writes

    @contextmanager
    def allow_writes(self, _step: str) -> Iterator[None]:
        """Allow writes."""
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    def execute(self, call: HttpCall) -> None:
        """Carry out a documented activation, or the weights of the embedded gateway's call."""
        *_, provider, last = call.path.split("/")
        if last == "activate":
            self.activate(provider, call.body["model"])
        else:
            self.set_weights(call.body["weights"])

    def uninterruptible(self) -> Self:
        """Return the gateway: it is not interrupted."""
        return self

    def activate(self, provider: str, model: str) -> None:
        """Make it the active one."""
        self._write(f"POST {provider}:{model}")
        self.active = ProviderChange(provider, model)
        if self.clears:
            self.shares = {}

    def set_weights(self, shares: Mapping[str, float]) -> None:
        """Split the requests."""
        self._write(f"PUT {dict(shares)}")
        self.shares = dict(shares)

    def _write(self, what: str) -> None:
        assert self.open, "written while the gateway was sealed"
        self._settle()
        self.writes.append(what)
        self.written_at_s.append(self.clock.monotonic())
        problem = self.refuses.get(len(self.writes))
        if problem is not None:
            raise problem

    # Reads

    def weights(self) -> Weights:
        """Return the weights."""
        return Weights(dict(self.shares))

    def runtime_config(self) -> RuntimeConfig:
        """Return who is active."""
        return RuntimeConfig({"ACTIVE_PROVIDER": self.active.provider, "LLM_MODEL_NAME": self.active.model}, {})

    def providers(self) -> Providers:
        """Return both providers."""
        listed = tuple(
            Provider(name, "x", {"activate": True}, Connection("connected"), is_active=name == self.active.provider)
            for name in ("ollama", "openai")
        )
        return Providers(listed, self.active.provider)

    def governance(self) -> Governance:
        """Return no limits."""
        return Governance({}, {}, ())

    def status(self, provider: str, /) -> Connection:
        """Return its status."""
        return self.connection.get(provider, Connection("connected"))

    def metrics(self, provider: str, /) -> Metrics:
        """Return its counters."""
        self._settle()
        found = metrics(int(self._served[provider]), int(self._failed[provider]), self.p95_ms[provider])
        return replace(found, histogram=self._histogram(provider)) if self.has_histogram else found

    def _histogram(self, provider: str) -> Histogram:
        counts = self._latencies[provider]
        return Histogram.of({bound: sum(n for took, n in counts.items() if took <= bound) for bound in BOUNDS_S})

    def alerts(self, _severity: str, /) -> tuple[Alert, ...]:
        """Return none."""
        return ()

    def test_connection(self, provider: str, /) -> ConnectionTest:
        """Return a test that goes by the status."""
        status = self.status(provider).status
        return ConnectionTest(status == "connected", status, 5.0, status)

    def chat(self, _prompt: str, /, *, max_tokens: int = 16) -> Completion:
        """Return an answer by whom the weights choose."""
        del max_tokens
        self._settle()
        names = self.shares or {str(self.active): 1.0}
        provider, _, model = self._dice.choices(list(names), list(names.values()))[0].partition(":")
        self._served[provider] += 1
        self._time(provider, 1)
        if self._dice.random() < self.fails.get(provider, 0.0):
            self._failed[provider] += 1
            raise GatewayError("POST chat/completions", f"Provider {provider} failed", status=502)
        return Completion("pong", model, provider, 3, self.p95_ms[provider])


class CanaryLab:
    """A rollout whose prechecks have passed, on a gateway that splits its requests.

    Attributes:
        clock: the time.
        gateway: the gateway.
        rollout: the rollout; its backup and baseline are in the journal.
    """

    def __init__(self, folder: Path, planned: Canary = SHORT, *, target: Target = TARGET, **monitor: Any) -> None:
        self.clock = SimulatedClock()
        self.gateway = Splitting(self.clock)
        scenario = Scenario("s", "s.yaml", "t", (NEW,), "alice", canary=planned)
        window_s = sum(stage.lasts_s for stage in stages(scenario))
        scenario = Scenario(
            "s", "s.yaml", "t", (NEW,), "alice", canary=planned, monitor=Monitor(window_s=window_s, **monitor)
        )
        self.rollout: RolloutContext = rollout_in(
            folder, self.gateway, clock=self.clock, scenario=scenario, target=target
        )
        self.back_up()
        self.rollout.append(
            Kind.BASELINE, **Baseline("ollama", 100.0, 500, synthetic_p95_ms=100.0, synthetic_samples=20).record()
        )
        self.rollout.take_lease()

    def back_up(self) -> None:
        """Take the backup anew, of what the gateway is now."""
        self.clock.advance(1)
        taken = take(
            self.gateway,  # type: ignore[arg-type]
            self.rollout.target,
            self.rollout.folder / "backup",
            clock=self.clock,
            redact=self.rollout.redactor.value,
            label=self.rollout.id,
        )
        self.rollout.append(Kind.BACKUP, **taken.record())

    def try_one(self) -> canary.Tried:
        """Send the single request, as apply does."""
        return canary.single_request(self.rollout)

    def watch(self, for_s: float | None = None) -> WindowResult:
        """Go through the stages in one call, as `pytest -m monitor --for=…` does."""
        heading = Heading("r-1", "t", str(OLD), str(NEW), None, self.rollout.scenario.monitor.window_s)
        self.said = io.StringIO()
        return watch_stages(self.rollout, view_for(self.said, heading, self.clock), for_s)

    def take_back(self) -> RolledBack:
        """Roll back, as the run does at a breach."""
        return roll_back(self.rollout, "a test wants it")

    def intents(self) -> list[tuple[str, str, str, str | None]]:
        """Return step, direction, to and result of every announced write."""
        return [(w.step, w.direction, w.to, w.result) for w in self.rollout.record().writes]
