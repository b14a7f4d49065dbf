"""The process: two gateways (production and staging) behind one socket on the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rollout.core.clock import SystemClock, format_utc
from rollout.sandbox.api import build_api
from rollout.sandbox.completions import Completions
from rollout.sandbox.control import GatewayControl, Requests, process_routes
from rollout.sandbox.deviations import NOT_IN_STAGING
from rollout.sandbox.files import KIND, RECORD, SETTINGS, write_private
from rollout.sandbox.gateway import Gateway
from rollout.sandbox.process import remembered, service_command
from rollout.sandbox.settings import SandboxSettings, Timing
from rollout.sandbox.state import SandboxFailed
from rollout.sandbox.traffic import Users
from rollout.sandbox.wire import BODY_KEYS, ERRORS

HOST = "127.0.0.1"
STAGING = "twin"
"""The route and the folder of the staging gateway; rollouts of older versions name them, so they stay."""
_OPEN_PATHS = ("/health", "/healthz")
_LIMITED_EVERY = 3
_TOO_MANY = {
    "error": "rate_limit_exceeded",
    "message": "Rate limit exceeded for default. Please retry after 0 seconds.",
    "retry_after_seconds": 0,
}
_STARTING = {"detail": "The service is starting"}
_SHUTDOWN_TIMEOUT_S = 1


@dataclass(frozen=True, slots=True)
class Options:
    """How the process runs.

    Attributes:
        directory: the folder with everything that survives a restart.
        port: 0 takes a free one.
        settings: how the gateways behave.
        idle_s: the process ends itself after so many seconds without an API request, unless a change is in flight;
            None never does.
        token: the bearer token that the API requires; None requires none.
        token_env: the environment variable that it was read from, for the next start.
        instance: the id of this process; it is compared before the process is stopped.
    """

    directory: Path
    port: int = 0
    settings: SandboxSettings = field(default_factory=SandboxSettings)
    idle_s: float | None = None
    token: str | None = None
    token_env: str | None = None
    instance: str = ""


def serve(options: Options, announce: Callable[[dict[str, Any]], None]) -> None:
    """Run until stopped; `announce` is called with the answer of ``/sandbox/about``.

    Raises SandboxFailed where the port is taken or a file of the state is invalid.
    """
    with _listen(options.port) as listener:
        sandbox = Sandbox(options, f"http://{HOST}:{listener.getsockname()[1]}")
        sandbox.record()
        announce(sandbox.about())
        asyncio.run(sandbox.run(listener))


class Sandbox:
    """Everything in the process, wired."""

    def __init__(self, options: Options, url: str) -> None:
        """Load the state of both gateways. Raises SandboxFailed."""
        self._options = options
        self._url = url
        self._clock = SystemClock()
        self._instance = options.instance or uuid.uuid4().hex
        # A restart during a change must keep the mark that a change is in flight.
        self._in_flight = remembered(options.directory).in_flight
        self._last_request = self._clock.monotonic()
        settings = options.settings
        shared = tuple(name for name in settings.deviations if name not in NOT_IN_STAGING)
        staging = replace(settings, faults=(), users_per_s=0.0, deviations=shared, **asdict(Timing()))
        self._gateway = Gateway(options.directory, settings, self._clock)
        self._staging = Gateway(options.directory / STAGING, staging, self._clock)
        self._requests: list[Requests] = []
        self._users = Users(self._gateway, Completions(self._gateway), settings.users_per_s, settings.seed)
        self._staging_users = Users(self._staging, Completions(self._staging), 0.0, settings.seed)
        # Standard error is left to uvicorn's own errors.
        self._server = _Server(
            uvicorn.Config(
                self._build(), log_config=None, access_log=False, timeout_graceful_shutdown=_SHUTDOWN_TIMEOUT_S
            )
        )

    def about(self) -> dict[str, Any]:
        """Return the answer of ``/sandbox/about``."""
        return {
            "kind": KIND,
            "instance": self._instance,
            "pid": os.getpid(),
            "url": self._url,
            "dir": str(self._options.directory),
            "env_file": str(self._gateway.state.env_file),
            "log_file": str(self._gateway.log_file),
            "twin_url": f"{self._url}/{STAGING}",
            "token_required": self._options.token is not None,
            "in_flight": self._in_flight,
            "stop": service_command("stop", self._options.directory),
            "start": service_command("start", self._options.directory),
        }

    def record(self) -> None:
        """Write address and options of the process to its directory, for clients and for the next start."""
        options = self._options
        content = {
            "url": self._url,
            "pid": os.getpid(),
            "instance": self._instance,
            "idle_s": options.idle_s,
            "token_env": options.token_env,
            "in_flight": self._in_flight,
        }
        write_private(options.directory / SETTINGS, json.dumps(asdict(options.settings), indent=1).encode())
        write_private(options.directory / RECORD, json.dumps(content).encode())

    async def run(self, listener: socket.socket) -> None:
        """Serve until a signal, the control interface or the idle time ends the process."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop)
        await self._server.serve([listener])
        for gateway in (self._gateway, self._staging):
            gateway.keep()
        for requests in self._requests:
            requests.keep()

    @contextlib.asynccontextmanager
    async def _background(self, _app: Starlette) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(job) for job in (self._users.run(), self._staging_users.run(), self._end_when_idle())
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _end_when_idle(self) -> None:
        idle_s = self._options.idle_s
        if idle_s is None:
            return
        while self._in_flight or self._clock.monotonic() - self._last_request < idle_s:  # noqa: ASYNC110 - time passes without an event
            await asyncio.sleep(min(1.0, idle_s / 10))
        self._gateway.log.write("INFO", "server:idle", f"ends after {idle_s:g} s without a request")
        self._stop()

    def _stop(self) -> None:
        self._server.should_exit = True

    def _set_in_flight(self, in_flight: bool) -> None:
        self._in_flight = in_flight
        self.record()
        self._touch()

    def _touch(self) -> None:
        self._last_request = self._clock.monotonic()

    def _build(self) -> Starlette:
        process = process_routes(self.about, self._set_in_flight, self._stop)
        return Starlette(
            routes=[
                *self._gateway_routes(self._staging, self._staging_users, [], prefix=f"/{STAGING}"),
                *self._gateway_routes(self._gateway, self._users, process, prefix=""),
            ],
            lifespan=self._background,
        )

    def _gateway_routes(self, gateway: Gateway, users: Users, more: list[Route], prefix: str) -> list[BaseRoute]:
        requests = Requests(gateway.log_file.with_name("requests.json"))
        self._requests.append(requests)
        control = [*GatewayControl(gateway, users, requests).routes(), *more]
        return [
            Mount(f"{prefix}/sandbox", Starlette(routes=control, exception_handlers=ERRORS)),
            Mount(prefix, Recorded(build_api(gateway), gateway, requests, self._touch, self._options.token)),
        ]


@dataclass(slots=True)
class Recorded:
    """An API that requires the token, remembers each request, writes the access log, and may answer 429 or 503.

    `_touch` is called at each request.
    """

    _app: ASGIApp
    _gateway: Gateway
    _requests: Requests
    _touch: Callable[[], None]
    _token: str | None
    _limited_after: int = _LIMITED_EVERY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        headers = Headers(scope=scope)
        shown = path + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
        record = self._requests.note(format_utc(self._gateway.clock.now()), scope["method"], shown, headers)
        self._touch()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                record["status"] = message["status"]
                record["body_keys"] = scope.get(BODY_KEYS, [])
                client = "{}:{}".format(*(scope.get("client") or ("-", 0)))
                self._gateway.log.access(client, scope["method"], shown, message["status"])
            await send(message)

        await self._answering(path, headers)(scope, receive, noting)
        self._touch()

    def _answering(self, path: str, headers: Headers) -> ASGIApp:
        if self._gateway.is_starting:
            return JSONResponse(_STARTING, status_code=503)
        if self._is_limited():
            return JSONResponse(_TOO_MANY, status_code=429, headers={"Retry-After": "0"})
        return self._admitted(path, headers)

    def _is_limited(self) -> bool:
        """Return whether the rate limit refuses this request, every third one (deviation 18)."""
        if "rate_limited" not in self._gateway.deviations:
            return False
        self._limited_after = (self._limited_after or _LIMITED_EVERY) - 1
        return not self._limited_after

    def _admitted(self, path: str, headers: Headers) -> ASGIApp:
        if self._token is None or path in _OPEN_PATHS:
            return self._app
        given = headers.get("authorization", "").encode()
        if hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            return self._app
        detail = "Invalid bearer token" if given else "Not authenticated: a bearer token is required"
        return JSONResponse({"detail": detail}, status_code=401, headers={"WWW-Authenticate": "Bearer"})


class _Server(uvicorn.Server):
    """A server that leaves signals to the sandbox: uvicorn would raise them again after a clean end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture nothing."""
        yield


def _listen(port: int) -> socket.socket:
    # With the protocol TCP, because asyncio leaves Nagle's delay on without it: 40 ms a call on loopback.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # A restart on the same port must not wait for the end of old connections.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        # At once: before it listens, another socket could still take the port.
        listener.listen()
    except OSError as error:
        listener.close()
        raise SandboxFailed(
            f"port {port} cannot be used on {HOST} ({error.strerror or error}). "
            "Stop what listens there, or choose another --port."
        ) from error
    return listener
