"""What a window can tell, in one sentence beside a verdict (MON-2, MON-3).

A window shows a share that breaches in it with a probability of 9 in 10 (`rollout.monitoring.power`). The sentences are
asked for at every poll, and each share takes milliseconds: shares are computed for requests and polls that are rounded
down, to two digits near the window's end, and by a quarter at most before it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TypeGuard

from rollout.core.histogram import Histogram
from rollout.core.scenario import AT_MOST
from rollout.monitoring.effective_limit import factor_that_exceeds
from rollout.monitoring.latency_limit import LatencyLimit, own_latencies
from rollout.monitoring.power import (
    ALIKE,
    POWER,
    describe_shown,
    describe_smallest_factor,
    describe_smallest_share,
    smallest_share,
)
from rollout.monitoring.samples import Context
from rollout.monitoring.share_test import Counted, ShareTest
from rollout.monitoring.synthetic_pace import needed_requests

_DIGITS = 2
_NEARLY_ALL = 0.95
_TOLERANCE = 1.01
"""The smallest share is known no better than to one in a hundred (`rollout.monitoring.power`)."""


def describe_power(context: Context, test: ShareTest, window: Counted) -> str:
    """Return what the window's requests can tell of a share: the smallest that they show, and what would show more.

    Args:
        context: the window's.
        test: the test of the share, such as `rollout.monitoring.share_tests.users_error_test`.
        window: the requests so far.
    """
    requests = math.floor(window.requests)
    smallest = _smallest(context, test, window)
    if is_twice_shown(smallest, test):
        return describe_smallest_share(requests, test.limit, smallest)
    return describe_shown(requests, test.limit, smallest, needed_a_minute(context))


def describe_latency_power(context: Context, source: str, limit: LatencyLimit, test: ShareTest, window: Counted) -> str:
    """Return what the window's requests can tell of the latency: the smallest slowdown that they show.

    Args:
        context: the window's, with the baseline.
        source: ``users`` or ``synthetic``, whose requests these are.
        limit: their limit.
        test: the test of the share of slower requests.
        window: the requests so far.
    """
    requests = math.floor(window.requests)
    smallest = _smallest(context, test, window)
    if smallest is None:
        return f"{requests:,} requests: no latency above the limit can be seen"
    return f"{requests:,} requests: {describe_slower(context, source, limit, smallest)}"


def describe_slower(context: Context, source: str, limit: LatencyLimit, smallest: float) -> str:
    """Return the smallest slowdown at which the share `smallest` of the requests is slower than the limit.

    It is a multiple of the baseline's latencies; of a baseline without latencies it is the share.
    """
    factor, slowdown = context.monitor.limits.latency_factor, _slowdown(context, source, limit, smallest)
    if slowdown is None:
        return f"P95 {limit.value_ms:.5g} ms from {math.ceil(smallest * 100)} % slower requests"
    if limit.is_absolute:
        return f"P95 {limit.value_ms:.5g} ms from {_rounded_up(slowdown):g} x the baseline, {ALIKE}"
    return describe_smallest_factor(factor, factor * limit.value_ms / limit.named_ms, slowdown, limit.share)


def needed_a_minute(context: Context) -> int | None:
    """Return the synthetic requests a minute that show twice the limit of failed requests; None if none do."""
    needed = needed_requests(context, POWER)
    return None if needed is None else math.ceil(60.0 * needed / context.lasts_s)


def shown_share(test: ShareTest, requests: int, polls: int) -> float | None:
    """Return the smallest share above the limit that so many requests in so many polls show; None if they show none."""
    return _shown(test, requests, polls) if requests and polls else None


def is_twice_shown(shown: float | None, test: ShareTest) -> TypeGuard[float]:
    """Return whether a window shows twice the limit, of which `shown` is the smallest share that it shows."""
    return shown is not None and shown <= 2.0 * test.limit


def _smallest(context: Context, test: ShareTest, window: Counted) -> float | None:
    """Return the share of `shown_share` for a window so far; its polls are the test's, as far as it was watched."""
    watched = window.seconds / context.lasts_s
    polls = (test.polls - 1) * min(1.0, watched / AT_MOST)
    rounded = _to_two_digits if watched >= _NEARLY_ALL else _to_a_quarter
    return shown_share(test, rounded(window.requests), max(1, rounded(polls)))


# The triggers of a window ask for the same numbers at poll after poll.
@lru_cache(maxsize=512)
def _shown(test: ShareTest, requests: int, polls: int) -> float | None:
    found, twice = smallest_share(test, requests, polls), 2.0 * test.limit
    # As many requests as twice the limit takes show twice the limit.
    return twice if found is not None and twice < found <= _TOLERANCE * twice else found


def _slowdown(context: Context, source: str, limit: LatencyLimit, smallest: float) -> float | None:
    if source == "users":
        histogram = None if context.baseline is None else context.baseline.users_histogram
        return None if histogram is None else _slowdown_of(histogram, limit, smallest)
    latencies_ms, _ = own_latencies(context)
    return factor_that_exceeds(latencies_ms, limit.value_ms, smallest) if latencies_ms else None


def _slowdown_of(histogram: Histogram, limit: LatencyLimit, smallest: float) -> float | None:
    found = histogram.quantile(1.0 - smallest)
    return None if found is None or found.seconds <= 0.0 else limit.value_ms / (found.seconds * 1000.0)


def _to_two_digits(number: float) -> int:
    """Return the number rounded down to two significant digits."""
    floored = math.floor(number)
    scale = int(10.0 ** max(0, len(str(floored)) - _DIGITS))
    return floored // scale * scale


def _to_a_quarter(number: float) -> int:
    """Return the number rounded down by a quarter at most: to a power of the tenth root of ten."""
    return math.floor(10.0 ** (math.floor(10.0 * math.log10(number)) / 10.0)) if number >= 1.0 else 0


def _rounded_up(number: float) -> float:
    digits = 1 - math.floor(math.log10(number))
    return math.ceil(round(number * 10.0**digits, 9)) / 10.0**digits
