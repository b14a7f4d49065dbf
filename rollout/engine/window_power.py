"""What the windows of a rollout can tell, and whether its policy accepts that (PRE-2.5, PRE-5.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rollout.changes.backup import Backup
from rollout.context import RolloutContext
from rollout.core.errors import GatewayError, Interrupted
from rollout.core.policy import BLOCK
from rollout.core.result import Outcome
from rollout.core.scenario import Scenario
from rollout.core.target import Target
from rollout.engine.traffic import TrafficPoll, describe_rate, poll_traffic, users_traffic
from rollout.gateway.responses import Metrics
from rollout.monitoring.foreseen_power import ForeseenPower, UsersTraffic, foresee_power
from rollout.monitoring.power import POWER
from rollout.monitoring.samples import Baseline

DECIDES_AFTER_S = 5.0
"""Two polls of a counter are at least so far apart where the policy blocks by the rate between them."""


@dataclass(frozen=True, slots=True)
class WindowPower:
    """What the windows can tell.

    Attributes:
        lines: it, a sentence a line.
        problem: why the policy does not accept it; empty where it does.
        warning: which windows do not show twice the limit of failed requests, and what would; empty where all do.
    """

    lines: str
    problem: str
    warning: str


def foresee(rollout: RolloutContext, backup: Outcome[Backup], before: Outcome[TrafficPoll]) -> WindowPower:
    """Return what the windows can tell from the traffic since the poll `before`.

    Raises:
        Interrupted: the run was asked to stop.
    """
    found = _foresee(rollout, _measure_traffic(rollout, backup, before), None)
    return WindowPower("\n".join(found.lines), _explain_block(rollout, found), "; ".join(found.unseen))


def foresee_with_baseline(
    rollout: RolloutContext, backup: Outcome[Backup], before: Outcome[TrafficPoll], baseline: Baseline
) -> str:
    """Return what the windows can tell from the traffic and the measured baseline, a sentence a line."""
    monitor = rollout.scenario.monitor
    if rollout.target.sources.prometheus is None:
        traffic = users_traffic(before, Outcome(lambda: poll_traffic(rollout, backup.value)))
    else:
        # The baseline's requests are those of so many seconds.
        seconds = max(monitor.window_s, monitor.short_span_s)
        words = describe_rate(baseline.users_requests, seconds)
        traffic = UsersTraffic(baseline.users_requests / seconds, words)
    return "\n".join(_foresee(rollout, traffic, baseline).lines)


def price_of(scenario: Scenario, target: Target, read_metrics: Callable[[str], Metrics] | None) -> float | None:
    """Return the new provider's price of 1,000 tokens in US dollars: the scenario's, or the gateway's so far.

    None where neither is known, or where a completion has no limit of tokens.

    Args:
        scenario: may name the price.
        target: may have a completion of its own.
        read_metrics: returns a provider's counters, may raise `GatewayError`; None where no gateway is there yet.
    """
    new = scenario.activation
    if new is None or target.chat_with is not None:
        return None
    if str(new) in scenario.usd_per_1k_tokens:
        return scenario.usd_per_1k_tokens[str(new)]
    if read_metrics is None:
        return None
    try:
        counted = read_metrics(new.provider)
    except GatewayError:
        return None
    return counted.total_usd / counted.total_tokens * 1000.0 if counted.total_usd and counted.total_tokens else None


def _foresee(rollout: RolloutContext, traffic: UsersTraffic, baseline: Baseline | None) -> ForeseenPower:
    scenario = rollout.scenario
    price = price_of(scenario, rollout.target, rollout.gateway.metrics)
    counts_codes = rollout.target.sources.prometheus is None
    return foresee_power(scenario, rollout.policy, traffic, baseline, price, counts_codes=counts_codes)


def _measure_traffic(rollout: RolloutContext, backup: Outcome[Backup], before: Outcome[TrafficPoll]) -> UsersTraffic:
    clock = rollout.clock
    if rollout.policy.power == BLOCK and before.error is None and before.value.over_s is None:
        left_s = before.value.at_s + DECIDES_AFTER_S - clock.monotonic()
        if left_s > 0.0 and not clock.wait(left_s, rollout.stop):
            raise Interrupted(f"users' traffic was not measured: {rollout.stop.reason}")
    return users_traffic(before, Outcome(lambda: poll_traffic(rollout, backup.value)))


def _explain_block(rollout: RolloutContext, found: ForeseenPower) -> str:
    policy = rollout.policy
    if policy.power != BLOCK or not found.unseen:
        return ""
    limit = rollout.scenario.monitor.limits.error_rate
    return (
        f"twice the limit of {limit * 100:g} % failed requests cannot be seen, and policy {policy.name!r} blocks that "
        f"(power: block): {'; '.join(found.unseen)}. Lengthen the window, write `synthetic: {{power: {POWER:g}}}` "
        "under `monitor:`, or let the policy say `power: warn`"
    )
