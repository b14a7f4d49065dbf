"""MON-3: the P95 latency, compared with the baseline: the share of requests that are slower than the limit.

"P95 is above the limit" says "more than 5 % of the requests are slower than the limit", which the test for shares
judges. A gateway that offers only percentiles of its last requests is judged by the suite's own requests; where these
are switched off, three percentiles in a row that have no request in common are a breach.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.latency_limit import LatencyLimit, baseline_limit
from rollout.monitoring.samples import Context, SourceName
from rollout.monitoring.share_stream import ShareStream
from rollout.monitoring.share_test import Counted, ShareTest, fewest_requests, is_within
from rollout.monitoring.share_tests import own_latency_test, users_latency_test
from rollout.monitoring.verdict import (
    P95,
    State,
    Verdict,
    _at,
    _no_data,
    describe_stretch,
    percentile,
    share_interval,
    show_interval,
    show_ms,
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

    @property
    def is_known(self) -> bool:
        return self.perhaps.window.failures == self.slower.window.failures

    @property
    def is_enough(self) -> bool:
        return self.slower.window.requests >= self.least

    @property
    def is_breached(self) -> bool:
        return self.slower.evidence(self.test).is_breached

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


def judge_latency(aggregates: Aggregates, context: Context, _now_s: float) -> Verdict:
    """Judge MON-3: at most 5 % of the requests are slower than the limit, over the window and since any change.

    Users' requests decide where their source has a histogram and enough requests; otherwise the synthetic requests. A
    breach by either is a breach. The limit has the baseline's uncertainty in it (`rollout.monitoring.latency_limit`).
    """
    found = [*_users_latencies(aggregates, context), *_own_latencies(aggregates, context)]
    judgeable = [each for each in found if each.test.is_judgeable]
    decides = next((each for each in judgeable if each.is_breached), None)
    decides = decides or next((each for each in judgeable if each.is_enough), None)
    if decides is not None:
        return _latency_verdict(aggregates, decides)
    percentiles = _judge_percentiles(aggregates, context)
    if percentiles is not None:
        return percentiles
    tried, counted = aggregates.requests.latest(), aggregates.counters.latest()
    if tried is None and (counted is None or not counted.requests):
        return _no_data("MON-3", "users", None, "no request was seen, so there is no P95")
    return _too_few(aggregates, context, found)


def _too_few(aggregates: Aggregates, context: Context, found: list[_Latencies]) -> Verdict:
    tried = aggregates.requests.latest()
    return Verdict(
        clause="MON-3",
        state=State.INCONCLUSIVE,
        value=None,
        limit=None,
        samples=0 if tried is None else tried.requests,
        source="synthetic",
        span="the window",
        at=_at(aggregates, SourceName.METRICS, SourceName.SYNTHETIC),
        message=f"P95 cannot be judged: {_why_no_p95(context, found)}",
        undecided=any(each.test.is_judgeable for each in found),
    )


def _why_no_p95(context: Context, found: list[_Latencies]) -> str:
    if not any(baseline_limit(context, source) for source in ("users", "synthetic")):
        return "there is no baseline from a request of the previous provider, and no absolute limit (monitor.p95)"
    hopeless = next((each for each in found if not each.test.is_judgeable), None)
    if hopeless is not None:
        return (
            f"the baseline has {hopeless.limit.requests} requests, so few that {hopeless.limit.share:.0%} of the "
            "requests may be slower than the limit by chance; raise monitor.baseline_requests"
        )
    seen = " and ".join(f"{each.slower.window.requests:.0f} of {each.least}" for each in found)
    return f"{seen or 'no'} requests that it takes were seen"


def _users_latencies(aggregates: Aggregates, context: Context) -> Iterator[_Latencies]:
    """Yield users' requests, where their source has a histogram with a request and there is a limit."""
    limit, part = baseline_limit(context, "users"), aggregates.histograms.latest()
    if limit is None or part is None:
        return
    quantile = part.histogram.quantile(P95)
    if quantile is None:
        return
    stream = aggregates.slow_users.stream(limit.value_ms)
    how = "; above the highest bound of the histogram"
    if not quantile.at_least:
        bounds = f"{quantile.from_s * 1000:g}-{quantile.to_s * 1000:g} ms"
        how = f"; interpolated linearly in the histogram's bucket {bounds}, as histogram_quantile does"
    # The histogram counts the suite's own requests too, and users' alone must be enough.
    own = aggregates.requests.count(part.from_s, part.to_s)
    yield _Latencies(
        source="users",
        slower=stream.slower,
        perhaps=stream.perhaps,
        limit=limit,
        test=users_latency_test(context, limit.share, is_absolute=limit.is_absolute),
        least=max(context.monitor.min_samples, fewest_requests(limit.share)) + own,
        p95_ms=quantile.seconds * 1000,
        is_above=quantile.at_least,
        how=how,
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
        p95_ms=percentile(latencies),
    )


def _latency_verdict(aggregates: Aggregates, decides: _Latencies) -> Verdict:
    state, shown = decides.judge()
    window, limit = decides.perhaps.window, decides.limit
    interval = share_interval(window)
    words = describe_stretch(shown, window)
    whose = "users'" if decides.source == "users" else "the suite's own"
    band = f" ({show_interval(interval)})" if shown == window else ""
    share = shown.failures / shown.requests
    message = (
        f"P95 {'more than ' if decides.is_above else ''}{show_ms(decides.p95_ms, limit.named_ms)} over the window"
        f"{decides.how}; over {words}, {share:.1%}{band} of {shown.requests:.0f} of {whose} requests took longer than "
        f"{limit.value_ms:.5g} ms ({limit.why}); {limit.share * 100:.3g} % may"
    )
    if state is State.INCONCLUSIVE:
        message += f", {_why_undecided(decides, share)}"
    elif state is State.BREACHED:
        message += ": P95 is above the limit"
    if decides.source != "users":
        message += "; these decide, because there is no histogram of enough users' requests"
    return Verdict(
        clause="MON-3",
        state=state,
        value=decides.p95_ms,
        limit=limit.named_ms,
        samples=round(shown.requests),
        source=decides.source,
        span=words,
        at=_at(aggregates, SourceName.METRICS if decides.source == "users" else SourceName.SYNTHETIC),
        message=message,
        interval=interval,
        effective_limit=limit.value_ms,
        undecided=state is State.INCONCLUSIVE and decides.is_known,
    )


def _why_undecided(decides: _Latencies, share: float) -> str:
    if not decides.is_known:
        return (
            "and the histogram does not show which of them are; name an absolute limit in monitor.p95, or let the "
            "gateway have a bucket above the limit"
        )
    if share > decides.limit.share:
        return "and the requests are too few to tell this from chance"
    return f"and the requests do not exclude twice as many ({min(1.0, 2 * decides.limit.share):.0%})"


def _judge_percentiles(aggregates: Aggregates, context: Context) -> Verdict | None:
    """Judge by the gateway's own percentiles, where nothing else can; None where something else can, or none is there.

    A percentile is the window's own if at least as many requests were counted as it was taken from.
    """
    limit, metrics = baseline_limit(context, "users"), aggregates.counters.last
    is_only_source = SourceName.SYNTHETIC not in aggregates.polls or not context.monitor.in_turn
    if limit is None or metrics is None or metrics.latency.p95_ms is None or not is_only_source:
        return None
    span, samples, p95_ms = aggregates.counters.latest(), metrics.latency.samples, metrics.latency.p95_ms
    counted = (0 if span is None else span.requests) + _before_the_window(aggregates, context)
    if samples < context.monitor.min_samples or counted < samples:
        return None
    row = aggregates.percentiles.disjoint[-IN_A_ROW:]
    is_breached = len(row) == IN_A_ROW and min(row) > limit.named_ms
    state = State.BREACHED if is_breached else State.HOLDING if p95_ms <= limit.named_ms else State.INCONCLUSIVE
    ends = "is not above" if state is State.HOLDING else "is above"
    words = f"the gateway's last {samples} requests"
    message = (
        f"P95 {show_ms(p95_ms, limit.named_ms)} over {words} {ends} {limit.named_ms:.5g} ms ({limit.why}); the gateway "
        "offers only this percentile, and the scenario switches the suite's own requests off"
    )
    if state is State.INCONCLUSIVE:
        message += f"; {IN_A_ROW} in a row without a request in common are a breach"
    return Verdict(
        clause="MON-3",
        state=state,
        value=p95_ms,
        limit=limit.named_ms,
        samples=samples,
        source="users",
        span=words,
        at=_at(aggregates, SourceName.METRICS),
        message=message,
        effective_limit=limit.named_ms,
        undecided=state is State.INCONCLUSIVE,
    )


def _before_the_window(aggregates: Aggregates, context: Context) -> int:
    """Return how many requests were counted between the activation and the window's first sample."""
    before, first = context.counters_before, aggregates.counters.first
    if before is None or first is None or aggregates.counters.resets:
        return 0
    restarted = first.total_requests < before.total_requests or first.failed_requests < before.failed_requests
    return 0 if restarted else first.total_requests - before.total_requests
