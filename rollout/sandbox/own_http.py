"""Requests of the embedded gateway's commands to its process: ``/sandbox/about`` and ``/sandbox/stop``.

The sandbox imports no client of the suite, so only this module sends HTTP requests outside `rollout.gateway`.
"""

from __future__ import annotations

import json
import urllib.request
from http.client import HTTPException
from typing import Any

_ANSWERS_WITHIN_S = 2.0
_LARGEST_ANSWER = 2 * 1024 * 1024

# Loopback must not go through a proxy that the environment names.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(url: str, method: str, path: str) -> dict[str, Any] | None:
    """Send one request without a body; return the answer's JSON object, None where there is none."""
    request = urllib.request.Request(f"{url}{path}", method=method)  # noqa: S310 - http, built by the suite
    try:
        with _DIRECT.open(request, timeout=_ANSWERS_WITHIN_S) as response:
            answer = json.loads(response.read(_LARGEST_ANSWER))
    except (OSError, HTTPException, ValueError):
        return None
    return answer if isinstance(answer, dict) else None
