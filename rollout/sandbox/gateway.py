"""One gateway: activation, weights and limits, with metrics, log and audit entries of them."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rollout.core.clock import Clock
from rollout.sandbox.alerts import Alerts, Finding, budget_findings, findings_in
from rollout.sandbox.connections import Connections
from rollout.sandbox.deviations import Switched
from rollout.sandbox.earlier_states import EarlierStates, View
from rollout.sandbox.errors import NotWritten, Refusal
from rollout.sandbox.faults import ERROR_STATUSES, Faults
from rollout.sandbox.files import write_private
from rollout.sandbox.metrics import Counters, Metrics
from rollout.sandbox.providers import PROVIDERS, Provider
from rollout.sandbox.records import Audit, BackendLog, Truth
from rollout.sandbox.routing import NO_WEIGHTS, Routing
from rollout.sandbox.settings import SandboxSettings, Timing, read_timing
from rollout.sandbox.state import LIMIT_DEFAULTS, State, kept

GIVES_UP_AFTER_S = 60.0
"""A call that hangs is answered with 504 after this time."""

WATCHED_EVERY_S = 0.5
"""How often requests are watched for alerts while nothing reads the alerts."""

LONG_ALERT_S = 6 * 3600.0
"""How long alerts last with deviation 23, as recorded."""

ACTIVATION = "activate_provider"
WEIGHTS = "set_routing_weights"
UNKNOWN = "unknown"
"""The audit log's name for a user that it does not know."""

_POLL_EVERY_S = 0.5
_GATEWAY_TIMEOUT = 504
_OTHER_NAMES = {"google": "google-gemini"}


class Gateway:
    """The state and the behaviour of one gateway; one asyncio loop, no threads.

    Attributes:
        deviations: those that are switched on.
        state: configuration and limits, which survive a restart.
        connections: whether providers can be reached.
        boot_id: a new one at each start; a changed one means that counters were reset.
        metrics: provider -> its counters.
        routing: the weights of the requests; kept over a restart.
        timing: the delays; a change at run time is kept over a restart.
        settings: how the gateway behaves.
        truth: the true activations and serving providers, whatever reads and answers show.
    """

    def __init__(self, directory: Path, settings: SandboxSettings, clock: Clock) -> None:
        """Load the state in `directory`, or create it. Raises SandboxFailed where a file is invalid."""
        self.clock = clock
        switched = directory / "deviations.json"
        self.deviations = Switched(kept(switched, settings.deviations), switched)
        self.state = State(directory, settings, self.deviations)
        self.log_file = directory / "logs" / "backend.log"
        self.log = BackendLog(self.log_file)
        self.boot_id = uuid.uuid4().hex
        self.faults = Faults(settings.faults, clock, self.state.config, seed=settings.seed)
        self._activations_file = directory / "activations.json"
        earlier = kept(self._activations_file, {})
        # No fault waits for another activation after a restart.
        self.faults.activations |= earlier.get("activations", {})
        if earlier.get("active", self.state.provider) != self.state.provider:
            # The activation was written before, and is in effect from this start on.
            self.faults.activated(self.state.provider)
        self.connections = Connections(self.state, self.faults, self.deviations, clock)
        self.metrics = {
            name: Metrics(models={model: Counters() for model in provider.models})
            for name, provider in PROVIDERS.items()
        }
        self.routing = Routing(directory / "routing.json")
        self._timing_file = directory / "timing.json"
        self.timing = read_timing(kept(self._timing_file, asdict(settings.timing)), [])
        self.truth = Truth(clock)
        self._earlier_states = EarlierStates(self._now)
        self._started_s = clock.monotonic()
        self._watched_s = float("-inf")
        self._switching = 0
        self.settings = settings
        self.alerts = Alerts(clock, self._alert_ttl_s)
        self.audit = Audit()
        self.log.write("INFO", "gateway:start", f"{self.state.provider}:{self.state.model} is active; {{'errors': 0}}")

    @property
    def reported_active(self) -> str:
        """Return the name under which the active provider is reported."""
        provider = self.seen("providers").provider
        return _OTHER_NAMES.get(provider, provider) if "reports_other_name" in self.deviations else provider

    @property
    def is_starting(self) -> bool:
        """Whether the gateway is still starting (`Timing.startup_s`)."""
        return self.clock.monotonic() - self._started_s < self.timing.startup_s

    def seen(self, call: str) -> View:
        """Return the state that the call's answer shows: the present or an earlier one (`Timing.stale_calls`)."""
        if not self.timing.stale_reads_s or call not in self.timing.stale_calls:
            return self._now
        return self._earlier_states.at(self.clock.monotonic() - self.timing.stale_reads_s)

    def set_timing(self, timing: Timing) -> None:
        """Apply these delays from now on, and keep them. Raises OSError."""
        write_private(self._timing_file, json.dumps(asdict(timing)).encode())
        self.timing = timing

    def true_state(self) -> dict[str, Any]:
        """Return the answer of ``/sandbox/state``. Raises OSError."""
        return self.truth.as_answer(self.boot_id, self.state, self._now)

    def keep(self) -> None:
        """Keep the times of activations for the next start, because faults count from them. Raises OSError."""
        content = {"activations": self.faults.activations, "active": self.state.provider}
        write_private(self._activations_file, json.dumps(content).encode())

    def switch(self, deviations: Iterable[str]) -> None:
        """Switch on these deviations and no others. Raises OSError."""
        self.deviations.replace(deviations)
        self.alerts.ttl_s = self._alert_ttl_s

    def note(
        self, user: str, action: str, provider: str | None, details: Mapping[str, object], error: str | None = None
    ) -> None:
        """Add an entry to the audit log; `error` is the reason why the action failed."""
        if action == ACTIVATION and "no_audit" in self.deviations:
            return
        known = UNKNOWN if "audit_user_unknown" in self.deviations else user
        self.audit.add(self.clock.now(), action, known, provider, details, error)

    def activate(self, provider: Provider, model: str | None, user: str, *, as_runtime: bool = False) -> str:
        """Make the provider and model the active ones, the default model where none is named (deviation 8).

        `as_runtime` is true for the call that activates local runtimes (deviation 13).
        Returns the model. Raises Refusal (400, 503, NotWritten) and OSError.
        """
        previous = {"previous_provider": self.state.provider, "previous_model": self.state.model}
        try:
            self._refuse_activation(provider, as_runtime=as_runtime)
            chosen = self._put_in_effect(provider, model, user)
        except Refusal as refusal:
            self.note(user, ACTIVATION, provider.name, {"model": model}, str(refusal.detail))
            raise
        self.note(user, ACTIVATION, provider.name, {"model": chosen, **previous})
        return chosen

    async def switch_runtime(self, provider: Provider, model: str | None, user: str) -> str:
        """Activate a local runtime as `activate` does; completions are refused meanwhile, for `Timing.switch_s`."""
        until = self.clock.monotonic() + self.timing.switch_s
        self._switching += 1
        try:
            while (left_s := until - self.clock.monotonic()) > 0:  # noqa: ASYNC110 - time passes without an event
                await asyncio.sleep(min(left_s, _POLL_EVERY_S))
            return self.activate(provider, model, user, as_runtime=True)
        finally:
            self._switching -= 1

    def route(self, weights: Mapping[str, float], user: str) -> None:
        """Split the requests by these weights (`rollout.sandbox.routing`).

        Without weights everything goes to the active provider.

        Raises Refusal (400, 503, NotWritten) and OSError.
        """
        details = {"weights": dict(weights), "previous_weights": dict(self.routing.weights)}
        try:
            self._put_weights(weights)
        except Refusal as refusal:
            self.note(user, WEIGHTS, None, details, str(refusal.detail))
            raise
        self.note(user, WEIGHTS, None, details)

    async def disturb(self, call: str, provider: str | None = None, model: str | None = None) -> str | None:
        """Apply the faults to a call: wait, hang, fail (Refusal 502, 504…); return how they spoil its answer.

        A call that names no provider has the faults of the active one. `model` is the one that a completion is sent to.
        """
        name = provider or self.state.provider
        effect = self.faults.effect(name, call, model)
        await asyncio.sleep(effect.latency_ms / 1000)
        if effect.hang:
            await self._hang(call, name, model)
        if self.faults.is_next_failing(name, call, effect):
            reason = f"Provider {name} failed: {ERROR_STATUSES[effect.error_status]}"
            raise Refusal(effect.error_status, reason, tries=1 + effect.retries)
        return effect.answer

    def refuse_while_switching(self) -> None:
        """Raise Refusal (409) while a local runtime is being switched."""
        if self._switching:
            raise Refusal(409, "A switch of the local runtime is under way")

    def watch_if_due(self) -> None:
        """Watch as `watch` does, unless that was less than `WATCHED_EVERY_S` ago: it reads every recent request."""
        now = self.clock.monotonic()
        if now - self._watched_s >= WATCHED_EVERY_S:
            self._watched_s = now
            self.watch()

    def watch(self) -> None:
        """Fire the alerts that the metrics call for."""
        for finding in self._findings():
            if self.alerts.fire(finding):
                self.log.write("WARNING", "alerts:fire", f"{finding.severity} {finding.alert_type}: {finding.details}")

    def usage_usd(self, scope: str) -> float:
        """Return the cost since the start of ``global`` or of ``provider:NAME``."""
        return sum(self.metrics[name].total_usd for name in _in_scope(scope))

    def set_limit(self, kind: str, scope: str, values: Mapping[str, float]) -> dict[str, float]:
        """Set limits of a scope and return them all; a limit not in `values` stays. Raises Refusal (400), OSError.

        `kind` is ``cost`` or ``rate``; `scope` is ``global``, a provider's name, or ``provider:NAME``.
        """
        name = scope_name(scope)
        limit = {**self.state.limits[kind].get(name, LIMIT_DEFAULTS[kind]), **values}
        if kind == "cost" and limit["soft_limit_usd"] > limit["hard_limit_usd"]:
            raise Refusal(400, "Soft limit cannot be greater than hard limit")
        self._refuse_writing()
        self.state.set_limit(kind, name, limit)
        self._note_state()
        self.log.write("INFO", "governance:set_limit", f"{name} {limit}")
        return limit

    def current_rate(self, scope: str) -> dict[str, int]:
        """Return requests and tokens of the last minute."""
        now = self.clock.monotonic()
        recent = [request for name in _in_scope(scope) for request in self.metrics[name].recent(now)]
        return {"current_requests": len(recent), "current_tokens": sum(request.tokens for request in recent)}

    def _refuse_activation(self, provider: Provider, *, as_runtime: bool) -> None:
        if not provider.can["activate"]:
            raise Refusal(400, f"Provider {provider.name} does not support activation")
        self.connections.refuse_activation(provider)
        if provider.endpoint and not as_runtime and "local_activation_elsewhere" in self.deviations:
            raise Refusal(
                400, f"Local runtime {provider.name} activation should use /system/llm-servers/active endpoint"
            )

    def _put_in_effect(self, provider: Provider, model: str | None, user: str) -> str:
        chosen = model or provider.default_model or ""
        if chosen not in provider.models:
            raise Refusal(
                400,
                f"Model {chosen} is not available for provider {provider.name}; "
                f"available: {', '.join(provider.models)}",
            )
        self._refuse_writing()
        previous, deviations = self.state.provider, self.deviations
        if "activate_without_effect" not in deviations:
            at_once = "activate_after_restart" not in deviations and provider.name not in self.timing.restart_providers
            self.state.activate(provider.name, chosen, rewritten="activation_rewrites" in deviations, at_once=at_once)
            self.truth.activated(provider.name, chosen, user)
            if "weights_outlive_activation" not in deviations:
                self.routing.replace(NO_WEIGHTS)
            self._note_state()
        if previous != self.state.provider:
            self.faults.activated(provider.name)
        self.log.write("INFO", "gateway:activate", f"{provider.name}:{chosen} is active, was {previous}")
        return chosen

    def _put_weights(self, weights: Mapping[str, float]) -> None:
        routed = Routing.shares(weights)
        for name in routed:
            self.connections.refuse_activation(PROVIDERS[name])
        self._refuse_writing()
        fresh = [name for name in routed if name != self.state.provider and not self.routing.share(name)]
        self.routing.replace(weights)
        self._note_state()
        for name in fresh:
            # Weights send it its first users: faults count that as an activation.
            self.faults.activated(name)
        self.log.write("INFO", "gateway:route", f"weights {dict(weights)}")

    @property
    def _now(self) -> View:
        return View.of(self.state, self.routing)

    def _note_state(self) -> None:
        self._earlier_states.add(self.clock.monotonic(), self._now)

    def _refuse_writing(self) -> None:
        if "config_write_errors" in self.deviations:
            raise NotWritten(200, "The configuration could not be written")

    @property
    def _alert_ttl_s(self) -> float:
        return LONG_ALERT_S if "long_alerts" in self.deviations else self.settings.alert_ttl_s

    async def _hang(self, call: str, provider: str, model: str | None) -> None:
        until = self.clock.monotonic() + GIVES_UP_AFTER_S
        while self.faults.effect(provider, call, model).hang:
            if self.clock.monotonic() >= until:
                raise Refusal(_GATEWAY_TIMEOUT, f"Provider {provider} did not answer within {GIVES_UP_AFTER_S:g} s")
            await asyncio.sleep(_POLL_EVERY_S)

    def _findings(self) -> Iterator[Finding]:
        now = self.clock.monotonic()
        for name, provider in PROVIDERS.items():
            serves = name == self.state.provider or self.routing.share(name) > 0
            yield from findings_in(
                provider, self.metrics[name].recent(now), self.settings.alert_error_share, is_active=serves
            )
        for scope, limit in self.state.limits["cost"].items():
            yield from budget_findings(scope, self.usage_usd(scope), limit["hard_limit_usd"])


def scope_name(scope: str) -> str:
    """Return a limit's scope as it is reported: ``global`` or ``provider:NAME`` (deviation 20)."""
    name = scope.casefold().removeprefix("provider:")
    return name if name == "global" else f"provider:{name}"


def _in_scope(scope: str) -> tuple[str, ...]:
    return tuple(name for name in PROVIDERS if scope in ("global", f"provider:{name}"))
