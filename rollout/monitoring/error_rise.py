"""A relative limit beside MON-2's: the share of failures rose by more than a factor (`error_rate_rise`).

It compares with the baseline (PRE-5.4), or in a canary with the control group that is served at the same time. The
limit has an alpha of its own, as large as a trigger's. Without the key a clear rise within the limit is a note.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.binomial import upper_bound
from rollout.monitoring.error_rate import judge_errors
from rollout.monitoring.errors_of_both import ErrorsOfBoth
from rollout.monitoring.rise_test import RiseEvidence, RiseTest, share_limit_of_rise
from rollout.monitoring.samples import Baseline, Context
from rollout.monitoring.share_stream import ShareStream
from rollout.monitoring.share_test import Counted, ShareTest, fewest_requests
from rollout.monitoring.share_tests import most_polls, source_alpha, trigger_alpha
from rollout.monitoring.slices import judge_slices
from rollout.monitoring.verdict import State, Verdict, describe_stretch, share_interval

NOTED_FACTOR = 2.0
"""A share that is certainly more than so many times the baseline's is noted, although it is within the limit."""

NOTED_AT = 0.05

# Sums over the baseline, which does not change while the window is watched.
_limit_of_rise = lru_cache(maxsize=8)(share_limit_of_rise)
_upper_bound = lru_cache(maxsize=8)(upper_bound)


@dataclass(frozen=True, slots=True)
class Compared:
    """One kind of requests, before the change and in the window.

    Attributes:
        source: ``users`` or ``synthetic``.
        requests: the baseline's requests.
        failures: those of them that failed.
        stream: the window's.
        every_s: the pace of their polls.
    """

    source: str
    requests: int
    failures: int
    stream: ShareStream
    every_s: float

    @property
    def whose(self) -> str:
        """The kind of requests, in words."""
        return "the suite's own requests" if self.source == "synthetic" else "users' requests"


def judge_error_rate(aggregates: Aggregates, context: Context, now_s: float) -> Verdict:
    """Judge MON-2: the error rate is within its limit, and has not risen by more than the scenario accepts."""
    verdict = judge_slices(judge_errors(aggregates, context, now_s), aggregates.slices, context)
    return judge_rise(verdict, aggregates.users.stream, aggregates.requests.errors, aggregates.both, context)


def judge_rise(verdict: Verdict, users: ShareStream, own: ShareStream, both: ErrorsOfBoth, context: Context) -> Verdict:
    """Return MON-2's verdict with the relative limit: breached by it, or with a note of a rise within the limit."""
    if verdict.state is State.BREACHED:
        return verdict
    factor = context.monitor.limits.error_rate_rise
    if factor is None:
        note = describe_rise(users, own, context)
        return replace(verdict, message=f"{verdict.message}; {note}") if note else verdict
    if context.control is not None:
        return _judge_against_control(verdict, users, both, context, factor)
    for each in _compared(users, own, context):
        limit = _limit_of_rise(each.requests, each.failures, factor, source_alpha(context)) if each.requests else 1.0
        test = ShareTest(limit, source_alpha(context) / 2, most_polls(context, each.every_s))
        if test.is_judgeable and each.stream.evidence(test).is_breached:
            return _breached(verdict, each, factor, limit)
        if each.source == verdict.source:
            verdict = _unless_compared(verdict, each, factor, test, fewest_requests(context.monitor.limits.error_rate))
    return verdict


def _unless_compared(verdict: Verdict, each: Compared, factor: float, test: ShareTest, least_before: int) -> Verdict:
    """Return the verdict, inconclusive where the requests that decide were compared with nothing."""
    requests, least = round(each.stream.window.requests), fewest_requests(test.limit)
    if not each.requests:
        why = f"the baseline has none of {each.whose} that a rise to {factor:g}x could be compared with"
    elif not test.is_judgeable:
        why = (
            f"a rise to {factor:g}x cannot be judged: {each.failures} of {each.requests} of {each.whose} failed before "
            f"the change, and with the uncertainty of that the limit is {test.limit:.0%}"
        )
    elif each.requests < least_before:
        why = (
            f"{each.requests} of {each.whose} before the change are too few to judge a rise to {factor:g}x; "
            f"{least_before} are needed"
        )
    elif requests < least:
        why = f"{requests} of {each.whose} are too few to judge a rise to {factor:g}x; {least} are needed"
    else:
        window = each.stream.window
        return _within(
            verdict, window.failures / window.requests, each.whose, factor, _describe_limit(each, test.limit)
        )
    # More requests of the window do not mend the baseline.
    return _not_holding(verdict, why, undecided=test.is_judgeable and each.requests >= least_before)


def _describe_limit(each: Compared, limit: float) -> str:
    """Return the limit of a rise against the baseline, in words."""
    return (
        f"{limit:.2%}, from the baseline's {each.failures / each.requests:.2%} ({each.failures} of {each.requests}) "
        "with its uncertainty"
    )


def _within(verdict: Verdict, share: float, whose: str, factor: float, limit: str) -> Verdict:
    """Return the verdict with the share that has not risen too much, and its limit."""
    words = f"the share of {whose} that failed, {share:.2%}, has not risen to more than {factor:g}x (limit {limit})"
    return replace(verdict, message=f"{verdict.message}; {words}")


def _not_holding(verdict: Verdict, why: str, *, undecided: bool) -> Verdict:
    if verdict.state is not State.HOLDING:
        return verdict
    return replace(verdict, state=State.INCONCLUSIVE, undecided=undecided, message=f"{verdict.message}; {why}")


def _breached(verdict: Verdict, each: Compared, factor: float, limit: float) -> Verdict:
    window = each.stream.window
    share = window.failures / window.requests
    return replace(
        verdict,
        state=State.BREACHED,
        value=share,
        limit=limit,
        samples=round(window.requests),
        source=each.source,
        span=describe_stretch(window, window),
        interval=share_interval(window),
        power="",
        undecided=False,
        message=(
            f"error rate {share:.2%} of {window.requests:.0f} of {each.whose} rose to more than {factor:g}x the "
            f"baseline's {each.failures / each.requests:.2%} ({each.failures} of {each.requests}); with the baseline's "
            f"uncertainty the limit is {limit:.2%}"
        ),
    )


def _judge_against_control(
    verdict: Verdict, users: ShareStream, both: ErrorsOfBoth, context: Context, factor: float
) -> Verdict:
    test = RiseTest(factor, trigger_alpha(context), 2 * most_polls(context, context.monitor.metrics_every_s))
    evidence = both.evidence(test)
    treated, control = evidence.treated, evidence.control
    if not evidence.is_breached:
        why = _why_not_compared(users, evidence, fewest_requests(context.monitor.limits.error_rate), factor)
        if why:
            return _not_holding(verdict, why, undecided=True)
    share, beside = treated.failures / treated.requests, control.failures / control.requests
    if not evidence.is_breached:
        limit = f"{min(1.0, factor * beside):.2%}, from the control group's {beside:.2%}"
        return _within(verdict, share, "users' requests", factor, limit)
    name = context.control.provider if context.control is not None else ""
    return replace(
        verdict,
        state=State.BREACHED,
        value=share,
        limit=min(1.0, factor * beside),
        samples=round(treated.requests),
        source="users",
        span=describe_stretch(users.window, users.window),
        interval=share_interval(Counted(users.window.seconds, treated.requests, treated.failures)),
        power="",
        undecided=False,
        message=(
            f"error rate {share:.2%} of {treated.requests:.0f} of users' requests is more than {factor:g}x that of the "
            f"control group {name}, {beside:.2%} of {control.requests:.0f} requests in the same stage; evidence "
            f"10^{evidence.log10_evidence:.1f}, a breach takes 10^{test.log10_threshold:.1f}"
        ),
    )


def _why_not_compared(users: ShareStream, evidence: RiseEvidence, least: int, factor: float) -> str:
    """Return why a canary's rise cannot be judged: too few requests of a group, or none of the control group lately."""
    treated, control = evidence.treated.requests, evidence.control.requests
    if min(treated, control) < least:
        return (
            f"{treated:.0f} of users' requests were compared with {control:.0f} of the control group; to judge a rise "
            f"to {factor:g}x, {least} of each are needed"
        )
    if evidence.waiting > users.stretch().requests:
        return (
            f"the latest {evidence.waiting:.0f} of users' requests were compared with none of the control group, so a "
            f"rise to {factor:g}x cannot be judged"
        )
    return ""


def describe_rise(users: ShareStream, own: ShareStream, context: Context) -> str:
    """Return a rise of the error rate that is certain, in words; empty without one."""
    for each in _compared(users, own, context):
        interval = share_interval(each.stream.window)
        if not each.requests or interval is None:
            continue
        if interval[0] > NOTED_FACTOR * _upper_bound(each.failures, each.requests, NOTED_AT):
            window = each.stream.window
            return (
                f"that of {each.whose} rose from {each.failures / each.requests:.2%} ({each.failures} of "
                f"{each.requests} requests before the change) to "
                f"{window.failures / window.requests:.2%}; no error_rate_rise limits that"
            )
    return ""


def _compared(users: ShareStream, own: ShareStream, context: Context) -> Iterator[Compared]:
    base, monitor = context.baseline or Baseline(""), context.monitor
    failures = round((base.users_error_rate or 0.0) * base.users_requests)
    yield Compared("users", base.users_requests, failures, users, monitor.metrics_every_s)
    requests = base.synthetic_samples + base.synthetic_failures
    yield Compared("synthetic", requests, base.synthetic_failures, own, monitor.synthetic_every_s)
