"""Increases, series by series."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.monitoring.sources.counter_increases import Increase, Series, Vector, histogram, shown


def series(**labels: str) -> Series:
    return frozenset(labels.items())


A, B = series(__name__="requests_total", replica="a"), series(__name__="requests_total", replica="b")


def counted(beginning: Vector, *polls: Vector) -> float:
    increase = Increase.since(beginning)
    for poll in polls:
        increase.add(poll)
    return increase.total


@pytest.mark.parametrize(
    ("beginning", "polls", "expected"),
    [
        ({A: 5}, [{A: 5}, {A: 9}], 4),
        ({A: 5}, [{A: 5, B: 3}], 3),
        ({A: 5}, [{A: 2}], 2),
        ({A: 5}, [{A: 9}, {}, {A: 10}], 5),
        ({A: 5}, [{A: 9}, {B: 1}], 5),
        ({}, [{A: 1}], 1),
        ({A: 5}, [], 0),
    ],
    ids=["grown", "born", "reset", "returned", "replaced", "first", "nothing"],
)
def test_the_increase_of_series(beginning: Vector, polls: list[Vector], expected: float) -> None:
    assert counted(beginning, *polls) == expected


@given(st.lists(st.lists(st.integers(0, 50), min_size=1), min_size=1))
def test_no_restart_loses_or_invents_a_request(lives: list[list[int]]) -> None:
    """Each life of a process counts from zero; a poll follows each request that raises the counter."""
    total, polls, last = 0, [], 0
    for life in lives:
        value = 0
        for step in life:
            value += step
            polls.append({A: float(value)})
            # A process whose counter has reached the last one's before a poll cannot be distinguished from it.
            total += value if value < last else value - last
            last = value
    assert counted({A: 0.0}, *polls) == total
    assert total >= 0


def test_buckets_of_several_series_are_one_histogram_by_their_common_bounds() -> None:
    def bucket(replica: str, bound: str) -> Series:
        return series(__name__="seconds_bucket", replica=replica, le=bound)

    counts = {bucket("a", "0.1"): 1.0, bucket("a", "0.5"): 2.0, bucket("a", "+Inf"): 3.0}
    counts |= {bucket("b", "0.1"): 10.0, bucket("b", "1"): 20.0, bucket("b", "+Inf"): 30.0}
    found = histogram(counts)
    assert found is not None
    assert found.buckets == ((0.1, 11.0), (math.inf, 33.0))
    assert histogram({}) is None


@pytest.mark.parametrize(("labels", "words"), [({}, "no label `le`"), ({"le": "wide"}, "le='wide'")])
def test_what_is_no_bucket_is_refused(labels: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        histogram({series(**labels): 1.0})


def test_a_series_is_shown_as_promql_writes_it() -> None:
    assert shown(A) == "requests_total{replica='a'}"
