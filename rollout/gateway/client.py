"""The gateway's calls, typed; reading is free, writing is sealed.

Every call ends within the target's deadline, in a typed answer or in one line that says what, why and how to mend.
Every HTTP exchange, retries included, is handed on as evidence, redacted.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeVar
from urllib.parse import urlencode

from pydantic_core import from_json
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from rollout.core.clock import NEVER, Clock, StopFlag, format_utc
from rollout.core.errors import GatewayError, Interrupted, Refused, RolloutError, WriteNotAllowed
from rollout.core.redaction import Redactor
from rollout.core.target import OtherCall, Routing, Target
from rollout.gateway import parsing
from rollout.gateway.endpoints import filled, filled_path, life_of, path_of, weights_of
from rollout.gateway.http_errors import RateLimited, fault
from rollout.gateway.responses import (
    Activated,
    Alert,
    AuditEntry,
    Completion,
    Connection,
    ConnectionTest,
    Governance,
    LimitSet,
    Metrics,
    Preflight,
    ProviderHealth,
    Providers,
    RuntimeConfig,
    Weights,
)
from rollout.gateway.transport import Answer, Exchange, Failure, NoAnswer, Transport

T = TypeVar("T")

TRIES = 3
SHORTEST_WAIT_S = 0.1
EVIDENCE_CHARACTERS = 4096
NOT_FOUND = 404


def ignore(_: Exchange) -> None:
    """Keep no evidence."""


class _Unreached(GatewayError):
    """The request was not taken, so a call that only reads may be sent again."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a call is bounded, and what it may be sent again for."""

    deadline: str
    meant: str
    retried: tuple[type[Exception], ...]


_READ = _Kind("read", "reads", (_Unreached, RateLimited))
# A 429 was refused before anything happened; after anything else, nobody knows whether it happened.
_CHAT = _Kind("chat", "completions", (RateLimited,))
_ACTIVATE = _Kind("activate", "activations", (RateLimited,))
_LIMIT = _Kind("read", "setting limits", (RateLimited,))
_WEIGHTS = _Kind("activate", "setting weights", (RateLimited,))
_ALL_PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class _Request:
    """One call, before it is sent; `setting` is where the target says where it lies: ``paths.activate``."""

    setting: str
    method: str
    path: str
    body: Any
    kind: _Kind

    @property
    def call(self) -> str:
        """Read as ``GET /api/v1/providers``."""
        return f"{self.method} {self.path.partition('?')[0]}"


class Gateway:
    """One gateway, as one target describes it. Safe to share between threads; the seal is each thread's own."""

    def __init__(
        self,
        target: Target,
        *,
        url: str | None = None,
        token: str | None = None,
        clock: Clock,
        stop: StopFlag = NEVER,
        redactor: Redactor,
        on_exchange: Callable[[Exchange], None] = ignore,
        rollout_id: str | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            target: paths, deadlines, TLS and the user's name.
            url: base URL in place of the target's: of the embedded gateway, or of the staging gateway.
            token: the bearer token; registered with `redactor`.
            clock: times the waits between tries.
            stop: cancels a call under way within 50 ms.
            redactor: everything that leaves towards people passes it.
            on_exchange: receives every HTTP exchange, from the thread that made it.
            rollout_id: sent as ``X-Rollout-Id``, and with completions as ``X-Synthetic: rollout/<id>``.

        Raises:
            GatewayError: there is no URL, or a file of the TLS settings cannot be used.
        """
        base = url or target.url
        if not base:
            raise GatewayError("gateway", f"target {target.name} has no url; start its gateway, or give --gateway=URL")
        self._target = target
        self._base = base.rstrip("/")
        self._token_env = target.staging_token_env if url is not None and url == target.staging else target.token_env
        self._clock = clock
        self._stop = stop
        self._redactor = redactor
        self._on_exchange = on_exchange
        self._headers = _headers(target, token, rollout_id)
        # Every completion of the suite's own is one that no user asked for, and says so.
        self._synthetic = {**self._headers, "X-Synthetic": f"rollout/{rollout_id}" if rollout_id else "rollout"}
        if token:
            redactor.add(token)
        self._transport = Transport(target.tls, secure=self._base.casefold().startswith("https:"))
        self._seal = threading.local()

    @property
    def url(self) -> str:
        """The base URL in effect, without the trailing slash."""
        return self._base

    def health(self) -> None:
        """Return if the service is up, by a call that costs nothing (`rollout.gateway.costs`).

        That is the target's `health` where it names one, else the system status, and the provider list of a gateway
        that has no system status.

        Raises:
            GatewayError: it is not.
        """
        call = life_of(self._target.paths)
        try:
            self._read(call, parsing.health)
        except Refused as refused:
            if call in self._target.paths or refused.status != NOT_FOUND:
                raise
            self.providers()

    def providers(self) -> Providers:
        """Read the providers and the active one's name."""
        found = self._read("providers", parsing.providers)
        self._redactor.publish(name for each in found.providers for name in (each.name, *each.models))
        return found

    def status(self, provider: str) -> Connection:
        """Read a provider's connection status; offline is an answer, not an error."""
        return self._read("status", parsing.status, provider=provider)

    def test_connection(self, provider: str) -> ConnectionTest:
        """Have the gateway test its connection to a provider; a failed test is an answer, not an error."""
        return self._read("test_connection", parsing.connection_test, method="POST", provider=provider)

    def preflight(self, provider: str) -> Preflight:
        """Have the gateway examine a provider; not ready is an answer, not an error."""
        return self._read("preflight", parsing.preflight, method="POST", provider=provider)

    def metrics(self, provider: str) -> Metrics:
        """Read a provider's cumulative counters and percentiles."""
        return self._read("metrics", parsing.metrics, provider=provider)

    def provider_health(self, provider: str) -> ProviderHealth:
        """Read the gateway's own judgement of a provider."""
        return self._read("provider_health", parsing.provider_health, provider=provider)

    def alerts(self, severity: str | None = None) -> tuple[Alert, ...]:
        """Read the alerts that are firing, of one severity (``info``, ``warning``, ``critical``) or all."""
        firing = self._read("alerts", parsing.alerts, query={"severity": severity})
        return tuple(alert for alert in firing if severity in {None, alert.severity})

    def governance(self) -> Governance:
        """Read the governance limits."""
        return self._read("governance", parsing.governance)

    def audit(self, limit: int = 50, action: str | None = None, provider: str | None = None) -> tuple[AuditEntry, ...]:
        """Read the newest entries of the gateway's audit log, at most `limit`."""
        query = {"limit": str(limit), "action": action, "provider": provider}
        return self._read("audit", parsing.audit, query=query)[:limit]

    def runtime_config(self) -> RuntimeConfig:
        """Read the runtime configuration; its secrets are masked (deviation 12)."""
        return self._read("runtime_config", parsing.runtime_config)

    def boot_id(self) -> str | None:
        """Read what identifies the gateway's process; None where this gateway has no such thing (deviation 2)."""
        try:
            return self._read("system_status", parsing.boot_id)
        except Refused as refused:
            if refused.status == NOT_FOUND:
                return None
            raise

    def chat(self, prompt: str, *, max_tokens: int = 16) -> Completion:
        """Ask the active provider. An empty content is returned.

        Sent again after the gateway's own 429 only, which no provider has seen: any other second try would hide a
        failure, a provider's own 429 among them. Tagged with ``X-Synthetic``, so that whoever counts users' requests
        can leave it out.

        The call is the target's `chat_with` where it has one, which knows no `max_tokens`. A stream of events is an
        answer as well.

        Raises:
            Refused: the gateway said no; with status 429 its rate limit did, again and again.
            GatewayError: no completion, or one that broke off; with status 429 a provider is rate limiting.
        """
        other = self._target.chat_with
        if other is not None:
            return self._call(_other(other, "chat_with", _CHAT, prompt=prompt), parsing.completion)
        body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": max_tokens}
        return self._call(_Request("paths.chat", "POST", self._path("POST", "chat"), body, _CHAT), parsing.completion)

    def activate(self, provider: str, model: str) -> Activated:
        """Make `provider` the active one with `model`; a claim to be read back (APP-1.2, deviation 6).

        The call is the target's `activate_with` for this provider where it has one (deviation 13).

        Raises:
            Sealed: not inside ``allow_writes``.
            Refused: the gateway said no; nothing was changed by it.
            GatewayError: nobody knows whether it happened.
        """
        self._refuse_sealed(f"activating {provider}", "APP-1.2")
        request, parse = self._activation(provider, model)
        if not model:
            # Without one the gateway resets the model to its default and says nothing (deviation 8).
            raise GatewayError(request.call, "no model is named, and the gateway would choose one; name the model")
        return self._call(request, parse)

    def set_limit(self, kind: str, scope: str, values: Mapping[str, float]) -> LimitSet:
        """Set the limits of one scope; a claim to be read back (APP-3.1, APP-3.2).

        Args:
            kind: ``cost`` or ``rate``; sent in the target's words (`limit_types`, deviation 20).
            scope: ``global`` or a provider's name; one as reported, ``provider:openai``, is sent as ``openai``.
            values: limit -> value; the gateway keeps what is not given.

        Raises:
            Sealed: not inside ``allow_writes``.
            Refused: the gateway said no; nothing was changed by it.
            GatewayError: nobody knows whether it happened.
        """
        self._refuse_sealed(f"setting the {kind} limits of {scope}", "APP-3.1")
        path = self._path("POST", "limits")
        if kind not in self._target.limit_types or not values:
            known = ", ".join(self._target.limit_types)
            raise GatewayError(f"POST {path}", f"nothing to set: give limits, of a kind among {known}, not {kind!r}")
        body = {
            "limit_type": self._target.limit_types[kind],
            "scope": scope.removeprefix("provider:"),
            **values,
        }
        return self._call(_Request("paths.limits", "POST", path, body, _LIMIT), parsing.limit_set)

    def weights(self) -> Weights:
        """Read how the requests are split among providers (CAN-2).

        Raises:
            GatewayError: the target names no `routing`, or they cannot be read.
        """
        routing = self._routing()
        total = _ALL_PERCENT if routing.percent else 1.0
        request = _Request("routing.read.path", "GET", routing.read_path, None, _READ)
        return self._call(request, lambda answer: parsing.weights(answer, routing.read_at, total))

    def set_weights(self, shares: Mapping[str, float]) -> None:
        """Split the requests by these shares; to be read back (CAN-2).

        Args:
            shares: destination, as the target's `routing.destination` has it, -> fraction 0-1; none take the
                weights away.

        Raises:
            Sealed: not inside ``allow_writes``.
            Refused: the gateway said no; nothing was changed by it.
            GatewayError: nobody knows whether it happened.
        """
        self._refuse_sealed("setting weights", "CAN-2.1")
        routing = self._routing()
        body = weights_of(routing.set_body, shares, percent=routing.percent)
        request = _Request("routing.set.path", routing.set_method, routing.set_path, body, _WEIGHTS)
        self._call(request, parsing.done)

    @contextmanager
    def allow_writes(self, step: str) -> Iterator[None]:
        """Allow writes, in this thread, for the duration of `step` (a clause id)."""
        steps: list[str] = self._seal.__dict__.setdefault("steps", [])
        steps.append(step)
        try:
            yield
        finally:
            steps.pop()

    def uninterruptible(self) -> Gateway:
        """Return the same gateway over the same connections, sealed, and deaf to the stop flag: for a rollback."""
        other = copy(self)
        vars(other).update(_stop=NEVER, _seal=threading.local())
        return other

    def close(self) -> None:
        """Close the connections, those of ``uninterruptible`` too; a second time does nothing."""
        self._transport.close()

    def _refuse_sealed(self, what: str, step: str) -> None:
        if not getattr(self._seal, "steps", None):
            raise WriteNotAllowed(
                f"{what} is a write, and the gateway is sealed; write inside "
                f'`with gateway.allow_writes("{step}"):`, naming the step'
            )

    def _routing(self) -> Routing:
        if self._target.routing is None:
            raise GatewayError("routing", f"target {self._target.name} does not say how its requests are split")
        return self._target.routing

    def _activation(self, provider: str, model: str) -> tuple[_Request, Callable[[Answer], Activated]]:
        for name, call in self._target.activate_with.items():
            if name.casefold() == provider.casefold():
                request = _other(call, f"activate_with.{name}", _ACTIVATE, provider=provider, model=model)
                return request, lambda answer: parsing.activated_otherwise(answer, provider, model)
        path = self._path("POST", "activate", provider)
        return _Request("paths.activate", "POST", path, {"model": model}, _ACTIVATE), parsing.activated

    def _read(
        self,
        name: str,
        parse: Callable[[Answer], T],
        *,
        method: str = "GET",
        provider: str | None = None,
        query: Mapping[str, str | None] | None = None,
    ) -> T:
        asked = {key: value for key, value in (query or {}).items() if value is not None}
        path = self._path(method, name, provider) + (f"?{urlencode(asked)}" if asked else "")
        return self._call(_Request(f"paths.{name}", method, path, None, _READ), parse)

    def _path(self, method: str, name: str, provider: str | None = None) -> str:
        try:
            return path_of(name, self._target.paths, provider)
        except ValueError as problem:
            raise GatewayError(f"{method} {name}", str(problem)) from None

    def _call(self, request: _Request, parse: Callable[[Answer], T]) -> T:
        """Send `request`, again where its kind allows it, all within one deadline."""
        end = self._clock.monotonic() + self._deadline_s(request)

        def exhausted(state: RetryCallState) -> bool:
            return state.attempt_number >= TRIES or self._clock.monotonic() + state.upcoming_sleep >= end

        retrying = Retrying(
            retry=retry_if_exception_type(request.kind.retried),
            stop=exhausted,
            wait=_pause_s,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            result: T = retrying(self._try, request, parse, end)
        except RateLimited as busy:
            count = retrying.statistics["attempt_number"]
            tries = "once" if count == 1 else f"{count} times"
            asked = "" if busy.retry_after_s is None else f", which asks to wait {busy.retry_after_s:g} s"
            raise Refused(
                busy.call,
                f"{busy.reason}{asked}; tried {tries} within the target's timeouts.{request.kind.deadline} "
                f"({self._deadline_s(request):g} s). Raise the gateway's limit, or the deadline",
                status=busy.status,
            ) from None
        return result

    def _try(self, request: _Request, parse: Callable[[Answer], T], end: float) -> T:
        """Send `request` once, and hand the exchange on as evidence whatever becomes of it."""
        at, started = format_utc(self._clock.now()), self._clock.monotonic()
        answer: Answer | None = None
        error: str | None = "cut off before its outcome was known"
        try:
            answer = self._exchange(request, end - started)
            result = self._judged(request, answer, parse)
            error = None
        except RolloutError as problem:
            error = str(problem)
            raise
        else:
            return result
        finally:
            elapsed_ms = answer.elapsed_ms if answer else (self._clock.monotonic() - started) * 1000
            self._on_exchange(self._evidence(request, at, answer, elapsed_ms, error))

    def _exchange(self, request: _Request, left_s: float) -> Answer:
        try:
            return self._transport.exchange(
                request.method,
                self._base + request.path,
                headers=self._synthetic if request.kind is _CHAT else self._headers,
                body=request.body,
                deadline_s=left_s,
                stop=self._stop,
            )
        except Interrupted as problem:
            raise Interrupted(f"{request.call}: {problem}") from None
        except NoAnswer as problem:
            raise self._unanswered(request, problem) from None

    def _unanswered(self, request: _Request, problem: NoAnswer) -> GatewayError:
        if problem.failure is Failure.DEADLINE:
            kind = request.kind
            return GatewayError(
                request.call,
                f"no complete answer within {self._deadline_s(request):g} s "
                f"(deadline for {kind.meant}; the target's timeouts.{kind.deadline})",
            )
        reason = self._redactor.text(str(problem))
        return (_Unreached if problem.failure is Failure.UNREACHED else GatewayError)(request.call, reason)

    def _judged(self, request: _Request, answer: Answer, parse: Callable[[Answer], T]) -> T:
        passed_on = request.kind is _CHAT
        problem = fault(request.call, request.setting, answer, self._about_the_token(), passed_on=passed_on)
        if problem is not None:
            raise self._redacted(problem)
        try:
            return parse(answer)
        except parsing.InvalidResponse as unreadable:
            raise GatewayError(request.call, self._redactor.text(str(unreadable)), status=answer.status) from None

    def _redacted(self, problem: GatewayError) -> GatewayError:
        reason = self._redactor.text(problem.reason)
        if isinstance(problem, RateLimited):
            return RateLimited(problem.call, reason, problem.retry_after_s)
        return type(problem)(problem.call, reason, status=problem.status)

    def _about_the_token(self) -> str:
        sent = "Authorization" in self._headers
        if self._token_env is None:
            return "set the target's token_env" if not sent else "the token that was sent is not good enough"
        if sent:
            return f"the token in the environment variable {self._token_env} is not good enough"
        return f"set the environment variable {self._token_env}, which the target names for its token"

    def _evidence(
        self, request: _Request, at: str, answer: Answer | None, elapsed_ms: float, error: str | None
    ) -> Exchange:
        shown, bare = (None, ()) if answer is None else self._shown(answer.body)
        return Exchange(
            at=at,
            call=request.call,
            method=request.method,
            url=self._redactor.text(self._base + request.path),
            request_body=self._redactor.value(request.body),
            status=answer.status if answer else None,
            answer=shown,
            elapsed_ms=elapsed_ms,
            error=error,
            bare=bare,
        )

    def _shown(self, body: bytes) -> tuple[Any, tuple[str, ...]]:
        """Redact first, cut then: half a secret would not be recognised. Return where there was one, too."""
        try:
            told = from_json(body, allow_inf_nan=False)
            shown = self._redactor.value(told)
            text = json.dumps(shown, ensure_ascii=False, allow_nan=False)
        except ValueError:
            told = body.decode(errors="replace")
            text = self._redactor.text(told)
            return text[:EVIDENCE_CHARACTERS], ("",) if text != told else ()
        bare = tuple(_differing(told, shown))
        return (shown if len(text) <= EVIDENCE_CHARACTERS else text[:EVIDENCE_CHARACTERS]), bare

    def _deadline_s(self, request: _Request) -> float:
        timeouts = self._target.timeouts
        return {"read": timeouts.read_s, "chat": timeouts.chat_s, "activate": timeouts.activate_s}[
            request.kind.deadline
        ]

    def _sleep(self, seconds: float) -> None:
        if not self._clock.wait(seconds, self._stop):
            raise Interrupted(f"cut off while waiting to try again: {self._stop.reason}")


def _differing(told: Any, shown: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted paths at which the redaction has hidden something."""
    # Where a credential comes from stands under its name too (``config_sources``), and is none.
    if told == shown or told in ("env", "default"):
        return
    if isinstance(told, dict) and isinstance(shown, dict) and told.keys() == shown.keys():
        for key in told:
            yield from _differing(told[key], shown[key], f"{path}.{key}" if path else key)
    elif isinstance(told, list) and isinstance(shown, list) and len(told) == len(shown):
        for number, (one, other) in enumerate(zip(told, shown, strict=True)):
            yield from _differing(one, other, f"{path}[{number}]")
    else:
        yield path


def _other(call: OtherCall, setting: str, kind: _Kind, **values: str) -> _Request:
    """Return the call that takes the place of a documented one, its places filled."""
    try:
        path = filled_path(call.path, **values)
    except ValueError as problem:
        raise GatewayError(f"POST {setting}", str(problem)) from None
    body = {name: filled(text, **values) for name, text in call.body.items()}
    return _Request(setting, "POST", path, body, kind)


def _headers(target: Target, token: str | None, rollout_id: str | None) -> dict[str, str]:
    headers = {"User-Agent": f"rollout/{version('rollout')}", "X-User": target.user}
    if rollout_id:
        headers["X-Rollout-Id"] = rollout_id
    if token:
        headers["Authorization"] = f"Bearer {token.strip()}"
    return headers


def _pause_s(state: RetryCallState) -> float:
    """Return what the gateway asks for, else a growing pause; jittered, so that callers do not come back in step."""
    problem = state.outcome.exception() if state.outcome else None
    asked = problem.retry_after_s if isinstance(problem, RateLimited) else None
    pause_s = SHORTEST_WAIT_S * 2 ** (state.attempt_number - 1) if asked is None else max(asked, SHORTEST_WAIT_S)
    return pause_s + random.uniform(0, SHORTEST_WAIT_S)
