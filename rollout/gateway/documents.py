"""The JSON document of an answer, or the reason why there is none, in one line."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json

from rollout.core.units import truncate
from rollout.gateway.transport import Answer

EVENTS = "text/event-stream"
FAILED = {"error", "failed", "failure"}
_SHOWN_PROBLEMS = 3
_SHOWN_CHARACTERS = 60

S = TypeVar("S")

adapter_of: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)
"""What reads a shape or a response; it is built once."""


class InvalidResponse(Exception):
    """An answer that cannot be relied on; the message is the reason, not redacted yet."""


def read_shape(answer: Answer, shape: type[S], failed: set[str] = FAILED) -> S:
    """Return the answer as the documented shape.

    Raises:
        InvalidResponse: the answer is of another shape, or its `status` is one of `failed`.
    """
    refuse_failure(read_document(answer), failed)
    try:
        found: S = adapter_of(shape).validate_json(answer.body, strict=True)
    except ValidationError as problem:
        raise InvalidResponse(describe_mismatch(problem.errors(include_url=False))) from None
    return found


def read_document(answer: Answer) -> dict[str, Any]:
    """Return the body as a JSON object.

    Raises:
        InvalidResponse: the body is no JSON object.
    """
    size = describe_size(answer)
    if not answer.body.strip():
        raise InvalidResponse(f"the answer is empty ({answer.status}, {size}); is this the gateway's base URL?")
    if media_type(answer) == EVENTS:
        raise InvalidResponse(
            f"the answer is a stream of events ({size}), not one JSON object; is the path the right one?"
        )
    decode_text(answer)
    return parse_object(answer.body, size)


def media_type(answer: Answer) -> str:
    """Return the media type that the answer's header names."""
    return answer.headers.get("content-type", "no content type").partition(";")[0].strip().casefold()


def describe_size(answer: Answer) -> str:
    """Return the media type and the size of the body, for a message."""
    return f"{media_type(answer)}, {len(answer.body)} bytes"


def decode_text(answer: Answer) -> str:
    """Return the body as text.

    Raises:
        InvalidResponse: the body is not UTF-8.
    """
    try:
        return answer.body.decode()
    except UnicodeDecodeError as problem:
        raise InvalidResponse(
            f"the answer is not UTF-8 ({describe_size(answer)}, from byte {problem.start} on)"
        ) from None


def parse_object(body: bytes, size: str) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        InvalidResponse: the body is no object, is cut off or is no JSON; the message names its `size`.
    """
    try:
        document = from_json(body, allow_inf_nan=False)
    except ValueError as problem:
        if str(problem).startswith("EOF"):
            raise InvalidResponse(f"the answer's JSON is cut off ({size}); did the gateway break off?") from None
        if body.lstrip()[:1] in {b"{", b"["}:
            raise InvalidResponse(f"the answer is not valid JSON ({size}: {problem})") from None
        begins = _shortened(body.decode())
        raise InvalidResponse(
            f'the answer is not JSON ({size}, begins "{begins}"); is this the gateway\'s base URL?'
        ) from None
    if not isinstance(document, dict):
        raise InvalidResponse(f"the answer is a JSON {type(document).__name__}, not an object ({size})")
    return document


def refuse_failure(document: dict[str, Any], failed: set[str]) -> None:
    """Refuse an answer whose `status` is one of `failed`, whatever its HTTP status (deviation 9).

    Raises:
        InvalidResponse: the `status` is one of them.
    """
    status = document.get("status")
    if isinstance(status, str) and status.casefold() in failed:
        raise InvalidResponse(
            f'answered 200, but with status "{status}": {describe_error(document) or "no reason given"}'
        )


def describe_error(document: Any) -> str:
    """Return the error message in the gateway's answer, in one line; empty where there is none."""
    match document:
        case str():
            return _shortened(document, 300)
        case list():
            return "; ".join(filter(None, map(_describe_complaint, document[:_SHOWN_PROBLEMS])))
        case dict():
            return next(filter(None, (describe_error(document.get(key)) for key in ("detail", "message", "error"))), "")
    return ""


def _describe_complaint(detail: Any) -> str:
    """Read one entry of FastAPI's list of validation errors."""
    if not isinstance(detail, dict):
        return describe_error(detail)
    where = ".".join(str(part) for part in detail.get("loc", ()) if part != "body")
    return ": ".join(filter(None, (where, _shortened(str(detail.get("msg", ""))))))


def describe_mismatch(problems: list[ErrorDetails]) -> str:
    """Return how the answer differs from the documented shape."""
    shown = [_describe_problem(problem) for problem in problems[:_SHOWN_PROBLEMS]]
    more = len(problems) - len(shown)
    return (
        f"the answer is not of the documented shape: {'; '.join(shown)}{f'; and {more} more' if more else ''}. "
        "Is this gateway's API the one in docs/GATEWAY_API.md?"
    )


def _describe_problem(problem: ErrorDetails) -> str:
    where = ".".join(str(part) for part in problem["loc"]) or "the answer"
    if problem["type"] == "missing":
        return f"{where} is missing"
    message = problem["msg"][:1].lower() + problem["msg"][1:]
    found = problem["input"]
    if isinstance(found, (dict, list)):
        return f"{where}: {message}, not {'an object' if isinstance(found, dict) else 'a list'}"
    return f"{where}: {message}, not {_shortened(repr(found), 40)}"


def _shortened(text: str, length: int = _SHOWN_CHARACTERS) -> str:
    line = "".join(each if each.isprintable() else "?" for each in " ".join(truncate(text, 4 * length).split()))
    return truncate(line, length)
