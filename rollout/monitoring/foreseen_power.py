"""What the windows of a rollout can tell, before they begin: `rollout plan`, PRE-2.5 and PRE-5.4 state it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from rollout.core.policy import Policy
from rollout.core.scenario import Scenario
from rollout.core.units import show_duration
from rollout.monitoring.effective_limit import SLOWER_SHARE, effective_limit, fewest_baseline_requests
from rollout.monitoring.foreseen_signals import describe_signals
from rollout.monitoring.latency_limit import baseline_limit
from rollout.monitoring.planned_windows import PlannedWindow, planned_windows
from rollout.monitoring.power import POWER, describe_smallest_share, describe_unseen, requests_needed
from rollout.monitoring.power_report import describe_slower, is_twice_shown, needed_a_minute, shown_share
from rollout.monitoring.samples import Baseline, Context
from rollout.monitoring.share_test import STRETCH_S, ShareTest, fewest_requests
from rollout.monitoring.share_tests import (
    baseline_alpha,
    own_error_test,
    own_latency_test,
    users_error_test,
    users_latency_test,
)
from rollout.monitoring.synthetic_pace import greatest_usd, most_requests, needed_requests, planned_requests, show_usd

SHARE_TRIGGERS = ("MON-2", "MON-3", "MON-5")
"""The triggers that the test for shares judges; each has the policy's alpha."""

_MINUTE_S = 60.0
_IN_WORDS = f"in {POWER * 10:.0f} of 10"


@dataclass(frozen=True, slots=True)
class UsersTraffic:
    """How many requests of users the gateway serves.

    Attributes:
        a_second: the rate; None where it is not known.
        words: the rate with what it was measured from, or that it is not known, and why.
    """

    a_second: float | None
    words: str


@dataclass(frozen=True, slots=True)
class ForeseenPower:
    """What the windows can tell.

    Attributes:
        lines: sentences.
        unseen: what each window has that cannot show twice the limit of failed requests, and what would show it.
    """

    lines: tuple[str, ...]
    unseen: tuple[str, ...]


def foresee_power(
    scenario: Scenario,
    policy: Policy,
    traffic: UsersTraffic,
    baseline: Baseline | None = None,
    usd_per_1k_tokens: float | None = None,
    *,
    counts_codes: bool = True,
) -> ForeseenPower:
    """Return what the windows can tell from the traffic.

    Args:
        scenario: what is planned.
        policy: names alpha.
        traffic: users' requests.
        baseline: the measured baseline; None states what the planned one is worth.
        usd_per_1k_tokens: the new provider's price; None where it is not known.
        counts_codes: whether users' numbers come from the gateway itself, which counts failures by code.
    """
    windows, price = planned_windows(scenario, policy, baseline), usd_per_1k_tokens
    lines, unseen = [_describe_alpha(scenario, policy, len(windows)), f"users: {traffic.words}"], []
    for planned in windows:
        window = replace(planned, context=replace(planned.context, counts_codes=counts_codes))
        errors = _Errors(window, None if traffic.a_second is None else window.users_requests(traffic.a_second))
        prefix = f"{window.name}: " if window.name else ""
        users = errors.users_requests
        judged = (*errors.lines(price), *_latency_lines(window, users), *describe_signals(window, users))
        lines += [prefix + line for line in judged]
        if not errors.shows_twice:
            unseen.append(prefix + errors.describe_unseen(traffic, price))
    return ForeseenPower((*lines, *_baseline_lines(windows[0].context)), tuple(unseen))


@dataclass(frozen=True, slots=True)
class _Errors:
    """What a window can tell of failed requests (MON-2).

    Attributes:
        window: the window.
        users_requests: how many requests of users it has; None where that is not known.
    """

    window: PlannedWindow
    users_requests: int | None

    @property
    def limit(self) -> float:
        return self.window.context.monitor.limits.error_rate

    @property
    def users_test(self) -> ShareTest:
        return users_error_test(self.window.context)

    @property
    def own_test(self) -> ShareTest:
        return own_error_test(self.window.context)

    @property
    def users_show(self) -> float | None:
        """The smallest share that users' requests show."""
        return shown_share(self.users_test, self.users_requests or 0, self.window.users_polls)

    @property
    def own_show(self) -> float | None:
        """The smallest share that the suite's own requests show."""
        return shown_share(self.own_test, self.window.own_requests, self.window.own_requests)

    @property
    def shows_twice(self) -> bool:
        return is_twice_shown(self.users_show, self.users_test) or is_twice_shown(self.own_show, self.own_test)

    def lines(self, price: float | None) -> Iterator[str]:
        """Yield a sentence for users, one for the suite's own requests, and one where both are few."""
        if self.users_requests is None:
            yield self._users_needed()
        else:
            yield f"users, {self._describe(self.users_test, self.users_requests, self.users_show)}"
        yield self._own(price)
        yield from self._too_slow()

    def describe_unseen(self, traffic: UsersTraffic, price: float | None) -> str:
        """Return that twice the limit cannot be seen, by which requests, and what would show it."""
        has = traffic.words if self.users_requests is None else f"{self.users_requests:,} requests"
        context, own = self.window.context, self.window.own_requests
        more = describe_unseen(own, needed_a_minute(context), _more_usd(context, price))
        return f"users: {has}; the suite's own{'' if context.monitor.in_turn else ' (off)'}, {more}"

    def _describe(self, test: ShareTest, requests: int, shown: float | None) -> str:
        if is_twice_shown(shown, test):
            return describe_smallest_share(requests, self.limit, shown)
        return f"{requests:,} requests: twice the limit cannot be seen"

    def _users_needed(self) -> str:
        context = self.window.context
        needed = requests_needed(self.users_test, min(1.0, 2.0 * self.limit), self.window.users_polls)
        if needed is None:
            return f"users: no number of requests shows twice the limit in {self.window.users_polls} polls"
        needed = math.ceil(needed / context.share)
        a_minute = math.ceil(needed * _MINUTE_S / context.lasts_s)
        return f"users: {needed:,} requests, {a_minute:,} a minute, would show twice the limit {_IN_WORDS}"

    def _own(self, price: float | None) -> str:
        context, own = self.window.context, self.window.own_requests
        if not context.monitor.in_turn:
            return "the suite's own: off"
        words = self._describe(self.own_test, own, self.own_show)
        if not self.shows_twice:
            words = describe_unseen(own, needed_a_minute(context), _more_usd(context, price))
        return f"the suite's own, one every {_pace(context)}{_own_usd(context, price)}: {words}"

    def _too_slow(self) -> Iterator[str]:
        """Yield what the last stretch of a window cannot show: it has too few requests to exclude twice the limit."""
        context = self.window.context
        least = math.ceil(fewest_requests(self.limit) * _MINUTE_S / STRETCH_S)
        a_minute = max(self.users_requests or 0, self.window.own_requests) * _MINUTE_S / context.lasts_s
        if a_minute < least:
            unless = ", unless users send more" if self.users_requests is None else ""
            yield f"below {least} requests a minute a change in the last third may stay unseen{unless}"


def _describe_alpha(scenario: Scenario, policy: Policy, windows: int) -> str:
    # The relative limit has an alpha of its own; the signals of MON-5 share its alpha.
    rise = ("error_rate_rise",) if scenario.monitor.limits.error_rate_rise is not None else ()
    judged = (*rise, *SHARE_TRIGGERS)
    names = f"{', '.join(judged[:-1])} and {judged[-1]}"
    stages = ", all stages of the canary together" if windows > 1 else ""
    return (
        f"alpha {policy.alpha:g}: so often one trigger rolls back a change that is within its limit{stages}; "
        f"{names}, judged by shares, together {len(judged) * policy.alpha:.6g} at most"
    )


def _latency_lines(window: PlannedWindow, users_requests: int | None) -> Iterator[str]:
    """Yield what the window can tell of the latency, by each kind of request that has a limit (MON-3)."""
    context, own = window.context, window.own_requests
    base = context.baseline
    has_histogram = base is not None and base.users_histogram is not None
    if users_requests is not None and has_histogram and (limit := baseline_limit(context, "users")):
        test = users_latency_test(context, limit.share, is_absolute=limit.is_absolute)
        shown = shown_share(test, users_requests, window.users_polls)
        slower = None if shown is None else describe_slower(context, "users", limit, shown)
        yield f"users, {users_requests:,} requests: {slower or _NOT_SLOWER}"
    if context.monitor.in_turn and (limit := baseline_limit(context, "synthetic")):
        shown = shown_share(own_latency_test(context, limit.share, is_absolute=limit.is_absolute), own, own)
        slower = None if shown is None else describe_slower(context, "synthetic", limit, shown)
        yield f"the suite's own, {own:,} requests: {slower or _NOT_SLOWER}"


_NOT_SLOWER = "no latency above the limit can be seen"


def _baseline_lines(context: Context) -> Iterator[str]:
    """Yield what a baseline of the suite's own requests is worth, unless the limit is absolute or users' is better."""
    monitor, base = context.monitor, context.baseline
    if monitor.limits.p95_ms is not None or not monitor.in_turn:
        return
    requests = monitor.planned_baseline if base is None else base.synthetic_samples
    alpha = baseline_alpha(context)
    found = effective_limit([1.0] * requests, monitor.limits.latency_factor, alpha)
    if found is None:
        return
    limit = baseline_limit(context, "synthetic")
    line = f"baseline, {requests:,} requests of the suite's own: {found.share * 100:.2g} % of requests may be slower"
    line += " than its limit" if limit is None else f" than {limit.value_ms:.5g} ms ({limit.why})"
    if found.share > SLOWER_SHARE:
        more = f"`baseline_requests: {fewest_baseline_requests(alpha)}` makes it {SLOWER_SHARE * 100:g} %"
        line += f", so that MON-3 sees gross slowness only; {more}"
    yield line


def _more_usd(context: Context, price: float | None) -> str:
    """Return what as many synthetic requests cost as show twice the limit, in words; empty where it is not known."""
    needed = needed_requests(context, POWER)
    if price is None or needed is None or not context.monitor.in_turn:
        return ""
    return show_usd(greatest_usd(context.monitor, price, needed))


def _own_usd(context: Context, price: float | None) -> str:
    if price is None:
        return ""
    usd = [greatest_usd(context.monitor, price, count(context)) for count in (planned_requests, most_requests)]
    return f" (at most {show_usd(usd[0])}, {show_usd(usd[1])} with extensions)"


def _pace(context: Context) -> str:
    pace = show_duration(context.monitor.synthetic_every_s)
    asked = context.monitor.synthetic
    return pace if asked is None else f"{pace}, for a power of {asked.power:g}"
