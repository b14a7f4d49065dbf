"""The documented shapes of those answers that differ from their typed responses (docs/GATEWAY_API.md, "The calls").

They are read as strictly as the responses (`rollout.gateway.responses`). Unknown fields are ignored.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from rollout.gateway.responses import (
    Alert,
    Amount,
    AnyLimit,
    AuditEntry,
    ConnectionStatus,
    Count,
    Latency,
    PreflightCheck,
    ProviderHealth,
)

PERCENT = 100

Percent = Annotated[float, Field(ge=0, le=PERCENT, allow_inf_nan=False)]


class Shape(BaseModel):
    """The base of every documented shape."""

    model_config = ConfigDict(frozen=True)


class Status(Shape):
    """``GET …/status``."""

    connection: ConnectionStatus


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


class Preflight(Shape):
    """``POST …/preflight``."""

    overall_status: str
    ready_for_activation: bool
    checks: dict[str, PreflightCheck]


class Claim(Shape):
    """The answer to a write: it succeeded only if its `status` says so."""

    status: str


class ActivatedOtherwise(Claim):
    """The call that a target names in place of ``…/activate`` (deviation 13)."""

    provider: str | None = None
    model: str | None = None
    message: str | None = None


class Activated(ActivatedOtherwise):
    """``POST …/activate``."""

    provider: str


class LimitSet(Claim):
    """``POST /governance/limits``."""

    message: str | None = None
    limit: AnyLimit


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
    """``GET …/health`` of a provider."""

    health: ProviderHealth


class Alerts(Shape):
    """``GET /alerts``."""

    alerts: tuple[Alert, ...]


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


class Audit(Shape):
    """``GET /admin/audit``."""

    entries: tuple[AuditEntry, ...]


class SystemStatus(Shape):
    """``GET /system/status``."""

    boot_id: str | None = None
