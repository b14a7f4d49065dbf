"""The latency limit of a window, from its baseline or its scenario (MON-3, PRE-5.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rollout.core.histogram import Histogram
from rollout.monitoring.effective_limit import (
    SLOWER_SHARE,
    EffectiveLimit,
    effective_limit,
    effective_limit_of_histogram,
    slower_share,
)
from rollout.monitoring.samples import Baseline, Context
from rollout.monitoring.share_tests import baseline_alpha
from rollout.monitoring.verdict import percentile


@dataclass(frozen=True, slots=True)
class LatencyLimit:
    """The latency that at most a share of the requests may exceed.

    Attributes:
        named_ms: the limit as the scenario names it: a multiple of the baseline's P95, or absolute.
        value_ms: the effective limit, with the uncertainty of the baseline in it.
        share: the share of requests that may be slower, 0-1: 5 %, or more if the baseline is small.
        requests: the requests of the baseline; 0 where the limit is absolute.
        why: how it is derived, in words.
        is_absolute: whether it has no baseline.
    """

    named_ms: float
    value_ms: float
    share: float
    requests: int
    why: str
    is_absolute: bool = False


def baseline_limit(context: Context, source: str) -> LatencyLimit | None:
    """Return the limit of ``users`` or ``synthetic`` requests; None where there is no usable baseline.

    It is fixed when the window begins, because a limit that moves has no known probability of a false breach.
    """
    limits, base = context.monitor.limits, context.baseline
    if limits.p95_ms is not None:
        absolute = LatencyLimit(limits.p95_ms, limits.p95_ms, SLOWER_SHARE, 0, "absolute", is_absolute=True)
        return absolute if 0 < limits.p95_ms < math.inf else None
    if source == "users":
        return None if base is None else _of_users(context, base)
    latencies_ms, of = own_latencies(context)
    if latencies_ms:
        return _of_latencies(context, latencies_ms, of)
    return None if base is None else _of_p95(context, base.synthetic_p95_ms, base.synthetic_samples)


def own_latencies(context: Context) -> tuple[tuple[float, ...], str]:
    """Return the latencies in ms that the suite's own requests are compared with, ascending, and whose they are.

    During a canary they are the control group's of the stage before, where that had as many requests as the precheck's
    baseline; otherwise the precheck's. There is none where only its P95 is known.
    """
    base = context.baseline
    enough = max(context.monitor.min_samples, 0 if base is None else base.synthetic_samples)
    if len(context.control_latencies_ms) >= enough:
        return context.control_latencies_ms, "control group of the stage before"
    return () if base is None else base.synthetic_latencies_ms, "baseline"


def _of_users(context: Context, base: Baseline) -> LatencyLimit | None:
    if base.users_histogram is not None and base.users_p95_ms is not None:
        return _of_histogram(context, base.users_histogram, base.users_p95_ms)
    return _of_p95(context, base.users_p95_ms, base.users_samples)


def _of_latencies(context: Context, latencies_ms: tuple[float, ...], of: str) -> LatencyLimit | None:
    factor = context.monitor.limits.latency_factor
    found = effective_limit(latencies_ms, factor, baseline_alpha(context))
    return _usable(factor, percentile(latencies_ms), found, of)


def _of_histogram(context: Context, histogram: Histogram, p95_ms: float) -> LatencyLimit | None:
    factor = context.monitor.limits.latency_factor
    found = effective_limit_of_histogram(histogram, factor, baseline_alpha(context))
    return _usable(factor, p95_ms, found, "baseline")


def _of_p95(context: Context, p95_ms: float | None, requests: int) -> LatencyLimit | None:
    """Return the limit of a baseline of which only the P95 is known: a gateway's percentile, a journal of before."""
    if p95_ms is None or requests < context.monitor.min_samples:
        return None
    factor, share = context.monitor.limits.latency_factor, slower_share(requests, baseline_alpha(context))
    return _usable(factor, p95_ms, EffectiveLimit(factor * p95_ms, share, requests), "baseline")


def _usable(factor: float, p95_ms: float, found: EffectiveLimit | None, of: str) -> LatencyLimit | None:
    named_ms = factor * p95_ms
    if found is None or not (0 < named_ms < math.inf and 0 < found.limit_ms < math.inf):
        return None
    why = f"{factor:g} x {of} {p95_ms:.5g} ms"
    if found.limit_ms != named_ms:
        why += f", effective {found.factor_of(p95_ms):.3g} x with the uncertainty of its {found.requests} requests"
    return LatencyLimit(named_ms, found.limit_ms, found.share, found.requests, why)
