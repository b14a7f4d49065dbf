"""The reads of a gateway behind commands: each runs one of the target's own, which changes nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from rollout.core.errors import GatewayError
from rollout.gateway.calls import CHAT, READ
from rollout.gateway.documents import InvalidResponse
from rollout.gateway.drivers import openai_chat
from rollout.gateway.drivers.command_outputs import CompletionOutput, ProviderOutput, SnapshotOutput, parse_output
from rollout.gateway.drivers.examinations import report_test
from rollout.gateway.drivers.lacking import LackingReads
from rollout.gateway.drivers.masking import mask_secret
from rollout.gateway.responses import (
    Alert,
    AuditEntry,
    Completion,
    Connection,
    ConnectionTest,
    Latency,
    Metrics,
    Preflight,
    PreflightCheck,
    Provider,
    Providers,
    RuntimeConfig,
)
from rollout.gateway.sender import Sender

if TYPE_CHECKING:
    from rollout.gateway.drivers.command import CommandLine


class CommandReads(LackingReads):
    """Runs the target's commands within a sender's deadlines. Safe to share between threads."""

    def __init__(self, driver: CommandLine, said: Mapping[str, Any], sender: Sender) -> None:
        """Keep all three; nothing is run yet."""
        self._driver = driver
        self._said = said
        self._sender = sender

    def health(self) -> None:
        """Return if the service is up: the health command exits with 0, or the snapshot can be read.

        Raises:
            GatewayError: it is not.
        """
        if self._said["health"] is None:
            self._snapshot()
        else:
            self._sender.run(self._driver.fill("health"), "settings.health", READ, lambda _: None)

    def providers(self) -> Providers:
        """Return the providers of the snapshot, and the active one."""
        found = self._snapshot()
        active = found.active.provider
        listed = tuple(
            Provider(
                each.name,
                "listed by the snapshot",
                {"activate": True},
                _connection(each),
                each.name == active,
                models=each.models,
            )
            for each in found.providers
        )
        return Providers(listed, active)

    def runtime_config(self) -> RuntimeConfig:
        """Return the snapshot's configuration, secrets masked, and what is active."""
        from rollout.gateway.drivers.command import ACTIVE  # noqa: PLC0415 - the driver imports this module

        found = self._snapshot()
        config = {key: mask_secret(key, value) for key, value in found.config.items()}
        config |= dict(zip(ACTIVE, (found.active.provider, found.active.model), strict=True))
        return RuntimeConfig(config, dict.fromkeys(config, "settings.snapshot"))

    def test_connection(self, provider: str) -> ConnectionTest:
        """Run the target's test of a provider; where it has none, say whether the snapshot lists it.

        Raises:
            GatewayError: the snapshot cannot be read.
        """
        listed = self._listed(provider)
        if listed is None:
            return report_test(f"{provider} is not listed by the snapshot", "unknown", succeeded=False)
        if self._said["test"] is None:
            status = listed.status or "unknown"
            said = listed.message or f"{provider} is listed; the target has no command that tests a connection"
            return report_test(said, status, succeeded=status != "offline")
        try:
            self._sender.run(self._driver.fill("test", provider=provider), "settings.test", READ, lambda _: None)
        except GatewayError as problem:
            return report_test(problem.reason, "offline", succeeded=False)
        return report_test("settings.test exited with 0", "connected")

    def preflight(self, provider: str) -> Preflight:
        """Examine whether a provider could be activated: by the test of its connection, for there is no other."""
        found = self.test_connection(provider)
        check = PreflightCheck(found.succeeded, found.connection_status, found.message)
        return Preflight(check.passed, {"connection": check})

    def status(self, provider: str) -> Connection:
        """Return a provider's status in the snapshot.

        Raises:
            GatewayError: it has none.
        """
        listed = self._listed(provider)
        if listed is None or listed.status is None:
            self._refuse_absent(f"status of {provider}", "status")
        return _connection(listed)

    def metrics(self, provider: str) -> Metrics:
        """Return a provider's counters in the snapshot; it has no latencies.

        Raises:
            GatewayError: it has none.
        """
        counters = self._snapshot().counters or {}
        found = next((each for name, each in counters.items() if name.casefold() == provider.casefold()), None)
        if found is None:
            self._refuse_absent(f"counters of {provider}", "counters")
        rate = found.failures / found.requests if found.requests else 0.0
        latency = Latency(None, None, None, 0)
        return Metrics(found.requests, found.requests - found.failures, found.failures, rate, latency, {})

    def alerts(self, severity: str | None) -> tuple[Alert, ...]:
        """Return the snapshot's alerts, of one severity or of all. Raises GatewayError where it has none."""
        found = self._snapshot().alerts
        if found is None:
            self._refuse_absent("alerts", "alerts")
        return tuple(alert for alert in found if severity in {None, alert.severity})

    def audit(self, limit: int) -> tuple[AuditEntry, ...]:
        """Return the snapshot's newest entries of the audit log. Raises GatewayError where it has none."""
        found = self._snapshot().audit
        if found is None:
            self._refuse_absent("audit log", "audit")
        return found[:limit]

    def ask(self, prompt: str, *, max_tokens: int, stream: bool) -> Completion:
        """Request a completion, by the target's command or over HTTP.

        Raises:
            Refused: the service refused it over HTTP.
            GatewayError: no completion, or one of another shape.
        """
        if self._said["ask"] is None:
            return openai_chat.ask(
                self._sender, self._said["chat"], self._said["served_by"], prompt, max_tokens=max_tokens, stream=stream
            )
        began = time.monotonic()

        def parse(printed: bytes) -> Completion:
            found = parse_output(CompletionOutput, printed)
            elapsed_ms = (time.monotonic() - began) * 1000
            return Completion(
                found.content, found.model, found.provider, found.total_tokens, elapsed_ms, found.first_token_ms
            )

        return self._sender.run(self._driver.fill("ask", prompt=prompt), "settings.ask", CHAT, parse)

    def _snapshot(self) -> SnapshotOutput:
        def parse(printed: bytes) -> SnapshotOutput:
            found = parse_output(SnapshotOutput, printed)
            missing = [each for each in self._said["offers"] if not _has(found, each)]
            if missing:
                raise InvalidResponse(
                    f"it printed no {missing[0]}, which the target's `offers` names; print it, or leave it out there"
                )
            return found

        return self._sender.run(self._driver.fill("snapshot"), "settings.snapshot", READ, parse)

    def _listed(self, provider: str) -> ProviderOutput | None:
        folded = provider.casefold()
        return next((each for each in self._snapshot().providers if each.name.casefold() == folded), None)

    def _refuse_absent(self, what: str, offer: str) -> NoReturn:
        raise GatewayError(
            "RUN settings.snapshot", f"it printed no {what}; print it, or leave {offer} out of the target's `offers`"
        )


def _connection(listed: ProviderOutput) -> Connection:
    return Connection(listed.status or "unknown", listed.message)


def _has(found: SnapshotOutput, offer: str) -> bool:
    if offer == "status":
        return all(each.status is not None for each in found.providers)
    return getattr(found, offer) is not None
