"""MON-2: histories that breach it, that come close and do not, and that have no data; users' and the suite's own."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.core.limits import Limits
from rollout.core.scenario import Monitor
from rollout.monitoring.verdict import State
from tests.support.windows import (
    answered,
    context,
    counters,
    failed,
    first_breach,
    history,
    own,
    own_failures,
    sample,
    served,
    state,
    verdict,
)

DAY_S = 24 * 3600.0
A_DAY = context(Monitor(window_s=DAY_S))


# Breached


def test_an_error_rate_above_the_limit_breaches_and_reads_like_a_sentence() -> None:
    found = first_breach("MON-2", served((180, 50, 6)))
    assert found is not None
    at_s, breached = found
    assert at_s == 50, "five polls of ten seconds, each of which adds at most 1.5 nats"
    assert (breached.value, breached.limit, breached.samples, breached.source) == (0.12, 0.05, 250, "users")
    assert breached.span == "the window's 50 s"
    assert breached.message == (
        "error rate 12.0 % (6.1-20.3 %) over the window's 50 s (30 of 250 requests) is above 5 %"
    )
    assert breached.interval == pytest.approx((0.061, 0.203), abs=5e-4)
    assert not breached.undecided


def test_a_change_within_the_window_is_named_by_the_stretch_since_it() -> None:
    found = first_breach("MON-2", served((120, 10, 0), (60, 10, 2)))
    assert found is not None
    at_s, breached = found
    assert at_s == 1200 + 100
    assert breached.message == "error rate 20.0 % over the last 1 min 40 s (20 of 100 requests) is above 5 %"
    assert (breached.value, breached.samples, breached.span) == (0.2, 100, "the last 1 min 40 s")
    low, high = breached.interval or (0.0, 0.0)
    assert low < 20 / 1300 < high, "the interval is the whole window's"


@pytest.mark.parametrize(("requests", "within_s"), [(1, 90), (10, 50), (100, 10), (1000, 10)])
def test_a_total_outage_decides_within_a_poll_of_a_hundred_requests_and_within_a_minute_of_ten(
    requests: int, within_s: float
) -> None:
    found = first_breach("MON-2", served((60, requests, requests)))
    assert found is not None
    assert found[0] <= within_s


def test_an_outage_is_not_waited_out_until_there_are_enough_requests() -> None:
    found = first_breach("MON-2", served((60, 5, 5)))
    assert found is not None
    assert found[1].samples == 25, "fewer than the 29 that it takes to hold"


def test_an_outage_after_23_healthy_hours_breaches_within_a_minute() -> None:
    *healthy, last = served((23 * 360, 10, 0), (6, 10, 10))
    seen = history(*healthy)
    assert state("MON-2", seen, A_DAY) is not State.BREACHED
    seen.add(last)
    breached = verdict("MON-2", seen, A_DAY)
    assert breached.state is State.BREACHED
    assert breached.message == "error rate 100.0 % over the last 1 min (60 of 60 requests) is above 5 %"


def test_a_lifetime_of_success_does_not_hide_a_failing_window() -> None:
    assert state("MON-2", history(*counters((0, 1_000_000, 0), (60, 1_000_050, 50)))) is State.BREACHED


def test_a_breach_that_is_held_is_over_once_the_requests_that_follow_are_well() -> None:
    """A hold keeps the window going: the verdict is that of the requests so far, in both directions."""
    seen = history(*served((30, 50, 6)))
    assert state("MON-2", seen) is State.BREACHED
    for late in range(1, 5):
        seen.add(counters((300 + 10 * late, 1500 + 50 * late, 180 + 6 * late))[0])
        assert state("MON-2", seen) is State.BREACHED, "it goes on"
    for late in range(1, 100):
        seen.add(counters((340 + 10 * late, 1700 + 100 * late, 204))[0])
    over = verdict("MON-2", seen)
    assert over.state is State.HOLDING
    assert over.message == (
        "error rate 1.8 % (1.3-2.3 %) over the window's 22 min 10 s (204 of 11600 requests) is not above 5 %"
    )


# Close, and not breached


@pytest.mark.parametrize(("bad", "expected"), [(0, State.HOLDING), (1, State.INCONCLUSIVE)])
def test_an_error_rate_exactly_at_the_limit_holds_and_one_failure_more_does_not(bad: int, expected: State) -> None:
    found = verdict("MON-2", history(*served((99, 100, 5), (1, 100, 5 + bad))))
    assert (found.state, found.undecided) == (expected, expected is State.INCONCLUSIVE)


def test_a_window_above_the_limit_does_not_hold_because_of_its_good_end() -> None:
    found = verdict("MON-2", history(*served((70, 100, 6), (30, 100, 3))))
    assert (found.state, found.value, found.samples) == (State.INCONCLUSIVE, 0.051, 10_000)


def test_a_rate_just_above_the_limit_never_reads_like_the_limit_and_never_holds() -> None:
    found = verdict("MON-2", history(*counters((0, 0, 0), (100, 19_999, 1000))))
    assert found.state is State.INCONCLUSIVE
    assert found.message == (
        "error rate 5.00025 % (4.4-5.6 %) over the window's 1 min 40 s (1000 of 19999 requests) is above 5 %, and "
        "there is too little evidence for a breach"
    )


def test_a_rate_near_the_limit_goes_on_and_says_what_it_lacks() -> None:
    found = verdict("MON-2", history(*served((5, 10, 0), (5, 10, 1))))
    assert (found.state, found.undecided) == (State.INCONCLUSIVE, True)
    assert found.message == (
        "error rate 5.0 % (0.7-15.6 %) over the window's 1 min 40 s (5 of 100 requests) is not above 5 %, and the "
        "requests do not exclude twice the limit (10 %)"
    )


def test_one_burst_is_no_breach_and_the_same_failures_poll_after_poll_are() -> None:
    """A poll adds at most 1.5 nats, whatever share of its requests shared one fate."""
    burst = served((30, 50, 0), (1, 50, 25), (30, 50, 0))
    assert first_breach("MON-2", burst) is None
    assert state("MON-2", history(*burst)) is State.HOLDING
    assert first_breach("MON-2", served((30, 50, 0), (10, 50, 25))) is not None


def test_a_failing_end_is_not_kept_because_of_the_healthy_hour_before_it() -> None:
    """Without a breach yet, the last stretch of 5 min and 120 requests decides about holding."""
    found = verdict("MON-2", history(*served((150, 10, 0), (26, 10, 0), (4, 10, 4))))
    assert (found.state, found.span, found.samples) == (State.INCONCLUSIVE, "the last 5 min", 300)
    assert found.message == (
        "error rate 5.3 % over the last 5 min (16 of 300 requests) is above 5 %, and there is too little evidence "
        "for a breach"
    )


def test_a_short_spans_few_failures_do_not_spoil_a_window_that_holds() -> None:
    seen = history(*counters((0, 0, 0), (1000, 1000, 5), (1300, 1030, 7)))
    assert state("MON-2", seen) is State.HOLDING


def test_a_short_span_with_few_requests_does_not_judge_by_itself() -> None:
    seen = history(*counters((0, 0, 0), (1000, 1000, 0), (1300, 1000, 0), (1310, 1009, 9)))
    assert state("MON-2", seen) is State.HOLDING


def test_a_lifetime_of_failures_does_not_condemn_a_good_window() -> None:
    assert state("MON-2", history(*counters((0, 1000, 900), (60, 1100, 900)))) is State.HOLDING


def test_a_window_that_holds_names_its_interval() -> None:
    found = verdict("MON-2", history(*counters((0.001, 0, 0), (60.001, 100, 0))))
    assert found.message == (
        "error rate 0.0 % (0.0-5.7 %) over the window's 1 min (0 of 100 requests) is not above 5 %"
    )


# No data, and too little of it


@pytest.mark.parametrize(("last", "expected"), [(0, State.NO_DATA), (28, State.INCONCLUSIVE), (29, State.HOLDING)])
def test_too_few_requests_are_inconclusive_and_none_is_no_data(last: int, expected: State) -> None:
    found = verdict("MON-2", history(*counters((0, 0, 0), (60, last, 0))))
    assert (found.state, found.undecided) == (expected, expected is State.INCONCLUSIVE)
    assert (found.interval is None) == (expected is State.NO_DATA)


def test_too_few_requests_say_how_many_are_needed() -> None:
    found = verdict("MON-2", history(*own([100.0] * 3), *counters((0, 0, 0), (60, 9, 6))))
    assert (found.state, found.value, found.samples) == (State.INCONCLUSIVE, None, 6)
    assert found.message == (
        "too few requests to judge: 6 of users, 3 of the suite's own; 29 of users or 29 of the suite's own are needed"
    )


def test_the_scenarios_minimum_counts_where_it_is_larger() -> None:
    known = context(Monitor(min_requests=100))
    assert state("MON-2", history(*served((9, 11, 0))), known) is State.INCONCLUSIVE
    assert state("MON-2", history(*served((10, 10, 0))), known) is State.HOLDING


@pytest.mark.parametrize("limit", [math.nan, 0.9, 1.0])
def test_a_limit_that_no_number_of_requests_can_exceed_is_no_data(limit: float) -> None:
    found = verdict("MON-2", history(*served((30, 50, 0))), context(Monitor(limits=Limits(error_rate=limit))))
    assert (found.state, found.undecided) == (State.NO_DATA, False)
    assert found.message == f"no number of requests shows whether {limit * 100:g} % is exceeded"


# What is counted


def test_a_failure_that_shows_before_its_request_is_counted_as_one() -> None:
    found = verdict("MON-2", history(*counters((0, 100, 0), (10, 120, 0), (20, 120, 20))))
    assert (found.value, found.samples) == (0.5, 40)


def test_a_reset_counts_anew_and_keeps_what_was_counted_before_and_since() -> None:
    """40 before the reset, 3 from zero to the next poll, 60 after it."""
    found = verdict("MON-2", history(*counters((0, 500, 5), (10, 540, 5), (20, 3, 0), (30, 63, 10))))
    assert (found.samples, found.value) == (103, pytest.approx(10 / 103))


@pytest.mark.parametrize("first", [(0, 500, 0), (0, 3, 2)])
def test_a_reset_shows_in_either_counter(first: tuple[float, int, int]) -> None:
    found = verdict("MON-2", history(*counters(first, (10, 3, 0), (20, 53, 0))))
    assert (found.state, found.samples) == (State.HOLDING, 53)


# The suite's own requests


def test_without_users_the_suites_own_requests_decide_and_the_verdict_says_so() -> None:
    seen = [*own([100.0] * 25), *own_failures(7, 25.0)]
    assert state("MON-2", history(*seen[:-1])) is State.INCONCLUSIVE
    found = verdict("MON-2", history(*seen))
    assert (found.state, found.value, found.samples, found.source) == (State.BREACHED, 1.0, 7, "synthetic")
    assert found.message == ("error rate 100.0 % over the last 7 s (7 of 7 of the suite's own requests) is above 5 %")


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [(28, 0, State.INCONCLUSIVE), (29, 0, State.HOLDING), (28, 1, State.INCONCLUSIVE), (45, 1, State.HOLDING)],
)
def test_own_requests_need_their_least_number_too(good: int, bad: int, expected: State) -> None:
    assert state("MON-2", history(*own_failures(bad, 0.0), *own([100.0] * good, from_s=1.0))) is expected


def test_the_suites_own_requests_are_no_user_traffic() -> None:
    requests = [sample("synthetic", tick * 10, answered()) for tick in range(31)]
    found = verdict("MON-2", history(*requests, *counters((0, 0, 0), (300, 31, 0))))
    assert (found.state, found.source) == (State.HOLDING, "synthetic")


def test_own_failures_do_not_breach_while_users_are_served_well() -> None:
    asked = own_failures(20, 0.0, every_s=15.0)
    users = served((30, 20, 0))
    together = sorted([*asked, *users], key=lambda one: one.at_s)
    assert first_breach("MON-2", together) is None
    assert first_breach("MON-2", asked) is not None


def test_users_who_have_gone_do_not_hide_that_every_request_fails() -> None:
    """After 23 healthy hours the users' rate says nothing of now; ten synthetic requests do."""
    day = 23 * 3600
    gone = counters((0, 0, 0), (day, 1_000_000, 100), (day + 60, 1_000_000, 100), (day + 400, 1_000_000, 100))
    asked = [sample("synthetic", 60 * n, answered()) for n in range(day // 60)]
    failing = own_failures(10, float(day), every_s=60.0)
    assert state("MON-2", history(*asked, *gone, *failing[:-1]), A_DAY) is State.HOLDING
    found = verdict("MON-2", history(*asked, *gone, *failing), A_DAY)
    assert (found.state, found.source, found.span) == (State.BREACHED, "synthetic", "the last 10 min")


# All of them

_POLL = st.integers(0, 200).flatmap(lambda requests: st.tuples(st.just(requests), st.integers(0, requests)))


@settings(max_examples=60)
@given(st.lists(_POLL, min_size=1, max_size=30), st.lists(st.booleans(), max_size=40))
def test_what_holds_is_at_or_below_its_limit_and_what_breaches_is_above(
    users: list[tuple[int, int]], asked: list[bool]
) -> None:
    polls = served(*((1, requests, bad) for requests, bad in users))
    requests = [(own([100.0]) if fine else own_failures(1, 0.0))[0] for fine in asked]
    found = verdict("MON-2", history(*polls, *requests))
    if found.state in (State.HOLDING, State.BREACHED):
        assert isinstance(found.value, float)
        assert (found.value <= 0.05) == (found.state is State.HOLDING)
        assert found.message.count("is not above 5 %") == (found.state is State.HOLDING)
    low, high = found.interval or (0.0, 1.0)
    assert 0.0 <= low <= high <= 1.0


def test_users_who_have_gone_do_not_decide_that_the_window_holds() -> None:
    """Their requests of long ago say nothing of the provider as it is now."""
    early = counters(*((60 * n, min(600, 120 * n), 0) for n in range(31)))
    failing = [sample("synthetic", 60 * n, failed() if n > 24 else answered()) for n in range(5, 31)]
    found = verdict("MON-2", history(*early, *own([100.0] * 60, every_s=5.0), *failing))
    assert (found.source, found.state) == ("synthetic", State.INCONCLUSIVE)
    assert "these decide, because users have made no request in the last 5 min" in found.message
    alone = verdict("MON-2", history(*early))
    assert (alone.state, alone.undecided) == (State.INCONCLUSIVE, True)
    assert "users have made no request in the last 5 min" in alone.message
