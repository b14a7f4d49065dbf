"""The gateway's answers, typed. Shapes as in docs/GATEWAY_API.md, "The calls"; unknown fields are ignored.

Rates are kept as fractions (0-1) here; the gateway's own percent is converted when the answer is parsed (deviation 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rollout.core.histogram import Histogram


@dataclass(frozen=True, slots=True)
class Connection:
    """A provider's connection status.

    Attributes:
        status: ``connected``, ``degraded``, ``offline`` or ``unknown``.
        message: the gateway's message.
        reason_code: the code of the reason.
        latency_ms: None where the gateway measured none.
    """

    status: str
    message: str | None = None
    reason_code: str | None = None
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider of the list; `models` is empty where the gateway lists none."""

    name: str
    provider_type: str
    capabilities: Mapping[str, bool]
    connection: Connection
    is_active: bool
    endpoint: str | None = None
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Providers:
    """``GET /providers``: the providers, and the name of the active one as the gateway reports it."""

    providers: tuple[Provider, ...]
    active_provider: str | None

    def find(self, name: str) -> Provider | None:
        """Return the provider of that name (case-insensitive), None if there is none."""
        return next((p for p in self.providers if p.name.casefold() == name.casefold()), None)


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """``POST …/test-connection``. `succeeded` is the verdict field, never the HTTP status (deviation 5)."""

    succeeded: bool
    connection_status: str
    latency_ms: float | None
    message: str
    reason_code: str | None = None


@dataclass(frozen=True, slots=True)
class PreflightCheck:
    """One sub-check of a preflight."""

    passed: bool
    status: str
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Preflight:
    """``POST …/preflight``. `ready` needs both verdict fields (deviation 5)."""

    ready: bool
    checks: Mapping[str, PreflightCheck]


@dataclass(frozen=True, slots=True)
class Activated:
    """A successful answer to ``POST …/activate``: what the gateway claims, to be read back (deviation 6)."""

    provider: str
    model: str | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles over the last `samples` (at most 1,000) requests since the gateway was started."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    samples: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """``GET …/metrics``: cumulative counters since the gateway was started (deviation 2).

    Where a target names Prometheus as the source, the counters begin at the first poll, and belong to the last scrape,
    `age_s` seconds before the poll. `histogram` holds the latencies then; the gateway itself gives none.
    """

    total_requests: int
    successful_requests: int
    failed_requests: int
    error_rate: float
    latency: Latency
    errors_by_code: Mapping[str, int]
    total_usd: float = 0.0
    total_tokens: int = 0
    histogram: Histogram | None = None
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """``GET …/health``: the gateway's own judgement; `error_rate` and `availability` are fractions already."""

    health_status: str
    health_score: float
    availability: float | None
    latency_p99_ms: float | None
    error_rate: float | None
    slo_breaches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. Compared by `key`, because ids may carry a timestamp (MON-4)."""

    id: str
    severity: str
    alert_type: str
    provider: str | None
    message: str
    technical_details: str | None
    timestamp: str
    expires_at: str | None = None

    @property
    def key(self) -> str:
        """Identify the alert as ``TYPE/provider``, ``TYPE/-`` where it names no provider."""
        return f"{self.alert_type}/{self.provider or '-'}"


@dataclass(frozen=True, slots=True)
class Governance:
    """``GET /governance/status``. Scope -> its limits, only the limits: usage moves by itself.

    `cost_limits` hold ``soft_limit_usd`` and ``hard_limit_usd``; `rate_limits` hold ``max_…`` fields. `fallback_policy`
    is the gateway's own mapping, empty where there is none.
    """

    cost_limits: Mapping[str, Mapping[str, float]]
    rate_limits: Mapping[str, Mapping[str, float]]
    recent_fallbacks: tuple[Mapping[str, object], ...]
    fallback_policy: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LimitSet:
    """A successful answer to ``POST /governance/limits``: all limits of the scope, as claimed, to be read back."""

    values: Mapping[str, float]
    message: str = ""


@dataclass(frozen=True, slots=True)
class Weights:
    """How the gateway splits its requests: destination -> fraction 0-1, empty where the active provider gets all."""

    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Completion:
    """``POST /chat/completions``, or the events of a stream put together: the text, and the provider that answered.

    `model` and `provider` are None where the answer names none.
    """

    content: str
    model: str | None
    provider: str | None
    total_tokens: int
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the gateway's admin audit log."""

    timestamp: str
    action: str
    user: str
    provider: str | None
    details: Mapping[str, object]
    result: str
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """``GET /config/runtime``: secrets in it are masked, so it is evidence and never written back (deviation 12)."""

    config: Mapping[str, str]
    config_sources: Mapping[str, str]
