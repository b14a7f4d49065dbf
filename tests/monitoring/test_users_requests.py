"""Users' requests: what the gateway counted without the suite's own, poll by poll, over resets and gaps."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.samples import Sample, SyntheticReading
from rollout.monitoring.share_test import Counted
from rollout.monitoring.verdict import State
from tests.support.windows import answered, bucketed, counters, history, own, sample, timed, verdict


def refused(latency_ms: float = 2.0) -> SyntheticReading:
    """Return a failure that the gateway has counted: it has a status."""
    return SyntheticReading(ok=False, latency_ms=latency_ms, reason="HTTP 503", status=503)


def polls(seen: Aggregates) -> list[tuple[float, float]]:
    """Return requests and failures of each poll of users' stream."""
    return [(poll.requests, poll.failures) for poll in seen.users.stream.polls]


def test_a_poll_adds_what_was_counted_since_the_one_before() -> None:
    seen = history(*counters((0, 500, 5), (10, 540, 7), (25, 540, 7), (30, 600, 7)))
    assert polls(seen) == [(0, 0), (40, 2), (0, 0), (60, 0)]
    assert seen.users.stream.window == Counted(30.0, 100.0, 2.0)


def test_the_suites_own_requests_and_failures_are_subtracted() -> None:
    mine = [sample("synthetic", 2, answered()), sample("synthetic", 4, refused())]
    first, *others = counters((0, 500, 5), (10, 540, 8))
    assert polls(history(first, *mine, *others)) == [(0, 0), (38, 2)]


def test_a_request_whose_sample_comes_after_the_poll_that_counted_it_is_subtracted_once() -> None:
    first, second, third, fourth = counters((0, 0, 0), (10, 10, 1), (20, 20, 1), (30, 30, 1))
    late = sample("synthetic", 9, refused())
    seen = history(first, second, late, third, fourth)
    assert polls(seen) == [(0, 0), (10, 1), (9, 0), (10, 0)]
    assert seen.users.stream.window.requests == 29


def test_without_users_a_request_that_was_counted_early_is_nothing_more_than_that() -> None:
    """The next polls count no negative number of users, and the total is right again with the next of theirs."""
    readings = counters((0, 0, 0), (10, 1, 1), (20, 1, 1), (30, 4, 1))
    late = sample("synthetic", 9, refused())
    seen = history(*readings[:2], late, *readings[2:])
    assert polls(seen) == [(0, 0), (1, 1), (0, 0), (2, 0)]
    assert seen.users.stream.window.requests == 3


def test_a_failure_without_an_answer_may_not_have_reached_the_gateway_and_stays_the_users() -> None:
    lost = sample("synthetic", 5, SyntheticReading(ok=False, latency_ms=None, reason="no route"))
    first, second = counters((0, 0, 0), (10, 10, 1))
    assert polls(history(first, lost, second)) == [(0, 0), (10, 1)]


def test_what_was_counted_between_a_reset_and_the_next_poll_is_kept_from_zero() -> None:
    seen = history(*counters((0, 500, 5), (10, 540, 6), (20, 30, 2), (30, 40, 2), (40, 50, 2)))
    assert polls(seen) == [(0, 0), (40, 1), (0, 0), (40, 2), (10, 0)]


def test_two_resets_in_a_row_keep_what_was_counted_between_them() -> None:
    seen = history(*counters((0, 500, 5), (10, 30, 2), (20, 20, 1), (30, 25, 1)))
    assert polls(seen) == [(0, 0), (0, 0), (30, 2), (25, 1)]


def test_processes_that_answer_in_turn_are_no_reset_and_no_data() -> None:
    """Each switch would add the whole history of a replica as new requests; MON-6 says it, and rolls back."""
    healthy = [(10 * n, total + n, 3500) for n, total in enumerate([50_000, 49_990] * 4)]
    seen = history(*counters(*healthy))
    assert seen.users.stream.window.requests == 6
    assert seen.users.stream.window.failures == 0
    found = verdict("MON-6", seen)
    assert found.state is State.BREACHED
    assert "several processes answer in turn" in found.message
    once = history(*counters((0, 10_000, 900), (10, 10_010, 900), (20, 10_009, 900), (30, 10_020, 900)))
    assert (once.users.stream.window.requests, once.users.stream.window.failures) == (20, 0)
    assert "in turn" not in verdict("MON-6", once).message


def test_requests_before_a_providers_first_histogram_are_in_it() -> None:
    first, *later = bucketed((0, (0, 0, 0)), (10, (0, 60, 60)), (20, (18, 78, 78)))
    fresh = replace(first, reading=replace(first.reading, histogram=None))
    stream = history(fresh, *later).slow_users.stream(100.0)
    assert [poll.requests for poll in stream.slower.polls] == [60.0, 18.0]


def test_a_histogram_that_was_reset_counts_from_zero_and_keeps_what_it_had() -> None:
    seen = history(*bucketed((0, (50, 80, 80)), (10, (90, 120, 120)), (20, (10, 40, 40)), (30, (20, 50, 50))))
    stream = seen.slow_users.stream(400.0)
    assert [poll.requests for poll in stream.slower.polls] == [40.0, 40.0, 10.0]
    assert [poll.failures for poll in seen.slow_users.stream(100.0).slower.polls] == [0.0, 30.0, 0.0]


def test_a_limit_within_a_bucket_is_interpolated_and_each_limit_has_a_stream_of_its_own() -> None:
    seen = history(*timed((3, 40, 30)))
    assert [poll.failures for poll in seen.slow_users.stream(200.0).slower.polls] == pytest.approx([20.0] * 3)
    assert [poll.failures for poll in seen.slow_users.stream(100.0).slower.polls] == pytest.approx([30.0] * 3)


def test_a_stream_goes_on_with_the_polls_that_follow() -> None:
    *before, last = timed((3, 40, 30))
    seen = history(*before)
    assert len(seen.slow_users.stream(200.0).slower.polls) == 2
    seen.add(last)
    assert len(seen.slow_users.stream(200.0).slower.polls) == 3


def test_above_the_highest_bound_it_is_not_known_which_requests_are_slower() -> None:
    stream = history(*bucketed((0, (0, 0, 0)), (10, (50, 60, 70)))).slow_users.stream(500.0)
    assert not stream.is_known
    assert (stream.slower.window.failures, stream.perhaps.window.failures) == (0.0, 10.0)
    known = history(*bucketed((0, (0, 0, 0)), (10, (50, 60, 70)))).slow_users.stream(400.0)
    assert known.is_known
    assert known.slower.window.failures == 10.0


# Watched time


def gapped(polled: list[Sample]) -> list[Sample]:
    """Return four polls, the second of which failed after 900 s that were not watched."""
    first, failed, third, fourth = polled
    late = replace(failed, at_s=910.0, reading=None, error="no answer", unwatched_s=900.0)
    return [first, late, replace(third, at_s=920.0), replace(fourth, at_s=930.0)]


def test_what_was_not_watched_is_no_part_of_a_stretch_even_if_the_poll_after_it_failed() -> None:
    assert history(*gapped(counters((0, 0, 0), (10, 0, 0), (20, 50, 0), (30, 60, 0)))).users.stream.window.seconds == 30
    assert history(*gapped(timed((3, 10, 0)))).slow_users.stream(100.0).slower.window.seconds == 30
    assert history(*gapped(own([9.0] * 4))).requests.errors.window.seconds == 30


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans()), min_size=1, max_size=30))
def test_no_poll_has_a_negative_count_and_more_failures_than_requests(seen: list[tuple[int, int, bool]]) -> None:
    """Counters that fall and rise, and requests of the suite's own between them."""
    made = history()
    for tick, (good, bad, asks) in enumerate(seen):
        made.add(counters((10.0 * tick, good + bad, bad))[0])
        if asks:
            made.add(sample("synthetic", 10.0 * tick - 1, refused()))
    for poll in made.users.stream.polls:
        assert 0 <= poll.failures <= poll.requests < math.inf
        assert poll.seconds >= 0
