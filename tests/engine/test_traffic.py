"""The current traffic is computed from two polls, or not known (PRE-4.1)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollout.changes.backup import recorded
from rollout.context import RolloutContext
from rollout.core.errors import GatewayError
from rollout.core.result import Outcome
from rollout.engine.traffic import Traffic, TrafficPoll, between, poll_traffic
from rollout.gateway.responses import Latency, Metrics
from tests.support.clocks import BEGINNING
from tests.support.rollouts import OLD, ScriptedGateway
from tests.support.stories import opened

FIRST = TrafficPoll("ollama", 1000, BEGINNING, 50.0)


def unused(*_: object) -> None:
    raise AssertionError("the rate needs the counter only")


class Counting(ScriptedGateway):
    """A gateway that counts requests."""

    requests = 0
    status = test_connection = chat = staticmethod(unused)

    def metrics(self, _: str) -> Metrics:
        """Return the counter."""
        return Metrics(self.requests, self.requests, 0, 0.0, Latency(None, None, None, 0), {})


def outcome(poll: TrafficPoll) -> Outcome[TrafficPoll]:
    return Outcome(lambda: poll)


def failing(words: str) -> Outcome[TrafficPoll]:
    def fail() -> TrafficPoll:
        raise GatewayError("GET metrics", words)

    return Outcome(fail)


@pytest.fixture
def rollout(tmp_path: Path) -> RolloutContext:
    rollout = opened(tmp_path)
    rollout.gateway = Counting()
    return rollout


def test_the_rate_is_that_between_the_polls(rollout: RolloutContext) -> None:
    backup = Outcome(lambda: recorded(rollout.last_known_record().backup))
    first = Outcome(lambda: poll_traffic(rollout, backup.value))
    rollout.clock.wait(4.0)
    rollout.gateway.requests = 50
    assert between(first, Outcome(lambda: poll_traffic(rollout, backup.value))) == Traffic(
        OLD.provider,
        "12.5 requests a second (50 in 4.0 s)",
        "2026-11-23T12:00:00.000Z",
        "2026-11-23T12:00:04.000Z",
    )


@pytest.mark.parametrize(
    ("requests", "after_s", "rate"),
    [
        (1000, 10.0, "0.0 requests a second (0 in 10.0 s)"),
        (1003, 1.0, "3.0 requests a second (3 in 1.0 s)"),
        (1003, 0.9, "not known: the polls are 0.9 s apart, at least 1 s are needed"),
        (7, 10.0, "not known: the counter began anew between the polls"),
    ],
)
def test_too_few_seconds_or_a_reset_give_no_number(requests: int, after_s: float, rate: str) -> None:
    then = replace(FIRST, requests=requests, at_s=FIRST.at_s + after_s)
    assert between(outcome(FIRST), outcome(then)).rate == rate


@pytest.mark.parametrize("failed", ["first", "then"])
def test_a_counter_that_cannot_be_read_is_named_and_raises_nothing(failed: str) -> None:
    polls = {"first": outcome(FIRST), "then": outcome(FIRST), failed: failing("no route")}
    assert between(polls["first"], polls["then"]) == Traffic("", "not known: GET metrics: no route")


def test_one_poll_of_prometheus_suffices() -> None:
    """It counts from a known time on, so that an earlier poll that failed does not matter."""
    then = replace(FIRST, requests=90, over_s=60.0)
    traffic = between(failing("no route"), outcome(then))
    assert (traffic.rate, traffic.first) == ("1.5 requests a second (90 in 60.0 s)", "")


def test_the_current_provider_is_asked_not_the_new_one(rollout: RolloutContext) -> None:
    asked: list[str] = []
    rollout.gateway.metrics = lambda name: asked.append(name) or Counting().metrics(name)
    poll_traffic(rollout, recorded(rollout.last_known_record().backup))
    assert asked == [OLD.provider]
