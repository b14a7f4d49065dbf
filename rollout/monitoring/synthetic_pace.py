"""How many requests of the suite's own a window takes to show twice the limit of failed requests, and their price.

The scenario's ``synthetic: {power: 0.9}`` raises the pace of the synthetic requests to that number (MON-2).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

from rollout.core.scenario import AT_MOST, Monitor
from rollout.monitoring.power import breach_probability
from rollout.monitoring.samples import Context
from rollout.monitoring.share_test import ShareTest
from rollout.monitoring.share_tests import own_error_test

FASTEST_S = 0.1
"""No request of the suite's own follows another one sooner."""


def planned_requests(context: Context) -> int:
    """Return how many synthetic requests the window sends without an extension; 0 if they are switched off."""
    monitor = context.monitor
    # Rounded first: 0.3 / 0.1 is a little less than 3.
    sent = math.ceil(round(context.lasts_s / monitor.synthetic_every_s, 6))
    return min(sent, monitor.synthetic_at_most) if monitor.in_turn else 0


def most_requests(context: Context) -> int:
    """Return how many synthetic requests the window sends at most, with its extensions."""
    monitor = context.monitor
    sent = math.ceil(round(AT_MOST * context.lasts_s / monitor.synthetic_every_s, 6))
    return min(sent, monitor.synthetic_at_most) if monitor.in_turn else 0


def needed_requests(context: Context, power: float) -> int | None:
    """Return the fewest synthetic requests of the window that show twice the limit with the probability `power`.

    None if ten a second are not enough, or the limit cannot be judged.

    Args:
        context: the window's.
        power: the probability with which a provider breaches that fails at twice the limit.
    """
    test = own_error_test(context)
    return _fewest(test.limit, test.alpha, math.floor(context.lasts_s / FASTEST_S), context.share, power)


def raise_pace(context: Context) -> Context:
    """Return the context with the pace that the scenario's ``synthetic:`` comes to, never above its cap."""
    monitor = context.monitor
    if monitor.synthetic is None or not monitor.in_turn:
        return context
    sent = min(needed_requests(context, monitor.synthetic.power) or 0, monitor.synthetic_at_most)
    if sent <= planned_requests(context):
        return context
    return replace(context, monitor=replace(monitor, synthetic_every_s=context.lasts_s / sent))


def greatest_usd(monitor: Monitor, usd_per_1k_tokens: float, requests: int) -> float:
    """Return what so many synthetic requests cost at most in US dollars.

    A prompt has at most as many tokens as bytes, an answer at most `max_tokens`.
    """
    tokens = [probe.max_tokens + len(probe.prompt.encode()) for probe in monitor.in_turn]
    return requests * sum(tokens) / len(tokens) * usd_per_1k_tokens / 1000.0


def show_usd(usd: float) -> str:
    """Return an amount in words, rounded up to two digits or to a dollar: ``0.9 USD``."""
    if usd <= 0.0:
        return "0 USD"
    digits = max(0, 1 - math.floor(math.log10(usd)))
    # Rounded before: 0.29 x 100 is a little more than 29.
    text = f"{math.ceil(round(usd * 10.0**digits, 6)) / 10.0**digits:,.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if digits else text} USD"


# The same for every window of a rollout, in every call; a search takes some milliseconds.
@lru_cache(maxsize=256)
def _fewest(limit: float, alpha: float, most: int, share: float, power: float) -> int | None:
    def is_enough(sent: int) -> bool:
        # Each request is a poll of its own.
        test = ShareTest(limit, alpha, math.ceil(AT_MOST * sent) + 1)
        return breach_probability(test, min(1.0, 2.0 * limit), round(sent * share), sent) >= power

    if not most or not is_enough(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
