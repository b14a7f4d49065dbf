"""Turns bodies and errors into HTTP answers."""

from __future__ import annotations

import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rollout.sandbox.errors import NotWritten, Refusal


def rendered(body: dict[str, Any], spoiled: str | None) -> Response:
    """Return the answer; `spoiled` is the `answer` of `Faults.effect`: ``empty``, ``garbage`` or None."""
    raw = json.dumps(body).encode()
    if spoiled == "garbage":
        raw = raw[: len(raw) // 2]
    return Response(b"" if spoiled == "empty" else raw, media_type="application/json")


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - Starlette calls it for the registered error only
    # Not JSONResponse: it raises for a NaN that the detail quotes.
    return Response(json.dumps({"detail": error.detail}), status_code=error.status, media_type="application/json")


def _not_written(_request: Request, error: Exception) -> Response:
    assert isinstance(error, NotWritten)  # noqa: S101 - Starlette calls it for the registered error only
    return JSONResponse({"status": "error", "message": error.detail})


def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette calls it for the registered error only
    return JSONResponse({"detail": error.detail}, status_code=error.status_code, headers=error.headers)


def _disk_error(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": f"The configuration cannot be written: {error}"}, status_code=500)


ERRORS = {NotWritten: _not_written, Refusal: _refused, HTTPException: _http_error, OSError: _disk_error}
"""Error -> its handler: ``{"detail": …}`` for all, except a failed write that is answered with 200."""
