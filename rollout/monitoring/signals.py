"""The signals that a scenario names (MON-5): each has a limit, absolute or a factor of the baseline's value.

A share of requests has the test of `rollout.monitoring.share_test`; so has the time to the first token, whose P95 is
above a limit if more than 5 % of the answers begin later. A number, of PromQL or a cost, breaches by three polls in a
row above its limit, and is undecided while its latest value is above it, or it has fewer than three.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rollout.core.signals import PromqlSignal, SignalLimit, Signals
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.behaviour_tests import behaviour_alpha, signal_test
from rollout.monitoring.effective_limit import SLOWER_SHARE, effective_limit
from rollout.monitoring.findings import Finding, share_above
from rollout.monitoring.latency import nearest_rank
from rollout.monitoring.rise_test import share_limit_of_rise
from rollout.monitoring.samples import Context, SourceName
from rollout.monitoring.share_stream import ShareStream
from rollout.monitoring.share_test import ShareTest
from rollout.monitoring.signal_samples import RATE_LIMITED, TIMED_OUT, SignalBaseline
from rollout.monitoring.verdict import _at, show_ms, show_rate

IN_A_ROW = 3
"""So many polls above the limit of a number breach."""

COST = "cost_per_1k"
UNITS = {COST: " US dollars for 1,000 requests"}
"""The unit of a number by the name of its signal; an expression of PromQL has the unit that it is written for."""

_WORDS = {RATE_LIMITED: "were refused with 429", TIMED_OUT: "timed out"}
_EMPTY = SignalBaseline()

# Both are sums over the baseline, which does not change while the window is watched.
_limit_of_factor = lru_cache(maxsize=8)(effective_limit)
_limit_of_rise = lru_cache(maxsize=8)(share_limit_of_rise)


@dataclass(frozen=True, slots=True)
class SignalState:
    """What the window tells of one signal.

    Attributes:
        name: the signal.
        breach: the finding, if it breaches.
        lacks: why it cannot be judged; empty if it can.
        shown: its value and limit in words; empty without a value.
        undecided: why more polls decide whether it breaches; empty if they do not.
    """

    name: str
    breach: tuple[Finding, ...] = ()
    lacks: str = ""
    shown: str = ""
    undecided: str = ""


@dataclass(frozen=True, slots=True)
class JudgedShare:
    """One share of a signal.

    Attributes:
        source: the source of its requests.
        whose: the requests, in words.
        what: what the bad ones of them did, which continues a sentence.
        stream: the requests.
        test: their test.
        p95: where the share is that of the answers above a P95's limit, that P95 and its limit in words.
    """

    source: str
    whose: str
    what: str
    stream: ShareStream
    test: ShareTest
    p95: str = ""


def judge_signals(aggregates: Aggregates, context: Context) -> tuple[SignalState, ...]:
    """Return the state of every signal that the scenario names."""
    signals = context.monitor.signals
    return () if signals is None else tuple(_states(aggregates, context, signals))


def describe_lacking(signals: Signals | None, measured: SignalBaseline | None) -> list[str]:
    """Return which signals have a factor, and nothing in the baseline that it could be taken of (PRE-5.4)."""
    if signals is None or measured is None:
        return []
    seen: dict[str, tuple[SignalLimit | PromqlSignal | None, object]] = {
        "first_token": (signals.first_token, measured.first_token_ms),
        RATE_LIMITED: (signals.rate_limited_share, measured.requests or measured.users_requests),
        TIMED_OUT: (signals.timeout_share, measured.requests or measured.users_requests),
        COST: (signals.cost_per_1k, measured.cost_per_1k),
        **{signal.title: (signal, measured.levels.get(signal.title)) for signal in signals.promql},
    }
    return [
        f"the signal {name} has a factor, and the baseline has no value that it could be taken of; set a `limit`"
        for name, (limit, value) in seen.items()
        if limit is not None and limit.factor is not None and not value
    ]


def _states(aggregates: Aggregates, context: Context, signals: Signals) -> Iterator[SignalState]:
    if signals.first_token is not None:
        yield _judge_first_token(aggregates, context, signals.first_token)
    shares = {RATE_LIMITED: signals.rate_limited_share, TIMED_OUT: signals.timeout_share}
    for name, limit in shares.items():
        if limit is not None:
            yield _judge_share(aggregates, context, name, limit)
    if signals.cost_per_1k is not None:
        costs = aggregates.signals.costs_per_1k(context.monitor.min_requests, IN_A_ROW)
        lacks = f"fewer than {context.monitor.min_requests} requests with a cost were counted"
        base = _baseline(context).cost_per_1k
        yield _judge_number(aggregates, COST, signals.cost_per_1k, costs, base, SourceName.METRICS, lacks)
    for signal in signals.promql:
        levels, base = aggregates.signals.levels.get(signal.title, []), _baseline(context).levels.get(signal.title)
        yield _judge_number(aggregates, signal.title, signal, levels, base, SourceName.SIGNALS, "it was not read once")


def _judge_first_token(aggregates: Aggregates, context: Context, limit: SignalLimit) -> SignalState:
    found = first_token_test(context, limit)
    if found is None:
        return SignalState("first_token", lacks="the baseline has no time to a first token")
    limit_ms, test = found
    if not test.is_judgeable:
        return SignalState("first_token", lacks="the baseline has too few requests to tell a limit")
    streams, whose = aggregates.signals, "the suite's own answers"
    stream = streams.slow_first_tokens(limit_ms)
    if not stream.window.requests:
        return SignalState("first_token", lacks="no answer was a stream")
    what = f"of {whose} begin later than {limit_ms:.0f} ms (signal first_token)"
    p95 = f"P95 {show_ms(nearest_rank(streams.ordered_first_tokens_ms), limit_ms)}, limit {limit_ms:.0f} ms: later "
    share = JudgedShare(SourceName.SYNTHETIC, whose, what, stream, test, p95)
    return _of_shares(aggregates, "first_token", [share], "")


def first_token_test(context: Context, limit: SignalLimit) -> tuple[float, ShareTest] | None:
    """Return the limit of a first token in ms and the test of the later ones; None where its baseline has no value."""
    limit_ms, share = limit.limit, SLOWER_SHARE
    if limit.factor is not None:
        effective = _limit_of_factor(_baseline(context).first_token_ms, limit.factor, behaviour_alpha(context))
        limit_ms, share = (None, share) if effective is None else (effective.limit_ms, effective.share)
    if limit_ms is None:
        return None
    every_s = context.monitor.synthetic_every_s
    return limit_ms, signal_test(context, share, every_s, relative=limit.factor is not None)


def _judge_share(aggregates: Aggregates, context: Context, name: str, limit: SignalLimit) -> SignalState:
    streams, shares = aggregates.signals, list[JudgedShare]()
    for source, test in share_tests(context, name, limit):
        if test.is_judgeable:
            users = source == SourceName.METRICS
            stream = streams.users[name].stream if users else streams.own[name]
            whose = "users' requests" if users else "the suite's own requests"
            shares.append(JudgedShare(source, whose, f"of {whose} {_WORDS[name]} (signal {name})", stream, test))
    if not shares:
        return SignalState(name, lacks="the baseline has too few requests to tell a limit")
    lacks = "" if any(share.stream.window.requests for share in shares) else "no request was seen"
    return _of_shares(aggregates, name, shares, lacks)


def share_tests(context: Context, name: str, limit: SignalLimit) -> Iterator[tuple[str, ShareTest]]:
    """Yield the sources of a share, users' first, each with its test."""
    monitor, relative = context.monitor, limit.factor is not None
    if context.counts_codes:
        highest = _share_limit(context, name, limit, users=True)
        yield SourceName.METRICS, signal_test(context, highest, monitor.metrics_every_s, relative=relative)
    if monitor.in_turn:
        highest = _share_limit(context, name, limit, users=False)
        yield SourceName.SYNTHETIC, signal_test(context, highest, monitor.synthetic_every_s, relative=relative)


def _share_limit(context: Context, name: str, limit: SignalLimit, *, users: bool) -> float:
    """Return the highest acceptable share; 1, which cannot be judged, where the baseline has no request."""
    if limit.factor is None:
        return 1.0 if limit.limit is None else limit.limit
    requests, failures = _baseline(context).share(name, users=users)
    return _limit_of_rise(requests, failures, limit.factor, behaviour_alpha(context))


def _of_shares(aggregates: Aggregates, name: str, shares: Sequence[JudgedShare], lacks: str) -> SignalState:
    found = [
        finding
        for share in shares
        for finding in share_above(aggregates, share.source, share.what, share.stream, share.test)
    ]
    shown = [_show(share) for share in shares if share.stream.window.requests]
    return SignalState(name, tuple(found), lacks, " and ".join(shown))


def _show(share: JudgedShare) -> str:
    window, limit = share.stream.window, share.test.limit
    counts = f"{window.failures:.0f} of {window.requests:.0f}"
    value = show_rate(window.failures / window.requests, limit)
    return f"{share.p95}{value} ({counts} of {share.whose}, limit {limit * 100:.3g} %)"


def _judge_number(
    aggregates: Aggregates,
    name: str,
    limit: SignalLimit | PromqlSignal,
    values: Sequence[float],
    base: float | None,
    source: str,
    lacks: str,
) -> SignalState:
    """Judge a number by its latest values, the newest last."""
    highest = limit.limit
    if limit.factor is not None:
        if not base:
            return SignalState(name, lacks="the baseline has no value that a factor could be taken of")
        highest = limit.factor * base
    assert highest is not None  # noqa: S101 - for the type checker: a signal has one of the two
    if not values:
        return SignalState(name, lacks=lacks)
    unit = UNITS.get(name, "")
    shown = f"{values[-1]:.4g}{unit} (limit {highest:.4g})"
    latest = values[-IN_A_ROW:]
    if len(latest) < IN_A_ROW or min(latest) <= highest:
        return SignalState(name, shown=shown, undecided=_why_undecided(name, values, highest, unit))
    text = f"the signal {name} is {values[-1]:.4g}{unit}, {IN_A_ROW} times in a row above {highest:.4g}"
    return SignalState(name, (Finding(source, _at(aggregates, source), text, IN_A_ROW),), shown=shown)


def _why_undecided(name: str, values: Sequence[float], highest: float, unit: str) -> str:
    """Return why a number that does not breach is no pass yet; empty if it is one."""
    if len(values) < IN_A_ROW:
        return f"the signal {name} has {len(values)} of the {IN_A_ROW} values that it takes to judge it"
    if values[-1] > highest:
        return (
            f"the signal {name} is {values[-1]:.4g}{unit}, above {highest:.4g}, and not yet {IN_A_ROW} times in a row"
        )
    return ""


def _baseline(context: Context) -> SignalBaseline:
    signals = None if context.baseline is None else context.baseline.signals
    return _EMPTY if signals is None else signals
