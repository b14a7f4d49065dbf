"""The gateway's calls, typed; a read is always allowed, a write only inside ``allow_writes``.

Every call ends within the target's deadline, in a typed answer or in an error of one line: what, why, and the remedy.
A read of what the gateway lacks raises `NotOffered`, and is not sent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import TypeVar

from rollout.core.capabilities import Capability
from rollout.core.clock import NEVER, Clock, StopFlag
from rollout.core.errors import GatewayError, NotOffered, WriteNotAllowed
from rollout.core.redaction import Redactor
from rollout.core.target import Target
from rollout.core.writes import Claim, HttpCall
from rollout.gateway import parsing
from rollout.gateway.calls import write_call
from rollout.gateway.drivers.protocol import CountsFallbacks, DirectReads
from rollout.gateway.drivers.selection import capabilities_of, driver_of
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
from rollout.gateway.state_reads import StateReads
from rollout.gateway.transport import Answer, Exchange

T = TypeVar("T")

NOT_FOUND = 404

_CLAIMS: Mapping[Claim, Callable[[Answer], None]] = {
    Claim.ACTIVATED: parsing.activated,
    Claim.LIMIT_SET: parsing.limit_set,
    Claim.STATUS: parsing.activated_otherwise,
    Claim.ACCEPTED: parsing.done,
}


def ignore(_: Exchange) -> None:
    """Keep no evidence."""


class Gateway(StateReads):
    """One gateway, as one target describes it. Safe to share between threads; each thread allows writes for itself.

    Attributes:
        url: the base URL in effect, without the trailing slash.
        driver: the driver of the target's kind.
        capabilities: of every capability None where the gateway has it, else why not.
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
        self.url = base.rstrip("/")
        self._redactor = redactor
        self.driver, self.capabilities = driver_of(target), capabilities_of(target)
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
            advise=self.driver.advise,
        )
        self._reads = self.driver.connect(self._sender)
        self._writes = threading.local()

    def health(self) -> None:
        """Return if the service is up, by a call that costs nothing. Raises GatewayError where it is not."""
        self._reads.health()

    def providers(self) -> Providers:
        """Read the providers and the active one's name; the redactor leaves these names as they are."""
        found = self._reads.providers()
        self._redactor.publish(name for each in found.providers for name in (each.name, *each.models))
        return found

    def status(self, provider: str) -> Connection:
        """Read a provider's connection status; offline is an answer, not an error."""
        self._require(Capability.STATUS)
        return self._reads.status(provider)

    def test_connection(self, provider: str) -> ConnectionTest:
        """Run the gateway's test of its connection to a provider; a failed test is an answer, not an error."""
        return self._reads.test_connection(provider)

    def preflight(self, provider: str) -> Preflight:
        """Run the gateway's preflight of a provider; not ready is an answer, not an error."""
        return self._reads.preflight(provider)

    def metrics(self, provider: str) -> Metrics:
        """Read a provider's cumulative counters and percentiles."""
        self._require(Capability.COUNTERS)
        return self._reads.metrics(provider)

    def alerts(self, severity: str | None = None) -> tuple[Alert, ...]:
        """Read the alerts that are firing, of one severity (``info``, ``warning``, ``critical``) or all."""
        self._require(Capability.ALERTS)
        return self._reads.alerts(severity)

    def governance(self) -> Governance:
        """Read the governance limits, and the fallbacks that happened."""
        self._require(Capability.COST_LIMITS, Capability.RATE_LIMITS)
        return self._reads.governance()

    def fallbacks(self) -> int:
        """Read how many requests another provider has answered than the active one, since the process was started.

        Raises:
            NotOffered: this gateway has no such counter; `governance` may list fallbacks.
        """
        self._require(Capability.COUNTERS)
        if not isinstance(self._reads, CountsFallbacks):
            raise NotOffered("fallbacks", "it does not count them")
        return self._reads.fallbacks()

    @property
    def counts_fallbacks(self) -> bool:
        """Whether this gateway has a counter of its fallbacks."""
        return self.capabilities[Capability.COUNTERS] is None and isinstance(self._reads, CountsFallbacks)

    def audit(self, limit: int = 50) -> tuple[AuditEntry, ...]:
        """Read the newest entries of the gateway's audit log, at most `limit`."""
        self._require(Capability.AUDIT)
        return self._reads.audit(limit)

    def runtime_config(self) -> RuntimeConfig:
        """Read the runtime configuration; its secrets are masked (deviation 12)."""
        return self._reads.runtime_config()

    def boot_id(self) -> str | None:
        """Read the id of the gateway's process; None where this gateway has none (deviation 2)."""
        return None if self.capabilities[Capability.BOOT_ID] else self._reads.boot_id()

    def weights(self) -> Weights:
        """Read how the requests are split among providers (CAN-2). Raises GatewayError where the target cannot."""
        self._require(Capability.WEIGHTS)
        return self._reads.weights()

    def chat(self, prompt: str, *, max_tokens: int = 16) -> Completion:
        """Request a completion of the active provider. An empty content is returned.

        Raises:
            Refused: the gateway refused it; with status 429 its rate limit did, at every try.
            GatewayError: no completion, or an incomplete one; with status 429 a provider is rate limiting.
        """
        return self._reads.ask(prompt, max_tokens=max_tokens, stream=False)

    def chat_with(self, provider: str, prompt: str, *, max_tokens: int = 16) -> Completion:
        """Request a completion of one provider, whichever is active. Raises as `chat`; GatewayError where none can."""
        if not isinstance(self._reads, DirectReads):
            raise NotOffered("completion of one provider", "it asks the active provider alone")
        return self._reads.ask_directly(provider, prompt, max_tokens=max_tokens)

    def stream_chat(self, prompt: str, *, max_tokens: int = 16) -> Completion:
        """Request a completion as `chat` does, as a stream of events, and measure its `first_token_ms`.

        The same deadline holds for the whole stream; one that never begins, breaks off or is garbage is an error.
        """
        return self._reads.ask(prompt, max_tokens=max_tokens, stream=True)

    def execute(self, call: HttpCall) -> None:
        """Send a write that the target's driver describes; its answer is a claim, which a read-back proves.

        Raises:
            WriteNotAllowed: not inside ``allow_writes``.
            Refused: the gateway refused it, and changed nothing.
            GatewayError: it is unknown whether it had an effect.
        """
        if not getattr(self._writes, "steps", None):
            raise WriteNotAllowed(
                f"{call.name} is a write, and the gateway is sealed; write inside "
                "`with gateway.allow_writes(STEP):`, naming the clause"
            )
        self._sender.send(write_call(call), _CLAIMS[call.claim])

    def _require(self, *capabilities: Capability) -> None:
        """Raise NotOffered where the gateway lacks all of these."""
        reasons = [self.capabilities[each] for each in capabilities]
        if reasons[0] and all(reasons):
            raise NotOffered(capabilities[0].replace("_", " "), reasons[0])

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
        other, sender = copy(self), self._sender.uninterruptible()
        vars(other).update(_sender=sender, _reads=self.driver.connect(sender), _writes=threading.local())
        return other

    def close(self) -> None:
        """Close the connections, those of ``uninterruptible`` too; a second time does nothing."""
        self._sender.close()


def find_fallback_counter(gateway: object) -> Callable[[], int] | None:
    """Return what reads a gateway's counter of its fallbacks; None where it has none (MON-5)."""
    return gateway.fallbacks if isinstance(gateway, Gateway) and gateway.counts_fallbacks else None
