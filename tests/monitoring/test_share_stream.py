"""The polls of one share: each adds to the evidence once, and the stretch that is named is the one that is shown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.monitoring.share_stream import ShareStream
from rollout.monitoring.share_test import Counted, ShareEvidence, ShareTest

TEST = ShareTest(limit=0.05, alpha=0.005, polls=361)
_POLL = st.integers(0, 200).flatmap(lambda requests: st.tuples(st.just(requests), st.integers(0, requests)))


def stream(*parts: tuple[int, float, float], seconds: float = 10.0) -> ShareStream:
    """Return a stream of so many polls, each with so many requests, of which so many failed."""
    made = ShareStream()
    for polls, requests, failures in parts:
        for _ in range(polls):
            made.add(seconds, requests, failures)
    return made


@settings(max_examples=60)
@given(st.lists(_POLL, max_size=25), st.sets(st.integers(0, 24)))
def test_asking_after_any_polls_is_asking_once_at_the_end(polls: list[tuple[int, int]], asked_after: set[int]) -> None:
    made, whole = ShareStream(), ShareEvidence(TEST)
    for number, (requests, failures) in enumerate(polls):
        made.add(10.0, requests, failures)
        whole.add(requests, failures)
        if number in asked_after:
            assert made.evidence(TEST).log_evidence == whole.log_evidence
    assert made.evidence(TEST).log_evidence == whole.log_evidence
    assert made.evidence(TEST).log_evidence == whole.log_evidence, "asking adds nothing"


def test_each_test_has_evidence_of_its_own() -> None:
    made, other = stream((20, 50, 5)), ShareTest(limit=0.2, alpha=0.005, polls=361)
    assert (made.evidence(TEST).is_breached, made.evidence(other).is_breached) == (True, False)


def test_the_last_stretch_is_the_longer_of_five_minutes_and_120_requests() -> None:
    assert stream((100, 10, 0)).stretch() == Counted(300.0, 300.0, 0.0)
    assert stream((400, 1, 0)).stretch() == Counted(1200.0, 120.0, 0.0)
    short = stream((3, 10, 1))
    assert short.stretch() is short.window


def test_the_latest_seconds_are_the_newest_polls_that_cover_them() -> None:
    made = stream((10, 10, 0), (2, 10, 5))
    assert made.latest(20.0) == made.latest(15.0) == Counted(20.0, 20.0, 10.0)
    assert made.latest(1000.0) == Counted(120.0, 120.0, 10.0)
    assert ShareStream().latest(60.0) == Counted(0.0, 0.0, 0.0)


@given(st.lists(st.tuples(st.sampled_from([0.0, 10.0, 30.0]), st.integers(0, 1)), max_size=8), st.integers(0, 100))
def test_a_request_is_recent_if_the_latest_seconds_have_one(polls: list[tuple[float, int]], seconds: int) -> None:
    made = ShareStream()
    for covered, requests in polls:
        made.add(covered, requests, 0)
    assert made.has_recent_request(seconds) == (made.latest(seconds).requests > 0)


def test_the_worst_stretch_begins_with_the_first_poll_since_which_the_share_is_above_the_limit() -> None:
    assert stream((100, 50, 1), (12, 50, 10)).worst_stretch(TEST) == Counted(120.0, 600.0, 120.0)
    whole = stream((12, 50, 10))
    assert whole.worst_stretch(TEST) is whole.window


def test_the_worst_stretch_includes_good_polls_after_the_bad_ones() -> None:
    """It is named by the time until now: what has followed is a part of it."""
    assert stream((100, 50, 0), (12, 50, 10), (2, 50, 0)).worst_stretch(TEST) == Counted(140.0, 700.0, 120.0)


@given(st.lists(st.floats(0.01, 20.0), min_size=1, max_size=60), st.floats(0.01, 1.0))
def test_a_stretch_of_every_poll_is_the_window_whatever_the_order_of_adding(
    seconds: list[float], failed: float
) -> None:
    """Summed from the newest on, fractions differ in their last digits from the sum that the window keeps."""
    made = ShareStream()
    for each in seconds:
        made.add(each, 3 * failed, failed)
    assert made.worst_stretch(TEST) is made.window
    if made.window.seconds < 300.0:
        assert made.stretch() is made.window


@settings(max_examples=60)
@given(st.lists(_POLL, min_size=1, max_size=40))
def test_what_breaches_names_a_stretch_whose_share_is_above_the_limit(polls: list[tuple[int, int]]) -> None:
    made = ShareStream()
    for requests, failures in polls:
        made.add(10.0, requests, failures)
        if made.evidence(TEST).is_breached:
            worst = made.worst_stretch(TEST)
            assert worst.failures / worst.requests > TEST.limit


@pytest.mark.parametrize("limit", [0.05, 0.0])
def test_an_empty_stream_says_nothing(limit: float) -> None:
    test = ShareTest(limit=limit, alpha=0.005, polls=361)
    made = ShareStream()
    assert not made.evidence(test).is_breached
    assert made.stretch() == made.worst_stretch(test) == made.window == Counted(0.0, 0.0, 0.0)
