"""The tests of a window: how the triggers divide the probability of a false breach, and how often they judge.

Each trigger has the policy's alpha for the whole rollout. The stages of a canary divide it equally. Where users'
requests and the suite's own may both breach, each has half. MON-3 spends half of that on the baseline's uncertainty.
"""

from __future__ import annotations

import math

from rollout.core.scenario import AT_MOST
from rollout.monitoring.effective_limit import SLOWER_SHARE
from rollout.monitoring.samples import Context
from rollout.monitoring.share_test import STRETCH_S, ShareTest


def trigger_alpha(context: Context) -> float:
    """Return the probability of a false breach by one trigger in this window."""
    return context.alpha / context.stages


def source_alpha(context: Context) -> float:
    """Return the part of `trigger_alpha` that users' requests have, and the suite's own."""
    return trigger_alpha(context) / (2.0 if context.monitor.in_turn else 1.0)


def most_polls(context: Context, every_s: float) -> int:
    """Return how many polls of a source a window has at most, its extension included."""
    return math.ceil(AT_MOST * context.lasts_s / every_s) + 1


def recent_s(context: Context) -> float:
    """Return the newest part of a window, in seconds, in which users must have made a request to decide that it holds.

    Five minutes, or a sixth of a longer window: requests from long ago say nothing of the provider as it is now.
    """
    return max(STRETCH_S, context.lasts_s / 6.0)


def users_error_test(context: Context) -> ShareTest:
    """Return the test of users' error rate (MON-2)."""
    return _test(context, context.monitor.limits.error_rate, source_alpha(context), context.monitor.metrics_every_s)


def own_error_test(context: Context) -> ShareTest:
    """Return the test of the error rate of the suite's own requests (MON-2)."""
    return _test(context, context.monitor.limits.error_rate, source_alpha(context), context.monitor.synthetic_every_s)


def baseline_alpha(context: Context) -> float:
    """Return the alpha of an effective limit (MON-3), half of which is the baseline's; the test has the other half."""
    return source_alpha(context)


def users_latency_test(context: Context, share: float = SLOWER_SHARE, *, is_absolute: bool = False) -> ShareTest:
    """Return the test of the share of users' requests that are slower than the limit (MON-3)."""
    return _test(context, share, _latency_alpha(context, is_absolute), context.monitor.metrics_every_s)


def own_latency_test(context: Context, share: float = SLOWER_SHARE, *, is_absolute: bool = False) -> ShareTest:
    """Return the test of the share of the suite's own requests that are slower than the limit (MON-3)."""
    return _test(context, share, _latency_alpha(context, is_absolute), context.monitor.synthetic_every_s)


def _latency_alpha(context: Context, is_absolute: bool) -> float:
    # An absolute limit has no baseline, whose uncertainty takes half.
    return source_alpha(context) / (1.0 if is_absolute else 2.0)


def _test(context: Context, limit: float, alpha: float, every_s: float) -> ShareTest:
    return ShareTest(limit=limit, alpha=alpha, polls=most_polls(context, every_s))
