"""The service is polled until it is healthy, or until the deadline."""

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
    polls = []

    def poll():
        polls.append(clock.monotonic())
        if clock.monotonic() < seconds:
            raise error("GET /health", "nothing listens")

    return poll, polls


def test_a_service_that_is_up_is_found_up_at_once(clock):
    poll, polls = up_after(clock, 0)
    assert await_health(poll, 15, clock) == 0
    assert polls == [0]


@pytest.mark.parametrize("error", [GatewayError, Refused])
def test_the_seconds_until_it_was_up_are_returned(clock, error):
    poll, polls = up_after(clock, 3.1, error)
    assert await_health(poll, 15, clock) == pytest.approx(3.25)
    assert polls[:3] == [0, 0.25, 0.5]


def test_the_error_at_the_deadline_has_the_last_reason(clock):
    poll, polls = up_after(clock, 15.1)
    with pytest.raises(ServiceError) as caught:
        await_health(poll, 15, clock)
    assert str(caught.value) == (
        "the service is not healthy after 15.0 s, 15 s were allowed: GET /health: nothing listens. Look at its log, "
        "or raise `startup:` of the target"
    )
    assert polls[-1] == 15


def test_a_service_that_comes_up_right_at_the_deadline_is_healthy(clock):
    poll, _ = up_after(clock, 1.1)
    assert await_health(poll, 1.1, clock) == pytest.approx(1.1)


def test_a_poll_that_takes_longer_than_the_deadline_is_the_last(clock):
    polls = []

    def poll():
        polls.append(clock.monotonic())
        clock.advance(5)
        raise GatewayError("GET /health", "no complete answer within 5 s")

    with pytest.raises(ServiceError, match=r"not healthy after 5\.0 s, 1 s were allowed"):
        await_health(poll, 1, clock)
    assert polls == [0]


def test_a_stop_ends_the_waiting_at_once(clock):
    stop, (poll, _) = StopFlag(), up_after(clock, 15)
    clock.later(2.1, lambda: stop.set("ctrl-c"))
    with pytest.raises(Interrupted, match="waiting for the service to be healthy: ctrl-c"):
        await_health(poll, 15, clock, stop)
    assert clock.monotonic() == pytest.approx(2.1)


def test_another_error_than_the_gateways_ends_the_polling(clock):
    def poll():
        raise Interrupted("ctrl-c")

    with pytest.raises(Interrupted):
        await_health(poll, 15, clock)
