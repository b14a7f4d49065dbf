"""How bodies and errors become HTTP answers."""

from __future__ import annotations

import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rollout.sandbox.errors import NotWritten, Refusal


def rendered(body: dict[str, Any], spoiled: str | None) -> Response:
    """Return the answer, spoiled by a fault as `Faults.effect` says."""
    raw = json.dumps(body).encode()
    if spoiled == "garbage":
        raw = raw[: len(raw) // 2]
    return Response(b"" if spoiled == "empty" else raw, media_type="application/json")


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - Starlette hands on what it was registered for
    # Not JSONResponse: it would trip over a NaN that the detail quotes.
    return Response(json.dumps({"detail": error.detail}), status_code=error.status, media_type="application/json")


def _not_written(_request: Request, error: Exception) -> Response:
    assert isinstance(error, NotWritten)  # noqa: S101 - Starlette hands on what it was registered for
    return JSONResponse({"status": "error", "message": error.detail})


def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette hands on what it was registered for
    return JSONResponse({"detail": error.detail}, status_code=error.status_code, headers=error.headers)


def _disk_error(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": f"The configuration cannot be written: {error}"}, status_code=500)


ERRORS = {NotWritten: _not_written, Refusal: _refused, HTTPException: _http_error, OSError: _disk_error}
"""How errors are answered: ``{"detail": …}`` throughout, but for a 200 that is none."""
