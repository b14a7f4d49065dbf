"""MON-2: the error rate, over the whole window and over its short span."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rollout.monitoring.aggregates import Aggregates, Requests, Span
from rollout.monitoring.samples import Context, SourceName
from rollout.monitoring.verdict import State, Verdict, _at, _compare, _last, _no_data, show_rate


def judge_errors(aggregates: Aggregates, context: Context, _now_s: float) -> Verdict:
    """Judge MON-2: the error rate is at or below the limit, over the short span and over the window.

    Users' requests decide if the gateway counted at least `min_requests` of them. The gateway counts synthetic requests
    too; these and their failures are subtracted. Otherwise the synthetic requests decide, if there are `min_samples`.
    A breach by either is a breach, but synthetic failures do not breach while users are served well over the short
    span. A breach takes `breach_failures` of users or `breach_own_failures` of synthetic requests: one failure of
    nineteen is above 5 % and may be chance.
    """
    monitor, own = context.monitor, aggregates.requests
    short_s = monitor.short_span_s
    users = _Errors(
        "users",
        of_users(aggregates.counters.latest(short_s), own),
        of_users(aggregates.counters.latest(), own),
        monitor.min_requests,
        monitor.breach_failures,
    )
    probes = _Errors("synthetic", own.latest(short_s), own.latest(), monitor.min_samples, monitor.breach_own_failures)
    limit = monitor.limits.error_rate
    asked = (users,) if users.served_well(limit) else (users, probes)
    breached = next((each for each in asked if each.breaching(limit) is not None), None)
    decides = breached or next((each for each in (users, probes) if each.requests >= each.least), None)
    if decides is None:
        return _too_few_requests(aggregates, context, users.requests, probes.requests)
    verdict = _error_verdict(aggregates, context, decides)
    if decides is users or breached is not None:
        return verdict
    few = f"these decide, because {users.requests} of users were seen and {monitor.min_requests} are needed"
    return replace(verdict, message=f"{verdict.message}; {few}")


def _too_few_requests(aggregates: Aggregates, context: Context, users: int, probes: int) -> Verdict:
    monitor, limit = context.monitor, context.monitor.limits.error_rate
    if not users and not probes:
        return _no_data("MON-2", "users", limit, "no request was seen, so there is no error rate")
    least = f"{monitor.min_requests} of users or {monitor.min_samples} of the suite's own are needed"
    if not monitor.in_turn:
        least = (
            f"{monitor.min_requests} of users are needed, for the scenario switches the suite's own off (probes: off)"
        )
    return Verdict(
        clause="MON-2",
        state=State.INCONCLUSIVE,
        value=None,
        limit=limit,
        samples=users or probes,
        source="users",
        span="the window",
        at=_at(aggregates, SourceName.METRICS, SourceName.SYNTHETIC),
        message=f"too few requests to judge: {users} of users, {probes} of the suite's own; {least}",
    )


@dataclass(frozen=True, slots=True)
class _Errors:
    """The requests of one kind, over the short span and the window, and the minimum to judge by them."""

    source: str
    short: Span | None
    window: Span | None
    least: int
    breach_failures: int

    @property
    def requests(self) -> int:
        return 0 if self.window is None else self.window.requests

    def served_well(self, limit: float) -> bool:
        """Return whether enough requests of the short span show that the rate is not above the limit now."""
        return self.short is not None and self.short.requests >= self.least and _rate(self.short) <= limit

    def breaching(self, limit: float) -> Span | None:
        """Return the span whose rate is above the limit with enough failures for a breach; the worse of two."""
        spans = (span for span in (self.window, self.short) if span is not None and _rate(span) > limit)
        return max((span for span in spans if span.failures >= self.breach_failures), key=_rate, default=None)


def _rate(span: Span) -> float:
    return span.failures / span.requests if span.requests else 0.0


def of_users(span: Span | None, own: Requests) -> Span | None:
    """Return the gateway's count without the synthetic requests, which are judged separately."""
    if span is None:
        return None
    requests, failures = own.counted(span.from_s, span.to_s)
    failed = max(0, span.failures - failures)
    return replace(span, requests=max(failed, span.requests - requests), failures=failed)


def _error_verdict(aggregates: Aggregates, context: Context, errors: _Errors) -> Verdict:
    """Judge by the breaching span; without one, by the worse of the window and a short span with enough requests.

    A rate above the limit that is not a breach yet is inconclusive: it does not fire, and is no pass at the end.
    """
    window, limit = errors.window, context.monitor.limits.error_rate
    assert window is not None  # noqa: S101 - for the type checker
    breaching = errors.breaching(limit)
    short = errors.short if errors.short is not None and errors.short.requests >= errors.least else window
    calm = [span for span in (window, short) if _rate(span) <= limit]
    shown = breaching or (max(calm, key=_rate) if window in calm else window)
    rate = _rate(shown)
    state = State.BREACHED if breaching else _compare(rate, limit) if shown in calm else State.INCONCLUSIVE
    words = _last(shown, window, context.monitor.short_span_s)
    whose = " of the suite's own" if errors.source == "synthetic" else ""
    message = (
        f"error rate {show_rate(rate, limit)} over {words} ({shown.failures} of {shown.requests}{whose} requests) "
        f"{'is not above' if state is State.HOLDING else 'is above'} {limit * 100:g} %"
    )
    if state is State.INCONCLUSIVE:
        message += f", by fewer failures than the {errors.breach_failures} that it takes to tell it from chance"
    return Verdict(
        clause="MON-2",
        state=state,
        value=rate,
        limit=limit,
        samples=shown.requests,
        source=errors.source,
        span=words,
        at=_at(aggregates, SourceName.METRICS if errors.source == "users" else SourceName.SYNTHETIC),
        message=message + _control_error_rate(aggregates, context),
    )


def _control_error_rate(aggregates: Aggregates, context: Context) -> str:
    """Return the control group's error rate in words; empty without a control group."""
    span = aggregates.control.latest()
    if context.control is None or span is None or not span.requests:
        return ""
    return f"; control group {context.control.provider}: {_rate(span) * 100:.1f} % of {span.requests} requests"
