"""MON-3: the P95 latency, compared with the baseline."""

from __future__ import annotations

import math
from bisect import bisect_right
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
    held: _Limit
    samples: int
    span: str
    at: str
    above: bool = False
    how: str = ""
    chance: bool = False

    @property
    def state(self) -> State:
        if self.chance and self.value > self.limit:
            return State.INCONCLUSIVE
        if self.above:
            return State.BREACHED if self.value >= self.limit else State.INCONCLUSIVE
        return _compare(self.value, self.limit)

    @property
    def limit(self) -> float:
        return self.held.value_ms


def judge_latency(aggregates: Aggregates, context: Context, _now_s: float) -> Verdict:
    """Judge MON-3: P95 is at or below the limit; users' requests decide where their P95 is the window's own.

    A breach by either, users' or synthetic requests, is a breach. A breach by synthetic requests takes
    `breach_own_failures` answers that are slower than the limit: of twenty, two raise the P95 and may be chance.
    """
    found = [*_users_p95s(aggregates, context), *_own_p95(aggregates, context)]
    breaching = [c for c in found if c.state is State.BREACHED]
    if found:
        own = [c for c in found if c.source == found[0].source]
        unknown = [c for c in own if c.state is State.INCONCLUSIVE]
        decides = max(breaching or unknown or own, key=lambda c: c.value / c.limit)
        verdict = _latency_verdict(decides, context)
        if found[0].source == "users":
            return verdict
        alone = "these decide, because there is no P95 of enough users' requests that is the window's own"
        return replace(verdict, message=f"{verdict.message}; {alone}")
    tried = aggregates.requests.latest()
    counted = aggregates.counters.latest()
    if tried is None and (counted is None or not counted.requests):
        return _no_data("MON-3", "users", None, "no request was seen, so there is no P95")
    message = f"P95 cannot be judged: {_why_no_p95(aggregates, context)}"
    at, seen = _at(aggregates, SourceName.METRICS, SourceName.SYNTHETIC), 0 if tried is None else tried.requests
    return Verdict("MON-3", State.INCONCLUSIVE, None, None, seen, "synthetic", "the window", at, message)


def _latency_verdict(decides: _Candidate, context: Context) -> Verdict:
    limit, state = decides.limit, decides.state
    whose = "users'" if decides.source == "users" else "the suite's own"
    ends = "is above" if state is State.BREACHED else "is not above"
    held = f"{limit:.5g} ms" + (f" ({decides.held.why})" if decides.held.why else "")
    if state is State.INCONCLUSIVE and decides.chance:
        ends = "is above"
        held += (
            f", by fewer answers than the {context.monitor.breach_own_failures} that it takes to tell it from chance"
        )
    elif state is State.INCONCLUSIVE:
        ends = "cannot be held against"
        held += "; name an absolute limit in monitor.p95, or let the gateway have a bucket above it"
    more = "more than " if decides.above else ""
    number = f"P95 {more}{show_ms(decides.value, limit)} over {decides.span}"
    message = f"{number} ({decides.samples} of {whose} requests{decides.how}) {ends} {held}"
    return Verdict(
        "MON-3", state, decides.value, limit, decides.samples, decides.source, decides.span, decides.at, message
    )


def _why_no_p95(aggregates: Aggregates, context: Context) -> str:
    least = context.monitor.min_samples
    base = context.baseline
    if context.monitor.limits.p95_ms is None and (
        base is None or all(_limit(aggregates, context, source) is None for source in ("users", "synthetic"))
    ):
        return f"there is no baseline from at least {least} requests"
    return f"fewer than {least} requests that are the window's own on a side of the comparison"


def _limit(aggregates: Aggregates, context: Context, source: str) -> _Limit | None:
    """Return the limit for that source's P95, None where there is no usable baseline.

    During a canary the control group is the baseline, from enough requests of the same stage; otherwise the precheck's.
    """
    limits = context.monitor.limits
    if limits.p95_ms is not None:
        return _usable(_Limit(limits.p95_ms))
    control = _control_p95(aggregates, context, source)
    if control is not None:
        p95_ms, samples = control
        who = context.control.provider if context.control else ""
        words = f"control group {p95_ms:.5g} ms, {samples} requests of {who} in the same stage"
    else:
        base = context.baseline
        if base is None:
            return None
        p95, samples = (
            (base.users_p95_ms, base.users_samples)
            if source == "users"
            else (base.synthetic_p95_ms, base.synthetic_samples)
        )
        if p95 is None or samples < context.monitor.min_samples:
            return None
        p95_ms, words = p95, f"baseline {p95:.5g} ms"
    return _usable(_Limit(limits.latency_factor * p95_ms, f"{limits.latency_factor:g} x {words}"))


def _usable(limit: _Limit) -> _Limit | None:
    return limit if math.isfinite(limit.value_ms) and limit.value_ms > 0 else None


def _control_p95(aggregates: Aggregates, context: Context, source: str) -> tuple[float, int] | None:
    """Return the control group's P95 and its number of requests, if they are enough and all of this stage."""
    least = context.monitor.min_samples
    if context.control is None:
        return None
    if source != "users":
        latencies = aggregates.control_requests.latencies(math.inf)
        return (percentile(latencies), len(latencies)) if len(latencies) >= least else None
    metrics, span = aggregates.control.last, aggregates.control.latest()
    if metrics is None or span is None or metrics.latency.p95_ms is None:
        return None
    samples = metrics.latency.samples
    # The percentile covers the provider's last requests, however old; all must have been counted in this stage.
    return (metrics.latency.p95_ms, samples) if span.requests >= samples >= least else None


def _users_p95s(aggregates: Aggregates, context: Context) -> list[_Candidate]:
    """Return the users' P95: of the window and the short span from histograms, otherwise the gateway's own."""
    if aggregates.histograms.latest() is not None:
        return _histogram_p95s(aggregates, context)
    found = _users_p95(aggregates, context)
    return [] if found is None else [found]


def _histogram_p95s(aggregates: Aggregates, context: Context) -> list[_Candidate]:
    limit, window = _limit(aggregates, context, "users"), aggregates.histograms.latest()
    if limit is None or window is None:
        return []
    short_s, found = context.monitor.short_span_s, []
    window_span = Span(round(window.histogram.count), 0, window.from_s, window.to_s)
    for seconds in (short_s, None):
        part = aggregates.histograms.latest(seconds)
        quantile = None if part is None else part.histogram.quantile(P95)
        if part is None or quantile is None:
            continue
        span = Span(round(part.histogram.count), 0, part.from_s, part.to_s)
        own = aggregates.requests.count(span.from_s, span.to_s)
        if span.requests - own < context.monitor.min_samples:
            continue
        how = "; above the highest bound of the histogram"
        if not quantile.at_least:
            bounds = f"{quantile.from_s * 1000:g}-{quantile.to_s * 1000:g} ms"
            how = f"; interpolated linearly in the histogram's bucket {bounds}, as histogram_quantile does"
        words, at = _last(span, window_span, short_s), _at(aggregates, SourceName.METRICS)
        ms = quantile.seconds * 1000
        found.append(_Candidate("users", ms, limit, span.requests, words, at, quantile.at_least, how))
    return found


def _users_p95(aggregates: Aggregates, context: Context) -> _Candidate | None:
    """Return the gateway's P95 if every sample it was taken from belongs to the span, None otherwise.

    The gateway's percentiles cover its last 1,000 requests, however old (deviation 2). They are the span's own only if
    at least as many requests were counted in the span as the percentile was taken from.
    """
    limit, metrics = _limit(aggregates, context, "users"), aggregates.counters.last
    if limit is None or metrics is None or metrics.latency.p95_ms is None:
        return None
    samples, least, short_s = metrics.latency.samples, context.monitor.min_samples, context.monitor.short_span_s
    if samples < least:
        return None
    at = _at(aggregates, SourceName.METRICS)
    short, window_span = aggregates.counters.latest(short_s), aggregates.counters.latest()
    for span, before in ((short, 0), (window_span, _before_the_window(aggregates, context))):
        if span is None or window_span is None:
            continue
        own = aggregates.requests.count(span.from_s, span.to_s)
        if span.requests + before >= samples and span.requests + before - own >= least:
            words = "the time since the activation" if before else _last(span, window_span, short_s)
            return _Candidate("users", metrics.latency.p95_ms, limit, samples, words, at)
    return None


def _before_the_window(aggregates: Aggregates, context: Context) -> int:
    """Return how many requests were counted between the activation and the window's first sample."""
    before, first = context.counters_before, aggregates.counters.first
    if before is None or first is None or aggregates.counters.resets:
        return 0
    if first.total_requests < before.total_requests or first.failed_requests < before.failed_requests:
        return 0
    return first.total_requests - before.total_requests


def _own_p95(aggregates: Aggregates, context: Context) -> list[_Candidate]:
    """Return the P95 of the synthetic requests over the window and the short span, where there are enough."""
    limit, own = _limit(aggregates, context, "synthetic"), aggregates.requests
    if limit is None:
        return []
    least, found = context.monitor.min_samples, []
    at = _at(aggregates, SourceName.SYNTHETIC)
    window = own.latest()
    for seconds in (context.monitor.short_span_s, None):
        span = own.latest(seconds)
        if span is None or window is None or span.requests < least:
            continue
        latencies = own.latencies(limit.value_ms, seconds)
        if len(latencies) >= least:
            words = _last(span, window, context.monitor.short_span_s)
            slow = len(latencies) - bisect_right(latencies, limit.value_ms)
            chance = slow < context.monitor.breach_own_failures
            p95_ms = percentile(latencies)
            found.append(_Candidate("synthetic", p95_ms, limit, len(latencies), words, at, chance=chance))
    return found
