"""Requests to the control interface of an embedded gateway, below ``/sandbox``; it takes no token and no proxy."""

from __future__ import annotations

import json
import urllib.request
from http.client import HTTPException
from typing import Any

from rollout.core.errors import RolloutError

ANSWERS_WITHIN_S = 2.0
LARGEST_ANSWER = 2 * 1024 * 1024
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def send(method: str, address: str, body: object = None) -> Any:
    """Send one request and return the answer's JSON.

    Args:
        method: the HTTP method.
        address: the complete URL.
        body: what to send as JSON; None sends no body.

    Raises:
        RolloutError: there is no such interface, or it refuses.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, method=method)  # noqa: S310 - http(s), as targets.yaml reads it
    try:
        with _DIRECT.open(request, timeout=ANSWERS_WITHIN_S) as response:
            return json.loads(response.read(LARGEST_ANSWER))
    except (OSError, HTTPException, ValueError, RecursionError) as error:
        raise RolloutError(f"{method} {address} was not accepted: {error}") from None
