"""PRE-4: the moment, the people and the bake time are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollout.approvals.review import StandBy
from rollout.core.policy import Policy
from rollout.core.result import Outcome
from rollout.core.scenario import Scenario
from rollout.engine.traffic import Traffic
from rollout.monitoring.sources.synthetic import promise
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show
from rollout.reporting.notifications import Delivery


@clause("PRE-4.1")
def test_now_is_inside_a_change_window(
    timing: Outcome[Mapping[str, str | None]], traffic_now: Traffic, show: Show
) -> None:
    """Now is inside an allowed window of the target, and the bake time still fits.

    Fails when it is outside and the policy says block; a policy that says warn shows the warning. The current traffic
    is shown, and decides nothing.
    """
    show.facts("Current traffic", traffic_now)
    show.facts("Change window", timing.value)


@clause("PRE-4.2")
def test_stakeholders_are_notified(deliveries: Outcome[Sequence[Delivery]], scenario: Scenario, show: Show) -> None:
    """Every channel of the scenario accepted the announcement.

    Fails when there is no channel, or when a channel refused.
    """
    show.facts("Deliveries", deliveries.value)
    refused = [f"{delivery.channel}: {delivery.detail}" for delivery in deliveries.value if not delivery.accepted]
    assert deliveries.value, (
        f"{scenario.source} names no channel; add `notify: [log]` or a variable with an Apprise URL"
    )
    assert not refused, f"not every channel accepted: {'; '.join(refused)}"


@clause("PRE-4.3")
def test_a_rollback_operator_is_ready(stand_by: Outcome[StandBy], show: Show) -> None:
    """A rollback operator is named, can be reached, and has acknowledged standing by.

    Fails when the scenario names no operator, or when the acknowledgement that the policy demands is missing or old.
    """
    show.facts("Operator", stand_by.value)
    assert stand_by.value.ready(), stand_by.value.problem


@clause("PRE-4.4")
def test_the_planned_monitoring_is_long_enough(scenario: Scenario, policy: Policy, show: Show) -> None:
    """The bake time is at least what the policy of this environment demands.

    Fails when it is shorter.
    """
    window_s = scenario.monitor.window_s
    show.facts("Plan", scenario.monitor)
    show.text("Synthetic requests", promise(scenario.monitor))
    assert window_s >= policy.window_at_least_s, (
        f"the bake time is {window_s:.0f} s; policy {policy.name!r} demands at least {policy.window_at_least_s:.0f} s"
    )
