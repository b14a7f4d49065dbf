"""How many requests the current provider serves a second, right before the change (PRE-4.1).

The rate comes from two polls of its counter, one before and one after other prechecks, so no step waits for it. It
informs, and judges nothing: a rate that cannot be computed is *not known*, with the reason. The requests include the
tests of PRE-2.4, where a gateway counts them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rollout.changes.backup import Backup
from rollout.context import RolloutContext
from rollout.core.clock import format_utc
from rollout.core.result import Outcome
from rollout.monitoring.sources.combined import observe_provider

SHORTEST_S = 1.0
"""Polls that are closer together give no rate: one request more or less would double it."""

SPAN_S = 60.0
"""Prometheus returns the requests of the last so many seconds, and needs no earlier poll."""

NOT_KNOWN = "not known"


@dataclass(frozen=True, slots=True)
class TrafficPoll:
    """One poll of the current provider's counter.

    Attributes:
        provider: the provider.
        requests: the number of its requests.
        at: the time of the poll, UTC.
        at_s: the same in monotonic seconds, which a clock adjustment does not change.
        over_s: the seconds that the requests are of; None where the counter has no known start.
    """

    provider: str
    requests: int
    at: datetime
    at_s: float
    over_s: float | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """The current traffic.

    Attributes:
        provider: the provider of the requests; empty where the rate is not known.
        rate: ``12.5 requests a second``, or that it is not known, and why.
        first: the time of the first poll, UTC; empty where one poll suffices, or a poll failed.
        then: the time of the second poll, UTC; empty where a poll failed.
    """

    provider: str
    rate: str
    first: str = ""
    then: str = ""


def poll_traffic(rollout: RolloutContext, backup: Backup) -> TrafficPoll:
    """Read the counter of the active provider.

    Raises:
        GatewayError: it cannot be read.
    """
    over_s = None if rollout.target.sources.prometheus is None else SPAN_S
    with observe_provider(rollout, backup.previous, since_s=over_s or 0.0) as observed:
        requests = observed.metrics(backup.previous.provider).total_requests
    return TrafficPoll(backup.previous.provider, requests, rollout.clock.now(), rollout.clock.monotonic(), over_s)


def between(first: Outcome[TrafficPoll], then: Outcome[TrafficPoll]) -> Traffic:
    """Return the traffic between two polls, or why it is not known; raise nothing."""
    if then.error is None and then.value.over_s is not None:
        rate = _rate(then.value.requests, then.value.over_s)
        return Traffic(then.value.provider, rate, then=format_utc(then.value.at))
    failed = then.error or first.error
    if failed is not None:
        return Traffic("", f"{NOT_KNOWN}: {failed}")
    last = then.value
    took_s, requests = last.at_s - first.value.at_s, last.requests - first.value.requests
    return Traffic(last.provider, _describe(requests, took_s), format_utc(first.value.at), format_utc(last.at))


def _describe(requests: int, took_s: float) -> str:
    if requests < 0:
        return f"{NOT_KNOWN}: the counter began anew between the polls"
    if took_s < SHORTEST_S:
        return f"{NOT_KNOWN}: the polls are {took_s:.1f} s apart, at least {SHORTEST_S:g} s are needed"
    return _rate(requests, took_s)


def _rate(requests: int, took_s: float) -> str:
    return f"{requests / took_s:.1f} requests a second ({requests} in {took_s:.1f} s)"
