"""The observed gateway: its own answers, and those of Prometheus and Alertmanager where the target names them.

The window, the baseline and the prechecks read from here, so that all of them read the same sources. Those of a window
are opened for one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial
from typing import Any

from rollout.context import RolloutContext
from rollout.core.clock import Clock, StopFlag
from rollout.core.errors import GatewayError, NotCleared
from rollout.core.redaction import Redactor
from rollout.core.scenario import Monitor, ProviderChange
from rollout.core.signals import PromqlSignal
from rollout.core.target import AlertmanagerSource, PrometheusSource, Target
from rollout.gateway.client import find_fallback_counter
from rollout.gateway.host.log_command import CommandFollower, LogCommandError
from rollout.gateway.responses import Alert, Completion, Metrics
from rollout.monitoring.hold import HoldDecision
from rollout.monitoring.samples import Context, SourceName
from rollout.monitoring.signal_samples import Levels
from rollout.monitoring.sources.alertmanager import Alertmanager
from rollout.monitoring.sources.http_endpoint import Endpoint
from rollout.monitoring.sources.prometheus import Prometheus
from rollout.monitoring.sources.registry import Source, Watchable, gateway_sources


class Observed:
    """One provider's gateway, read through the target's sources; a `rollout.monitoring.sources.registry.Watchable`."""

    def __init__(
        self,
        gateway: Watchable,
        of: ProviderChange,
        prometheus: Prometheus | None = None,
        alertmanager: Alertmanager | None = None,
    ) -> None:
        """Wrap the gateway; `of` is the provider and model whose numbers are read."""
        self._gateway, self._of = gateway, of
        self._prometheus, self._alertmanager = prometheus, alertmanager
        # What no other source can give.
        self.status, self.test_connection = gateway.status, gateway.test_connection
        self.governance, self.chat = gateway.governance, gateway.chat

    def metrics(self, provider: str, /) -> Metrics:
        """Return the provider's counters and percentiles."""
        if self._prometheus is None:
            return self._gateway.metrics(provider)
        return self._prometheus.metrics(ProviderChange(provider, self._of.model))

    def alerts(self, severity: str, /) -> tuple[Alert, ...]:
        """Return the alerts of that severity."""
        return (self._alertmanager or self._gateway).alerts(severity)

    def stream_chat(self, prompt: str, *, max_tokens: int = 16) -> Completion:
        """Return the completion, with the time to its first token."""
        return self._gateway.stream_chat(prompt, max_tokens=max_tokens)

    def levels(self, signals: Iterable[PromqlSignal]) -> Levels:
        """Return the number of each expression. Raises GatewayError."""
        if self._prometheus is None:
            raise GatewayError("Prometheus", "the target names no sources.prometheus, which PromQL signals need")
        return Levels({signal.title: self._prometheus.level(signal, self._of) for signal in signals})

    def memory(self) -> Any:
        """Return what the metrics' source needs to continue in a later call, as JSON types; None where nothing."""
        return None if self._prometheus is None else self._prometheus.memory()

    def metrics_sample(self, previous: ProviderChange | None) -> Any:
        """Return a sample of the metrics for the report (PRE-2.5). Raises GatewayError."""
        if self._prometheus is None:
            return self._gateway.metrics(self._of.provider)
        return self._prometheus.sample(self._of, previous or self._of)

    def alerts_sample(self, severity: str) -> Any:
        """Return a sample of the alerts for the report (PRE-2.5). Raises GatewayError."""
        return self._gateway.alerts(severity) if self._alertmanager is None else self._alertmanager.sample()


def observe_provider(
    rollout: RolloutContext, of: ProviderChange, *, since_s: float = 0.0, memory: Any = None
) -> AbstractContextManager[Observed]:
    """Return the rollout's gateway as observed for `of`, through the target's sources; closed with the context.

    Args:
        rollout: the rollout, with gateway, target, clock and redactor.
        of: the provider and model whose numbers are read.
        since_s: as in `observing`.
        memory: as in `observing`.
    """
    return observing(
        rollout.gateway,
        rollout.target,
        of,
        rollout.env,
        clock=rollout.clock,
        stop=rollout.stop,
        redactor=rollout.redactor,
        since_s=since_s,
        memory=memory,
        slice_by=None if rollout.scenario.monitor.slices is None else rollout.scenario.monitor.slices.by,
    )


@contextmanager
def observing(
    gateway: Watchable,
    target: Target,
    of: ProviderChange,
    env: Mapping[str, str],
    *,
    clock: Clock,
    stop: StopFlag,
    redactor: Redactor,
    since_s: float = 0.0,
    memory: Mapping[str, Any] | None = None,
    slice_by: str | None = None,
) -> Iterator[Observed]:
    """Open the target's sources for `of`, and close them at the end.

    Args:
        gateway: the source of everything for which the target names none.
        target: names the sources.
        of: the provider and model whose numbers are read.
        env: holds the tokens.
        clock: the time.
        stop: cancels calls under way.
        redactor: removes secrets from messages; the tokens are added to it.
        since_s: Prometheus' counters count from so many seconds before the first poll.
        memory: the result of `Observed.memory` at the end of an earlier call.
        slice_by: the label by whose values Prometheus' requests are counted too.

    Raises:
        GatewayError: a file of the TLS settings cannot be used.
    """
    prometheus, alertmanager = target.sources.prometheus, target.sources.alertmanager

    def endpoint(name: str, source: PrometheusSource | AlertmanagerSource) -> Endpoint:
        token = env.get(source.token_env) if source.token_env else None
        if token:
            redactor.add(token)
        return Endpoint(
            name,
            f"sources.{name.casefold()}",
            source.url,
            tls=source.tls,
            token=token,
            token_env=source.token_env,
            deadline_s=target.timeouts.read_s,
            stop=stop,
            redact=redactor.text,
        )

    with ExitStack() as stack:
        counters, alerts = None, None
        if prometheus is not None:
            server = stack.enter_context(closing(endpoint("Prometheus", prometheus)))
            counters = Prometheus(prometheus, server, clock, since_s=since_s, memory=memory, slice_by=slice_by)
        if alertmanager is not None:
            alerts = Alertmanager(alertmanager, stack.enter_context(closing(endpoint("Alertmanager", alertmanager))))
        yield Observed(gateway, of, counters, alerts)


def promql_levels(observed: Observed, monitor: Monitor, *, relative: bool = False) -> Callable[[], Levels] | None:
    """Return what reads the numbers of the scenario's PromQL signals; None where it names none.

    Args:
        observed: the gateway as observed for the provider whose numbers they are.
        monitor: names the signals.
        relative: only those whose limit is a factor of the baseline.
    """
    signals = monitor.signals.promql if monitor.signals is not None else ()
    signals = tuple(signal for signal in signals if signal.factor is not None or not relative)
    return partial(observed.levels, signals) if signals else None


@contextmanager
def open_sources(
    rollout: RolloutContext, known: Context, hold_decision: HoldDecision, memory: Mapping[str, Any]
) -> Iterator[tuple[Source, ...]]:
    """Open the sources of a window, and close them when the call ends.

    Raises:
        NotCleared: the log of the target cannot be followed.
    """
    target, clock, redactor = rollout.target, rollout.clock, rollout.redactor
    with ExitStack() as stack:
        observed = stack.enter_context(observe_provider(rollout, known.change, memory=memory.get(SourceName.METRICS)))
        control, log = None, None
        if known.control is not None:
            control = stack.enter_context(
                observe_provider(rollout, known.control, memory=memory.get(SourceName.CONTROL))
            )
        try:
            if target.log_command:
                log = CommandFollower(target.log_command, clock, redactor.text)
                stack.callback(log.close)
            sources = gateway_sources(
                observed,
                known,
                target,
                operator=hold_decision.abort_asked,
                clock=clock,
                memory=memory,
                log=log,
                counting=observed.memory,
                levels=promql_levels(observed, known.monitor),
                control=None if control is None else (control, control.memory),
                count_fallbacks=find_fallback_counter(rollout.gateway),
            )
        except LogCommandError as error:
            raise NotCleared(str(error)) from error
        except OSError as error:
            raise NotCleared(f"the log {target.log_file} cannot be followed: {error.strerror}") from error
        yield sources
