"""A write is read back until it shows; each deadline that passes calls for the next remedy."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rollout.changes.read_back import EVERY_S, Remedies, await_effect, remedied
from rollout.core.clock import StopFlag
from rollout.core.errors import GatewayError
from tests.support.clocks import SimulatedClock


def right_after(clock: SimulatedClock, seconds: float, looks: list[float] | None = None) -> Callable[[], str]:
    """Return what finds a problem for so many seconds from now."""
    until = clock.monotonic() + seconds

    def problem() -> str:
        if looks is not None:
            looks.append(clock.monotonic())
        return "" if clock.monotonic() >= until else "still old"

    return problem


@pytest.mark.parametrize(
    ("right_after_s", "within_s", "found", "took_s"),
    [
        (0.0, 0.0, "", 0.0),
        (0.0, 5.0, "", 0.0),
        (0.1, 0.0, "still old", 0.0),
        (5.0, 5.0, "", 5.0),
        (5.1, 5.0, "still old", 5.0),
        (0.1, 0.1, "", 0.1),
        (1.0, 5.0, "", 1.0),
    ],
)
def test_it_reads_until_it_is_right_or_the_time_has_passed_and_once_more_then(
    right_after_s: float, within_s: float, found: str, took_s: float
):
    """A read at the very end counts; 0 seconds read once."""
    clock = SimulatedClock()
    assert await_effect(right_after(clock, right_after_s), within_s, clock=clock) == found
    assert clock.monotonic() == pytest.approx(took_s)


def test_it_polls_every_quarter_of_a_second():
    clock, looks = SimulatedClock(), list[float]()
    await_effect(right_after(clock, 1.0, looks), 5.0, clock=clock)
    assert looks == [0.0, EVERY_S, 2 * EVERY_S, 3 * EVERY_S, 1.0]


def test_a_stop_ends_the_waiting_with_what_was_seen_last():
    clock, stop = SimulatedClock(), StopFlag()
    clock.later(1.0, lambda: stop.set("SIGTERM"))
    assert await_effect(right_after(clock, 9.0), 20.0, clock=clock, stop=stop) == "still old"
    assert clock.monotonic() == 1.0


def test_what_the_read_raises_is_raised():
    def broken() -> str:
        raise GatewayError("GET providers", "nothing listens there")

    with pytest.raises(GatewayError):
        await_effect(broken, 5.0, clock=SimulatedClock())


def remedies(done: list[str], mended_by: str = "") -> tuple[Remedies, Callable[[], str]]:
    """Return two remedies that say when they are tried, and what finds a problem until one of them has helped."""

    def work(name: str) -> Callable[[], str]:
        return lambda: done.append(name) or f"{name} done"  # type: ignore[func-returns-value]

    named = {name: work(name) for name in ("once more", "restart")}
    return named, lambda: "" if mended_by in done else "still old"


def test_what_is_right_already_is_left_alone():
    done: list[str] = ["before"]
    tried, problem = remedies(done, "before")
    assert remedied(problem, tried, within_s=5.0, clock=SimulatedClock()) == ("", ())
    assert done == ["before"]


def test_a_remedy_is_tried_only_when_its_deadline_has_passed_and_the_next_only_if_it_did_not_help():
    clock, done = SimulatedClock(), list[str]()
    tried, problem = remedies(done, "once more")
    left, told = remedied(problem, tried, within_s=5.0, clock=clock)
    assert (left, done, clock.monotonic()) == ("", ["once more"], 5.0)
    assert [(each.name, each.because, each.outcome) for each in told] == [("once more", "still old", "once more done")]


def test_remedies_are_tried_in_order_and_what_is_left_is_said():
    clock, done = SimulatedClock(), list[str]()
    tried, problem = remedies(done, "never")
    left, told = remedied(problem, tried, within_s=5.0, clock=clock)
    assert (left, done, clock.monotonic()) == ("still old", ["once more", "restart"], 15.0)
    assert len(told) == 2


def test_a_remedy_that_fails_does_not_keep_the_next_one_from_being_tried():
    def fails() -> str:
        raise GatewayError("POST activate", "503")

    done: list[str] = []
    tried, problem = remedies(done, "restart")
    left, told = remedied(problem, {**tried, "once more": fails}, within_s=1.0, clock=SimulatedClock())
    assert left == ""
    assert [(each.name, each.outcome.startswith("failed: ")) for each in told] == [
        ("once more", True),
        ("restart", False),
    ]
    assert "503" in told[0].outcome
