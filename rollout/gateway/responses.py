"""The gateway's answers, typed. Shapes as in docs/GATEWAY_API.md, "The calls"; unknown fields are ignored.

Rates are kept as fractions (0-1) here; the gateway's own percent is converted when the answer is parsed (deviation 1).

Pydantic reads them by their annotations, strictly: no number in quotes, no NaN, no negative counter, and every field
that a verdict depends on. A call whose answer differs from what is typed here has a shape in `rollout.gateway.shapes`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, GetPydanticSchema

from rollout.core.histogram import Histogram

Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_CONNECTION_STATUSES = {"connected", "degraded", "offline", "unknown"}


def read_as(kind: Any) -> GetPydanticSchema:
    """Let pydantic read a field as `kind`, which is narrower than what the suite itself may put there."""
    return GetPydanticSchema(lambda _, handler: handler(kind))


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
    latency_ms: Amount | None = None


def _fold_status(connection: Connection) -> Connection:
    """Read a status beyond the four as ``unknown``, so that the other providers are still read."""
    status = connection.status.casefold()
    if status in _CONNECTION_STATUSES:
        return replace(connection, status=status)
    explained = f"the gateway says {connection.status!r}" + (f": {connection.message}" if connection.message else "")
    return replace(connection, status="unknown", message=explained)


ConnectionStatus = Annotated[Connection, AfterValidator(_fold_status), Field(validation_alias="connection_status")]
"""A connection as the gateway sends it, in the field ``connection_status``."""


def _names(value: Any) -> tuple[str, ...]:
    """Return a list of names; anything else is undocumented, and becomes an empty tuple."""
    return tuple(value) if isinstance(value, list) and all(isinstance(name, str) for name in value) else ()


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider of the list; `models` is empty where the gateway lists none."""

    name: Annotated[str, Field(min_length=1)]
    provider_type: str
    capabilities: Mapping[str, bool]
    connection: ConnectionStatus
    is_active: bool
    endpoint: str | None = None
    models: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()


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
class Latency:
    """Percentiles over the last `samples` (at most 1,000) requests since the gateway was started."""

    p50_ms: Amount | None
    p95_ms: Amount | None
    p99_ms: Amount | None
    samples: Count


@dataclass(frozen=True, slots=True)
class Metrics:
    """``GET …/metrics``: cumulative counters since the gateway was started (deviation 2).

    Where a target names Prometheus as the source, the counters begin at the first poll, and belong to the last scrape,
    `age_s` seconds before the poll. `histogram` holds the latencies then; the gateway itself gives none. `slices` holds
    the value of a label -> requests and failures, where the scenario names a label.
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
    slices: Mapping[str, tuple[int, int]] | None = None


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """``GET …/health``: the gateway's own judgement; `error_rate` and `availability` are fractions already."""

    health_status: str
    health_score: Amount
    availability: Fraction | None
    latency_p99_ms: Amount | None
    error_rate: Fraction | None
    slo_breaches: tuple[str, ...]


def _fold(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. Compared by `key`, because ids may carry a timestamp (MON-4)."""

    id: str
    severity: Annotated[str, read_as(Literal["info", "warning", "critical"]), BeforeValidator(_fold)]
    alert_type: str
    provider: str | None
    message: str
    technical_details: Annotated[str | None, Field(default=None)]
    timestamp: str
    expires_at: str | None = None

    @property
    def key(self) -> str:
        """Identify the alert as ``TYPE/provider``, ``TYPE/-`` where it names no provider."""
        return f"{self.alert_type}/{self.provider or '-'}"


class CostLimit(BaseModel):
    """The cost limits of one scope."""

    soft_limit_usd: Amount
    hard_limit_usd: Amount


def _select_maxima(value: Any, besides: Collection[str] = ()) -> Any:
    """Return the limits of a scope, named ``max_…`` or one of `besides`, without the usage that is listed with them."""
    if not isinstance(value, dict):
        return value
    return {name: part for name, part in value.items() if name in besides or name.startswith("max_")}


AnyLimit = Annotated[Mapping[str, Amount], BeforeValidator(partial(_select_maxima, besides=CostLimit.model_fields))]


def _own_mapping(value: Any) -> Any:
    """Return the gateway's own mapping; not every gateway has one, and no verdict depends on it."""
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Governance:
    """``GET /governance/status``. Scope -> its limits, only the limits: usage moves by itself.

    `cost_limits` hold ``soft_limit_usd`` and ``hard_limit_usd``; `rate_limits` hold ``max_…`` fields. `fallback_policy`
    is the gateway's own mapping, empty where there is none.
    """

    cost_limits: Mapping[str, Annotated[Mapping[str, float], read_as(CostLimit), AfterValidator(dict)]]
    rate_limits: Mapping[str, Annotated[Mapping[str, Amount], BeforeValidator(_select_maxima)]]
    recent_fallbacks: tuple[Mapping[str, object], ...]
    fallback_policy: Annotated[Mapping[str, object], BeforeValidator(_own_mapping)] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Weights:
    """How the gateway splits its requests: destination -> fraction 0-1, empty where the active provider gets all."""

    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Completion:
    """``POST /chat/completions``, or the events of a stream put together: the text, and the provider that answered.

    `model` and `provider` are None where the answer names none. `first_token_ms` is the time from the request to the
    arrival of the first piece of content; None where the answer is no stream, or a stream without content.
    """

    content: str
    model: str | None
    provider: str | None
    total_tokens: int
    elapsed_ms: float
    first_token_ms: float | None = None


def _name_user(value: Any) -> Any:
    """Return the user; one that was not recorded is ``unknown``, as at the gateway."""
    return "unknown" if value in (None, "") else value


def _fill_details(value: Any) -> Any:
    return {} if value is None else value


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the gateway's admin audit log."""

    timestamp: str
    action: str
    user: Annotated[str, BeforeValidator(_name_user)]
    provider: str | None
    details: Annotated[Mapping[str, object], BeforeValidator(_fill_details), Field(default_factory=dict)]
    result: str
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """``GET /config/runtime``: secrets in it are masked, so it is evidence and never written back (deviation 12)."""

    config: Mapping[str, str]
    config_sources: Mapping[str, str]
