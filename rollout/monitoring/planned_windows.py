"""The windows of a rollout before it begins, and whether they can be judged at all (PRE-2.5, PRE-5.4)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from rollout.config.sanity_bounds import MONITOR
from rollout.core.canary_stages import Stage, stages
from rollout.core.capabilities import Capability
from rollout.core.policy import WITHOUT_USERS, Policy
from rollout.core.scenario import AT_MOST, ProviderChange, Scenario
from rollout.core.target import Target
from rollout.core.units import show_duration, show_fraction
from rollout.gateway.drivers.selection import lacking_of
from rollout.monitoring.power import MOST_REQUESTS, POWER, breach_probability
from rollout.monitoring.samples import Baseline, Context
from rollout.monitoring.share_test import ShareTest
from rollout.monitoring.share_tests import users_error_test
from rollout.monitoring.signals import COST, IN_A_ROW
from rollout.monitoring.synthetic_pace import (
    FASTEST_S,
    greatest_usd,
    most_requests,
    needed_requests,
    planned_requests,
    raise_pace,
    show_usd,
)

_NOT_KNOWN_YET = ProviderChange("", "")
_MOST_POLLS_SEARCHED = 100


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """One window: the only one of a rollout, or a stage of a canary.

    Attributes:
        name: the stage in words; empty for an only window.
        context: what its triggers judge by, with the pace of the synthetic requests that the scenario asks for.
    """

    name: str
    context: Context

    @property
    def users_polls(self) -> int:
        """How many polls of users' requests it has."""
        return math.ceil(round(self.context.lasts_s / self.context.monitor.metrics_every_s, 6))

    @property
    def own_requests(self) -> int:
        """How many of the suite's own requests the new provider answers."""
        return round(planned_requests(self.context) * self.context.share)

    def users_requests(self, a_second: float) -> int:
        """Return how many requests of users the new provider gets of so many a second."""
        return round(a_second * self.context.share * self.context.lasts_s)


def planned_windows(scenario: Scenario, policy: Policy, baseline: Baseline | None = None) -> tuple[PlannedWindow, ...]:
    """Return the windows in order, with the baseline where it is known already."""
    found = stages(scenario)
    return tuple(_window(scenario, policy, stage, max(1, len(found)), baseline) for stage in found or (None,))


def unjudgeable_windows(scenario: Scenario, target: Target, policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield the key of ``monitor:`` and the reason for what the windows cannot do, whatever the traffic is.

    A window of the sandbox is not refused for its length, unless it has fewer polls than a signal takes to be judged;
    the plan says what it can tell.
    """
    windows = planned_windows(scenario, policy)
    is_sandbox = policy.name in WITHOUT_USERS
    fastest_s = FASTEST_S if is_sandbox else MONITOR["synthetic_every"].least
    # Where users' requests are not counted, the plan says what the suite's own can tell.
    is_counted = Capability.COUNTERS not in lacking_of(target)
    for window in windows:
        if is_counted and not is_sandbox:
            yield from _too_short(window, fastest_s)
        if scenario.monitor.synthetic is not None and scenario.monitor.in_turn:
            yield from _too_many(window, scenario.monitor.synthetic.power, fastest_s)
    yield from _too_few_numbers(min(windows, key=lambda window: window.users_polls))
    yield from _too_dear(windows, scenario, target)


def _window(
    scenario: Scenario, policy: Policy, stage: Stage | None, count: int, baseline: Baseline | None
) -> PlannedWindow:
    context = Context(
        change=scenario.activation or _NOT_KNOWN_YET,
        previous=_NOT_KNOWN_YET,
        monitor=scenario.monitor,
        baseline=baseline,
        window_s=scenario.monitor.window_s if stage is None else stage.lasts_s,
        alpha=policy.alpha,
        stages=count,
        share=1.0 if stage is None else stage.share,
    )
    return PlannedWindow("" if stage is None else str(stage), raise_pace(context))


def _too_short(window: PlannedWindow, fastest_s: float) -> Iterator[tuple[str, str]]:
    """Yield why no number of requests shows twice the limit, of users or of the suite's own."""
    context, monitor = window.context, window.context.monitor
    test = users_error_test(context)
    fewest = _fewest_polls(test)
    own = needed_requests(context, POWER) if monitor.in_turn else None
    if window.users_polls >= fewest or (own is not None and context.lasts_s / own >= fastest_s):
        return
    words = (
        f"{_show(window)} has {window.users_polls} polls of users' requests (metrics_every "
        f"{show_duration(monitor.metrics_every_s)}); with fewer than {fewest} no number of requests shows twice the "
        f"limit of {show_fraction(test.limit)} at alpha {test.alpha:.3g} (MON-2); lengthen it, or poll more often"
    )
    yield "window", words


def _too_many(window: PlannedWindow, power: float, fastest_s: float) -> Iterator[tuple[str, str]]:
    """Yield why the suite's own requests cannot have the power that the scenario asks for."""
    context, most = window.context, window.context.monitor.synthetic_at_most
    needed = needed_requests(context, power)
    asked = f"a power of {power:g} in {_show(window)} takes"
    mend = "lengthen the window, or ask for less power"
    if needed is None:
        yield "synthetic", f"{asked} more than ten requests a second; {mend}"
    elif context.lasts_s / needed < fastest_s:
        fastest = f"one every {show_duration(fastest_s)} is the fastest"
        yield "synthetic", f"{asked} {needed:,} requests, and {fastest}; {mend}"
    elif needed > most:
        yield "synthetic", f"{asked} {needed:,} requests, above the cap of {most:,}; raise synthetic_at_most, {mend}"


def _too_few_numbers(window: PlannedWindow) -> Iterator[tuple[str, str]]:
    """Yield why a signal that is a number cannot be judged: each poll gives one, and a cost is between two polls."""
    signals, polls = window.context.monitor.signals, window.users_polls
    if signals is None:
        return
    needed = {signal.title: IN_A_ROW for signal in signals.promql}
    if signals.cost_per_1k is not None:
        needed[COST] = IN_A_ROW + 1
    every = show_duration(window.context.monitor.metrics_every_s)
    for name, fewest in needed.items():
        if polls < fewest:
            words = f"the signal {name} takes {fewest} polls to be judged, and {_show(window)} has {polls}"
            yield "signals", f"{words} (metrics_every {every}); lengthen it, or poll more often"


def _too_dear(windows: Sequence[PlannedWindow], scenario: Scenario, target: Target) -> Iterator[tuple[str, str]]:
    """Yield why the suite's own requests may cost more than the scenario accepts, all extensions included."""
    monitor = scenario.monitor
    most = None if monitor.synthetic is None else monitor.synthetic.usd_at_most
    if most is None or not monitor.in_turn:
        return
    if target.chat_with is not None:
        yield "synthetic", "usd_at_most cannot be kept: the target's `chat_with` knows no limit of tokens; remove it"
        return
    of = "the active provider" if scenario.activation is None else str(scenario.activation)
    price = scenario.usd_per_1k_tokens.get(of)
    if price is None:
        mend = f"write `usd_per_1k_tokens: {{{of}: …}}`, or remove it"
        yield "synthetic", f"usd_at_most cannot be kept without the price of {of}; {mend}"
        return
    sent = sum(most_requests(window.context) for window in windows)
    usd = greatest_usd(monitor, price, sent)
    if usd > most:
        over = f"may cost {show_usd(usd)}, above usd_at_most ({show_usd(most)})"
        yield (
            "synthetic",
            f"{sent:,} requests, extensions included, {over}; raise it, ask for less power, or lower max_tokens",
        )


@lru_cache(maxsize=64)
def _fewest_polls(test: ShareTest) -> int:
    """Return the fewest polls in which any number of requests shows twice the limit."""
    twice, polls = min(1.0, 2.0 * test.limit), 1
    while polls < _MOST_POLLS_SEARCHED:
        shortened = replace(test, polls=math.ceil(AT_MOST * polls) + 1)
        if breach_probability(shortened, twice, MOST_REQUESTS, polls) >= POWER:
            break
        polls += 1
    return polls


def _show(window: PlannedWindow) -> str:
    return window.name or f"a window of {show_duration(window.context.lasts_s)}"
