"""The HTTP side of a call: the parts of a request, and bodies and errors as answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rollout.sandbox.errors import NotWritten, Refusal, malformed, mistake
from rollout.sandbox.gateway import UNKNOWN
from rollout.sandbox.providers import PROVIDERS, Provider
from rollout.sandbox.validation import is_number

BODY_KEYS = "sandbox.body_keys"
"""The key of a request's scope with the top-level keys of its body."""

Answer = dict[str, Any]


def user_of(headers: Mapping[str, str]) -> str:
    """Return the caller: ``X-Authenticated-User`` before ``X-User``, ``unknown`` without either (deviation 19)."""
    return headers.get("x-authenticated-user") or headers.get("x-user") or UNKNOWN


def provider_in(request: Request) -> Provider:
    """Return the provider in the path. Raises Refusal (404)."""
    name: str = request.path_params["provider"]
    found = PROVIDERS.get(name.casefold())
    if found is None:
        raise Refusal(404, f"Unknown provider: {name}")
    return found


async def mapping(request: Request, *, optional: bool = False) -> Answer:
    """Return the body as a mapping, and note its keys for the record. Raises Refusal (422)."""
    raw = await request.body()
    if optional and not raw:
        return {}
    try:
        body = json.loads(raw)
    except json.JSONDecodeError as error:
        raise malformed(
            mistake("json_invalid", ("body", error.pos), "JSON decode error", {}, error=error.msg)
        ) from None
    except UnicodeDecodeError:
        raise malformed(mistake("json_invalid", ("body", 0), "JSON decode error", {}, error="not UTF-8")) from None
    if not isinstance(body, dict):
        raise malformed(mistake("dict_type", ("body",), "Input should be a valid dictionary", body))
    request.scope[BODY_KEYS] = sorted(body)
    return body


def text(body: Answer, key: str) -> str:
    """Return a required text. Raises Refusal (422)."""
    value = optional_text(body, key)
    if value is None:
        raise malformed(mistake("missing", ("body", key), "Field required", body))
    return value


def optional_text(body: Answer, key: str) -> str | None:
    """Return a text, None where it is missing. Raises Refusal (422)."""
    value = body.get(key)
    if value is None or isinstance(value, str):
        return value
    raise malformed(mistake("string_type", ("body", key), "Input should be a valid string", value))


def flag(body: Answer, key: str) -> bool:
    """Return true or false, false where it is missing. Raises Refusal (422)."""
    value = body.get(key) or False
    if isinstance(value, bool):
        return value
    raise malformed(mistake("bool_type", ("body", key), "Input should be a valid boolean", value))


def positive(body: Answer, keys: Iterable[str]) -> dict[str, float]:
    """Return those of the keys that are given; each must be a number above 0. Raises Refusal (422)."""
    values = {key: body[key] for key in keys if body.get(key) is not None}
    mistakes = []
    for key, value in values.items():
        if not is_number(value):
            mistakes.append(mistake("float_type", ("body", key), "Input should be a valid number", value))
        elif value <= 0:
            mistakes.append(mistake("greater_than", ("body", key), "Input should be greater than 0", value, gt=0.0))
    if mistakes:
        raise malformed(*mistakes)
    return values


def prompt_in(body: Answer) -> str:
    """Return the last message's content. Raises Refusal (422)."""
    messages = body.get("messages")
    if messages is None:
        raise malformed(mistake("missing", ("body", "messages"), "Field required", body))
    if not isinstance(messages, list) or not messages:
        raise malformed(mistake("list_type", ("body", "messages"), "Input should be a non-empty list", messages))
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            raise malformed(
                mistake(
                    "string_type", ("body", "messages", index, "content"), "Input should be a valid string", message
                )
            )
    return str(messages[-1]["content"])


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
