"""Latency and error rate of the current provider before the change (PRE-5.4): the baseline of MON-3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import cycle

from rollout.core.clock import Clock, StopFlag
from rollout.core.errors import GatewayError, Interrupted
from rollout.core.scenario import Monitor, ProviderChange
from rollout.core.target import Target
from rollout.gateway.responses import Metrics
from rollout.monitoring.samples import Baseline, SyntheticReading, is_number
from rollout.monitoring.signal_samples import RATE_LIMITED, TIMED_OUT, Levels, SignalBaseline, count_codes
from rollout.monitoring.signal_streams import is_rate_limited, is_timed_out
from rollout.monitoring.sources.registry import Watchable
from rollout.monitoring.sources.synthetic import ask
from rollout.monitoring.verdict import percentile

# Long enough to be no burst, short enough that twenty requests do not delay a precheck.
PACE_S = 0.05
FAILURES_IN_A_ROW = 3


def measure(
    gateway: Watchable,
    provider: ProviderChange,
    monitor: Monitor,
    clock: Clock,
    stop: StopFlag,
    *,
    target: Target,
    levels: Callable[[], Levels] | None = None,
) -> Baseline:
    """Return the baseline of `provider`, the active one, from its users' numbers and from synthetic requests.

    Sends `monitor.planned_baseline` requests one after another, fewer if three in a row fail, none if they are switched
    off. An answer by another provider or model counts as a failure: its latency is not this provider's. A number that
    cannot be read is None; PRE-5.4 and MON-3 judge whether the numbers suffice.

    Raises:
        Interrupted: `stop` was set.
        GatewayError: the gateway's rate limit does not let the requests through, or a PromQL signal has no number.
    """
    readings = _requests(gateway, provider, monitor, clock, stop, target)
    latencies = sorted(r.latency_ms for r in readings if _counts(r) and r.latency_ms is not None)
    users = _metrics(gateway, provider.provider)
    seen = 0 if users is None else users.total_requests
    return Baseline(
        provider=provider.provider,
        users_p95_ms=None if users is None else users.latency.p95_ms,
        users_samples=0 if users is None else users.latency.samples,
        users_error_rate=users.failed_requests / seen if users is not None and seen else None,
        users_requests=seen,
        synthetic_p95_ms=percentile(latencies) if latencies else None,
        synthetic_samples=len(latencies),
        synthetic_failures=len(readings) - len(latencies),
        synthetic_latencies_ms=tuple(latencies),
        users_histogram=None if users is None else users.histogram,
        signals=None if monitor.signals is None else _signals(readings, users, levels),
    )


def _signals(
    readings: Sequence[SyntheticReading], users: Metrics | None, levels: Callable[[], Levels] | None
) -> SignalBaseline:
    first_tokens = sorted(r.first_token_ms for r in readings if r.first_token_ms is not None)
    codes, requests = ({}, 0) if users is None else (users.errors_by_code, users.total_requests)
    return SignalBaseline(
        requests=len(readings),
        rate_limited=sum(map(is_rate_limited, readings)),
        timed_out=sum(map(is_timed_out, readings)),
        first_token_ms=tuple(first_tokens),
        users_requests=requests,
        users_rate_limited=count_codes(RATE_LIMITED, codes),
        users_timed_out=count_codes(TIMED_OUT, codes),
        cost_per_1k=1000 * users.total_usd / requests if users is not None and requests and users.total_usd else None,
        levels={} if levels is None else levels().values,
    )


def _requests(
    gateway: Watchable, provider: ProviderChange, monitor: Monitor, clock: Clock, stop: StopFlag, target: Target
) -> list[SyntheticReading]:
    readings: list[SyntheticReading] = []
    in_a_row = 0
    # The same prompts in the same order as in the window, so that the P95s are comparable.
    probes = cycle(monitor.in_turn)
    while len(readings) < monitor.planned_baseline and in_a_row < FAILURES_IN_A_ROW:
        if not clock.wait(PACE_S if readings else 0.0, stop):
            raise Interrupted(f"the baseline was not finished: {stop.reason}")
        readings.append(ask(gateway, provider, next(probes), target, clock, signals=monitor.signals))
        in_a_row = 0 if _counts(readings[-1]) else in_a_row + 1
    return readings


def _counts(reading: SyntheticReading) -> bool:
    return reading.ok and reading.reason is None and is_number(reading.latency_ms)


def _metrics(gateway: Watchable, provider: str) -> Metrics | None:
    """Return the provider's metrics, None unless all are valid numbers; a failed read is repeated once."""
    for _ in range(2):
        with suppress(GatewayError):
            found = gateway.metrics(provider)
            numbers = (found.total_requests, found.failed_requests, found.latency.samples, found.latency.p95_ms or 0.0)
            return found if all(map(is_number, numbers)) else None
    return None
