"""How many requests the current provider serves a second, right before the change (PRE-2.5, PRE-4.1).

The rate comes from two polls of its counter, one before and one after other prechecks, so no step waits for it. It
informs, and judges nothing, unless the policy blocks a window that has too few requests (PRE-2.5). A rate that cannot
be computed is *not known*, with the reason. The requests include the tests of PRE-2.4, where a gateway counts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rollout.changes.backup import Backup
from rollout.context import RolloutContext
from rollout.core.clock import Clock, StopFlag, format_utc
from rollout.core.errors import GatewayError
from rollout.core.redaction import Redactor
from rollout.core.result import Outcome
from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.monitoring.foreseen_power import UsersTraffic
from rollout.monitoring.sources.combined import observe_provider, observing
from rollout.monitoring.sources.registry import Watchable

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
    over_s = _span_of(rollout.target)
    with observe_provider(rollout, backup.previous, since_s=over_s or 0.0) as observed:
        return _poll_counter(observed, backup.previous, rollout.clock, over_s)


def measure_traffic(
    gateway: Watchable, target: Target, provider: ProviderChange, env: Mapping[str, str], clock: Clock
) -> UsersTraffic:
    """Return the rate of a provider's requests, from one poll of Prometheus or two of its counter; raise nothing."""
    over_s = _span_of(target)
    opened = observing(
        gateway, target, provider, env, clock=clock, stop=StopFlag(), redactor=Redactor(), since_s=over_s or 0.0
    )
    try:
        with opened as observed:
            first = Outcome(lambda: _poll_counter(observed, provider, clock, over_s))
            if over_s is not None or first.error is not None:
                return users_traffic(first, first)
            clock.wait(SHORTEST_S)
            return users_traffic(first, Outcome(lambda: _poll_counter(observed, provider, clock, over_s)))
    except GatewayError as error:
        return UsersTraffic(None, f"{NOT_KNOWN}: {error}")


def between(first: Outcome[TrafficPoll], then: Outcome[TrafficPoll]) -> Traffic:
    """Return the traffic between two polls, or why it is not known; raise nothing."""
    rate = users_traffic(first, then).words
    last = then.value if then.error is None else None
    if last is not None and last.over_s is not None:
        return Traffic(last.provider, rate, then=format_utc(last.at))
    if last is None or first.error is not None:
        return Traffic("", rate)
    return Traffic(last.provider, rate, format_utc(first.value.at), format_utc(last.at))


def users_traffic(first: Outcome[TrafficPoll], then: Outcome[TrafficPoll]) -> UsersTraffic:
    """Return the rate between two polls, or why it is not known; raise nothing."""
    found = _count(first, then)
    if isinstance(found, str):
        return UsersTraffic(None, f"{NOT_KNOWN}: {found}")
    requests, seconds = found
    return UsersTraffic(requests / seconds, describe_rate(requests, seconds))


def _span_of(target: Target) -> float | None:
    """Return the seconds that one poll of the target's counter covers; None where two polls are needed."""
    return None if target.sources.prometheus is None else SPAN_S


def _poll_counter(observed: Watchable, provider: ProviderChange, clock: Clock, over_s: float | None) -> TrafficPoll:
    requests = observed.metrics(provider.provider).total_requests
    return TrafficPoll(provider.provider, requests, clock.now(), clock.monotonic(), over_s)


def _count(first: Outcome[TrafficPoll], then: Outcome[TrafficPoll]) -> tuple[int, float] | str:
    """Return the requests and the seconds that they are of, or why they are not known."""
    if then.error is None and then.value.over_s is not None:
        return then.value.requests, then.value.over_s
    failed = then.error or first.error
    if failed is not None:
        return str(failed)
    took_s, requests = then.value.at_s - first.value.at_s, then.value.requests - first.value.requests
    if requests < 0:
        return "the counter began anew between the polls"
    if took_s < SHORTEST_S:
        return f"the polls are {took_s:.1f} s apart, at least {SHORTEST_S:g} s are needed"
    return requests, took_s


def describe_rate(requests: int, seconds: float) -> str:
    """Return a rate with what it was measured from: ``12.5 requests a second (50 in 4.0 s)``."""
    return f"{requests / seconds:.1f} requests a second ({requests} in {seconds:.1f} s)"
