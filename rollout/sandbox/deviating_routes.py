"""The calls of gateways that deviate; each exists only while its deviation is switched on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from rollout.sandbox.completions import Completions
from rollout.sandbox.errors import Refusal, malformed, mistake
from rollout.sandbox.gateway import Gateway
from rollout.sandbox.providers import PROVIDERS, Provider
from rollout.sandbox.state import described
from rollout.sandbox.wire import mapping, optional_text, rendered, text, user_of

Endpoint = Callable[[Request], Awaitable[Response]]

_NOT_ALLOWED = 405
_STEPS = ("process_stopped", "release_done", "cache_invalidated", "start_done", "health_ready", "config_saved")


class GatedRoute(Route):
    """A route of one method that exists only while deviation `only` is on, or while `unless` is off.

    Attributes:
        method: its method; others are answered with 405 while it exists.
    """

    def __init__(
        self,
        gateway: Gateway,
        method: str,
        path: str,
        endpoint: Endpoint,
        *,
        only: str = "",
        unless: str = "",
        status: int = 404,
        methods: tuple[str, ...] = ("GET", "POST", "OPTIONS"),
    ) -> None:
        """Answer `status` to each of `methods` while it does not exist."""
        self.method = method
        self._gateway, self._only, self._unless = gateway, only, unless

        async def gated(request: Request) -> Response:
            if not self.exists():
                raise HTTPException(status)
            if request.method != method:
                raise HTTPException(_NOT_ALLOWED)
            return await endpoint(request)

        super().__init__(path, gated, methods=methods)

    def exists(self) -> bool:
        """Return whether it exists, by the deviations that are on now."""
        deviations = self._gateway.deviations
        return (not self._only or self._only in deviations) and self._unless not in deviations


@dataclass(frozen=True, slots=True)
class DeviatingRoutes:
    """The calls of one gateway, one method each."""

    _gateway: Gateway
    _completions: Completions

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            GatedRoute(self._gateway, "POST", "/api/v1/llm/simple/stream", self._stream, only="stream_chat"),
            GatedRoute(
                self._gateway,
                "POST",
                "/api/v1/system/llm-servers/active",
                self._serve,
                only="local_activation_elsewhere",
            ),
            # The documented path exists for reads: another method is answered with 405.
            GatedRoute(
                self._gateway,
                "POST",
                "/api/v1/config/runtime",
                self._write_config,
                only="config_write_errors",
                status=_NOT_ALLOWED,
                methods=("POST",),
            ),
        ]

    async def _stream(self, request: Request) -> Response:
        """Answer a prompt in server-sent events; a failure is one of them, and the status is 200 (deviation 10)."""
        prompt = text(await mapping(request), "content")
        return StreamingResponse(self._events(prompt), media_type="text/event-stream")

    async def _events(self, prompt: str) -> AsyncIterator[str]:
        yield _event("start", {})
        try:
            stream = await self._completions.stream(prompt)
        except Refusal as refusal:
            yield _event("error", {"code": "llm_connection_error", "message": str(refusal.detail)})
            return
        async for token in stream.pieces:
            if stream.reply.spoiled == "garbage":
                # Cut off: an answer begins and does not end.
                yield 'event: content\ndata: {"te'
                return
            yield _event("content", {"text": f"{token.strip()} "})
        yield _event("done", {})

    async def _serve(self, request: Request) -> Response:
        """Activate a local runtime (deviation 13); faults of ``activate`` act on it."""
        body = await mapping(request)
        name, model = text(body, "server_name"), optional_text(body, "model")
        provider = PROVIDERS.get(name.casefold())
        if provider is None or provider.endpoint is None:
            raise Refusal(404, f"Unknown LLM server: {name}")
        spoiled = await self._gateway.disturb("activate", provider.name)
        previous = self._gateway.state.provider
        chosen = await self._gateway.switch_runtime(provider, model, user_of(request.headers))
        return rendered(_served(provider, chosen, previous), spoiled)

    async def _write_config(self, request: Request) -> Response:
        """Answer 200 and write nothing (deviation 9)."""
        updates = (await mapping(request)).get("updates")
        if not isinstance(updates, dict):
            raise malformed(mistake("dict_type", ("body", "updates"), "Input should be a valid dictionary", updates))
        return JSONResponse(
            {"status": "error", "message": "The configuration could not be written", "updated_keys": list(updates)}
        )


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def _served(provider: Provider, model: str, previous: str) -> dict[str, Any]:
    others = [other for other in PROVIDERS.values() if other.endpoint and other is not provider]
    return {
        "status": "success",
        "active_server": provider.name,
        "active_model": model,
        "config_hash": described(provider.name, model)["LLM_CONFIG_HASH"],
        "runtime_id": f"{provider.name}@{provider.endpoint}/v1",
        "requested_model_alias": None,
        "resolved_model_id": None,
        "resolution_reason": None,
        "start_result": {"ok": True, "exit_code": 0},
        "stop_results": {other.name: {"ok": True, "exit_code": 0} for other in others},
        "shutdown_results": {other.name: {"ok": True, "health_url": f"{other.endpoint}/models"} for other in others},
        "lifecycle_state": {
            "from_server": previous,
            "to_server": provider.name,
            "completed_steps": list(_STEPS),
            "failed_step": None,
            "error_message": None,
            "is_complete": True,
            "is_in_partial_state": False,
        },
    }
