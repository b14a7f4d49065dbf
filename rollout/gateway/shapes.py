"""The documented shapes of the gateway's answers (docs/GATEWAY_API.md, "The calls").

They are read strictly: no number in quotes, no NaN, no negative counter, no percentage beyond 100, and every field that
a verdict depends on. Unknown fields are ignored.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

PERCENT = 100


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]
Percent = Annotated[float, Field(ge=0, le=PERCENT)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Severity = Annotated[Literal["info", "warning", "critical"], BeforeValidator(_folded)]
WEIGHTS = TypeAdapter(dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]])


class Shape(BaseModel):
    """The base of every documented shape."""

    model_config = ConfigDict(allow_inf_nan=False, extra="ignore", frozen=True)


class Connection(Shape):
    """The connection status of a provider."""

    status: str
    message: str | None = None
    reason_code: str | None = None
    latency_ms: Amount | None = None


class Provider(Shape):
    """One provider of the list."""

    name: Annotated[str, Field(min_length=1)]
    provider_type: str
    capabilities: dict[str, bool]
    connection_status: Connection
    is_active: bool
    endpoint: str | None = None
    models: Any = None


class Providers(Shape):
    """``GET /providers``."""

    providers: list[Provider]
    active_provider: str | None


class Status(Shape):
    """``GET …/status``."""

    connection_status: Connection


class ErrorInfo(Shape):
    """Why a connection test failed."""

    reason_code: str | None = None


class ConnectionTest(Shape):
    """``POST …/test-connection``."""

    status: str
    connection_status: str
    latency_ms: Amount | None = None
    message: str | None = None
    error_info: ErrorInfo | None = None


class PreflightCheck(Shape):
    """One check of a preflight."""

    passed: bool
    status: str
    message: str | None = None


class Preflight(Shape):
    """``POST …/preflight``."""

    overall_status: str
    ready_for_activation: bool
    checks: dict[str, PreflightCheck]


class Activated(Shape):
    """``POST …/activate``."""

    status: str
    provider: str
    model: str | None = None
    message: str | None = None


class ActivatedOtherwise(Shape):
    """The call that a target names in place of ``…/activate`` (deviation 13)."""

    status: str
    provider: str | None = None
    model: str | None = None
    message: str | None = None


class Latency(Shape):
    """Percentiles, and the number of requests that they cover."""

    p50_ms: Amount | None
    p95_ms: Amount | None
    p99_ms: Amount | None
    samples: Count


class Errors(Shape):
    """Failed requests by code."""

    by_code: dict[str, Count]


class Cost(Shape):
    """What the requests cost."""

    total_usd: Amount
    total_tokens: Count


class Counters(Shape):
    """The cumulative counters of a provider."""

    total_requests: Count
    successful_requests: Count
    failed_requests: Count
    success_rate: Percent
    error_rate: Percent
    latency: Latency
    errors: Errors
    cost: Cost


class Metrics(Shape):
    """``GET …/metrics``."""

    metrics: Counters


class Health(Shape):
    """The gateway's own judgement of a provider."""

    health_status: str
    health_score: Amount
    availability: Fraction | None
    latency_p99_ms: Amount | None
    error_rate: Fraction | None
    slo_breaches: list[str]


class ProviderHealth(Shape):
    """``GET …/health`` of a provider."""

    health: Health


class Alert(Shape):
    """One alert."""

    id: str
    severity: Severity
    alert_type: str
    provider: str | None
    message: str
    technical_details: str | None = None
    timestamp: str
    expires_at: str | None = None


class Alerts(Shape):
    """``GET /alerts``."""

    alerts: list[Alert]


class CostLimit(Shape):
    """The cost limits of one scope."""

    soft_limit_usd: Amount
    hard_limit_usd: Amount


def _maxima(value: Any) -> Any:
    return {name: part for name, part in value.items() if name.startswith("max_")} if isinstance(value, dict) else value


def _limits(value: Any) -> Any:
    known = ("soft_limit_usd", "hard_limit_usd")
    if not isinstance(value, dict):
        return value
    return {name: part for name, part in value.items() if name in known or name.startswith("max_")}


RateLimit = Annotated[dict[str, Amount], BeforeValidator(_maxima)]


class Governance(Shape):
    """``GET /governance/status``."""

    cost_limits: dict[str, CostLimit]
    rate_limits: dict[str, RateLimit]
    recent_fallbacks: list[dict[str, Any]]
    fallback_policy: Any = None


class LimitSet(Shape):
    """``POST /governance/limits``."""

    status: str
    message: str | None = None
    limit: Annotated[dict[str, Amount], BeforeValidator(_limits)]


class Message(Shape):
    """The message of a choice."""

    content: str | None


class Choice(Shape):
    """One choice of a completion."""

    message: Message


class Usage(Shape):
    """The tokens of a completion."""

    total_tokens: Count = 0


class Completion(Shape):
    """``POST /chat/completions``."""

    choices: Annotated[list[Choice], Field(min_length=1)]
    model: str | None = None
    provider: str | None = None
    usage: Usage | None = None


class AuditEntry(Shape):
    """One entry of the audit log."""

    timestamp: str
    action: str
    user: str | None
    provider: str | None
    details: dict[str, Any] | None = None
    result: str
    error_message: str | None = None


class Audit(Shape):
    """``GET /admin/audit``."""

    entries: list[AuditEntry]


class RuntimeConfig(Shape):
    """``GET /config/runtime``."""

    config: dict[str, str]
    config_sources: dict[str, str]


class SystemStatus(Shape):
    """``GET /system/status``."""

    boot_id: str | None = None
