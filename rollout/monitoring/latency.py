"""MON-3: the P95 latency, compared with the baseline."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace

from rollout.monitoring.aggregates import Aggregates, Span
from rollout.monitoring.samples import Context, SourceName
from rollout.monitoring.verdict import P95, State, Verdict, _at, _compare, _last, _no_data, percentile, show_ms


@dataclass(frozen=True, slots=True)
class _Limit:
    """The limit of a P95.

    Attributes:
        value_ms: the limit.
        why: how it is derived, in words; empty for an absolute limit.
    """

    value_ms: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A P95 in ms.

    With `above`, it is a histogram's highest finite bound, and the true P95 is above it. With `chance`, fewer answers
    are slower than the limit than it takes to distinguish a breach from chance.
    """

    source: str
    value: float
    limit: _Limit
    samples: int
    span: str
    at: str
    above: bool = False
    how: str = ""
    chance: bool = False

    @property
    def state(self) -> State:
        if self.chance and self.value > self.limit.value_ms:
            return State.INCONCLUSIVE
        if self.above:
            return State.BREACHED if self.value >= self.limit.value_ms else State.INCONCLUSIVE
        return _compare(self.value, self.limit.value_ms)


def judge_latency(aggregates: Aggregates, context: Context, _now_s: float) -> Verdict:
    """Judge MON-3: P95 is at or below the limit; users' requests decide where their P95 is the window's own.

    A breach by either, users' or synthetic requests, is a breach. A breach by synthetic requests takes
    `breach_own_failures` answers that are slower than the limit: of twenty, two raise the P95 and may be chance.
    """
    users_p95s = _users_p95 if aggregates.histograms.latest() is None else _histogram_p95s
    found = [*users_p95s(aggregates, context), *_own_p95s(aggregates, context)]
    if found:
        breaching = [c for c in found if c.state is State.BREACHED]
        own = [c for c in found if c.source == found[0].source]
        unknown = [c for c in own if c.state is State.INCONCLUSIVE]
        verdict = _latency_verdict(max(breaching or unknown or own, key=lambda c: c.value / c.limit.value_ms), context)
        if found[0].source == "users":
            return verdict
        alone = "these decide, because there is no P95 of enough users' requests that is the window's own"
        return replace(verdict, message=f"{verdict.message}; {alone}")
    tried = aggregates.requests.latest()
    counted = aggregates.counters.latest()
    if tried is None and (counted is None or not counted.requests):
        return _no_data("MON-3", "users", None, "no request was seen, so there is no P95")
    return Verdict(
        clause="MON-3",
        state=State.INCONCLUSIVE,
        value=None,
        limit=None,
        samples=0 if tried is None else tried.requests,
        source="synthetic",
        span="the window",
        at=_at(aggregates, SourceName.METRICS, SourceName.SYNTHETIC),
        message=f"P95 cannot be judged: {_why_no_p95(aggregates, context)}",
    )


def _latency_verdict(decides: _Candidate, context: Context) -> Verdict:
    limit, state = decides.limit.value_ms, decides.state
    whose = "users'" if decides.source == "users" else "the suite's own"
    ends = "is above" if state is State.BREACHED else "is not above"
    held = f"{limit:.5g} ms" + (f" ({decides.limit.why})" if decides.limit.why else "")
    if state is State.INCONCLUSIVE and decides.chance:
        ends = "is above"
        held += (
            f", by fewer answers than the {context.monitor.breach_own_failures} that it takes to tell it from chance"
        )
    elif state is State.INCONCLUSIVE:
        ends = "cannot be held against"
        held += "; name an absolute limit in monitor.p95, or let the gateway have a bucket above it"
    return Verdict(
        clause="MON-3",
        state=state,
        value=decides.value,
        limit=limit,
        samples=decides.samples,
        source=decides.source,
        span=decides.span,
        at=decides.at,
        message=f"P95 {'more than ' if decides.above else ''}{show_ms(decides.value, limit)} over {decides.span} "
        f"({decides.samples} of {whose} requests{decides.how}) {ends} {held}",
    )


def _why_no_p95(aggregates: Aggregates, context: Context) -> str:
    least = context.monitor.min_samples
    if context.monitor.limits.p95_ms is None and (
        context.baseline is None
        or all(_limit(aggregates, context, source) is None for source in ("users", "synthetic"))
    ):
        return f"there is no baseline from at least {least} requests"
    return f"fewer than {least} requests that are the window's own on a side of the comparison"


def _limit(aggregates: Aggregates, context: Context, source: str) -> _Limit | None:
    """Return the limit for that source's P95, None where there is no usable baseline.

    During a canary the control group is the baseline, from enough requests of the same stage; otherwise the precheck's.
    """
    limits, least = context.monitor.limits, context.monitor.min_samples
    if limits.p95_ms is not None:
        return _usable(_Limit(limits.p95_ms))
    if context.control is not None:
        p95_ms, samples = _control_p95(aggregates, source)
        if p95_ms is not None and samples >= least:
            words = f"{samples} requests of {context.control.provider} in the same stage"
            return _multiple(context, p95_ms, f"control group {p95_ms:.5g} ms, {words}")
    p95_ms, samples = _baseline_p95(context, source)
    if p95_ms is None or samples < least:
        return None
    return _multiple(context, p95_ms, f"baseline {p95_ms:.5g} ms")


def _multiple(context: Context, p95_ms: float, words: str) -> _Limit | None:
    factor = context.monitor.limits.latency_factor
    return _usable(_Limit(factor * p95_ms, f"{factor:g} x {words}"))


def _usable(limit: _Limit) -> _Limit | None:
    return limit if math.isfinite(limit.value_ms) and limit.value_ms > 0 else None


def _baseline_p95(context: Context, source: str) -> tuple[float | None, int]:
    """Return the precheck's P95, None where there is none, and its number of requests."""
    base = context.baseline
    if base is None:
        return None, 0
    users = base.users_p95_ms, base.users_samples
    return users if source == "users" else (base.synthetic_p95_ms, base.synthetic_samples)


def _control_p95(aggregates: Aggregates, source: str) -> tuple[float | None, int]:
    """Return the control group's P95, None unless all its requests are of this stage, and their number."""
    if source != "users":
        latencies = aggregates.control_requests.latencies(math.inf)
        return percentile(latencies) if latencies else None, len(latencies)
    metrics, span = aggregates.control.last, aggregates.control.latest()
    # The percentile covers the provider's last requests, however old; all must have been counted in this stage.
    if metrics is None or span is None or span.requests < metrics.latency.samples:
        return None, 0
    return metrics.latency.p95_ms, metrics.latency.samples


def _histogram_p95s(aggregates: Aggregates, context: Context) -> Iterator[_Candidate]:
    """Yield the users' P95 of the short span and of the window, from the histograms."""
    limit, window = _limit(aggregates, context, "users"), aggregates.histograms.latest()
    if limit is None or window is None:
        return
    short_s = context.monitor.short_span_s
    window_span = Span(round(window.histogram.count), 0, window.from_s, window.to_s)
    for seconds in (short_s, None):
        part = aggregates.histograms.latest(seconds)
        quantile = None if part is None else part.histogram.quantile(P95)
        if part is None or quantile is None:
            continue
        span = Span(round(part.histogram.count), 0, part.from_s, part.to_s)
        if span.requests - aggregates.requests.count(span.from_s, span.to_s) < context.monitor.min_samples:
            continue
        how = "; above the highest bound of the histogram"
        if not quantile.at_least:
            bounds = f"{quantile.from_s * 1000:g}-{quantile.to_s * 1000:g} ms"
            how = f"; interpolated linearly in the histogram's bucket {bounds}, as histogram_quantile does"
        yield _Candidate(
            source="users",
            value=quantile.seconds * 1000,
            limit=limit,
            samples=span.requests,
            span=_last(span, window_span, short_s),
            at=_at(aggregates, SourceName.METRICS),
            above=quantile.at_least,
            how=how,
        )


def _users_p95(aggregates: Aggregates, context: Context) -> Iterator[_Candidate]:
    """Yield the gateway's P95 if every sample it was taken from belongs to the span.

    The gateway's percentiles cover its last 1,000 requests, however old (deviation 2). They are the span's own only if
    at least as many requests were counted in the span as the percentile was taken from.
    """
    limit, metrics = _limit(aggregates, context, "users"), aggregates.counters.last
    if limit is None or metrics is None or metrics.latency.p95_ms is None:
        return
    samples, least, short_s = metrics.latency.samples, context.monitor.min_samples, context.monitor.short_span_s
    short, window_span = aggregates.counters.latest(short_s), aggregates.counters.latest()
    for span, before in ((short, 0), (window_span, _before_the_window(aggregates, context))):
        if span is None or window_span is None or samples < least:
            continue
        own = aggregates.requests.count(span.from_s, span.to_s)
        if span.requests + before >= samples and span.requests + before - own >= least:
            yield _Candidate(
                source="users",
                value=metrics.latency.p95_ms,
                limit=limit,
                samples=samples,
                span="the time since the activation" if before else _last(span, window_span, short_s),
                at=_at(aggregates, SourceName.METRICS),
            )
            return


def _before_the_window(aggregates: Aggregates, context: Context) -> int:
    """Return how many requests were counted between the activation and the window's first sample."""
    before, first = context.counters_before, aggregates.counters.first
    if before is None or first is None or aggregates.counters.resets:
        return 0
    restarted = first.total_requests < before.total_requests or first.failed_requests < before.failed_requests
    return 0 if restarted else first.total_requests - before.total_requests


def _own_p95s(aggregates: Aggregates, context: Context) -> Iterator[_Candidate]:
    """Yield the P95 of the synthetic requests over the short span and the window, where there are enough."""
    limit, own, short_s = _limit(aggregates, context, "synthetic"), aggregates.requests, context.monitor.short_span_s
    window = own.latest()
    if limit is None or window is None:
        return
    for seconds in (short_s, None):
        latencies = own.latencies(limit.value_ms, seconds)
        if len(latencies) >= context.monitor.min_samples:
            slow = len(latencies) - bisect_right(latencies, limit.value_ms)
            yield _Candidate(
                source="synthetic",
                value=percentile(latencies),
                limit=limit,
                samples=len(latencies),
                span=_last(own.latest(seconds), window, short_s),
                at=_at(aggregates, SourceName.SYNTHETIC),
                chance=slow < context.monitor.breach_own_failures,
            )
