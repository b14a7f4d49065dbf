"""The reads of the gateway of docs/GATEWAY_API.md; paths and calls that deviate are the target's settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlencode

from rollout.core.errors import GatewayError, Refused
from rollout.core.target import Target
from rollout.gateway import parsing
from rollout.gateway.calls import CHAT, READ, Call, replacement_call
from rollout.gateway.drivers.documented import routing_of
from rollout.gateway.endpoints import ALL_PERCENT, life_of, path_of
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
from rollout.gateway.transport import Answer

T = TypeVar("T")

NOT_FOUND = 404


class DocumentedReads:
    """Reads one gateway over the connections of a sender. Safe to share between threads."""

    def __init__(self, target: Target, sender: Sender) -> None:
        """Keep both; nothing is sent yet."""
        self._target = target
        self._sender = sender

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
        return self._read("providers", parsing.providers)

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

    def alerts(self, severity: str | None) -> tuple[Alert, ...]:
        """Read the alerts that are firing, of one severity (``info``, ``warning``, ``critical``) or all."""
        firing = self._read("alerts", parsing.alerts, query={"severity": severity})
        return tuple(alert for alert in firing if severity in {None, alert.severity})

    def governance(self) -> Governance:
        """Read the governance limits."""
        return self._read("governance", parsing.governance)

    def audit(self, limit: int) -> tuple[AuditEntry, ...]:
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

    def ask(self, prompt: str, *, max_tokens: int, stream: bool) -> Completion:
        """Request a completion of the active provider. An empty content is returned.

        It is sent again after the gateway's own 429 only, which no provider has seen: any other second try would hide
        a failure, such as a provider's own 429. The header ``X-Synthetic`` lets the gateway's metrics leave it out of
        the users' requests.

        The call is the target's `chat_with` where it has one, which has no `max_tokens`, and streams or not. A stream
        of events is an answer as well, and an answer that is no stream has no `first_token_ms`.

        Raises:
            Refused: the gateway refused it; with status 429 its rate limit did, at every try.
            GatewayError: no completion, or an incomplete one; with status 429 a provider is rate limiting.
        """
        other = self._target.chat_with
        if other is not None:
            return self._sender.send(replacement_call(other, "chat_with", CHAT, prompt=prompt), parsing.completion)
        options = {"max_tokens": max_tokens} | ({"stream": True} if stream else {})
        body = {"messages": [{"role": "user", "content": prompt}], **options}
        return self._sender.send(Call("paths.chat", "POST", self._path("POST", "chat"), body, CHAT), parsing.completion)

    def weights(self) -> Weights:
        """Read how the requests are split among providers (CAN-2).

        Raises:
            GatewayError: the target names no `routing`, or they cannot be read.
        """
        routing = routing_of(self._target)
        total = ALL_PERCENT if routing.percent else 1.0
        call = Call("routing.read.path", "GET", routing.read_path, None, READ)
        return self._sender.send(call, lambda answer: parsing.weights(answer, routing.read_at, total))

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
