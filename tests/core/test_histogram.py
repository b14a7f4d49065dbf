"""Histograms: the quantile that Prometheus computes, differences, and lower bounds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.histogram import Histogram, Histograms

INF = math.inf
counts = st.lists(st.integers(0, 1000), min_size=4, max_size=4)


def histogram(first: float, second: float, third: float, total: float) -> Histogram:
    return Histogram.of({0.1: first, 0.5: second, 1.0: third, INF: total})


def cumulative(steps: list[int]) -> Histogram:
    return histogram(*(float(sum(steps[: end + 1])) for end in range(4)))


@pytest.mark.parametrize(
    ("buckets", "share", "seconds"),
    [
        (histogram(100, 100, 100, 100), 0.95, 0.095),
        (histogram(0, 100, 100, 100), 0.95, 0.48),
        (histogram(95, 100, 100, 100), 0.95, 0.1),
        (histogram(50, 90, 100, 100), 0.95, 0.75),
    ],
)
def test_the_quantile_is_interpolated_linearly_within_its_bucket(
    buckets: Histogram, share: float, seconds: float
) -> None:
    found = buckets.quantile(share)
    assert found is not None
    assert (found.seconds, found.at_least) == (pytest.approx(seconds), False)
    assert found.from_s <= found.seconds <= found.to_s


def test_above_the_highest_bound_only_a_lower_bound_is_known() -> None:
    found = histogram(0, 0, 94, 100).quantile(0.95)
    assert found is not None
    assert (found.seconds, found.at_least, found.to_s) == (1.0, True, INF)


@pytest.mark.parametrize("buckets", [histogram(0, 0, 0, 0), Histogram.of({INF: 5.0})])
def test_no_request_and_no_finite_bound_give_no_quantile(buckets: Histogram) -> None:
    assert buckets.quantile(0.95) is None


def test_without_a_last_bucket_it_is_no_histogram() -> None:
    with pytest.raises(ValueError, match=r'no bucket le="\+Inf"'):
        Histogram.of({0.1: 5.0})


def test_a_count_below_that_of_a_lower_bound_is_raised_to_it() -> None:
    assert histogram(5, 4, 6, 6).buckets[1] == (0.5, 5)


def test_a_difference_is_taken_by_the_bounds_that_both_have() -> None:
    later = Histogram.of({0.1: 5.0, 0.3: 7.0, INF: 9.0})
    assert later.since(Histogram.of({0.1: 2.0, 0.5: 3.0, INF: 4.0})).buckets == ((0.1, 3.0), (INF, 5.0))


def test_it_survives_the_journal() -> None:
    once = histogram(1, 2, 3, 4)
    assert once.record() == {"0.1": 1, "0.5": 2, "1": 3, "+Inf": 4}
    assert Histogram.from_record(once.record()) == once


@given(counts, counts)
def test_what_was_added_is_what_the_difference_says(before: list[int], more: list[int]) -> None:
    first, second = cumulative(before), cumulative(more)
    assert first.plus(second).since(first) == second


@given(counts)
def test_the_quantile_lies_in_the_bucket_that_holds_its_rank(steps: list[int]) -> None:
    buckets = cumulative(steps)
    found = buckets.quantile(0.95)
    if not sum(steps):
        assert found is None
        return
    assert found is not None
    below = sum(step for step, bound in zip(steps, (0.1, 0.5, 1.0, INF), strict=True) if bound <= found.from_s)
    until = sum(step for step, bound in zip(steps, (0.1, 0.5, 1.0, INF), strict=True) if bound <= found.to_s)
    assert below <= 0.95 * sum(steps) <= until + 1e-9


def test_a_window_has_its_own_histogram_and_the_short_span_another() -> None:
    seen = Histograms()
    assert seen.latest() is None
    for at_s, slow in ((0.0, 0), (100.0, 0), (200.0, 0), (300.0, 10)):
        seen.add(at_s, histogram(1000 + at_s, 1000 + at_s + slow, 1000 + at_s + slow, 1000 + at_s + slow))
    full, short = seen.latest(), seen.latest(150.0)
    assert full is not None
    assert short is not None
    assert (full.histogram.count, full.from_s, full.to_s) == (310, 0, 300)
    assert (short.histogram.count, short.from_s) == (210, 100.0)


def test_counts_that_went_down_begin_anew_and_what_was_counted_stays() -> None:
    seen = Histograms()
    for total in (1000.0, 1010.0, 4.0, 6.0):
        seen.add(total, histogram(total, total, total, total))
    full = seen.latest()
    assert full is not None
    assert full.histogram.count == 10 + 6
