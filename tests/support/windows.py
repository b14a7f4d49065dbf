"""What the tests of the watching part share: readings, contexts and a gateway that answers from a script."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from rollout.changes.backup import Backup
from rollout.core.errors import GatewayError
from rollout.core.histogram import Histogram
from rollout.core.scenario import Monitor, ProviderChange
from rollout.core.target import Target
from rollout.gateway.responses import Alert, Completion, Connection, ConnectionTest, Governance, Latency, Metrics
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.samples import Baseline, Context, Sample, SourceName, SyntheticReading
from rollout.monitoring.triggers import judge, judge_again
from rollout.monitoring.verdict import State, Verdict

NEW = ProviderChange("openai", "gpt-4o")
OLD = ProviderChange("ollama", "llama3")
TARGET = Target(name="test", environment="sandbox")
BASELINE = Baseline("ollama", users_p95_ms=100.0, users_samples=500, synthetic_p95_ms=100.0, synthetic_samples=500)


BACKUP = Backup(
    taken_at="2026-11-23T12:00:00.000Z",
    previous=OLD,
    reported_as=OLD.provider,
    config={},
    cost_limits={},
    rate_limits={},
    files={},
    digests={},
    env=None,
)


def context(monitor: Monitor | None = None, **changes: Any) -> Context:
    return replace(Context(NEW, OLD, monitor or Monitor(), BASELINE), **changes)


def metrics(total: int, failed: int = 0, p95_ms: float | None = 100.0, samples: int | None = None) -> Metrics:
    latency = Latency(50.0, p95_ms, 200.0, min(total, 1000) if samples is None else samples)
    return Metrics(total, total - failed, failed, 0.0, latency, {})


def alert(kind: str = "ERROR_SPIKE", provider: str | None = "openai", severity: str = "critical") -> Alert:
    return Alert(f"{kind}_1", severity, kind, provider, "errors", None, "2026-11-23T12:00:00")


def answered(latency_ms: float | None = 100.0, reason: str | None = None) -> SyntheticReading:
    return SyntheticReading(ok=True, latency_ms=latency_ms, provider="openai", model="gpt-4o", reason=reason)


def failed(latency_ms: float | None = 2.0) -> SyntheticReading:
    return SyntheticReading(ok=False, latency_ms=latency_ms, reason="HTTP 500")


def sample(source: str, at_s: float, reading: Any = None, error: str | None = None) -> Sample:
    return Sample(source, at_s, f"2026-11-23T12:{int(at_s // 60) % 60:02}:{at_s % 60:06.3f}Z", reading, error)


def history(*samples: Sample, expected: tuple[str, ...] | None = None) -> Aggregates:
    usual = tuple(name for name in SourceName if name != SourceName.SIGNALS)
    made = Aggregates(usual if expected is None else expected)
    for one in samples:
        made.add(one)
    return made


def own(latencies: Sequence[float], every_s: float = 1.0, from_s: float = 0.0) -> list[Sample]:
    """Return answered requests of the suite's own, with these latencies in ms."""
    return [sample("synthetic", from_s + tick * every_s, answered(ms)) for tick, ms in enumerate(latencies)]


def own_failures(number: int, from_s: float, latency_ms: float = 2.0, every_s: float = 1.0) -> list[Sample]:
    """Return failed requests of the suite's own."""
    return [sample("synthetic", from_s + tick * every_s, failed(latency_ms)) for tick in range(number)]


def counters(*seen: tuple[float, int, int]) -> list[Sample]:
    """Return polls of the metrics without a percentile: (at, total, failed)."""
    return [sample("metrics", at_s, metrics(total, bad, p95_ms=None)) for at_s, total, bad in seen]


def served(*parts: tuple[int, int, int], every_s: float = 10.0) -> list[Sample]:
    """Return polls of the metrics without a percentile, the first of them without a request.

    Args:
        parts: so many polls, each with so many requests, of which so many failed.
        every_s: their pace.
    """
    seen = [(0.0, 0, 0)]
    for polls, requests, bad in parts:
        for _ in range(polls):
            at_s, total, failures = seen[-1]
            seen.append((at_s + every_s, total + requests, failures + bad))
    return counters(*seen)


def bucketed(*seen: tuple[float, tuple[float, float, float]]) -> list[Sample]:
    """Return polls with latencies as cumulative buckets up to 0.1 s, up to 0.4 s and beyond: (at, counts)."""
    found = []
    for at_s, (fast, slow, everything) in seen:
        latencies = Histogram.of({0.1: fast, 0.4: slow, math.inf: everything})
        reading = replace(metrics(int(everything), p95_ms=50.0), histogram=latencies)
        found.append(sample("metrics", at_s, reading))
    return found


def timed(*parts: tuple[int, int, int], every_s: float = 10.0) -> list[Sample]:
    """Return polls of a histogram: so many polls, each with so many requests up to 100 ms, and up to 400 ms."""
    seen = [(0.0, (0, 0, 0))]
    for polls, fast, slow in parts:
        for _ in range(polls):
            at_s, (quick, _, everything) = seen[-1]
            together = everything + fast + slow
            seen.append((at_s + every_s, (quick + fast, together, together)))
    return bucketed(*seen)


def verdict(clause: str, seen: Aggregates, known: Context | None = None, now_s: float = 1800.0) -> Verdict:
    return {v.clause: v for v in judge(seen, known or context(), now_s)}[clause]


def state(clause: str, seen: Aggregates, known: Context | None = None) -> State:
    return verdict(clause, seen, known).state


def first_breach(clause: str, samples: Iterable[Sample], known: Context | None = None) -> tuple[float, Verdict] | None:
    """Return when the trigger breaches first, in seconds of the window, and its verdict; None where it never does."""
    seen, known = Aggregates(tuple(SourceName)), known or context()
    verdicts = judge(seen, known, 0.0)
    for one in samples:
        seen.add(one)
        verdicts = judge_again(verdicts, one.source, seen, known, one.at_s)
        found = {each.clause: each for each in verdicts}[clause]
        if found.state is State.BREACHED:
            return one.at_s, found
    return None


class FakeGateway:
    """Answers healthily; each attribute may be replaced by an answer or by an error to raise."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.connection: Any = Connection("connected")
        self.counters: Any = metrics(100)
        self.critical: Any = ()
        self.limits: Any = Governance({}, {}, ())
        self.completion: Any = Completion("pong", "gpt-4o", "openai", 3, 100.0)
        self.test: Any = ConnectionTest(succeeded=True, connection_status="connected", latency_ms=5.0, message="fine")

    def _answer(self, call: str, answer: Any) -> Any:
        self.calls.append(call)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def status(self, provider: str, /) -> Connection:
        """Return `connection`."""
        return self._answer(f"status {provider}", self.connection)

    def metrics(self, provider: str, /) -> Metrics:
        """Return `counters`."""
        return self._answer(f"metrics {provider}", self.counters)

    def alerts(self, severity: str, /) -> tuple[Alert, ...]:
        """Return `critical`."""
        return self._answer(f"alerts {severity}", self.critical)

    def governance(self) -> Governance:
        """Return `limits`."""
        return self._answer("governance", self.limits)

    def chat(self, prompt: str, /, *, max_tokens: int = 16) -> Completion:
        """Return `completion`."""
        return self._answer(f"chat {prompt} {max_tokens}", self.completion)

    def stream_chat(self, prompt: str, /, *, max_tokens: int = 16) -> Completion:
        """Return `completion`."""
        return self._answer(f"stream {prompt} {max_tokens}", self.completion)

    def test_connection(self, provider: str, /) -> ConnectionTest:
        """Return `test`."""
        return self._answer(f"test {provider}", self.test)


def unreachable(call: str = "GET /api/v1/providers") -> GatewayError:
    return GatewayError(call, "connection refused")
