"""What the windows can tell from the gateway's traffic, and what the policy makes of it (PRE-2.5, PRE-5.4)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollout.changes.backup import Backup, recorded
from rollout.context import RolloutContext
from rollout.core.errors import GatewayError, Interrupted, NotCleared
from rollout.core.policy import BLOCK
from rollout.core.result import Outcome
from rollout.core.scenario import Scenario
from rollout.core.target import OtherCall, PrometheusSource, Sources, Target
from rollout.engine.traffic import TrafficPoll, measure_traffic, poll_traffic
from rollout.engine.window_power import foresee, foresee_with_baseline, price_of
from rollout.gateway.responses import Latency, Metrics
from rollout.monitoring.samples import Baseline
from tests.support.rollouts import NEW, OLD, ScriptedGateway
from tests.support.stories import opened


def unused(*_: object) -> None:
    raise AssertionError("the counter is enough")


class Counting(ScriptedGateway):
    """A gateway whose users send so many requests a second, as its clock says."""

    a_second = 0.0
    usd, tokens = 0.0, 0
    status = test_connection = chat = staticmethod(unused)

    def __init__(self, rollout: RolloutContext) -> None:
        super().__init__()
        self._clock = rollout.clock

    def metrics(self, _: str) -> Metrics:
        """Return the counters."""
        seen = int(self._clock.monotonic() * self.a_second)
        found = Metrics(seen, seen, 0, 0.0, Latency(None, None, None, 0), {})
        return replace(found, total_usd=self.usd, total_tokens=self.tokens)


@pytest.fixture
def rollout(tmp_path: Path) -> RolloutContext:
    rollout = opened(tmp_path)
    rollout.gateway = Counting(rollout)
    return rollout


@pytest.fixture
def backup(rollout: RolloutContext) -> Outcome[Backup]:
    return Outcome(lambda: recorded(rollout.last_known_record().backup))


def poll(rollout: RolloutContext, backup: Outcome[Backup]) -> Outcome[TrafficPoll]:
    return Outcome(lambda: poll_traffic(rollout, backup.value))


def blocking(rollout: RolloutContext) -> RolloutContext:
    rollout.policy = replace(rollout.policy, power=BLOCK)
    return rollout


def test_the_traffic_between_two_polls_says_what_is_told(rollout: RolloutContext, backup: Outcome[Backup]) -> None:
    rollout.gateway.a_second = 10.0
    before = poll(rollout, backup)
    rollout.clock.wait(2.0)
    found = foresee(rollout, backup, before)
    assert "users: 10.0 requests a second (20 in 2.0 s)\nusers, 18,000 requests: 5 % from " in found.lines
    assert (found.problem, found.warning) == ("", "")


def test_a_policy_that_warns_waits_for_nothing_and_accepts(rollout: RolloutContext, backup: Outcome[Backup]) -> None:
    began = rollout.clock.monotonic()
    found = foresee(rollout, backup, poll(rollout, backup))
    assert "users: not known: the polls are 0.0 s apart, at least 1 s are needed" in found.lines
    assert (found.problem, rollout.clock.monotonic()) == ("", began)
    assert found.warning == (
        "users: not known: the polls are 0.0 s apart, at least 1 s are needed; the suite's own, 30 requests: twice the "
        "limit cannot be seen; 22 synthetic requests a minute would show it in 9 of 10"
    )


def test_a_policy_that_blocks_measures_long_enough_to_decide(rollout: RolloutContext, backup: Outcome[Backup]) -> None:
    rollout.gateway.a_second = 1.0
    found = foresee(blocking(rollout), backup, poll(rollout, backup))
    assert "users: 1.0 requests a second (5 in 5.0 s)" in found.lines
    assert found.problem == ""


def test_a_policy_that_blocks_says_what_why_and_how_to_mend(rollout: RolloutContext, backup: Outcome[Backup]) -> None:
    found = foresee(blocking(rollout), backup, poll(rollout, backup))
    assert found.problem == (
        f"twice the limit of 5 % failed requests cannot be seen, and policy {rollout.policy.name!r} blocks that "
        "(power: block): users: 0 requests; the suite's own, 30 requests: twice the limit cannot be seen; 22 synthetic "
        "requests a minute would show it in 9 of 10. Lengthen the window, write `synthetic: {power: 0.9}` under "
        "`monitor:`, or let the policy say `power: warn`"
    )


def test_a_stop_ends_the_measurement(rollout: RolloutContext, backup: Outcome[Backup]) -> None:
    before = poll(rollout, backup)
    rollout.stop.set("Ctrl-C")
    with pytest.raises(Interrupted, match="users' traffic was not measured: Ctrl-C"):
        foresee(blocking(rollout), backup, before)


def test_a_counter_that_cannot_be_read_leaves_the_suites_own_requests(rollout: RolloutContext) -> None:
    def fail() -> Backup:
        raise NotCleared("there is no backup")

    nothing = Outcome(fail)
    found = foresee(blocking(rollout), nothing, poll(rollout, nothing))
    assert "users: not known: there is no backup" in found.lines
    assert found.problem


def test_prometheus_gives_the_rate_of_the_baselines_requests(rollout: RolloutContext, backup: Outcome[Backup]) -> None:
    """They are counted over the length of the window."""
    prometheus = PrometheusSource("http://127.0.0.1:9", "requests", "errors", "buckets")
    rollout.target = replace(rollout.target, sources=Sources(prometheus=prometheus))
    baseline = Baseline(OLD.provider, users_requests=3600)
    said = foresee_with_baseline(rollout, backup, poll(rollout, backup), baseline)
    assert "users: 2.0 requests a second (3600 in 1800.0 s)\nusers, 3,600 requests: 5 % from " in said


def test_without_prometheus_the_counter_is_read_again(rollout: RolloutContext, backup: Outcome[Backup]) -> None:
    rollout.gateway.a_second = 2.0
    before = poll(rollout, backup)
    rollout.clock.wait(10.0)
    said = foresee_with_baseline(rollout, backup, before, Baseline(OLD.provider, users_requests=99))
    assert "users: 2.0 requests a second (20 in 10.0 s)" in said


def scenario(price: float | None = None) -> Scenario:
    prices = {} if price is None else {str(NEW): price}
    return Scenario("s", "s.yaml", "t", (NEW,), "alice", usd_per_1k_tokens=prices)


def test_the_price_is_the_scenarios_before_the_gateways(rollout: RolloutContext) -> None:
    target, gateway = Target("t", "sandbox"), rollout.gateway
    assert price_of(scenario(), target, gateway.metrics) is None
    gateway.usd, gateway.tokens = 3.0, 1500
    assert price_of(scenario(), target, gateway.metrics) == 2.0
    assert price_of(scenario(0.5), target, gateway.metrics) == 0.5
    assert price_of(scenario(), target, None) is None
    chat = replace(target, chat_with=OtherCall("/x", {}))
    assert price_of(scenario(0.5), chat, gateway.metrics) is None


def test_a_price_that_cannot_be_read_is_not_known() -> None:
    def fail(_: str) -> Metrics:
        raise GatewayError("GET metrics", "no route")

    assert price_of(scenario(), Target("t", "sandbox"), fail) is None


def test_the_plan_reads_the_counter_twice(rollout: RolloutContext) -> None:
    rollout.gateway.a_second = 3.0
    found = measure_traffic(rollout.gateway, rollout.target, OLD, {}, rollout.clock)
    assert (found.a_second, found.words) == (3.0, "3.0 requests a second (3 in 1.0 s)")


def test_the_plan_says_why_the_traffic_is_not_known(rollout: RolloutContext) -> None:
    def fail(_: str) -> Metrics:
        raise GatewayError("GET metrics", "no route")

    rollout.gateway.metrics = fail
    found = measure_traffic(rollout.gateway, rollout.target, OLD, {}, rollout.clock)
    assert (found.a_second, found.words) == (None, "not known: GET metrics: no route")
