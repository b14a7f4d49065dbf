"""From a body to a typed answer, or to one plain line that says why not.

The documented shapes (docs/GATEWAY_API.md, "The calls"), read strictly: no number in quotes, no NaN, no negative
counter, no percentage beyond 100, nothing missing that a verdict rests on. Unknown fields are ignored.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json

from rollout.core.units import truncate
from rollout.gateway.responses import (
    Activated,
    Alert,
    AuditEntry,
    Completion,
    Connection,
    ConnectionTest,
    Governance,
    Latency,
    LimitSet,
    Metrics,
    Preflight,
    PreflightCheck,
    Provider,
    ProviderHealth,
    Providers,
    RuntimeConfig,
    Weights,
)
from rollout.gateway.sse import events
from rollout.gateway.transport import Answer

PERCENT = 100
EVENTS = "text/event-stream"
_SHOWN_PROBLEMS = 3
_SHOWN_CHARACTERS = 60
_NOT_UP = {"error", "failure", "failed", "unhealthy", "down", "starting", "offline"}
_FAILED = {"error", "failed", "failure"}
_ADDS_UP = 1e-6
_CONNECTION_STATUSES = {"connected", "degraded", "offline", "unknown"}


class InvalidResponse(Exception):
    """An answer that cannot be relied on; the message is the reason, not redacted yet."""


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]
Percent = Annotated[float, Field(ge=0, le=PERCENT)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Severity = Annotated[Literal["info", "warning", "critical"], BeforeValidator(_folded)]


_WEIGHTS = TypeAdapter(dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]])


class Shape(BaseModel):
    """The base of every documented shape."""

    model_config = ConfigDict(allow_inf_nan=False, extra="ignore", frozen=True)


class _Connection(Shape):
    status: str
    message: str | None = None
    reason_code: str | None = None
    latency_ms: Amount | None = None


class _Provider(Shape):
    name: Annotated[str, Field(min_length=1)]
    provider_type: str
    capabilities: dict[str, bool]
    connection_status: _Connection
    is_active: bool
    endpoint: str | None = None
    models: Any = None


class _Providers(Shape):
    providers: list[_Provider]
    active_provider: str | None


class _Status(Shape):
    connection_status: _Connection


class _ErrorInfo(Shape):
    reason_code: str | None = None


class _ConnectionTest(Shape):
    status: str
    connection_status: str
    latency_ms: Amount | None = None
    message: str | None = None
    error_info: _ErrorInfo | None = None


class _PreflightCheck(Shape):
    passed: bool
    status: str
    message: str | None = None


class _Preflight(Shape):
    overall_status: str
    ready_for_activation: bool
    checks: dict[str, _PreflightCheck]


class _Activated(Shape):
    status: str
    provider: str
    model: str | None = None
    message: str | None = None


class _ActivatedOtherwise(Shape):
    status: str
    provider: str | None = None
    model: str | None = None
    message: str | None = None


class _Latency(Shape):
    p50_ms: Amount | None
    p95_ms: Amount | None
    p99_ms: Amount | None
    samples: Count


class _Errors(Shape):
    by_code: dict[str, Count]


class _Cost(Shape):
    total_usd: Amount
    total_tokens: Count


class _Counters(Shape):
    total_requests: Count
    successful_requests: Count
    failed_requests: Count
    success_rate: Percent
    error_rate: Percent
    latency: _Latency
    errors: _Errors
    cost: _Cost


class _Metrics(Shape):
    metrics: _Counters


class _Health(Shape):
    health_status: str
    health_score: Amount
    availability: Fraction | None
    latency_p99_ms: Amount | None
    error_rate: Fraction | None
    slo_breaches: list[str]


class _ProviderHealth(Shape):
    health: _Health


class _Alert(Shape):
    id: str
    severity: Severity
    alert_type: str
    provider: str | None
    message: str
    technical_details: str | None = None
    timestamp: str
    expires_at: str | None = None


class _Alerts(Shape):
    alerts: list[_Alert]


class _CostLimit(Shape):
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


class _Governance(Shape):
    cost_limits: dict[str, _CostLimit]
    rate_limits: dict[str, RateLimit]
    recent_fallbacks: list[dict[str, Any]]
    fallback_policy: Any = None


class _LimitSet(Shape):
    status: str
    message: str | None = None
    limit: Annotated[dict[str, Amount], BeforeValidator(_limits)]


class _Message(Shape):
    content: str | None


class _Choice(Shape):
    message: _Message


class _Usage(Shape):
    total_tokens: Count = 0


class _Completion(Shape):
    choices: Annotated[list[_Choice], Field(min_length=1)]
    model: str | None = None
    provider: str | None = None
    usage: _Usage | None = None


class _AuditEntry(Shape):
    timestamp: str
    action: str
    user: str | None
    provider: str | None
    details: dict[str, Any] | None = None
    result: str
    error_message: str | None = None


class _Audit(Shape):
    entries: list[_AuditEntry]


class _RuntimeConfig(Shape):
    config: dict[str, str]
    config_sources: dict[str, str]


class _SystemStatus(Shape):
    boot_id: str | None = None


S = TypeVar("S", bound=Shape)


def health(answer: Answer) -> None:
    """Accept ``GET /health`` with 200, unless its words say that the service is not up.

    Raises:
        Unreadable: the body is a web page, or its `status` says anything like ``error`` or ``starting``.
    """
    if answer.body.lstrip()[:1] in {b"<", b"{"}:
        _succeeded(_document(answer), _NOT_UP)


def providers(answer: Answer) -> Providers:
    """Read ``GET /providers``.

    Raises:
        Unreadable: the shape differs, a name occurs twice, or the list contradicts itself about who is active.
    """
    shape = _read(answer, _Providers)
    _once("the list names", (provider.name for provider in shape.providers))
    active = [provider.name for provider in shape.providers if provider.is_active]
    if len(active) > 1:
        raise InvalidResponse(f"the list marks {' and '.join(active)} active at once; exactly one can be")
    claimed = (shape.active_provider or "").casefold()
    listed = {provider.name.casefold() for provider in shape.providers}
    # A name that is not listed is no contradiction: google may be reported as google-gemini (deviation 14).
    if active and claimed in listed and claimed != active[0].casefold():
        raise InvalidResponse(f"active_provider says {shape.active_provider}, but the list marks {active[0]} active")
    return Providers(tuple(_provider(each) for each in shape.providers), shape.active_provider or None)


def status(answer: Answer) -> Connection:
    """Read ``GET …/status``."""
    return _connection(_read(answer, _Status).connection_status)


def connection_test(answer: Answer) -> ConnectionTest:
    """Read ``POST …/test-connection``: succeeded only if both verdict fields say so (deviation 5)."""
    shape = _read(answer, _ConnectionTest, failed={"error"})
    return ConnectionTest(
        succeeded=shape.status == "success" and shape.connection_status == "connected",
        connection_status=shape.connection_status,
        latency_ms=shape.latency_ms,
        message=shape.message or "",
        reason_code=shape.error_info.reason_code if shape.error_info else None,
    )


def preflight(answer: Answer) -> Preflight:
    """Read ``POST …/preflight``: ready only if both verdict fields say so and every check passed, at least one."""
    shape = _read(answer, _Preflight)
    checks = {name: PreflightCheck(each.passed, each.status, each.message) for name, each in shape.checks.items()}
    verdict = shape.ready_for_activation and shape.overall_status == "ready"
    return Preflight(verdict and bool(checks) and all(check.passed for check in checks.values()), checks)


def activated(answer: Answer) -> Activated:
    """Read ``POST …/activate``: what the gateway claims.

    Raises:
        Unreadable: the shape differs, or `status` is anything but ``success``.
    """
    shape = _read(answer, _Activated)
    _says_success(answer, shape.status)
    return Activated(shape.provider, shape.model, shape.message or "")


def activated_otherwise(answer: Answer, provider: str, model: str) -> Activated:
    """Read the answer of the call that a target names in place of ``…/activate`` (deviation 13).

    Its shape is not documented: only its `status` counts. What it does not say about provider and model is taken from
    what was asked, for reading back to prove or refute.

    Raises:
        Unreadable: it is no JSON object, or `status` is anything but ``success``.
    """
    shape = _read(answer, _ActivatedOtherwise)
    _says_success(answer, shape.status)
    return Activated(shape.provider or provider, shape.model or model, shape.message or "")


def metrics(answer: Answer) -> Metrics:
    """Read ``GET …/metrics``; percent becomes a fraction (deviation 1)."""
    shape = _read(answer, _Metrics).metrics
    latency = shape.latency
    return Metrics(
        total_requests=shape.total_requests,
        successful_requests=shape.successful_requests,
        failed_requests=shape.failed_requests,
        error_rate=shape.error_rate / PERCENT,
        latency=Latency(latency.p50_ms, latency.p95_ms, latency.p99_ms, latency.samples),
        errors_by_code=dict(shape.errors.by_code),
        total_usd=shape.cost.total_usd,
        total_tokens=shape.cost.total_tokens,
    )


def provider_health(answer: Answer) -> ProviderHealth:
    """Read ``GET …/health`` of a provider; its rates are fractions already (deviation 1)."""
    shape = _read(answer, _ProviderHealth).health
    return ProviderHealth(
        health_status=shape.health_status,
        health_score=shape.health_score,
        availability=shape.availability,
        latency_p99_ms=shape.latency_p99_ms,
        error_rate=shape.error_rate,
        slo_breaches=tuple(shape.slo_breaches),
    )


def alerts(answer: Answer) -> tuple[Alert, ...]:
    """Read ``GET /alerts``, in the gateway's order; a severity beyond the three is unreadable, not harmless."""
    return tuple(Alert(**dict(each)) for each in _read(answer, _Alerts).alerts)


def governance(answer: Answer) -> Governance:
    """Read ``GET /governance/status``, the limits only."""
    shape = _read(answer, _Governance)
    return Governance(
        cost_limits={scope: dict(limit) for scope, limit in shape.cost_limits.items()},
        rate_limits=dict(shape.rate_limits),
        recent_fallbacks=tuple(shape.recent_fallbacks),
        # Not every gateway has one, and no rollout rests on it.
        fallback_policy=shape.fallback_policy if isinstance(shape.fallback_policy, dict) else {},
    )


def limit_set(answer: Answer) -> LimitSet:
    """Read ``POST /governance/limits``: what the gateway claims.

    Raises:
        Unreadable: the shape differs, or `status` is anything but ``success``.
    """
    shape = _read(answer, _LimitSet)
    _says_success(answer, shape.status)
    return LimitSet(dict(shape.limit), shape.message or "")


def done(answer: Answer) -> None:
    """Read the answer of a write that tells nothing but whether it was taken; an empty one is one as well.

    Raises:
        Unreadable: it says that it failed.
    """
    if answer.body.strip():
        _succeeded(_document(answer), _FAILED)


def weights(answer: Answer, at: str, total: float) -> Weights:
    """Read the weights of a gateway that splits its requests (CAN-2).

    Args:
        answer: what it said.
        at: the keys that lead to them, dotted.
        total: what they add up to, 1 or 100.

    Raises:
        Unreadable: there are none, they are no numbers from 0 up, or they do not add up to `total`.
    """
    document = _document(answer)
    _succeeded(document, _FAILED)
    found: Any = document
    for key in at.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    try:
        given = _WEIGHTS.validate_python(found, strict=True)
    except ValidationError as problem:
        raise InvalidResponse(f"{at}: {_misshapen(problem.errors(include_url=False))}") from None
    if given and not math.isclose(math.fsum(given.values()), total, rel_tol=_ADDS_UP):
        raise InvalidResponse(f"the weights at {at} add up to {math.fsum(given.values()):g}, not to {total:g}")
    # A destination without a share is none: gateways list it, or do not.
    return Weights({name: weight / total for name, weight in given.items() if weight})


def completion(answer: Answer) -> Completion:
    """Read ``POST /chat/completions``, or server-sent events (`rollout.gateway.sse`).

    An empty content is returned as it is, for a check to judge (deviation 10).

    Raises:
        Unreadable: the shape differs, or the stream says that something failed, or ends before its end.
    """
    if _media(answer) == EVENTS:
        return _streamed(answer)
    shape = _read(answer, _Completion)
    return Completion(
        content=shape.choices[0].message.content or "",
        model=shape.model,
        provider=shape.provider,
        total_tokens=shape.usage.total_tokens if shape.usage else 0,
        elapsed_ms=answer.elapsed_ms,
    )


def audit(answer: Answer) -> tuple[AuditEntry, ...]:
    """Read ``GET /admin/audit``, newest first; a user that was not recorded reads ``unknown``, as the gateway says."""
    return tuple(
        AuditEntry(
            timestamp=each.timestamp,
            action=each.action,
            user=each.user or "unknown",
            provider=each.provider,
            details=each.details or {},
            result=each.result,
            error_message=each.error_message,
        )
        for each in _read(answer, _Audit).entries
    )


def runtime_config(answer: Answer) -> RuntimeConfig:
    """Read ``GET /config/runtime``."""
    shape = _read(answer, _RuntimeConfig)
    return RuntimeConfig(shape.config, shape.config_sources)


def boot_id(answer: Answer) -> str | None:
    """Read the boot's id from ``GET /system/status``; None where there is none (deviation 2)."""
    return _read(answer, _SystemStatus).boot_id


def _read(answer: Answer, shape: type[S], failed: set[str] = _FAILED) -> S:
    _succeeded(_document(answer), failed)
    try:
        return shape.model_validate_json(answer.body, strict=True)
    except ValidationError as problem:
        raise InvalidResponse(_misshapen(problem.errors(include_url=False))) from None


def _document(answer: Answer) -> dict[str, Any]:
    """Return the body as a JSON object.

    Raises:
        Unreadable: it is none.
    """
    size = _size(answer)
    if not answer.body.strip():
        raise InvalidResponse(f"the answer is empty ({answer.status}, {size}); is this the gateway's base URL?")
    if _media(answer) == EVENTS:
        raise InvalidResponse(
            f"the answer is a stream of events ({size}), not one JSON object; is the path the right one?"
        )
    _decoded(answer)
    return _object(answer.body, size)


def _media(answer: Answer) -> str:
    return answer.headers.get("content-type", "no content type").partition(";")[0].strip().casefold()


def _size(answer: Answer) -> str:
    return f"{_media(answer)}, {len(answer.body)} bytes"


def _decoded(answer: Answer) -> str:
    try:
        return answer.body.decode()
    except UnicodeDecodeError as problem:
        raise InvalidResponse(f"the answer is not UTF-8 ({_size(answer)}, from byte {problem.start} on)") from None


def _says_success(answer: Answer, status: str) -> None:
    if status != "success":
        raise InvalidResponse(f"answered {answer.status}, but its status is {status!r}, not 'success'")


def _streamed(answer: Answer) -> Completion:
    """Put a completion together from its events; only one that says ``done`` is complete (deviations 10 and 17)."""
    seen = [(name, _event(name, data, answer)) for name, data in events(_decoded(answer))]
    for name, data in seen:
        if name == "error":
            code = data.get("code")
            said = ": ".join(filter(None, (code if isinstance(code, str) else "", words(data))))
            raise InvalidResponse(f"the stream of events says error: {said or 'no reason given'}")
    names = [name for name, _ in seen]
    if "done" not in names:
        heard = ", ".join(dict.fromkeys(names)) or "none"
        raise InvalidResponse(
            f"the answer is a stream of events that broke off: its last, done, never came (events: {heard}; "
            f"{_size(answer)}); did the gateway stop or restart?"
        )
    return Completion(
        content="".join(data["text"] for name, data in seen if name == "content"),
        model=_named(seen, "model"),
        provider=_named(seen, "provider"),
        total_tokens=0,
        elapsed_ms=answer.elapsed_ms,
    )


def _event(name: str, data: str, answer: Answer) -> dict[str, Any]:
    """Return an event's data as a JSON object; events that no completion consists of may hold anything."""
    if name not in {"start", "content", "done", "error"}:
        return {}
    if name == "error" and not data.startswith("{"):
        return {"message": data}
    document = _object(data.encode(), f"event {name} of {_size(answer)}") if data else {}
    if name == "content" and not isinstance(document.get("text"), str):
        raise InvalidResponse("an event of the stream is not of the recorded shape: content without a text")
    return document


def _named(seen: list[tuple[str, dict[str, Any]]], field: str) -> str | None:
    """Return what the stream itself says of who answered; None where it says nothing."""
    return next((data[field] for _, data in reversed(seen) if isinstance(data.get(field), str) and data[field]), None)


def _object(body: bytes, size: str) -> dict[str, Any]:
    try:
        document = from_json(body, allow_inf_nan=False)
    except ValueError as problem:
        if str(problem).startswith("EOF"):
            raise InvalidResponse(f"the answer's JSON is cut off ({size}); did the gateway break off?") from None
        if body.lstrip()[:1] in {b"{", b"["}:
            raise InvalidResponse(f"the answer is not valid JSON ({size}: {problem})") from None
        begins = _shortened(body.decode())
        raise InvalidResponse(
            f'the answer is not JSON ({size}, begins "{begins}"); is this the gateway\'s base URL?'
        ) from None
    if not isinstance(document, dict):
        raise InvalidResponse(f"the answer is a JSON {type(document).__name__}, not an object ({size})")
    return document


def _succeeded(document: dict[str, Any], failed: set[str]) -> None:
    """Refuse an answer that says itself that it is none, whatever its HTTP status (deviation 9)."""
    said = document.get("status")
    if isinstance(said, str) and said.casefold() in failed:
        raise InvalidResponse(f'answered 200, but with status "{said}": {words(document) or "no reason given"}')


def words(document: Any) -> str:
    """Return the gateway's own words for what went wrong, in one line; empty where it has none."""
    if isinstance(document, str):
        return _shortened(document, 300)
    if isinstance(document, list):
        return "; ".join(filter(None, map(_complaint, document[:_SHOWN_PROBLEMS])))
    if isinstance(document, dict):
        return next(filter(None, (words(document.get(key)) for key in ("detail", "message", "error"))), "")
    return ""


def _complaint(detail: Any) -> str:
    """Read one entry of FastAPI's list of validation errors."""
    if not isinstance(detail, dict):
        return words(detail)
    where = ".".join(str(part) for part in detail.get("loc", ()) if part != "body")
    return ": ".join(filter(None, (where, _shortened(str(detail.get("msg", ""))))))


def _misshapen(problems: list[ErrorDetails]) -> str:
    shown = [_problem(problem) for problem in problems[:_SHOWN_PROBLEMS]]
    more = len(problems) - len(shown)
    return (
        f"the answer is not of the documented shape: {'; '.join(shown)}{f'; and {more} more' if more else ''}. "
        "Is this gateway's API the one in docs/GATEWAY_API.md?"
    )


def _problem(problem: ErrorDetails) -> str:
    where = ".".join(str(part) for part in problem["loc"]) or "the answer"
    if problem["type"] == "missing":
        return f"{where} is missing"
    message = problem["msg"][:1].lower() + problem["msg"][1:]
    found = problem["input"]
    if isinstance(found, (dict, list)):
        return f"{where}: {message}, not {'an object' if isinstance(found, dict) else 'a list'}"
    return f"{where}: {message}, not {_shortened(repr(found), 40)}"


def _shortened(text: str, length: int = _SHOWN_CHARACTERS) -> str:
    line = "".join(each if each.isprintable() else "?" for each in " ".join(truncate(text, 4 * length).split()))
    return truncate(line, length)


def _once(what: str, names: Iterable[str]) -> None:
    name, count = next(iter(Counter(name.casefold() for name in names).most_common(1)), ("", 0))
    if count > 1:
        raise InvalidResponse(f"{what} {name} {count} times; names are case-insensitive and must differ")


def _connection(shape: _Connection) -> Connection:
    """Take a status beyond the four for ``unknown``: never a pass, and one odd provider does not hide the others."""
    said = shape.status.casefold()
    if said in _CONNECTION_STATUSES:
        return Connection(said, shape.message, shape.reason_code, shape.latency_ms)
    explained = f"the gateway says {shape.status!r}" + (f": {shape.message}" if shape.message else "")
    return Connection("unknown", explained, shape.reason_code, shape.latency_ms)


def _provider(shape: _Provider) -> Provider:
    return Provider(
        name=shape.name,
        provider_type=shape.provider_type,
        capabilities=dict(shape.capabilities),
        connection=_connection(shape.connection_status),
        is_active=shape.is_active,
        endpoint=shape.endpoint,
        models=_names(shape.models),
    )


def _names(value: Any) -> tuple[str, ...]:
    """Return a list of names; anything else is undocumented, and says nothing."""
    return tuple(value) if isinstance(value, list) and all(isinstance(name, str) for name in value) else ()
