"""What a window's signals and slices breach at, and what its requests show of them, before it begins (MON-2, MON-5)."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.core.signals import PromqlSignal, SignalLimit, Slices
from rollout.monitoring.behaviour_tests import unexpected_test
from rollout.monitoring.planned_windows import PlannedWindow
from rollout.monitoring.power import describe_smallest_share
from rollout.monitoring.power_report import is_twice_shown, shown_share
from rollout.monitoring.samples import SourceName
from rollout.monitoring.share_test import ShareTest
from rollout.monitoring.signal_samples import RATE_LIMITED, TIMED_OUT
from rollout.monitoring.signals import COST, IN_A_ROW, UNITS, first_token_test, share_tests

_NOT_MEASURED = "the baseline tells what its requests can show (PRE-5.4)"


def describe_signals(window: PlannedWindow, users_requests: int | None) -> Iterator[str]:
    """Yield a sentence for each signal, share of answers, rise and slice that the scenario limits.

    Args:
        window: the window.
        users_requests: how many requests of users it has; None where that is not known.
    """
    monitor = window.context.monitor
    unexpected = unexpected_test(window.context)
    if unexpected is not None:
        power = _power(window, SourceName.SYNTHETIC, unexpected, users_requests)
        yield f"unexpected_share (MON-5): at most {_percent(unexpected.limit)} of the suite's own answers; {power}"
    if monitor.signals is not None:
        if monitor.signals.first_token is not None:
            yield _first_token(window, monitor.signals.first_token)
        shares = {RATE_LIMITED: monitor.signals.rate_limited_share, TIMED_OUT: monitor.signals.timeout_share}
        yield from (_share(window, name, limit, users_requests) for name, limit in shares.items() if limit is not None)
        if monitor.signals.cost_per_1k is not None:
            yield _number(COST, monitor.signals.cost_per_1k)
        yield from (_number(signal.title, signal) for signal in monitor.signals.promql)
    if monitor.limits.error_rate_rise is not None:
        compared = "the control group's share" if window.context.share < 1.0 else "the share before the change"
        yield f"error_rate_rise (MON-2): at most {monitor.limits.error_rate_rise:g} x {compared}"
    if monitor.slices is not None:
        yield _slices(monitor.slices, monitor.limits.error_rate)


def _first_token(window: PlannedWindow, limit: SignalLimit) -> str:
    found = first_token_test(window.context, limit)
    named = _factor(limit)
    if found is None:
        return f"signal first_token (MON-5): P95 at most {named}; {_NOT_MEASURED}"
    limit_ms, test = found
    effective = f"{named}, {limit_ms:.0f} ms with its uncertainty" if named else f"{limit_ms:g} ms"
    power = _power(window, SourceName.SYNTHETIC, test, None)
    return f"signal first_token (MON-5): P95 at most {effective}; later answers of {power}"


def _share(window: PlannedWindow, name: str, limit: SignalLimit, users_requests: int | None) -> str:
    tests = [(source, test) for source, test in share_tests(window.context, name, limit) if test.is_judgeable]
    powers = [_power(window, source, test, users_requests) for source, test in tests] or [_NOT_MEASURED]
    highest = _percent(limit.limit) if limit.limit is not None else _factor(limit)
    return f"signal {name} (MON-5): at most {highest} of the requests; {'; '.join(powers)}"


def _number(name: str, limit: SignalLimit | PromqlSignal) -> str:
    highest = f"{limit.limit:g}{UNITS.get(name, '')}" if limit.limit is not None else _factor(limit)
    return f"signal {name} (MON-5): at most {highest}; {IN_A_ROW} numbers in a row above it breach"


def _slices(slices: Slices, limit: float) -> str:
    if not slices.judge:
        return f"slices by {slices.by} (MON-2): shown, and none is judged"
    judged = ", ".join(slices.judge)
    return f"slices by {slices.by} (MON-2): at most {_percent(limit)} each of {judged}, with an alpha of its own each"


def _factor(limit: SignalLimit | PromqlSignal) -> str:
    return "" if limit.factor is None else f"{limit.factor:g} x that of the baseline"


def _power(window: PlannedWindow, source: str, test: ShareTest, users_requests: int | None) -> str:
    """Return what the requests of one source show of a share."""
    is_users = source == SourceName.METRICS
    whose, requests = ("users", users_requests) if is_users else ("the suite's own", window.own_requests)
    if requests is None:
        return f"{whose}: traffic not known"
    shown = shown_share(test, requests, window.users_polls if is_users else requests)
    if is_twice_shown(shown, test):
        return f"{whose}, {describe_smallest_share(requests, test.limit, shown)}"
    return f"{whose}, {requests:,} requests: twice {_percent(test.limit)} cannot be seen"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
