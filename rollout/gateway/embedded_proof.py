"""Whether a gateway is the embedded one: it is, if it answers ``GET /sandbox/about`` in the embedded gateway's shape.

The sandbox policy demands next to nothing, so a URL on loopback is no proof: tunnels and real gateways are there too.
The proof is one GET without a token, without a proxy and without following redirects. It has an outer deadline, and at
most `CAP_BYTES` of the answer are read.
"""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from rollout.core.request import ABOUT, Request

KIND = "rollout-sandbox"
"""The `kind` in an embedded gateway's answer; equal to `rollout.sandbox.files.KIND`, which no client imports."""

WITHIN_S = 5.0
"""An embedded gateway answers within milliseconds, and within seconds on a busy machine."""

CAP_BYTES = 16 * 1024
_OK = 200
_TEXTS = ("instance", "url", "dir", "env_file", "log_file", "twin_url")
_FLAGS = ("token_required", "in_flight")
_COMMANDS = ("stop", "start")


@dataclass(frozen=True, slots=True)
class About:
    """What ``GET /sandbox/about`` of an embedded gateway answers.

    Attributes:
        staging_url: base URL of its staging gateway; the key in the answer is `twin_url`.
        env_file: its `.env` file, on this host.
        log_file: its log, likewise.
        stop: the command that stops it.
        start: the command that starts it again.
    """

    staging_url: str
    env_file: Path
    log_file: Path
    stop: tuple[str, ...]
    start: tuple[str, ...]


class Standing(Enum):
    """What the gateway's answer proves."""

    EMBEDDED = "it answers as the embedded gateway"
    OTHER = "it answers otherwise"
    SILENT = "it gives no answer"


@dataclass(frozen=True, slots=True)
class Proof:
    """The result of one request.

    Attributes:
        standing: whether the gateway is the embedded one.
        why: why it is not the embedded gateway, for a message; empty where it is.
        about: what the embedded gateway answers; None where it is another one.
    """

    standing: Standing
    why: str = ""
    about: About | None = None

    @property
    def is_embedded(self) -> bool:
        """Whether the gateway is the embedded one."""
        return self.standing is Standing.EMBEDDED


def prove_embedded(url: str, within_s: float = WITHIN_S) -> Proof:
    """Send one request to the gateway at the base URL `url`, and return what it is; nothing is raised.

    Args:
        url: the base URL.
        within_s: the outer deadline in seconds, name look-up and a slow body included.
    """
    proofs: list[Proof] = []
    # Not waited for beyond the deadline: urllib has a deadline for each read, and none for all of them.
    thread = threading.Thread(target=lambda: proofs.append(_request(url, within_s)), name="rollout-about", daemon=True)
    thread.start()
    thread.join(within_s)
    return proofs[0] if proofs else _too_late(within_s)


def _too_late(within_s: float) -> Proof:
    return Proof(Standing.SILENT, f"no complete answer within {within_s:g} s")


def _request(url: str, within_s: float) -> Proof:
    request = urllib.request.Request(url + ABOUT, headers={"Accept": "application/json"})  # noqa: S310 - a base URL: http(s)
    try:
        with _DIRECT.open(request, timeout=within_s) as response:
            kind, body = response.headers.get_content_type(), response.read(CAP_BYTES + 1)
            return _judged(response.status, kind, body)
    except HTTPError as error:
        with error:
            return Proof(Standing.OTHER, f"HTTP {error.code}")
    except (OSError, IncompleteRead) as error:
        cause = error.reason if isinstance(error, URLError) else error
        if isinstance(cause, TimeoutError):
            return _too_late(within_s)
        shown = type(cause).__name__ if isinstance(cause, HTTPException) else cause
        return Proof(Standing.SILENT, f"no answer: {shown}")
    except (HTTPException, ValueError):
        # Their texts quote the answer, which is not trusted.
        return Proof(Standing.OTHER, "its answer is no proper HTTP")


def _judged(status: int, kind: str, body: bytes) -> Proof:
    if status != _OK:
        return Proof(Standing.OTHER, f"HTTP {status}")
    if kind != "application/json":
        return Proof(Standing.OTHER, f"HTTP 200 with a body of another type than JSON ({kind[:40]!r})")
    if len(body) > CAP_BYTES:
        return Proof(Standing.OTHER, f"HTTP 200 with more than {CAP_BYTES} bytes")
    with suppress(ValueError, RecursionError):
        if about := _about(json.loads(body)):
            return Proof(Standing.EMBEDDED, about=about)
    return Proof(Standing.OTHER, "HTTP 200 with JSON of another shape")


def _about(found: Any) -> About | None:
    """Return the answer, typed; None where it has not the fixed shape."""
    if not isinstance(found, dict) or found.get("kind") != KIND or not _has_the_shape(found):
        return None
    return About(
        found["twin_url"],
        Path(found["env_file"]),
        Path(found["log_file"]),
        tuple(found["stop"]),
        tuple(found["start"]),
    )


def _has_the_shape(found: Mapping[str, Any]) -> bool:
    return (
        all(isinstance(found.get(key), str) and found[key] for key in _TEXTS)
        and all(isinstance(found.get(key), bool) for key in _FLAGS)
        and all(_is_command(found.get(key)) for key in _COMMANDS)
        and type(found.get("pid")) is int
    )


def _is_command(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(word, str) for word in value)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: what it leads to is not the gateway at the URL."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Return None, so that no second request is sent."""


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay())


def doubt(url: str | None) -> str:
    """Return why the gateway at `url` is not the embedded one, after one request to it; empty where it is."""
    return prove_embedded(url).why if url else ""


def doubt_request(request: Request) -> str:
    """Return why the gateway of a request's target is not the embedded one; empty where it is."""
    return doubt(request.target.url)
