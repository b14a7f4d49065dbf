"""The gateway's HTTP API: every call of GATEWAY_API.md, "As documented", in the shapes that were recorded."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rollout.sandbox.alerts import SEVERITIES, slo_breaches, summary
from rollout.sandbox.envfile import masked
from rollout.sandbox.gateway import Connection, Gateway, credentials
from rollout.sandbox.metrics import percentile
from rollout.sandbox.providers import PROVIDERS, Provider
from rollout.sandbox.reading import is_number
from rollout.sandbox.refusal import Refusal, malformed, mistake

BODY_KEYS = "sandbox.body_keys"
"""Where a request's scope holds the top-level keys of its body."""

_COST = ("soft_limit_usd", "hard_limit_usd")
_RATE = ("max_requests_per_minute", "max_tokens_per_minute")
_KINDS = {"per_provider": "cost", "cost": "cost", "rate": "rate"}

_RUNBOOKS = {
    "missing_api_key": ("/docs/runbooks/auth-failures.md", "warning"),
    "connection_failed": ("/docs/runbooks/provider-offline.md", "critical"),
    "http_error": ("/docs/runbooks/provider-offline.md", "warning"),
}
_FALLBACK_POLICY = {"preferred_provider": "ollama", "fallback_order": ["ollama", "vllm", "openai", "google"]}
_HEALTHY, _DEGRADED = 80, 50
_MALUS = {"availability": 30, "latency": 25, "error": 25, "cost": 20}
_MIB = 1024 * 1024
_A_LIMIT = re.compile(r"[1-9][0-9]{0,5}")

Answer = dict[str, Any]
Handler = Callable[[Request], Awaitable[Answer]]


def build_api(gateway: Gateway) -> Starlette:
    """Return the application that serves one gateway's API."""
    return Starlette(routes=Api(gateway).routes(), exception_handlers=ERRORS)


class Api:
    """The calls, one method each; a method returns the body of a 200 or raises Refusal."""

    def __init__(self, gateway: Gateway) -> None:
        """Serve this gateway."""
        self._gateway = gateway

    def routes(self) -> list[Route]:
        """Return the routes."""
        get, post = self._get, self._post
        return [
            get("/health", "health", self._service_health),
            get("/api/v1/system/status", "system", self._system_status),
            get("/api/v1/config/runtime", "config", self._config),
            get("/api/v1/providers", "providers", self._providers),
            get("/api/v1/providers/{provider}/status", "status", self._status),
            post("/api/v1/providers/{provider}/test-connection", "test_connection", self._test_connection),
            post("/api/v1/providers/{provider}/preflight", "preflight", self._preflight),
            post("/api/v1/providers/{provider}/activate", "activate", self._activate),
            get("/api/v1/providers/{provider}/metrics", "metrics", self._metrics),
            get("/api/v1/providers/{provider}/health", "health", self._provider_health),
            get("/api/v1/alerts", "alerts", self._alerts),
            post("/api/v1/governance/limits", "governance", self._set_limits),
            get("/api/v1/governance/status", "governance", self._governance),
            get("/api/v1/admin/audit", "audit", self._audit),
            Route("/api/v1/chat/completions", self._chat, methods=["POST"]),
        ]

    def _get(self, path: str, call: str, handler: Handler) -> Route:
        return Route(path, self._disturbed(call, handler), methods=["GET"])

    def _post(self, path: str, call: str, handler: Handler) -> Route:
        return Route(path, self._disturbed(call, handler), methods=["POST"])

    def _disturbed(self, call: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            # Read first: a caller who gave up meanwhile must not stop an activation that was asked for.
            await request.body()
            provider = request.path_params.get("provider")
            spoiled = await self._gateway.disturb(call, provider.casefold() if provider else None)
            return _rendered(await handler(request), spoiled)

        return endpoint

    async def _service_health(self, _request: Request) -> Answer:
        return {"status": "ok", "component": "rollout-sandbox"}

    async def _system_status(self, _request: Request) -> Answer:
        total_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _MIB
        used_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {
            "status": "success",
            "boot_id": self._gateway.boot_id,
            "system_healthy": True,
            "memory_usage_mb": round(used_mb, 2),
            "memory_total_mb": round(total_mb, 2),
            "memory_usage_percent": round(100 * used_mb / total_mb, 1),
            "vram_usage_mb": None,
            "vram_total_mb": None,
            "vram_usage_percent": None,
        }

    async def _config(self, _request: Request) -> Answer:
        state = self._gateway.state
        config = {key: masked(key, value) for key, value in state.config.items()}
        return {"status": "success", "config": config, "config_sources": dict(state.sources)}

    async def _providers(self, _request: Request) -> Answer:
        connections = await asyncio.gather(*(self._gateway.connection(provider) for provider in PROVIDERS.values()))
        active = self._gateway.state.provider
        listed = [
            _listed(provider, connection, is_active=provider.name == active)
            for provider, connection in zip(PROVIDERS.values(), connections, strict=True)
        ]
        return {"status": "success", "providers": listed, "active_provider": active, "count": len(listed)}

    async def _status(self, request: Request) -> Answer:
        provider = _provider(request)
        connection = await self._gateway.connection(provider)
        return {"status": "success", "provider": provider.name, "connection_status": connection.as_answer()}

    async def _test_connection(self, request: Request) -> Answer:
        provider = _provider(request)
        connection = await self._gateway.connection(provider)
        failed = connection.status != "connected"
        details = {"status": connection.status, "latency_ms": connection.latency_ms}
        self._note(request, "test_connection", provider.name, details, connection.message if failed else None)
        answer = {
            "status": "failure" if failed else "success",
            "provider": provider.name,
            "connection_status": connection.status,
            "latency_ms": connection.latency_ms,
            "message": connection.message,
        }
        return answer | {"error_info": _error_info(connection.reason_code)} if connection.reason_code else answer

    async def _preflight(self, request: Request) -> Answer:
        provider = _provider(request)
        checks = _preflight_checks(provider, await self._gateway.connection(provider), self._gateway.state.config)
        failed = [name for name, check in checks.items() if not check["passed"]]
        verdict = "not_ready" if failed else "ready"
        error = f"failed: {', '.join(failed)}" if failed else None
        self._note(request, "preflight_check", provider.name, {"overall_status": verdict}, error)
        return {
            "status": "success",
            "provider": provider.name,
            "overall_status": verdict,
            "checks": checks,
            "ready_for_activation": not failed,
        }

    async def _activate(self, request: Request) -> Answer:
        asked = _optional_text(await _mapping(request, optional=True), "model")
        provider = _provider(request)
        previous = {"previous_provider": self._gateway.state.provider, "previous_model": self._gateway.state.model}
        try:
            model = self._gateway.activate(provider, asked)
        except Refusal as refusal:
            self._note(request, "activate_provider", provider.name, {"model": asked}, str(refusal.detail))
            raise
        self._note(request, "activate_provider", provider.name, {"model": model, **previous})
        message = f"Provider {provider.name} activated successfully"
        return {"status": "success", "message": message, "provider": provider.name, "model": model}

    async def _metrics(self, request: Request) -> Answer:
        name = _provider(request).name
        return {"status": "success", "provider": name, "metrics": self._gateway.metrics[name].as_answer(name)}

    async def _provider_health(self, request: Request) -> Answer:
        provider = _provider(request)
        metrics = self._gateway.metrics[provider.name]
        p99_ms, error_rate = percentile(metrics.latencies_ms, 99), metrics.error_rate
        breaches = slo_breaches(provider, error_rate, p99_ms, metrics.total_usd) if metrics.total else []
        score = 100.0 - sum(_MALUS[breach.partition("_")[0]] for breach in breaches) if metrics.total else 0.0
        level = provider.service_level
        health = {
            "health_status": _health_status(score) if metrics.total else "unknown",
            "health_score": score,
            "availability": 1 - error_rate if metrics.total else 0.0,
            "latency_p99_ms": p99_ms,
            "error_rate": error_rate,
            "cost_usage_usd": round(metrics.total_usd, 6),
            "slo_target": {
                "availability_target": level.availability,
                "latency_p99_ms": level.p99_ms,
                "error_rate_target": level.error_rate,
                "cost_budget_usd": level.budget_usd,
            },
            "slo_breaches": breaches,
        }
        return {"status": "success", "provider": provider.name, "health": health}

    async def _alerts(self, request: Request) -> Answer:
        severity, provider = request.query_params.get("severity"), request.query_params.get("provider")
        if severity is not None and severity not in SEVERITIES:
            raise Refusal(400, f"Invalid severity: {severity}. Must be info, warning, or critical")
        self._gateway.watch()
        of_provider = [
            alert
            for alert in self._gateway.alerts.active()
            if provider is None or alert.finding.provider == provider.casefold()
        ]
        shown = [alert.as_answer() for alert in of_provider if severity in (None, alert.finding.severity)]
        return {"status": "success", "alerts": shown, "summary": summary(of_provider), "count": len(shown)}

    async def _set_limits(self, request: Request) -> Answer:
        body = await _mapping(request)
        given, scope = _text(body, "limit_type"), _text(body, "scope")
        kind = _KINDS.get(given)
        if kind is None:
            raise Refusal(400, f"Invalid limit_type: {given}. Use 'per_provider', 'cost' or 'rate'")
        limit = self._gateway.set_limit(kind, scope, _positive(body, _COST if kind == "cost" else _RATE))
        name = scope.casefold().removeprefix("provider:")
        self._note(request, "update_limits", None if name == "global" else name, {"limit_type": given, **limit})
        return {"status": "success", "message": "governance.messages.limitUpdated", "limit": limit}

    async def _governance(self, _request: Request) -> Answer:
        state = self._gateway.state
        return {
            "status": "success",
            "cost_limits": {scope: self._cost_limit(scope, limit) for scope, limit in state.cost_limits.items()},
            "rate_limits": {
                scope: limit | self._gateway.current_rate(scope) for scope, limit in state.rate_limits.items()
            },
            "recent_fallbacks": [],
            "fallback_policy": _FALLBACK_POLICY,
        }

    def _cost_limit(self, scope: str, limit: Mapping[str, float]) -> Answer:
        usage = round(self._gateway.usage_usd(scope), 6)
        percentage = round(100 * usage / limit["hard_limit_usd"], 2)
        return {**limit, "current_usage_usd": usage, "usage_percentage": percentage}

    async def _audit(self, request: Request) -> Answer:
        query = request.query_params
        raw = query.get("limit", "100")
        if not _A_LIMIT.fullmatch(raw):
            raise malformed(mistake("int_parsing", ("query", "limit"), "Input should be a positive integer", raw))
        entries = self._gateway.audit.entries(
            limit=int(raw), action=query.get("action"), provider=query.get("provider")
        )
        return {"status": "success", "entries": entries, "count": len(entries)}

    async def _chat(self, request: Request) -> Response:
        prompt = _prompt(await _mapping(request))
        completion, spoiled = await self._gateway.complete(prompt)
        # An empty completion is still a well-formed answer (deviation 10).
        return _rendered(completion, None if spoiled == "empty" else spoiled)

    def _note(
        self, request: Request, action: str, provider: str | None, details: Answer, error: str | None = None
    ) -> None:
        moment = self._gateway.clock.now()
        self._gateway.audit.add(moment, action, user_of(request.headers), provider, details, error)


def user_of(headers: Mapping[str, str]) -> str:
    """Return who calls: ``X-Authenticated-User`` before ``X-User``, ``unknown`` without either (deviation 19)."""
    return headers.get("x-authenticated-user") or headers.get("x-user") or "unknown"


def _rendered(body: Answer, spoiled: str | None) -> Response:
    raw = json.dumps(body).encode()
    if spoiled == "garbage":
        raw = raw[: len(raw) // 2]
    return Response(b"" if spoiled == "empty" else raw, media_type="application/json")


def _provider(request: Request) -> Provider:
    name: str = request.path_params["provider"]
    provider = PROVIDERS.get(name.casefold())
    if provider is None:
        raise Refusal(404, f"Unknown provider: {name}")
    return provider


async def _mapping(request: Request, *, optional: bool = False) -> Answer:
    raw = await request.body()
    if optional and not raw:
        return {}
    try:
        body = json.loads(raw)
    except json.JSONDecodeError as error:
        raise malformed(
            mistake("json_invalid", ("body", error.pos), "JSON decode error", {}, error=error.msg)
        ) from None
    except UnicodeDecodeError:
        raise malformed(mistake("json_invalid", ("body", 0), "JSON decode error", {}, error="not UTF-8")) from None
    if not isinstance(body, dict):
        raise malformed(mistake("dict_type", ("body",), "Input should be a valid dictionary", body))
    request.scope[BODY_KEYS] = sorted(body)
    return body


def _text(body: Answer, key: str) -> str:
    value = _optional_text(body, key)
    if value is None:
        raise malformed(mistake("missing", ("body", key), "Field required", body))
    return value


def _optional_text(body: Answer, key: str) -> str | None:
    value = body.get(key)
    if value is None or isinstance(value, str):
        return value
    raise malformed(mistake("string_type", ("body", key), "Input should be a valid string", value))


def _positive(body: Answer, keys: tuple[str, ...]) -> dict[str, float]:
    values = {key: body[key] for key in keys if body.get(key) is not None}
    mistakes = []
    for key, value in values.items():
        if not is_number(value):
            mistakes.append(mistake("float_type", ("body", key), "Input should be a valid number", value))
        elif value <= 0:
            mistakes.append(mistake("greater_than", ("body", key), "Input should be greater than 0", value, gt=0.0))
    if mistakes:
        raise malformed(*mistakes)
    return values


def _prompt(body: Answer) -> str:
    messages = body.get("messages")
    if messages is None:
        raise malformed(mistake("missing", ("body", "messages"), "Field required", body))
    if not isinstance(messages, list) or not messages:
        raise malformed(mistake("list_type", ("body", "messages"), "Input should be a non-empty list", messages))
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            loc = ("body", "messages", index, "content")
            raise malformed(mistake("string_type", loc, "Input should be a valid string", message))
    return str(messages[-1]["content"])


def _listed(provider: Provider, connection: Connection, *, is_active: bool) -> Answer:
    return {
        "name": provider.name,
        "display_name": provider.name.capitalize(),
        "provider_type": provider.provider_type,
        "runtime": provider.name,
        "capabilities": dict(provider.can),
        "connection_status": connection.as_answer(),
        "is_active": is_active,
        "endpoint": provider.endpoint,
        "models": list(provider.models),
        "default_model": provider.default_model,
    }


def _preflight_checks(provider: Provider, connection: Connection, config: Mapping[str, str]) -> dict[str, Answer]:
    can_activate = provider.can["activate"]
    return {
        "connection": {
            "status": connection.status,
            "passed": connection.status == "connected",
            "message": connection.message,
            "reason_code": connection.reason_code,
        },
        "credentials": credentials(provider, config),
        "capabilities": {
            "status": "available" if can_activate else "not_activatable",
            "passed": can_activate,
            "capabilities": dict(provider.can),
        },
        "endpoint": {
            "status": "configured" if provider.endpoint else "not_required",
            "passed": True,
            "endpoint": provider.endpoint,
        },
    }


def _error_info(reason_code: str) -> Answer:
    runbook_path, severity = _RUNBOOKS[reason_code]
    return {
        "reason_code": reason_code,
        "user_message_key": f"errors.provider.{reason_code}.user",
        "admin_message_key": f"errors.provider.{reason_code}.admin",
        "recovery_hint_key": f"errors.provider.{reason_code}.hint",
        "runbook_path": runbook_path,
        "severity": severity,
    }


def _health_status(score: float) -> str:
    if score >= _HEALTHY:
        return "healthy"
    return "degraded" if score >= _DEGRADED else "critical"


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - Starlette hands on what it was registered for
    # Not JSONResponse: it would trip over a NaN that the detail quotes.
    return Response(json.dumps({"detail": error.detail}), status_code=error.status, media_type="application/json")


def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette hands on what it was registered for
    return JSONResponse({"detail": error.detail}, status_code=error.status_code, headers=error.headers)


def _disk_error(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": f"The configuration cannot be written: {error}"}, status_code=500)


ERRORS = {Refusal: _refused, HTTPException: _http_error, OSError: _disk_error}
"""How errors are answered: ``{"detail": …}`` throughout."""
