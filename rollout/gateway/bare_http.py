"""One HTTP request with the standard library alone: loading httpx takes two fifths of an emergency's half second."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

LARGEST_ANSWER = 1_000_000


class NoAnswer(OSError):
    """What the gateway sent is no HTTP answer, or an incomplete one."""


def exchange(
    target: Mapping[str, Any], token: str, method: str, path: str, body: object, within_s: float
) -> tuple[int, bytes]:
    """Send one request and return status and body; no proxy, no redirect.

    Args:
        target: the target as the journal keeps it: its `url`, and its `user` and `tls` where it names them.
        token: the bearer token; an empty one is not sent.
        method: the HTTP method.
        path: the path below the target's URL.
        body: what to send as JSON; None sends no body.
        within_s: how many seconds connecting and each read may take.

    Raises:
        OSError: there is no answer.
        ValueError: the request cannot be written.
    """
    parts = urlsplit(target["url"])
    connection = _connection(target, parts.hostname or "", parts.port, parts.scheme, within_s)
    headers = {"User-Agent": "rollout", "X-User": target.get("user", "rollout"), "Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        content = None if body is None else json.dumps(body).encode()
        connection.request(method, parts.path + path, content, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(LARGEST_ANSWER)
    except HTTPException as problem:
        raise NoAnswer(str(problem) or type(problem).__name__) from None
    finally:
        connection.close()


def _connection(target: Mapping[str, Any], host: str, port: int | None, scheme: str, within_s: float) -> HTTPConnection:
    if scheme == "http":
        return HTTPConnection(host, port, timeout=within_s)
    import ssl  # noqa: PLC0415 - only https needs it

    tls = target.get("tls", {})
    context = ssl.create_default_context(cafile=tls.get("ca_file"))
    if tls.get("client_cert"):
        context.load_cert_chain(tls["client_cert"], tls.get("client_key"))
    return HTTPSConnection(host, port, timeout=within_s, context=context)
