"""How many requests the current provider serves a second, right before the change (PRE-4.1).

Told from two looks at its counter, as far apart as the prechecks between them took: nobody waits for it. It informs,
and judges nothing: what cannot be told is *not known*, with the reason, and never a number. The tests of PRE-2.4 are
among the requests, where a gateway counts them.
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
"""Two looks that are closer together say nothing: one request more or less would double the number."""

SPAN_S = 60.0
"""Prometheus is asked for the last so many seconds, and needs no earlier look."""

NOT_KNOWN = "not known"


@dataclass(frozen=True, slots=True)
class TrafficPoll:
    """What the current provider's counter said.

    Attributes:
        provider: the provider.
        requests: so many.
        at: when, UTC.
        at_s: when, in monotonic seconds: a clock that is set must not make a rate.
        over_s: of the last so many seconds; None where the counter began at no known time.
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
        provider: whose requests; empty where nobody is known to serve.
        rate: ``12.5 requests a second``, or that it is not known, and why.
        first: when the counter was looked at first, UTC; empty where one look said it all, or failed.
        then: when it was looked at then, UTC; empty where that failed.
    """

    provider: str
    rate: str
    first: str = ""
    then: str = ""


def poll_traffic(rollout: RolloutContext, backup: Backup) -> TrafficPoll:
    """Read the counter of the provider that serves now.

    Raises:
        GatewayError: it cannot be read.
    """
    over_s = None if rollout.target.sources.prometheus is None else SPAN_S
    with observe_provider(rollout, backup.previous, since_s=over_s or 0.0) as observed:
        requests = observed.metrics(backup.previous.provider).total_requests
    return TrafficPoll(backup.previous.provider, requests, rollout.clock.now(), rollout.clock.monotonic(), over_s)


def try_poll_traffic(rollout: RolloutContext, backup: Outcome[Backup]) -> Outcome[TrafficPoll]:
    """Read it, and keep the reason where that fails."""
    return Outcome(lambda: poll_traffic(rollout, backup.value))


def between(first: Outcome[TrafficPoll], then: Outcome[TrafficPoll]) -> Traffic:
    """Return the traffic between two looks, or why it is not known. Raises nothing."""
    failed = then.error or (None if _counts_alone(then) else first.error)
    if failed is not None:
        return Traffic("", f"{NOT_KNOWN}: {failed}")
    last = then.value
    if last.over_s is not None:
        return Traffic(last.provider, _rate(last.requests, last.over_s), then=format_utc(last.at))
    took_s, requests = last.at_s - first.value.at_s, last.requests - first.value.requests
    return Traffic(last.provider, _told(requests, took_s), format_utc(first.value.at), format_utc(last.at))


def _counts_alone(look: Outcome[TrafficPoll]) -> bool:
    return look.error is None and look.value.over_s is not None


def _told(requests: int, took_s: float) -> str:
    if requests < 0:
        return f"{NOT_KNOWN}: the counter began anew between the looks"
    if took_s < SHORTEST_S:
        return f"{NOT_KNOWN}: the looks are {took_s:.1f} s apart, at least {SHORTEST_S:g} s are needed"
    return _rate(requests, took_s)


def _rate(requests: int, took_s: float) -> str:
    return f"{requests / took_s:.1f} requests a second ({requests} in {took_s:.1f} s)"
