"""The control interface beside the gateway's API: faults, timing, traffic, state and the process."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rollout.sandbox.alerts import SEVERITIES, Finding
from rollout.sandbox.deviating_routes import Endpoint
from rollout.sandbox.deviations import read_deviations
from rollout.sandbox.errors import Refusal
from rollout.sandbox.fault_settings import read_faults
from rollout.sandbox.files import write_private
from rollout.sandbox.gateway import Gateway
from rollout.sandbox.providers import PROVIDERS
from rollout.sandbox.settings import read_timing
from rollout.sandbox.traffic import Users
from rollout.sandbox.validation import Problems, Reader, describe_problems
from rollout.sandbox.wire import user_of

T = TypeVar("T")

_BY_HAND = "raised through the control interface"
REMEMBERED = 5000
"""The most requests that are remembered."""


class Requests:
    """The API requests that a gateway received, without those of background users and of this interface.

    They are written to a file when the process ends in order, so that a restart during a change loses none.
    """

    def __init__(self, file: Path) -> None:
        """Start with the requests in the file, none where it cannot be read."""
        self._file = file
        try:
            kept = json.loads(file.read_bytes())
        except (OSError, ValueError):
            kept = []
        self._requests: deque[dict[str, Any]] = deque(kept, maxlen=REMEMBERED)

    def keep(self) -> None:
        """Write the requests to the file for the next start. Raises OSError."""
        write_private(self._file, json.dumps(list(self._requests)).encode())

    def note(self, at: str, method: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Note a request when it arrives and return its record; `status` is null until it is answered."""
        record: dict[str, Any] = {
            "at": at,
            "method": method,
            "path": path,
            "user": user_of(headers),
            "status": None,
            "body_keys": [],
        }
        self._requests.append(record)
        return record

    def all(self) -> list[dict[str, Any]]:
        """Return the records, oldest first."""
        return list(self._requests)


@dataclass(frozen=True, slots=True)
class GatewayControl:
    """The routes that control one gateway."""

    gateway: Gateway
    users: Users
    requests: Requests

    def routes(self) -> list[Route]:
        """Return the routes, to be mounted under ``/sandbox``."""
        return [
            *_setting("/faults", self._faults, read_faults, self.gateway.faults.replace),
            *_setting("/deviations", lambda: list(self.gateway.deviations), read_deviations, self.gateway.switch),
            *_setting("/traffic", lambda: {"users_per_s": self.users.per_s}, _read_rate, self.users.set_rate),
            *_setting("/timing", lambda: asdict(self.gateway.timing), read_timing, self.gateway.set_timing),
            Route("/faults", self._clear_faults, methods=["DELETE"]),
            Route("/alerts", self._raise_alert, methods=["POST"]),
            Route("/alerts/{alert_type}", self._clear_alerts, methods=["DELETE"]),
            Route("/requests", _show(self.requests.all), methods=["GET"]),
            Route("/state", _show(self.gateway.true_state), methods=["GET"]),
        ]

    def _faults(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self.gateway.faults.faults]

    async def _clear_faults(self, _request: Request) -> Response:
        self.gateway.faults.replace(())
        return JSONResponse(self._faults())

    async def _raise_alert(self, request: Request) -> Response:
        finding = await _read_body(request, _read_finding)
        return JSONResponse({"fired": self.gateway.alerts.fire(finding)})

    async def _clear_alerts(self, request: Request) -> Response:
        return JSONResponse({"cleared": self.gateway.alerts.clear(request.path_params["alert_type"])})


def process_routes(
    about: Callable[[], dict[str, Any]], set_in_flight: Callable[[bool], None], stop: Callable[[], None]
) -> list[Route]:
    """Return the routes that control the process by its own functions, to be mounted under ``/sandbox``."""

    async def put_in_flight(request: Request) -> Response:
        in_flight = await _read_body(request, _read_in_flight)
        set_in_flight(in_flight)
        return JSONResponse({"in_flight": in_flight})

    async def post_stop(_request: Request) -> Response:
        stop()
        return JSONResponse({"stopping": True})

    return [
        Route("/about", _show(about), methods=["GET"]),
        Route("/in-flight", put_in_flight, methods=["PUT"]),
        Route("/stop", post_stop, methods=["POST"]),
    ]


def _setting(
    path: str, content: Callable[[], Any], read: Callable[[Any, Problems], T], apply: Callable[[T], None]
) -> list[Route]:
    """Return the routes of a setting: GET answers its content, PUT applies what is read in the body, and answers it."""

    async def put(request: Request) -> Response:
        apply(await _read_body(request, read))
        return JSONResponse(content())

    return [Route(path, _show(content), methods=["GET"]), Route(path, put, methods=["PUT"])]


def _show(content: Callable[[], Any]) -> Endpoint:
    """Return the endpoint that answers with what `content` returns."""

    async def endpoint(_request: Request) -> Response:
        return JSONResponse(content())

    return endpoint


def _read_rate(raw: object, problems: Problems) -> float:
    read = Reader(raw, "", problems, ["users_per_s"])
    read.require("users_per_s", "is missing; give requests per second")
    return read.number("users_per_s", 0.0, at_most=1000)


def _read_in_flight(raw: object, problems: Problems) -> bool:
    read = Reader(raw, "", problems, ["in_flight"])
    read.require("in_flight", "is missing; give true or false")
    return read.flag("in_flight")


def _read_finding(raw: object, problems: Problems) -> Finding:
    read = Reader(raw, "", problems, ("severity", "alert_type", "provider", "message"))
    read.require("severity", "is missing")
    read.require("alert_type", "is missing")
    return Finding(
        severity=read.choice("severity", None, SEVERITIES) or "",
        alert_type=str(read.raw("alert_type", "")),
        provider=read.choice("provider", None, PROVIDERS),
        message=str(read.raw("message", _BY_HAND)),
        details=_BY_HAND,
    )


async def _read_body(request: Request, read: Callable[[Any, Problems], T]) -> T:
    """Return what `read` finds in the JSON of the body. Raises Refusal (422)."""
    try:
        raw = json.loads(await request.body())
    except ValueError as error:
        raise Refusal(422, f"The body is no JSON: {error}") from None
    problems: Problems = []
    found = read(raw, problems)
    if problems:
        raise Refusal(422, describe_problems(problems))
    return found
