"""What a status other than 200 means to a person."""

from __future__ import annotations

import math
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from pydantic_core import from_json

from rollout.core.errors import GatewayError, Refused
from rollout.gateway.documents import describe_error
from rollout.gateway.transport import Answer


class RateLimited(Refused):
    """The gateway's rate limit refused the call before anything happened (429).

    Attributes:
        retry_after_s: how long it asks to wait; None where it does not say.
    """

    def __init__(self, call: str, reason: str, retry_after_s: float | None) -> None:
        """Keep the wait that was asked for."""
        self.retry_after_s = retry_after_s
        super().__init__(call, reason, status=HTTPStatus.TOO_MANY_REQUESTS)


def fault(call: str, setting: str, answer: Answer, token: str, *, passed_on: bool = False) -> GatewayError | None:
    """Return the error that `answer` amounts to by its status; None for 200.

    A 429 to a call that a provider answers is the gateway's own only in the gateway's own shape (deviation 18). Any
    other is the provider's answer, which users get as well: it is no `Busy`, so that it is not asked for again.

    Args:
        call: method and path, for the message.
        setting: where a target says where the call lies: ``paths.activate``.
        answer: what came back.
        token: what is known of the token, in words for a person.
        passed_on: whether the call is a completion, which a provider answers.
    """
    status = answer.status
    said = describe_error(_body(answer)) or _phrase(status)
    if status == HTTPStatus.OK:
        return None
    if status == HTTPStatus.TOO_MANY_REQUESTS and passed_on and not _is_the_gateways(answer):
        return GatewayError(call, _throttled(said), status=status)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited(call, f"the gateway's rate limit refused it (429: {said})", _retry_after_s(answer))
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Refused(call, _refusal(status, said, setting, token), status=status)
    return GatewayError(call, _failure(status, said, answer), status=status)


def _refusal(status: int, said: str, setting: str, token: str) -> str:
    if status == HTTPStatus.UNAUTHORIZED:
        return f"the gateway wants to know who calls (401: {said}); {token}"
    if status == HTTPStatus.FORBIDDEN:
        return f"the gateway does not allow this (403: {said}); {token}"
    if status == HTTPStatus.NOT_FOUND and said.casefold() == "not found":
        return f"this gateway has no such path (404); check the target's url, or set its {setting}"
    return f"refused ({status}: {said})"


def _failure(status: int, said: str, answer: Answer) -> str:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"the gateway failed ({status}: {said})"
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        where = answer.headers.get("location", "nowhere")
        return f"redirected to {where} ({status}), which is not followed; put the final address into the target's url"
    return f"answered {status} ({said}), where only 200 is an answer"


def _throttled(said: str) -> str:
    return (
        f"a provider behind the gateway is rate limiting (429: {said}), as it does to users; it is not asked again. "
        "Raise the limit or the quota at the provider"
    )


def _is_the_gateways(answer: Answer) -> bool:
    """Tell whether a 429 has the shape of the gateway's own rate limit (deviation 18)."""
    body = _body(answer)
    if not isinstance(body, dict) or body.get("error") != "rate_limit_exceeded":
        return False
    asked = body.get("retry_after_seconds")
    return isinstance(asked, int | float) and not isinstance(asked, bool)


def _body(answer: Answer) -> Any:
    with suppress(ValueError):
        return from_json(answer.body)
    return None


def _phrase(status: int) -> str:
    with suppress(ValueError):
        return HTTPStatus(status).phrase
    return "no reason given"


def _retry_after_s(answer: Answer) -> float | None:
    """Read the body's ``retry_after_seconds``, else the header's seconds; anything else counts as not said."""
    body = _body(answer)
    asked = body.get("retry_after_seconds") if isinstance(body, dict) else None
    with suppress(TypeError, ValueError, OverflowError):
        seconds = float(answer.headers.get("retry-after", "") if asked is None else asked)
        return seconds if math.isfinite(seconds) and seconds >= 0 else None
    return None
