"""MON-3: the P95 latency, compared with the baseline: the share of requests that are slower than the limit.

"P95 is above the limit" says "more than 5 % of the requests are slower than the limit", which the test for shares
judges. A gateway that offers only percentiles of its last requests is judged by the suite's own requests; where these
are switched off, three percentiles in a row that have no request in common are a breach.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.latency_limit import LatencyLimit, baseline_limit
from rollout.monitoring.power_report import describe_latency_power
from rollout.monitoring.samples import Context, SourceName
from rollout.monitoring.share_stream import ShareStream
from rollout.monitoring.share_test import STRETCH_S, Counted, ShareTest, fewest_requests, is_within
from rollout.monitoring.share_tests import own_latency_test, recent_s, users_latency_test
from rollout.monitoring.verdict import (
    P95,
    State,
    Verdict,
    _at,
    _no_data,
    describe_stretch,
    share_interval,
    show_interval,
    show_ms,
    show_rate,
)

IN_A_ROW = 3
"""So many percentiles in a row, without a request in common, are a breach."""


@dataclass(frozen=True, slots=True)
class _Latencies:
    """The requests of one kind against their limit.

    Attributes:
        source: ``users`` or ``synthetic``.
        slower: the requests that are slower than the limit.
        perhaps: those of `slower`, and those of which it is not known.
        limit: the limit.
        test: the test of the share.
        least: the requests that it takes to judge.
        p95_ms: P95 in ms over the window; with `is_above`, it is above that.
        how: how the P95 was determined, in words.
        own: how many of the suite's own requests a histogram of users has counted too; users' alone must be enough.
        recent_s: the newest part of the window, which must have a request.
    """

    source: str
    slower: ShareStream
    perhaps: ShareStream
    limit: LatencyLimit
    test: ShareTest
    least: int
    p95_ms: float
    is_above: bool = False
    how: str = ""
    own: int = 0
    recent_s: float = STRETCH_S

    @property
    def whose(self) -> str:
        return "users'" if self.source == "users" else "the suite's own"

    @property
    def requests(self) -> float:
        return max(0.0, self.slower.window.requests - self.own)

    @property
    def is_known(self) -> bool:
        return self.perhaps.window.failures == self.slower.window.failures

    @property
    def is_enough(self) -> bool:
        return self.requests >= self.least and self.slower.has_recent_request(self.recent_s)

    @property
    def is_breached(self) -> bool:
        return self.slower.evidence(self.test).is_breached

    @property
    def interval(self) -> tuple[float, float] | None:
        """The bounds of the share: from those that are slower to those that perhaps are."""
        low, high = share_interval(self.slower.window), share_interval(self.perhaps.window)
        return None if low is None or high is None else (low[0], high[1])

    def judge(self) -> tuple[State, Counted]:
        """Return the state, and the requests that decide it."""
        window = self.perhaps.window
        if self.is_breached:
            return State.BREACHED, self.slower.worst_stretch(self.test)
        share = self.limit.share
        if not is_within(window, share):
            return State.INCONCLUSIVE, window
        stretch = self.perhaps.stretch()
        return (State.HOLDING, window) if is_within(stretch, share) else (State.INCONCLUSIVE, stretch)


def nearest_rank(ordered: Sequence[float]) -> float:
    """Return the P95 of the sorted, non-empty `ordered`: it is above a limit exactly if more than 5 % of them are.

    An interpolated one may be above the limit although exactly 5 % are: such a window would hold with a P95 above it.
    """
    return ordered[-(-95 * len(ordered) // 100) - 1]


def judge_latency(aggregates: Aggregates, context: Context, now_s: float) -> Verdict:
    """Judge MON-3: at most 5 % of the requests are slower than the limit, over the window and since any change.

    Users' requests decide where their source has a histogram and enough requests; otherwise the synthetic requests. A
    breach by either is a breach. The limit has the baseline's uncertainty in it (`rollout.monitoring.latency_limit`).
    """
    found = [*_users_latencies(aggregates, context), *_own_latencies(aggregates, context)]
    judgeable = [each for each in found if each.test.is_judgeable]
    decides = next((each for each in judgeable if each.is_breached), None)
    decides = decides or next((each for each in judgeable if each.is_enough), None)
    if decides is not None:
        verdict = _latency_verdict(aggregates, decides)
        is_over = now_s >= context.lasts_s and not decides.is_breached
        # It takes milliseconds to compute.
        return replace(verdict, power=_describe_power(context, decides)) if is_over else verdict
    percentiles = _judge_percentiles(aggregates, context)
    if percentiles is not None:
        return percentiles
    tried, counted = aggregates.requests.latest(), aggregates.counters.latest()
    if tried is None and (counted is None or not counted.requests):
        return _no_data("MON-3", "users", None, "no request was seen, so there is no P95")
    return _too_few(aggregates, context, found)


def _too_few(aggregates: Aggregates, context: Context, found: list[_Latencies]) -> Verdict:
    tried = aggregates.requests.latest()
    has_limit = any(baseline_limit(context, source) for source in ("users", "synthetic"))
    why = "there is no baseline from a request of the previous provider, and no absolute limit (monitor.p95)"
    return Verdict(
        clause="MON-3",
        state=State.INCONCLUSIVE,
        value=None,
        limit=None,
        samples=0 if tried is None else tried.requests,
        source="synthetic",
        span="the window",
        at=_at(aggregates, SourceName.METRICS, SourceName.SYNTHETIC),
        message=f"P95 cannot be judged: {_why_no_p95(aggregates, context, found) if has_limit else why}",
        undecided=has_limit and (not found or any(each.test.is_judgeable for each in found)),
    )


def _why_no_p95(aggregates: Aggregates, context: Context, found: list[_Latencies]) -> str:
    if not found:
        own = _own_percentile(aggregates, context)
        if own is None:
            return "no request was timed that a limit applies to"
        return (
            f"the gateway's percentile is of its last {own.samples} requests, and {own.counted} were counted since the "
            f"activation; it takes {context.monitor.min_samples}, all of them since the activation"
        )
    judgeable = [each for each in found if each.test.is_judgeable]
    if not judgeable:
        limit = found[0].limit
        return (
            f"the baseline has {limit.requests} requests, so few that {limit.share * 100:.0f} % of the requests may be "
            "slower than the limit by chance; raise monitor.baseline_requests"
        )
    return "; ".join(
        f"{each.requests:.0f} of {each.whose} requests were timed and {each.least} are needed" for each in judgeable
    )


def _users_latencies(aggregates: Aggregates, context: Context) -> Iterator[_Latencies]:
    """Yield users' requests, where their source has a histogram with a request and there is a limit."""
    limit, part = baseline_limit(context, "users"), aggregates.histograms.latest()
    if limit is None or part is None:
        return
    quantile = part.histogram.quantile(P95)
    if quantile is None:
        return
    stream = aggregates.slow_users.stream(limit.value_ms)
    how = " (above the highest bound of the histogram)"
    if not quantile.at_least:
        bounds = f"{quantile.from_s * 1000:g}-{quantile.to_s * 1000:g} ms"
        how = f" (interpolated linearly in the histogram's bucket {bounds}, as histogram_quantile does)"
    yield _Latencies(
        source="users",
        slower=stream.slower,
        perhaps=stream.perhaps,
        limit=limit,
        test=users_latency_test(context, limit.share, is_absolute=limit.is_absolute),
        least=max(context.monitor.min_samples, fewest_requests(limit.share)),
        # The histogram counts the suite's own requests too, and users' alone must be enough.
        own=aggregates.requests.count(part.from_s, part.to_s),
        p95_ms=quantile.seconds * 1000,
        is_above=quantile.at_least,
        how=how,
        recent_s=recent_s(context),
    )


def _own_latencies(aggregates: Aggregates, context: Context) -> Iterator[_Latencies]:
    """Yield the suite's own requests, where one was timed and there is a limit."""
    limit = baseline_limit(context, "synthetic")
    if limit is None:
        return
    latencies = aggregates.requests.latencies(limit.value_ms)
    if not latencies:
        return
    stream = aggregates.requests.slow(limit.value_ms)
    yield _Latencies(
        source="synthetic",
        slower=stream,
        perhaps=stream,
        limit=limit,
        test=own_latency_test(context, limit.share, is_absolute=limit.is_absolute),
        least=max(context.monitor.min_samples, fewest_requests(limit.share)),
        p95_ms=nearest_rank(latencies),
    )


def _latency_verdict(aggregates: Aggregates, decides: _Latencies) -> Verdict:
    state, shown = decides.judge()
    window, limit = decides.perhaps.window, decides.limit
    share, interval = shown.failures / shown.requests, decides.interval
    message = _describe(decides, shown)
    if state is State.INCONCLUSIVE:
        message += f", {_why_undecided(decides, share)}"
    if decides.source != "users" and state is not State.BREACHED:
        message += "; these decide, because there is no histogram of enough users' requests"
    return Verdict(
        clause="MON-3",
        state=state,
        value=decides.p95_ms,
        limit=limit.named_ms,
        samples=round(shown.requests),
        source=decides.source,
        span=describe_stretch(shown, window),
        at=_at(aggregates, SourceName.METRICS if decides.source == "users" else SourceName.SYNTHETIC),
        message=message,
        interval=interval,
        effective_limit=limit.value_ms,
        limit_share=limit.share,
        undecided=state is State.INCONCLUSIVE and decides.is_known,
    )


def _describe_power(context: Context, decides: _Latencies) -> str:
    return describe_latency_power(context, decides.source, decides.limit, decides.test, decides.perhaps.window)


def _describe(decides: _Latencies, shown: Counted) -> str:
    """Return the P95 of the window, and the share of the requests that decide which is slower than the limit."""
    window, limit = decides.perhaps.window, decides.limit
    share, is_whole = shown.failures / shown.requests, shown == window
    p95 = f"{'more than ' if decides.is_above else ''}{show_ms(decides.p95_ms, limit.named_ms)}"
    where = ": " if is_whole else f"; over {describe_stretch(shown, window)}, "
    band = f" ({show_interval(decides.interval)})" if is_whole else ""
    requests = f"{show_rate(share, limit.share)}{band} of {shown.requests:.0f} of {decides.whose} requests"
    return (
        f"P95 {p95} over {describe_stretch(window, window)}{decides.how}{where}{requests} "
        f"{'took' if decides.is_known else 'may have taken'} longer than {limit.value_ms:.5g} ms ({limit.why}), which "
        f"{'is above' if share > limit.share else 'is not above'} {limit.share * 100:.3g} %"
    )


def _why_undecided(decides: _Latencies, share: float) -> str:
    if not decides.is_known:
        return (
            "and the histogram does not show which of them have; name a limit below its highest bound in monitor.p95, "
            "or let the gateway have a bucket above the limit"
        )
    if share > decides.limit.share:
        return "and there is too little evidence for a breach"
    return f"and the requests do not exclude twice as many ({min(100.0, 200 * decides.limit.share):.3g} %)"


def _judge_percentiles(aggregates: Aggregates, context: Context) -> Verdict | None:
    """Judge by the gateway's own percentiles, where nothing else can; None where something else can, or none is there.

    A percentile is the window's own if at least as many requests were counted as it was taken from.
    """
    limit, own = baseline_limit(context, "users"), _own_percentile(aggregates, context)
    if limit is None or own is None or own.samples < context.monitor.min_samples or own.counted < own.samples:
        return None
    row = aggregates.percentiles.disjoint[-IN_A_ROW:]
    is_breached = len(row) == IN_A_ROW and min(row) > limit.named_ms
    p95_ms = row[-1] if is_breached else own.p95_ms
    is_above = p95_ms > limit.named_ms
    state = State.BREACHED if is_breached else State.INCONCLUSIVE if is_above else State.HOLDING
    words, verb = f"the gateway's last {own.samples} requests", "is above" if is_above else "is not above"
    message = (
        f"P95 {show_ms(p95_ms, limit.named_ms)} over {words} {verb} {limit.named_ms:.5g} ms ({limit.why}); the gateway "
        "offers only this percentile, and the scenario switches the suite's own requests off"
    )
    if is_above:
        ends = "are above it" if is_breached else "are a breach"
        message += f"; {IN_A_ROW} in a row without a request in common {ends}"
    return Verdict(
        clause="MON-3",
        state=state,
        value=p95_ms,
        limit=limit.named_ms,
        samples=own.samples,
        source="users",
        span=words,
        at=_at(aggregates, SourceName.METRICS),
        message=message,
        effective_limit=limit.named_ms,
        undecided=state is State.INCONCLUSIVE,
    )


@dataclass(frozen=True, slots=True)
class _Percentile:
    """The gateway's latest percentile: of how many requests it is, and how many were counted since the activation."""

    p95_ms: float
    samples: int
    counted: int


def _own_percentile(aggregates: Aggregates, context: Context) -> _Percentile | None:
    """Return the gateway's latest percentile; None without one, or where the suite sends requests of its own."""
    metrics, span = aggregates.counters.last, aggregates.counters.latest()
    is_only_source = SourceName.SYNTHETIC not in aggregates.polls or not context.monitor.in_turn
    if metrics is None or span is None or metrics.latency.p95_ms is None or not is_only_source:
        return None
    counted = span.requests + _before_the_window(aggregates, context)
    return _Percentile(metrics.latency.p95_ms, metrics.latency.samples, counted)


def _before_the_window(aggregates: Aggregates, context: Context) -> int:
    """Return how many requests were counted between the activation and the window's first sample."""
    before, first = context.counters_before, aggregates.counters.first
    if before is None or first is None or aggregates.counters.resets:
        return 0
    restarted = first.total_requests < before.total_requests or first.failed_requests < before.failed_requests
    return 0 if restarted else first.total_requests - before.total_requests
