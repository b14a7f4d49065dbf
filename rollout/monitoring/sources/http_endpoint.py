"""An HTTP API besides the gateway's that the monitoring reads: GET, JSON, each call with a deadline and a cap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from rollout.core.clock import NEVER, StopFlag
from rollout.core.errors import GatewayError
from rollout.core.target import Tls
from rollout.core.units import truncate
from rollout.gateway.transport import Answer, NoAnswer, Peer, Transport

SHOWN_CHARACTERS = 300

T = TypeVar("T")
Query = Sequence[tuple[str, str]]


class SourceError(GatewayError):
    """A source of the monitoring gives no reliable answer; `call` names the source and its address."""


class Endpoint:
    """One API. Safe to share between threads."""

    def __init__(
        self,
        name: str,
        setting: str,
        url: str,
        *,
        tls: Tls,
        token: str | None,
        token_env: str | None,
        deadline_s: float,
        stop: StopFlag = NEVER,
        redact: Callable[[str], str],
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            name: its name in messages: ``Prometheus``.
            setting: its key in the target: ``sources.prometheus``.
            url: its base URL.
            tls: the TLS settings.
            token: the bearer token; None sends none.
            token_env: the variable that holds it, for messages.
            deadline_s: outer deadline of each call.
            stop: cancels a call under way.
            redact: removes secrets from messages.

        Raises:
            GatewayError: a file of the TLS settings cannot be used.
        """
        self.name, self.setting = name, setting
        self._url, self._deadline_s, self._stop, self._redact = url, deadline_s, stop, redact
        self._where = f"{name} at {urlsplit(url).netloc}"
        authorization = {"Authorization": f"Bearer {token.strip()}"} if token else {}
        self._headers = {"User-Agent": "rollout", **authorization}
        self._token_env = token_env
        self._transport = Transport(
            tls, secure=url.startswith("https:"), peer=Peer(name, f"{setting}.url", f"{setting}.tls")
        )

    def get(self, path: str, query: Query, answer: TypeAdapter[T]) -> T:
        """Return the JSON of an answer with status 200, as `answer` validates it.

        Raises:
            SourceError: there is no such answer.
            Interrupted: the run was asked to stop.
        """
        url = f"{self._url}{path}?{urlencode(query)}"
        try:
            found = self._transport.exchange(
                "GET", url, headers=self._headers, deadline_s=self._deadline_s, stop=self._stop
            )
        except NoAnswer as problem:
            raise self.error(str(problem)) from problem
        if found.status != HTTPStatus.OK:
            raise self.error(self._refusal(found), status=found.status)
        try:
            return answer.validate_python(from_json(found.body, allow_inf_nan=False))
        except ValidationError as problem:
            first = problem.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise self.error(f"does not answer as {self.name} does ({where}: {first['msg']})") from problem
        except ValueError as problem:
            raise self.error(f"its answer is no JSON ({_one_line(found.body)}); {self._is_it()}") from problem

    def error(self, reason: str, *, status: int | None = None) -> SourceError:
        """Return the error with the redacted reason."""
        return SourceError(self._where, self._redact(reason), status=status)

    def close(self) -> None:
        """Close the connections; a call under way ends."""
        self._transport.close()

    def _refusal(self, answer: Answer) -> str:
        status, reason = answer.status, _error_text(answer)
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            token = f"it was sent the one in {self._token_env}" if self._token_env else "none was sent"
            return f"it asks for a token ({status}: {reason}), and {token}; set {self.setting}.token_env"
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            where = answer.headers.get("location", "nowhere")
            return f"redirects to {where} ({status}), which is not followed; put the final address into its url"
        if status == HTTPStatus.NOT_FOUND:
            return f"has no such path (404); {self._is_it()}"
        return f"refused ({status}: {reason}); check {self.setting}"

    def _is_it(self) -> str:
        return f"is {self.setting}.url the base URL of {self.name}?"


def _error_text(answer: Answer) -> str:
    """Return the text of an error answer: Prometheus sends an object, Alertmanager a string."""
    try:
        body = from_json(answer.body)
    except ValueError:
        return _one_line(answer.body)
    if isinstance(body, dict):
        kind, words = body.get("errorType"), body.get("error") or body.get("message")
        body = ": ".join(str(part) for part in (kind, words) if part) or body
    return _one_line(str(body).encode())


def _one_line(text: bytes) -> str:
    return truncate(" ".join(text.decode(errors="replace").split()), SHOWN_CHARACTERS) or "nothing"
