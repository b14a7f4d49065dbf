"""The gateway's calls, typed; a read is always allowed, a write only inside ``allow_writes``.

Every call ends within the target's deadline, in a typed answer or in an error of one line: what, why, and the remedy.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import TypeVar
from urllib.parse import urlencode

from rollout.core.clock import NEVER, Clock, StopFlag
from rollout.core.errors import GatewayError, Refused, WriteNotAllowed
from rollout.core.redaction import Redactor
from rollout.core.target import Routing, Target
from rollout.gateway import parsing
from rollout.gateway.calls import ACTIVATE, CHAT, LIMIT, READ, WEIGHTS, Call, replacement_call
from rollout.gateway.endpoints import ALL_PERCENT, life_of, path_of, weights_of
from rollout.gateway.responses import (
    Alert,
    AuditEntry,
    Completion,
    Connection,
    ConnectionTest,
    Governance,
    Metrics,
    Preflight,
    Providers,
    RuntimeConfig,
    Weights,
)
from rollout.gateway.sender import Sender
from rollout.gateway.transport import Answer, Exchange

T = TypeVar("T")

NOT_FOUND = 404


def ignore(_: Exchange) -> None:
    """Keep no evidence."""


class Gateway:
    """One gateway, as one target describes it. Safe to share between threads; each thread allows writes for itself.

    Attributes:
        url: the base URL in effect, without the trailing slash.
    """

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
            clock: times the pauses between tries.
            stop: cancels a call under way within 50 ms.
            redactor: takes the secrets out of messages and evidence.
            on_exchange: receives every HTTP exchange, from the thread that made it.
            rollout_id: sent as ``X-Rollout-Id``, and with completions as ``X-Synthetic: rollout/<id>``.

        Raises:
            GatewayError: there is no URL, or a file of the TLS settings cannot be used.
        """
        base = url or target.url
        if not base:
            raise GatewayError("gateway", f"target {target.name} has no url; start its gateway, or give --gateway=URL")
        self._target = target
        self.url = base.rstrip("/")
        self._redactor = redactor
        self._sender = Sender(
            target,
            self.url,
            token=token,
            token_env=target.staging_token_env if url is not None and url == target.staging else target.token_env,
            clock=clock,
            stop=stop,
            redactor=redactor,
            on_exchange=on_exchange,
            rollout_id=rollout_id,
        )
        self._writes = threading.local()

    def health(self) -> None:
        """Return if the service is up, by a call that costs nothing (`rollout.gateway.costs`).

        The call is the target's `health` where it names one, else the system status, and the provider list of a gateway
        that has no system status.

        Raises:
            GatewayError: the service is not up.
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
        """Run the gateway's test of its connection to a provider; a failed test is an answer, not an error."""
        return self._read("test_connection", parsing.connection_test, method="POST", provider=provider)

    def preflight(self, provider: str) -> Preflight:
        """Run the gateway's preflight of a provider; not ready is an answer, not an error."""
        return self._read("preflight", parsing.preflight, method="POST", provider=provider)

    def metrics(self, provider: str) -> Metrics:
        """Read a provider's cumulative counters and percentiles."""
        return self._read("metrics", parsing.metrics, provider=provider)

    def alerts(self, severity: str | None = None) -> tuple[Alert, ...]:
        """Read the alerts that are firing, of one severity (``info``, ``warning``, ``critical``) or all."""
        firing = self._read("alerts", parsing.alerts, query={"severity": severity})
        return tuple(alert for alert in firing if severity in {None, alert.severity})

    def governance(self) -> Governance:
        """Read the governance limits."""
        return self._read("governance", parsing.governance)

    def audit(self, limit: int = 50) -> tuple[AuditEntry, ...]:
        """Read the newest entries of the gateway's audit log, at most `limit`."""
        return self._read("audit", parsing.audit, query={"limit": str(limit)})[:limit]

    def runtime_config(self) -> RuntimeConfig:
        """Read the runtime configuration; its secrets are masked (deviation 12)."""
        return self._read("runtime_config", parsing.runtime_config)

    def boot_id(self) -> str | None:
        """Read the id of the gateway's process; None where this gateway has none (deviation 2)."""
        try:
            return self._read("system_status", parsing.boot_id)
        except Refused as refused:
            if refused.status == NOT_FOUND:
                return None
            raise

    def chat(self, prompt: str, *, max_tokens: int = 16) -> Completion:
        """Request a completion of the active provider. An empty content is returned.

        It is sent again after the gateway's own 429 only, which no provider has seen: any other second try would hide
        a failure, such as a provider's own 429. The header ``X-Synthetic`` lets the gateway's metrics leave it out of
        the users' requests.

        The call is the target's `chat_with` where it has one, which has no `max_tokens`. A stream of events is an
        answer as well.

        Raises:
            Refused: the gateway refused it; with status 429 its rate limit did, at every try.
            GatewayError: no completion, or an incomplete one; with status 429 a provider is rate limiting.
        """
        return self._complete(prompt, {"max_tokens": max_tokens})

    def stream_chat(self, prompt: str, *, max_tokens: int = 16) -> Completion:
        """Request a completion as `chat` does, as a stream of events, and measure its `first_token_ms`.

        The same deadline holds for the whole stream. An answer that is no stream is returned too, without
        `first_token_ms`. A target's `chat_with` is sent as it is: it streams, or it does not.

        Raises:
            Refused: as `chat`.
            GatewayError: as `chat`; a stream that never begins, breaks off or is garbage is no completion.
        """
        return self._complete(prompt, {"max_tokens": max_tokens, "stream": True})

    def activate(self, provider: str, model: str) -> None:
        """Make `provider` the active one with `model`; a claim to be read back (APP-1.2, deviation 6).

        The call is the target's `activate_with` for this provider where it has one (deviation 13).

        Raises:
            WriteNotAllowed: not inside ``allow_writes``.
            Refused: the gateway refused it, and changed nothing.
            GatewayError: it is unknown whether it had an effect.
        """
        self._check_writes_allowed(f"activating {provider}", "APP-1.2")
        call, parse = self._activation(provider, model)
        if not model:
            # Without one the gateway silently resets the model to its default (deviation 8).
            raise GatewayError(call.name, "no model is named, and the gateway would choose one; name the model")
        self._sender.send(call, parse)

    def set_limit(self, kind: str, scope: str, values: Mapping[str, float]) -> None:
        """Set the limits of one scope; a claim to be read back (APP-3.1, APP-3.2).

        Args:
            kind: ``cost`` or ``rate``; translated by the target's `limit_types` (deviation 20).
            scope: ``global`` or a provider's name; one as reported, ``provider:openai``, is sent as ``openai``.
            values: limit -> value; the gateway keeps the limits that are not given.

        Raises:
            WriteNotAllowed: not inside ``allow_writes``.
            Refused: the gateway refused it, and changed nothing.
            GatewayError: it is unknown whether it had an effect.
        """
        self._check_writes_allowed(f"setting the {kind} limits of {scope}", "APP-3.1")
        path = self._path("POST", "limits")
        if kind not in self._target.limit_types or not values:
            known = ", ".join(self._target.limit_types)
            raise GatewayError(f"POST {path}", f"nothing to set: give limits, of a kind among {known}, not {kind!r}")
        body = {"limit_type": self._target.limit_types[kind], "scope": scope.removeprefix("provider:"), **values}
        self._sender.send(Call("paths.limits", "POST", path, body, LIMIT), parsing.limit_set)

    def weights(self) -> Weights:
        """Read how the requests are split among providers (CAN-2).

        Raises:
            GatewayError: the target names no `routing`, or they cannot be read.
        """
        routing = self._routing()
        total = ALL_PERCENT if routing.percent else 1.0
        call = Call("routing.read.path", "GET", routing.read_path, None, READ)
        return self._sender.send(call, lambda answer: parsing.weights(answer, routing.read_at, total))

    def set_weights(self, shares: Mapping[str, float]) -> None:
        """Split the requests by these shares; to be read back (CAN-2).

        Args:
            shares: destination, as the target's `routing.destination` has it, -> fraction 0-1; an empty
                mapping removes the weights.

        Raises:
            WriteNotAllowed: not inside ``allow_writes``.
            Refused: the gateway refused it, and changed nothing.
            GatewayError: it is unknown whether it had an effect.
        """
        self._check_writes_allowed("setting weights", "CAN-2.1")
        routing = self._routing()
        body = weights_of(routing.set_body, shares, percent=routing.percent)
        call = Call("routing.set.path", routing.set_method, routing.set_path, body, WEIGHTS)
        self._sender.send(call, parsing.done)

    @contextmanager
    def allow_writes(self, step: str) -> Iterator[None]:
        """Allow writes, in this thread, for the duration of `step` (a clause id)."""
        steps: list[str] = self._writes.__dict__.setdefault("steps", [])
        steps.append(step)
        try:
            yield
        finally:
            steps.pop()

    def uninterruptible(self) -> Gateway:
        """Return the same gateway over the same connections, without writes allowed, for a rollback.

        It ignores the stop flag.
        """
        other = copy(self)
        vars(other).update(_sender=self._sender.uninterruptible(), _writes=threading.local())
        return other

    def close(self) -> None:
        """Close the connections, those of ``uninterruptible`` too; a second time does nothing."""
        self._sender.close()

    def _check_writes_allowed(self, what: str, step: str) -> None:
        if not getattr(self._writes, "steps", None):
            raise WriteNotAllowed(
                f"{what} is a write, and the gateway is sealed; write inside "
                f'`with gateway.allow_writes("{step}"):`, naming the step'
            )

    def _complete(self, prompt: str, options: Mapping[str, object]) -> Completion:
        other = self._target.chat_with
        if other is not None:
            return self._sender.send(replacement_call(other, "chat_with", CHAT, prompt=prompt), parsing.completion)
        body = {"messages": [{"role": "user", "content": prompt}], **options}
        return self._sender.send(Call("paths.chat", "POST", self._path("POST", "chat"), body, CHAT), parsing.completion)

    def _routing(self) -> Routing:
        if self._target.routing is None:
            raise GatewayError("routing", f"target {self._target.name} does not say how its requests are split")
        return self._target.routing

    def _activation(self, provider: str, model: str) -> tuple[Call, Callable[[Answer], None]]:
        for name, other in self._target.activate_with.items():
            if name.casefold() == provider.casefold():
                call = replacement_call(other, f"activate_with.{name}", ACTIVATE, provider=provider, model=model)
                return call, parsing.activated_otherwise
        path = self._path("POST", "activate", provider)
        return Call("paths.activate", "POST", path, {"model": model}, ACTIVATE), parsing.activated

    def _read(
        self,
        name: str,
        parse: Callable[[Answer], T],
        *,
        method: str = "GET",
        provider: str | None = None,
        query: Mapping[str, str | None] | None = None,
    ) -> T:
        given = {key: value for key, value in (query or {}).items() if value is not None}
        path = self._path(method, name, provider) + (f"?{urlencode(given)}" if given else "")
        return self._sender.send(Call(f"paths.{name}", method, path, None, READ), parse)

    def _path(self, method: str, name: str, provider: str | None = None) -> str:
        try:
            return path_of(name, self._target.paths, provider)
        except ValueError as problem:
            raise GatewayError(f"{method} {name}", str(problem)) from None
