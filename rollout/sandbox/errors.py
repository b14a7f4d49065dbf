"""The errors with which the gateway answers a call."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """A call that is answered with an error.

    Attributes:
        status: the HTTP status.
        detail: one sentence, or for a body that is refused (422) a list with one entry per mistake.
        tries: how often the gateway tried, each of which the metrics count.
    """

    def __init__(self, status: int, detail: str | list[dict[str, Any]], *, tries: int = 1) -> None:
        """Keep status and detail for the answer."""
        self.status = status
        self.detail = detail
        self.tries = tries
        super().__init__(f"{status}: {detail}")


class NotWritten(Refusal):
    """A write that failed and is answered with 200: ``{"status": "error", "message": …}`` (deviation 9)."""


def mistake(kind: str, loc: tuple[str | int, ...], message: str, value: object, **context: object) -> dict[str, Any]:
    """Return one entry of a 422's ``detail``; `loc` is its place in the request, `context` its ``ctx``."""
    entry = {"type": kind, "loc": list(loc), "msg": message, "input": value}
    return entry | {"ctx": context} if context else entry


def malformed(*mistakes: dict[str, Any]) -> Refusal:
    """Return the refusal of a request whose parts are missing or of a wrong type or value."""
    return Refusal(422, list(mistakes))
