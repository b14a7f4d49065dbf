"""The drill's own time, and a provider that is healthy until a breach: what a simulated window watches."""

from __future__ import annotations

import math
import queue
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

from rollout.core.clock import NEVER, Clock, StopFlag
from rollout.core.errors import GatewayError
from rollout.core.scenario import Monitor, ProviderChange
from rollout.gateway.responses import Alert, Completion, Connection, ConnectionTest, Governance, Latency, Metrics
from rollout.monitoring.samples import SourceName
from rollout.monitoring.verdict import percentile

T = TypeVar("T")

USERS_PER_S = 1.0
FALLEN_BACK = 0.5
"""The share of the requests that fall back to another provider: many of a few requests, as it takes."""

HEALTHY_MS = 100.0
RESERVOIR = 1000
"""The gateway's percentiles are of its last so many requests (deviation 2)."""

TWICE = 2.0
"""A breach is twice the limit: what is only just above it may take a window to show."""


@dataclass(frozen=True, slots=True)
class Injected:
    """A breach: what goes wrong with a provider that was healthy.

    Attributes:
        clause: the trigger that must fire.
        what: the breach, described.
        status: the provider's status.
        error_share: fraction 0-1 of the requests that fail.
        slower: the factor on every latency.
        event: what happens besides: a critical alert fires, the gateway falls back to another provider, another model
            answers, an operator asks for an abort, a line of the log matches the error pattern, or the run is asked to
            stop.
        no_data: the source that gives no data any more.
        users_per_s: how many requests users make.
    """

    clause: str
    what: str
    status: str = "connected"
    error_share: float = 0.0
    slower: float = 1.0
    event: Literal["", "alert", "fallback", "wrong model", "abort", "log line", "stop"] = ""
    no_data: str = ""
    users_per_s: float = USERS_PER_S


HEALTHY = Injected("none", "nothing goes wrong")


def healthy_latency_ms(monitor: Monitor) -> float:
    """Return the latency of a healthy answer, at most half of an absolute limit."""
    limit_ms = monitor.limits.p95_ms
    return HEALTHY_MS if limit_ms is None else min(HEALTHY_MS, limit_ms / TWICE)


def latency_limit_ms(monitor: Monitor) -> float:
    """Return the limit of the P95: absolute, or a multiple of a healthy latency."""
    limits = monitor.limits
    return limits.latency_factor * healthy_latency_ms(monitor) if limits.p95_ms is None else limits.p95_ms


class SimulatedClock(Clock):
    """The drill's own time: a wait takes none, and ends at the next thing that happens."""

    def __init__(self) -> None:
        self._began = datetime.now(UTC)
        self._passed_s = 0.0
        self._event: tuple[float, Callable[[], object]] = (math.inf, lambda: None)

    def at(self, seconds: float, event: Callable[[], object]) -> None:
        """Let one event happen then."""
        self._event = (seconds, event)

    def now(self) -> datetime:
        """Return the simulated moment."""
        return self._began + timedelta(seconds=self._passed_s)

    def monotonic(self) -> float:
        """Return the seconds that have passed."""
        return self._passed_s

    def wait(self, seconds: float, stop: StopFlag = NEVER) -> bool:
        """Let so many seconds pass, and the event in them happen; return whether the stop was not asked for."""
        end = self._passed_s + max(0.0, seconds)
        due_s, event = self._event
        if due_s <= end:
            self._passed_s, self._event = max(self._passed_s, due_s), (math.inf, event)
            event()
        if not stop:
            self._passed_s = end
        return not stop

    def receive(self, inbox: queue.SimpleQueue[T], seconds: float, stop: StopFlag = NEVER) -> T | None:
        """Return what is in the queue, or let so many seconds pass."""
        try:
            return inbox.get_nowait()
        except queue.Empty:
            self.wait(seconds, stop)
            return None


@dataclass(slots=True)
class SimulatedProvider:
    """A gateway whose provider is healthy until the breach; its answers are counted like a real one's."""

    breach: Injected
    change: ProviderChange
    monitor: Monitor
    clock: SimulatedClock
    at_s: float
    _users: int = 0
    _requests: int = 0
    _before: int = 0
    _failures: int = 0
    _failing: float = 0.0
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=RESERVOIR))

    @property
    def _state(self) -> Injected:
        """The breach once it has begun, health until then."""
        return self.breach if self.clock.monotonic() >= self.at_s else HEALTHY

    def _poll(self, source: str) -> None:
        if self._state.no_data == source:
            raise GatewayError("the drill", f"{source} gives no data")

    def _request(self) -> bool:
        """Count one request, and return whether it is answered: failures are spread evenly over the others."""
        self._requests += 1
        self._before += self._state is HEALTHY
        self._failing += self._state.error_share
        # A share that adds up to a little less than one is one.
        if self._failing > 1 - 1e-9:
            self._failing -= 1
            self._failures += 1
            return False
        self._latencies.append(healthy_latency_ms(self.monitor) * self._state.slower)
        return True

    def status(self, _: str, /) -> Connection:
        """Return the provider's status."""
        self._poll(SourceName.STATUS)
        word = self._state.status
        return Connection(word, None if word == "connected" else "the drill says so")

    def metrics(self, _: str, /) -> Metrics:
        """Return counters and percentiles, users' requests up to now in them."""
        self._poll(SourceName.METRICS)
        due = int(self.clock.monotonic() * self.breach.users_per_s)
        for _user in range(due - self._users):
            self._request()
        self._users = due
        p95_ms = percentile(sorted(self._latencies)) if self._latencies else None
        latency = Latency(p95_ms, p95_ms, p95_ms, len(self._latencies))
        return Metrics(self._requests, self._requests - self._failures, self._failures, 0.0, latency, {})

    def alerts(self, _: str, /) -> tuple[Alert, ...]:
        """Return the critical alerts that fire."""
        self._poll(SourceName.ALERTS)
        if self._state.event != "alert":
            return ()
        return (Alert("drill", "critical", "DRILL", self.change.provider, "the drill says so", None, ""),)

    def governance(self) -> Governance:
        """Return the fallbacks."""
        self._poll(SourceName.FALLBACKS)
        fell_back = round(FALLEN_BACK * (self._requests - self._before)) if self._state.event == "fallback" else 0
        return Governance({}, {}, tuple({"id": f"drill {number}"} for number in range(fell_back)))

    def chat(self, _: str, *, max_tokens: int = 16) -> Completion:
        """Answer a request of the suite's own."""
        if not self._request():
            raise GatewayError("POST chat", "the drill lets it fail", status=502)
        model = "another-model" if self._state.event == "wrong model" else self.change.model
        return Completion("drill", model, self.change.provider, max_tokens, self._latencies[-1])

    def stream_chat(self, prompt: str, *, max_tokens: int = 16) -> Completion:
        """Answer a streamed request of the suite's own."""
        return self.chat(prompt, max_tokens=max_tokens)

    def test_connection(self, _: str, /) -> ConnectionTest:  # noqa: PT019 - no test
        """Answer that the previous provider is connected."""
        return ConnectionTest(succeeded=True, connection_status="connected", latency_ms=1.0, message="fine")

    def abort(self) -> str | None:
        """Return why the operator wants an abort."""
        return "drill: the drill asks for it" if self._state.event == "abort" else None

    def lines(self) -> tuple[str, ...]:
        """Return the log lines that match."""
        return ("ERROR: drill",) if self._state.event == "log line" else ()
