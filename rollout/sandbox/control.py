"""The control interface beside the gateway's API: faults, timing, traffic, state and the process."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rollout.sandbox.alerts import SEVERITIES, Finding
from rollout.sandbox.deviations import read_deviations
from rollout.sandbox.errors import Refusal
from rollout.sandbox.faults import read_faults
from rollout.sandbox.files import write_private
from rollout.sandbox.gateway import Gateway
from rollout.sandbox.providers import PROVIDERS
from rollout.sandbox.request_parsing import user_of
from rollout.sandbox.timing import timing_in
from rollout.sandbox.traffic import Users
from rollout.sandbox.validation import Problems, Reader

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
        record: dict[str, Any] = {"at": at, "method": method, "path": path, "user": user_of(headers)}
        record |= {"status": None, "body_keys": []}
        self._requests.append(record)
        return record

    def all(self) -> list[dict[str, Any]]:
        """Return the records, oldest first."""
        return list(self._requests)


class GatewayControl:
    """The routes that control one gateway."""

    def __init__(self, gateway: Gateway, users: Users, requests: Requests) -> None:
        """Control this gateway."""
        self._gateway = gateway
        self._users = users
        self._requests = requests

    def routes(self) -> list[Route]:
        """Return the routes, to be mounted under ``/sandbox``."""
        return [
            Route("/faults", self._get_faults, methods=["GET"]),
            Route("/faults", self._set_faults, methods=["PUT"]),
            Route("/faults", self._clear_faults, methods=["DELETE"]),
            Route("/deviations", self._get_deviations, methods=["GET"]),
            Route("/deviations", self._set_deviations, methods=["PUT"]),
            Route("/traffic", self._get_traffic, methods=["GET"]),
            Route("/traffic", self._set_traffic, methods=["PUT"]),
            Route("/alerts", self._raise_alert, methods=["POST"]),
            Route("/alerts/{alert_type}", self._clear_alerts, methods=["DELETE"]),
            Route("/requests", self._get_requests, methods=["GET"]),
            Route("/timing", self._get_timing, methods=["GET"]),
            Route("/timing", self._set_timing, methods=["PUT"]),
            Route("/state", self._get_state, methods=["GET"]),
        ]

    async def _get_faults(self, _request: Request) -> Response:
        return JSONResponse([fault.to_mapping() for fault in self._gateway.faults.faults])

    async def _set_faults(self, request: Request) -> Response:
        problems: Problems = []
        faults = read_faults(await _body(request), "faults", problems)
        _refuse(problems)
        self._gateway.faults.replace(faults)
        return await self._get_faults(request)

    async def _clear_faults(self, request: Request) -> Response:
        self._gateway.faults.replace(())
        return await self._get_faults(request)

    async def _get_deviations(self, _request: Request) -> Response:
        return JSONResponse(list(self._gateway.deviations))

    async def _set_deviations(self, request: Request) -> Response:
        problems: Problems = []
        names = read_deviations(await _body(request), "deviations", problems)
        _refuse(problems)
        self._gateway.switch(names)
        return await self._get_deviations(request)

    async def _get_traffic(self, _request: Request) -> Response:
        return JSONResponse({"users_per_s": self._users.per_s})

    async def _set_traffic(self, request: Request) -> Response:
        problems: Problems = []
        read = Reader(await _body(request), "", problems, ["users_per_s"])
        if read.raw("users_per_s") is None:
            read.problem("users_per_s", "is missing; give requests per second")
        per_s = read.number("users_per_s", 0.0, at_most=1000)
        _refuse(problems)
        self._users.set_rate(per_s)
        return await self._get_traffic(request)

    async def _raise_alert(self, request: Request) -> Response:
        problems: Problems = []
        finding = _read_finding(await _body(request), problems)
        _refuse(problems)
        return JSONResponse({"fired": self._gateway.alerts.fire(finding)})

    async def _clear_alerts(self, request: Request) -> Response:
        return JSONResponse({"cleared": self._gateway.alerts.clear(request.path_params["alert_type"])})

    async def _get_requests(self, _request: Request) -> Response:
        return JSONResponse(self._requests.all())

    async def _get_timing(self, _request: Request) -> Response:
        return JSONResponse(self._gateway.timing.to_mapping())

    async def _set_timing(self, request: Request) -> Response:
        problems: Problems = []
        timing = timing_in(await _body(request), problems)
        _refuse(problems)
        self._gateway.set_timing(timing)
        return await self._get_timing(request)

    async def _get_state(self, _request: Request) -> Response:
        return JSONResponse(self._gateway.true_state())


class ProcessControl:
    """The routes that control the process."""

    def __init__(
        self, about: Callable[[], dict[str, Any]], set_in_flight: Callable[[bool], None], stop: Callable[[], None]
    ) -> None:
        """Control the process by its own functions."""
        self._about = about
        self._in_flight = set_in_flight
        self._stop = stop

    def routes(self) -> list[Route]:
        """Return the routes, to be mounted under ``/sandbox``."""
        return [
            Route("/about", self._get_about, methods=["GET"]),
            Route("/in-flight", self._set_in_flight, methods=["PUT"]),
            Route("/stop", self._post_stop, methods=["POST"]),
        ]

    async def _get_about(self, _request: Request) -> Response:
        return JSONResponse(self._about())

    async def _set_in_flight(self, request: Request) -> Response:
        problems: Problems = []
        read = Reader(await _body(request), "", problems, ["in_flight"])
        in_flight = read.flag("in_flight")
        if read.raw("in_flight") is None:
            read.problem("in_flight", "is missing; give true or false")
        _refuse(problems)
        self._in_flight(in_flight)
        return JSONResponse({"in_flight": in_flight})

    async def _post_stop(self, _request: Request) -> Response:
        self._stop()
        return JSONResponse({"stopping": True})


def _read_finding(raw: object, problems: Problems) -> Finding:
    read = Reader(raw, "", problems, ("severity", "alert_type", "provider", "message"))
    for key in ("severity", "alert_type"):
        if read.raw(key) is None:
            read.problem(key, "is missing")
    return Finding(
        severity=read.choice("severity", None, SEVERITIES) or "",
        alert_type=str(read.raw("alert_type", "")),
        provider=read.choice("provider", None, PROVIDERS),
        message=str(read.raw("message", _BY_HAND)),
        details=_BY_HAND,
    )


async def _body(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError as error:
        raise Refusal(422, f"The body is no JSON: {error}") from None


def _refuse(problems: Problems) -> None:
    if problems:
        raise Refusal(422, "; ".join(f"{path}: {message}" if path else message for path, message in problems))
