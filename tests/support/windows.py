"""What the tests of the watching part share: readings, contexts and a gateway that answers from a script."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rollout.changes.backup import Backup
from rollout.core.errors import GatewayError
from rollout.core.scenario import Monitor, ProviderChange
from rollout.core.target import Target
from rollout.gateway.responses import Alert, Completion, Connection, ConnectionTest, Governance, Latency, Metrics
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.samples import Baseline, Context, Sample, SourceName, SyntheticReading

NEW = ProviderChange("openai", "gpt-4o")
OLD = ProviderChange("ollama", "llama3")
TARGET = Target(name="test", environment="sandbox")
BASELINE = Baseline("ollama", users_p95_ms=100.0, users_samples=500, synthetic_p95_ms=100.0, synthetic_samples=20)


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
    made = Aggregates(tuple(SourceName) if expected is None else expected)
    for one in samples:
        made.add(one)
    return made


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
