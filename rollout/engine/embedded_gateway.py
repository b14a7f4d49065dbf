"""The embedded gateway in a rollout: started on demand, recognised, and kept running while a change is in flight."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rollout.config.urls import is_loopback
from rollout.core.errors import RolloutError
from rollout.core.target import Routing, Service, Target
from rollout.gateway import embedded_control, embedded_proof
from rollout.sandbox.files import RECORD
from rollout.sandbox.process import Running, find, start
from rollout.sandbox.settings import SandboxSettings

IDLE_S = 600.0
"""The gateway ends after so many seconds without a request of the suite, unless a change is in flight."""


def reach(folder: Path, settings: Mapping[str, Any], token_env: str | None) -> Running:
    """Return the rollout's own gateway: the running one, or one started on the port and state it had before.

    Raises:
        SandboxFailed: it does not start.
    """
    return find(folder) or start(
        folder,
        port=_last_port(folder),
        settings=SandboxSettings.from_mapping(settings),
        idle_s=IDLE_S,
        token_env=token_env,
    )


def described(target: Target) -> Target:
    """Return the target with what an embedded gateway reports of itself; any other target is returned as it is.

    Only a gateway on loopback is asked: a real gateway must not get this request.
    """
    found = embedded_proof.prove_embedded(target.url).about if target.url and is_loopback(target.url) else None
    if found is None:
        return target
    return replace(
        target,
        staging=target.staging or found.staging_url,
        env_file=target.env_file or found.env_file,
        log_file=target.log_file or (None if target.log_command else found.log_file),
        routing=target.routing or Routing(),
        service=target.service or Service(stop=found.stop, start=found.start),
    )


def hold(running: Running, *, in_flight: bool) -> None:
    """Keep the gateway running while a change is in flight, or let it end when idle."""
    # A gateway that does not answer has ended.
    with suppress(RolloutError):
        embedded_control.send("PUT", f"{running.url}/sandbox/in-flight", {"in_flight": in_flight})


def control(url: str, part: str, body: object = None, *, method: str, anywhere: bool = False) -> Any:
    """Set or read a part of a gateway's control interface (``faults``, ``alerts``, ``traffic``); return its answer.

    Args:
        url: the gateway's base URL.
        part: the path below ``/sandbox``.
        body: what to set; None sends no body.
        method: the HTTP method.
        anywhere: whether a gateway that is not on loopback is allowed.

    Raises:
        RolloutError: the gateway has no such interface, refuses, or is not on loopback although `anywhere` is false.
    """
    address = f"{url}/sandbox/{part}"
    if not (anywhere or is_loopback(url)):
        raise RolloutError(f"{address} is not on loopback, where an embedded gateway is")
    return embedded_control.send(method, address, body)


def _last_port(folder: Path) -> int:
    try:
        url = json.loads((folder / RECORD).read_bytes())["url"]
    except (OSError, ValueError, KeyError):
        return 0
    return urlsplit(str(url)).port or 0
