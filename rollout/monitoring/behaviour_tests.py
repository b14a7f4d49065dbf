"""The tests of MON-5's shares, and how they divide its alpha."""

from __future__ import annotations

from rollout.monitoring.samples import Context
from rollout.monitoring.share_test import ShareTest
from rollout.monitoring.share_tests import most_polls, trigger_alpha


def behaviour_alpha(context: Context) -> float:
    """Return the part of MON-5's alpha that each of its shares has."""
    own = (context.fallbacks_are_normal, context.monitor.limits.unexpected_share is not None)
    others = (sum(own) if context.monitor.in_turn else 0) + _count_signal_tests(context)
    return trigger_alpha(context) / (1 + others)


def _count_signal_tests(context: Context) -> int:
    signals, own = context.monitor.signals, bool(context.monitor.in_turn)
    if signals is None:
        return 0
    shares = sum(share is not None for share in (signals.rate_limited_share, signals.timeout_share))
    return own * (signals.first_token is not None) + shares * (own + context.counts_codes)


def fallback_test(context: Context) -> ShareTest:
    """Return the test of users' fallbacks."""
    limit, polls = context.monitor.limits.fallback_share, most_polls(context, context.monitor.alerts_every_s)
    return ShareTest(limit, behaviour_alpha(context), polls)


def own_fallback_test(context: Context) -> ShareTest:
    """Return the test of the suite's own requests that another provider answered, where that is normal."""
    return _own_test(context, context.monitor.limits.fallback_share)


def unexpected_test(context: Context) -> ShareTest | None:
    """Return the test of answers that break an expectation; None where two in a row breach."""
    limit = context.monitor.limits.unexpected_share
    return None if limit is None else _own_test(context, limit)


def signal_test(context: Context, limit: float, every_s: float, *, relative: bool) -> ShareTest:
    """Return the test of a signal's share; half of a relative limit's alpha is the baseline's."""
    alpha = behaviour_alpha(context) / (2.0 if relative else 1.0)
    return ShareTest(limit, alpha, most_polls(context, every_s))


def _own_test(context: Context, limit: float) -> ShareTest:
    return signal_test(context, limit, context.monitor.synthetic_every_s, relative=False)
