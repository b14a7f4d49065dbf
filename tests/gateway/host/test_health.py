"""Waiting for the service is looking at it, again and again, no longer than it was told."""

import pytest

from rollout.core.clock import StopFlag
from rollout.core.errors import GatewayError, Interrupted, Refused
from rollout.gateway.host.commands import ServiceError
from rollout.gateway.host.health import await_health
from tests.support.clocks import SimulatedClock


@pytest.fixture
def clock():
    return SimulatedClock()


def up_after(clock, seconds, error=GatewayError):
    looks = []

    def look():
        looks.append(clock.monotonic())
        if clock.monotonic() < seconds:
            raise error("GET /health", "nothing listens")

    return look, looks


def test_a_service_that_is_up_is_found_up_at_once(clock):
    look, looks = up_after(clock, 0)
    assert await_health(look, 15, clock) == 0
    assert looks == [0]


@pytest.mark.parametrize("error", [GatewayError, Refused])
def test_the_seconds_until_it_was_up_are_returned(clock, error):
    look, looks = up_after(clock, 3.1, error)
    assert await_health(look, 15, clock) == pytest.approx(3.25)
    assert looks[:3] == [0, 0.25, 0.5]


def test_at_the_deadline_the_last_reason_is_told(clock):
    look, looks = up_after(clock, 15.1)
    with pytest.raises(ServiceError) as caught:
        await_health(look, 15, clock)
    assert str(caught.value) == (
        "the service is not healthy after 15.0 s, 15 s were allowed: GET /health: nothing listens. Look at its log, "
        "or raise `startup:` of the target"
    )
    assert looks[-1] == 15


def test_a_service_that_comes_up_right_at_the_deadline_is_healthy(clock):
    look, _ = up_after(clock, 1.1)
    assert await_health(look, 1.1, clock) == pytest.approx(1.1)


def test_a_look_that_takes_longer_than_the_deadline_is_the_last(clock):
    looks = []

    def look():
        looks.append(clock.monotonic())
        clock.advance(5)
        raise GatewayError("GET /health", "no complete answer within 5 s")

    with pytest.raises(ServiceError, match=r"not healthy after 5\.0 s, 1 s were allowed"):
        await_health(look, 1, clock)
    assert looks == [0]


def test_a_stop_ends_the_waiting_at_once(clock):
    stop, (look, _) = StopFlag(), up_after(clock, 15)
    clock.later(2.1, lambda: stop.set("ctrl-c"))
    with pytest.raises(Interrupted, match="waiting for the service to be healthy: ctrl-c"):
        await_health(look, 15, clock, stop)
    assert clock.monotonic() == pytest.approx(2.1)


def test_what_is_no_gateways_error_is_not_waited_out(clock):
    def look():
        raise Interrupted("ctrl-c")

    with pytest.raises(Interrupted):
        await_health(look, 15, clock)
