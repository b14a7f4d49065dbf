"""The error that a status other than 200 becomes, with a message for the operator."""

from __future__ import annotations

import math
from contextlib import suppress
from http import HTTPStatus
from http.client import responses
from typing import Any

from pydantic_core import from_json

from rollout.core.errors import GatewayError, Refused
from rollout.gateway.documents import describe_error
from rollout.gateway.transport import Answer


class RateLimited(Refused):
    """The gateway's rate limit refused the call before it had an effect (429).

    Attributes:
        retry_after_s: the wait that the gateway asks for, in seconds; None where it states none.
    """

    def __init__(self, call: str, reason: str, retry_after_s: float | None) -> None:
        """Keep the wait that the gateway asks for."""
        self.retry_after_s = retry_after_s
        super().__init__(call, reason, status=HTTPStatus.TOO_MANY_REQUESTS)


def fault(call: str, setting: str, answer: Answer, token: str, *, passed_on: bool = False) -> GatewayError | None:
    """Return the error that `answer` amounts to by its status; None for 200.

    A 429 to a call that a provider answers is the gateway's own only in the gateway's own shape (deviation 18). Any
    other is the provider's answer, which users get as well: it is no `RateLimited`, so the call is not sent again.

    Args:
        call: method and path, for the message.
        setting: the target's setting that places the call: ``paths.activate``.
        answer: the gateway's answer.
        token: what the operator can do about the token, for a message.
        passed_on: whether the call is a completion, which the gateway passes on to a provider.
    """
    status = answer.status
    reason = describe_error(_body(answer)) or responses.get(status, "no reason given")
    if status == HTTPStatus.OK:
        return None
    if status == HTTPStatus.TOO_MANY_REQUESTS and passed_on and not _is_the_gateways(answer):
        return GatewayError(
            call,
            f"a provider behind the gateway is rate limiting (429: {reason}), as it does to users; it is not asked "
            "again. Raise the limit or the quota at the provider",
            status=status,
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited(call, f"the gateway's rate limit refused it (429: {reason})", _retry_after_s(answer))
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Refused(call, _refusal(status, reason, setting, token), status=status)
    return GatewayError(call, _failure(status, reason, answer), status=status)


def _refusal(status: int, reason: str, setting: str, token: str) -> str:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return f"the gateway does not know the caller (401: {reason}); {token}"
        case HTTPStatus.FORBIDDEN:
            return f"the gateway does not allow this (403: {reason}); {token}"
        case HTTPStatus.NOT_FOUND if reason.casefold() == "not found":
            return f"this gateway has no such path (404); check the target's url, or set its {setting}"
    return f"refused ({status}: {reason})"


def _failure(status: int, reason: str, answer: Answer) -> str:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"the gateway failed ({status}: {reason})"
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        where = answer.headers.get("location", "nowhere")
        return f"redirected to {where} ({status}), which is not followed; put the final address into the target's url"
    return f"answered {status} ({reason}), where only 200 is an answer"


def _is_the_gateways(answer: Answer) -> bool:
    """Return whether a 429 has the shape of the gateway's own rate limit (deviation 18)."""
    body = _body(answer)
    return (
        isinstance(body, dict)
        and body.get("error") == "rate_limit_exceeded"
        and type(body.get("retry_after_seconds")) in {int, float}
    )


def _body(answer: Answer) -> Any:
    with suppress(ValueError):
        return from_json(answer.body)
    return None


def _retry_after_s(answer: Answer) -> float | None:
    """Read the body's ``retry_after_seconds``, else the header's seconds; return None for anything else."""
    body = _body(answer)
    in_body = body.get("retry_after_seconds") if isinstance(body, dict) else None
    with suppress(TypeError, ValueError, OverflowError):
        seconds = float(answer.headers.get("retry-after", "") if in_body is None else in_body)
        return seconds if math.isfinite(seconds) and seconds >= 0 else None
    return None
