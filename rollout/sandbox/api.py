"""The gateway's HTTP API: every call of docs/GATEWAY_API.md, "The calls", in the shapes that were recorded."""

from __future__ import annotations

import asyncio
import os
import re
import resource
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from rollout.sandbox.alerts import SEVERITIES, slo_breaches, summary
from rollout.sandbox.completions import Completions, as_chunks
from rollout.sandbox.connections import Connection
from rollout.sandbox.deviating_routes import DeviatingRoutes, Endpoint, GatedRoute
from rollout.sandbox.envfile import masked
from rollout.sandbox.errors import Refusal, malformed, mistake
from rollout.sandbox.gateway import Gateway
from rollout.sandbox.metrics import CONTENT_TYPE, exposition, percentile
from rollout.sandbox.openapi import PATH, describe_routes
from rollout.sandbox.providers import PROVIDERS, Provider
from rollout.sandbox.routing import weights_in
from rollout.sandbox.state import LIMIT_DEFAULTS
from rollout.sandbox.wire import (
    ERRORS,
    Answer,
    flag,
    mapping,
    optional_text,
    positive,
    prompt_in,
    provider_in,
    rendered,
    text,
    user_of,
)

_RECORDED_KINDS = {"cost": "cost", "rate": "rate"}
_KINDS = {"per_provider": "cost", **_RECORDED_KINDS}

_RUNBOOKS = {
    "missing_api_key": ("/docs/runbooks/auth-failures.md", "warning"),
    "invalid_api_key": ("/docs/runbooks/auth-failures.md", "warning"),
    "connection_failed": ("/docs/runbooks/provider-offline.md", "critical"),
    "http_error": ("/docs/runbooks/provider-offline.md", "warning"),
}
_FALLBACK_POLICY = {"preferred_provider": "ollama", "fallback_order": ["ollama", "vllm", "openai", "google"]}
_HEALTHY, _DEGRADED = 80, 50
_MALUS = {"availability": 30, "latency": 25, "error": 25, "cost": 20}
_MIB = 1024 * 1024
_A_LIMIT = re.compile(r"[1-9][0-9]{0,5}")

Handler = Callable[[Request], Awaitable[Answer]]


def build_api(gateway: Gateway) -> Starlette:
    """Return the application that serves one gateway's API."""
    return Starlette(routes=Api(gateway, Completions(gateway)).routes(), exception_handlers=ERRORS)


@dataclass(frozen=True, slots=True)
class Api:
    """The calls of one gateway, one method each; a method returns the body of a 200, or raises Refusal."""

    _gateway: Gateway
    _completions: Completions

    def routes(self) -> list[Route]:
        """Return the routes."""
        get = partial(self._route, "GET")
        post = partial(self._route, "POST")
        return [
            self._health("/health", unless="healthz"),
            self._health("/healthz", only="healthz"),
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
            get("/api/v1/routing/weights", "routing", self._weights),
            self._route("PUT", "/api/v1/routing/weights", "routing", self._set_weights),
            get("/api/v1/admin/audit", "audit", self._audit),
            GatedRoute(self._gateway, "POST", "/api/v1/chat/completions", self._chat, unless="stream_chat"),
            Route("/metrics", self._exposition, methods=["GET"]),
            Route(PATH, self._document, methods=["GET"]),
            *DeviatingRoutes(self._gateway, self._completions).routes(),
        ]

    def _route(self, method: str, path: str, call: str, handler: Handler) -> Route:
        return Route(path, self._disturbed(call, handler), methods=[method])

    def _health(self, path: str, *, only: str = "", unless: str = "") -> Route:
        return GatedRoute(
            self._gateway, "GET", path, self._disturbed("health", self._service_health), only=only, unless=unless
        )

    def _disturbed(self, call: str, handler: Handler) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            # Read first: a caller that disconnects later must not stop an activation that it requested.
            await request.body()
            provider = request.path_params.get("provider")
            spoiled = await self._gateway.disturb(call, provider.casefold() if provider else None)
            return rendered(await handler(request), spoiled)

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
        seen = self._gateway.seen("config")
        return {
            "status": "success",
            "config": {key: masked(key, value) for key, value in seen.config.items()},
            "config_sources": dict(seen.sources),
        }

    async def _providers(self, _request: Request) -> Answer:
        connections = await asyncio.gather(*map(self._gateway.connections.poll, PROVIDERS.values()))
        active = self._gateway.reported_active
        listed = [
            _listed(provider, connection, is_active=provider.name == active)
            for provider, connection in zip(PROVIDERS.values(), connections, strict=True)
        ]
        return {"status": "success", "providers": listed, "active_provider": active, "count": len(listed)}

    async def _status(self, request: Request) -> Answer:
        provider = provider_in(request)
        connection = await self._gateway.connections.poll(provider)
        return {"status": "success", "provider": provider.name, "connection_status": asdict(connection)}

    async def _test_connection(self, request: Request) -> Answer:
        provider = provider_in(request)
        connection = await self._gateway.connections.poll(provider)
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
        provider = provider_in(request)
        connections = self._gateway.connections
        checks = _preflight_checks(provider, await connections.poll(provider), connections.credentials(provider))
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
        requested = optional_text(await mapping(request, optional=True), "model")
        provider = provider_in(request)
        model = self._gateway.activate(provider, requested, user_of(request.headers))
        return {
            "status": "success",
            "message": f"Provider {provider.name} activated successfully",
            "provider": provider.name,
            "model": model,
        }

    async def _metrics(self, request: Request) -> Answer:
        name = provider_in(request).name
        return {"status": "success", "provider": name, "metrics": self._gateway.metrics[name].as_answer(name)}

    async def _exposition(self, _request: Request) -> Response:
        return Response(exposition(self._gateway.metrics), media_type=CONTENT_TYPE)

    async def _document(self, _request: Request) -> Response:
        """Answer the OpenAPI document of the calls that exist now."""
        serves = self._gateway.settings.openapi
        if serves == "none":
            raise HTTPException(404)
        return rendered(describe_routes(self.routes(), self._limit_kinds), serves if serves == "garbage" else None)

    async def _provider_health(self, request: Request) -> Answer:
        provider = provider_in(request)
        metrics = self._gateway.metrics[provider.name]
        p99_ms, error_rate = percentile(metrics.latencies_ms, 99), metrics.error_rate
        breaches = slo_breaches(provider, error_rate, p99_ms, metrics.total_usd) if metrics.total else []
        score = 100.0 - sum(_MALUS[breach.partition("_")[0]] for breach in breaches) if metrics.total else 0.0
        level = provider.service_level
        return {
            "status": "success",
            "provider": provider.name,
            "health": {
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
            },
        }

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
        body = await mapping(request)
        limit_type, scope = text(body, "limit_type"), text(body, "scope")
        kind = self._limit_kind(limit_type)
        limit = self._gateway.set_limit(kind, scope, positive(body, LIMIT_DEFAULTS[kind]))
        name = scope.casefold().removeprefix("provider:")
        self._note(request, "update_limits", None if name == "global" else name, {"limit_type": limit_type, **limit})
        return {"status": "success", "message": "governance.messages.limitUpdated", "limit": limit}

    async def _governance(self, _request: Request) -> Answer:
        limits = self._gateway.seen("governance").limits
        return {
            "status": "success",
            "cost_limits": {scope: self._cost_limit(scope, limit) for scope, limit in limits["cost"].items()},
            "rate_limits": {
                scope: {**limit, **self._gateway.current_rate(scope)} for scope, limit in limits["rate"].items()
            },
            "recent_fallbacks": [],
            "fallback_policy": _FALLBACK_POLICY,
        }

    @property
    def _limit_kinds(self) -> Mapping[str, str]:
        return _RECORDED_KINDS if "limit_types_cost_rate" in self._gateway.deviations else _KINDS

    def _limit_kind(self, limit_type: str) -> str:
        kinds = self._limit_kinds
        if limit_type not in kinds:
            *others, last = (f"'{kind}'" for kind in kinds)
            raise Refusal(400, f"Invalid limit_type: {limit_type}. Use {', '.join(others)} or {last}")
        return kinds[limit_type]

    def _cost_limit(self, scope: str, limit: Mapping[str, float]) -> Answer:
        usage = round(self._gateway.usage_usd(scope), 6)
        return {
            **limit,
            "current_usage_usd": usage,
            "usage_percentage": round(100 * usage / limit["hard_limit_usd"], 2),
        }

    async def _weights(self, _request: Request) -> Answer:
        return _weighed(self._gateway.seen("routing").weights)

    async def _set_weights(self, request: Request) -> Answer:
        body = await mapping(request)
        if "weights" not in body:
            raise malformed(mistake("missing", ("body", "weights"), "Field required", body))
        self._gateway.route(weights_in(body["weights"]), user_of(request.headers))
        return _weighed(self._gateway.routing.weights)

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
        body = await mapping(request)
        prompt = prompt_in(body)
        if flag(body, "stream"):
            stream = await self._completions.stream(prompt)
            return StreamingResponse(as_chunks(stream, self._gateway.clock), media_type="text/event-stream")
        completion, spoiled = await self._completions.complete(prompt)
        # An empty completion is still a well-formed answer (deviation 10).
        return rendered(completion, None if spoiled == "empty" else spoiled)

    def _note(
        self, request: Request, action: str, provider: str | None, details: Answer, error: str | None = None
    ) -> None:
        self._gateway.note(user_of(request.headers), action, provider, details, error)


def _weighed(weights: Mapping[str, float]) -> Answer:
    return {"status": "success", "weights": dict(weights)}


def _listed(provider: Provider, connection: Connection, *, is_active: bool) -> Answer:
    return {
        "name": provider.name,
        "display_name": provider.name.capitalize(),
        "provider_type": provider.provider_type,
        "runtime": provider.name,
        "capabilities": dict(provider.can),
        "connection_status": asdict(connection),
        "is_active": is_active,
        "endpoint": provider.endpoint,
        "models": list(provider.models),
        "default_model": provider.default_model,
    }


def _preflight_checks(provider: Provider, connection: Connection, credentials: Answer) -> dict[str, Answer]:
    can_activate = provider.can["activate"]
    return {
        "connection": {
            "status": connection.status,
            "passed": connection.status == "connected",
            "message": connection.message,
            "reason_code": connection.reason_code,
        },
        "credentials": credentials,
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
