"""MON-2: the error rate, judged poll by poll by the test for shares."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.power_report import describe_power
from rollout.monitoring.samples import Context, SourceName
from rollout.monitoring.share_stream import ShareStream
from rollout.monitoring.share_test import Counted, ShareTest, fewest_requests, is_judgeable, is_within
from rollout.monitoring.share_tests import own_error_test, recent_s, users_error_test
from rollout.monitoring.verdict import (
    State,
    Verdict,
    _at,
    _no_data,
    describe_stretch,
    share_interval,
    show_interval,
    show_rate,
    show_span,
)


def judge_errors(aggregates: Aggregates, context: Context, now_s: float) -> Verdict:
    """Judge MON-2: the error rate is at or below the limit, over the window and since any change within it.

    Users' requests decide if the gateway counted enough of them to exclude twice the limit. The gateway counts
    synthetic requests too; these and their failures are subtracted. Otherwise the synthetic requests decide, if there
    are enough. A breach by either is a breach, but synthetic failures do not breach while users are served well over
    the short span.
    """
    monitor, limit = context.monitor, context.monitor.limits.error_rate
    if not is_judgeable(limit):
        return _no_data("MON-2", "users", limit, f"no number of requests shows whether {limit * 100:g} % is exceeded")
    newest_s = recent_s(context)
    users = _Errors("users", aggregates.users.stream, users_error_test(context), monitor.min_requests, newest_s)
    own = _Errors("synthetic", aggregates.requests.errors, own_error_test(context), monitor.min_samples, newest_s)
    asked = (users,) if users.served_well(monitor.short_span_s) else (users, own)
    breached = next((each for each in asked if each.is_breached), None)
    decides = breached or next((each for each in (users, own) if each.is_enough), None)
    if decides is None:
        return _with_power(context, now_s, users if users.requests else own, _too_few(aggregates, context, users, own))
    verdict = _with_power(context, now_s, decides, _error_verdict(aggregates, context, decides))
    if decides is users or breached is not None:
        return verdict
    few = f"these decide, because {_why_users_do_not(users)}"
    return replace(verdict, message=f"{verdict.message}; {few}")


def _with_power(context: Context, now_s: float, errors: _Errors, verdict: Verdict) -> Verdict:
    """Return the verdict with what the window can tell, once it is over: it takes milliseconds to compute."""
    if now_s < context.lasts_s or verdict.state is State.BREACHED or not errors.requests:
        return verdict
    return replace(verdict, power=describe_power(context, errors.test, errors.stream.window))


def _too_few(aggregates: Aggregates, context: Context, users: _Errors, own: _Errors) -> Verdict:
    limit = context.monitor.limits.error_rate
    if not users.requests and not own.requests:
        return _no_data("MON-2", "users", limit, "no request was seen, so there is no error rate")
    least = f"{users.least} of users or {own.least} of the suite's own are needed"
    if not context.monitor.in_turn:
        least = f"{users.least} of users are needed, for the scenario switches the suite's own off (probes: off)"
    seen = users if users.requests else own
    least += f"; {_why_users_do_not(users)}" if users.is_past else ""
    return Verdict(
        clause="MON-2",
        state=State.INCONCLUSIVE,
        value=None,
        limit=limit,
        samples=seen.requests,
        source=seen.source,
        span="the window",
        at=_at(aggregates, SourceName.METRICS, SourceName.SYNTHETIC),
        message=f"too few requests to judge: {users.requests} of users, {own.requests} of the suite's own; {least}",
        interval=share_interval(seen.stream.window),
        undecided=True,
    )


def _why_users_do_not(users: _Errors) -> str:
    if users.requests >= users.least or users.is_past:
        return f"users have made no request in the last {show_span(users.recent_s)}"
    return f"{users.requests} of users were seen and {users.least} are needed"


@dataclass(frozen=True, slots=True)
class _Errors:
    """The requests of one kind, the test of their failures, and the scenario's minimum to judge by them."""

    source: str
    stream: ShareStream
    test: ShareTest
    minimum: int
    recent_s: float

    @property
    def requests(self) -> int:
        return round(self.stream.window.requests)

    @property
    def least(self) -> int:
        """The requests that it takes to judge: the scenario's minimum, and enough to exclude twice the limit."""
        return max(self.minimum, fewest_requests(self.test.limit))

    @property
    def is_enough(self) -> bool:
        return self.requests >= self.least and not self.is_past

    @property
    def is_past(self) -> bool:
        """Return whether the newest part of the window has no request."""
        return self.requests > 0 and not self.stream.has_recent_request(self.recent_s)

    @property
    def is_breached(self) -> bool:
        return self.stream.evidence(self.test).is_breached

    def served_well(self, short_s: float) -> bool:
        """Return whether enough requests of the short span show that the rate is not above the limit now."""
        short = self.stream.latest(short_s)
        return short.requests >= self.minimum and rate(short) <= self.test.limit


def rate(counted: Counted) -> float:
    """Return the share of failures, 0 without requests."""
    return counted.failures / counted.requests if counted.requests else 0.0


def _error_verdict(aggregates: Aggregates, context: Context, errors: _Errors) -> Verdict:
    """Judge by the evidence of a breach; without one, the window holds or is inconclusive."""
    window, stretch, limit = errors.stream.window, errors.stream.stretch(), errors.test.limit
    if errors.is_breached:
        state, shown = State.BREACHED, errors.stream.worst_stretch(errors.test)
    elif not is_within(window, limit):
        state, shown = State.INCONCLUSIVE, window
    elif not is_within(stretch, limit):
        state, shown = State.INCONCLUSIVE, stretch
    else:
        state, shown = State.HOLDING, window
    interval = share_interval(window)
    words = describe_stretch(shown, window)
    whose = " of the suite's own" if errors.source == "synthetic" else ""
    band = f" ({show_interval(interval)})" if shown == window else ""
    message = (
        f"error rate {show_rate(rate(shown), limit)}{band} over {words} "
        f"({round(shown.failures)} of {round(shown.requests)}{whose} requests) "
        f"{'is above' if rate(shown) > limit else 'is not above'} {limit * 100:g} %"
    )
    if state is State.INCONCLUSIVE:
        message += f", and {_why_undecided(shown, limit)}"
    return Verdict(
        clause="MON-2",
        state=state,
        value=rate(shown),
        limit=limit,
        samples=round(shown.requests),
        source=errors.source,
        span=words,
        at=_at(aggregates, SourceName.METRICS if errors.source == "users" else SourceName.SYNTHETIC),
        message=message + _control_error_rate(aggregates, context),
        interval=interval,
        undecided=state is State.INCONCLUSIVE,
    )


def _why_undecided(shown: Counted, limit: float) -> str:
    if rate(shown) > limit:
        return "there is too little evidence for a breach"
    return f"the requests do not exclude twice the limit ({200 * limit:g} %)"


def _control_error_rate(aggregates: Aggregates, context: Context) -> str:
    """Return the control group's error rate in words; empty without a control group."""
    span = aggregates.control.latest()
    if context.control is None or span is None or not span.requests:
        return ""
    share = span.failures / span.requests
    return f"; control group {context.control.provider}: {share * 100:.1f} % of {span.requests} requests"
