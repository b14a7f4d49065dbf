"""The suite's own requests as streams: each that was timed, and whether it was slow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.monitoring.samples import LATE_S, NOTICED_LATE_S, Sample, SyntheticReading
from tests.support.windows import history, own, own_failures, sample


def test_each_request_is_a_poll_that_covers_the_time_since_the_one_before() -> None:
    errors = history(*own([100.0] * 3, every_s=60.0), *own_failures(1, 180.0)).requests.errors
    assert [(poll.seconds, poll.requests, poll.failures) for poll in errors.polls] == [
        (0, 1, False),
        (60, 1, False),
        (60, 1, False),
        (60, 1, True),
    ]


def test_a_request_is_slow_above_the_limit_and_not_at_it() -> None:
    requests = history(*own([200.0, 200.1, 199.9])).requests
    assert [poll.failures for poll in requests.slow(200.0).polls] == [False, True, False]


def test_a_fast_failure_is_no_request_of_the_share_and_a_slow_one_is_a_slow_one() -> None:
    unknown = sample("synthetic", 9, SyntheticReading(ok=False, latency_ms=None, reason="no route"))
    seen = history(*own([100.0]), *own_failures(1, 1.0, 50.0), *own_failures(1, 2.0, 900.0), unknown)
    window = seen.requests.slow(200.0).window
    assert (window.requests, window.failures) == (2, 1)
    assert seen.requests.errors.window.failures == 3


def test_each_limit_has_a_stream_that_goes_on_with_the_requests_that_follow() -> None:
    *before, last = own([100.0, 300.0, 500.0])
    seen = history(*before)
    assert [seen.requests.slow(ms).window.failures for ms in (200.0, 400.0)] == [1, 0]
    seen.add(last)
    assert [seen.requests.slow(ms).window.failures for ms in (200.0, 400.0)] == [2, 1]
    assert len(seen.requests.slow(200.0).polls) == 3


def test_a_request_that_this_machine_was_late_for_has_no_latency_and_counts_as_answered() -> None:
    """What this machine was too busy for is not held against the gateway; the audit reads the same from the journal."""
    late = [replace(each, late_s=LATE_S + 0.001) for each in own([9_000.0] * 5)]
    known = [replace(each, late_s=NOTICED_LATE_S) for each in own([100.0] * 5, from_s=5.0)]
    assert ("late_s" in late[0].record(), "late_s" in known[0].record()) == (True, False)
    for samples in (late + known, [Sample.from_record(each.record()) for each in late + known]):
        requests = history(*samples).requests
        assert list(requests.latencies(0.0)) == [100.0] * 5
        assert list(requests.latencies(0.0, 8.0)) == [100.0] * 5
        assert requests.slow(200.0).window.requests == 5
        assert (requests.answered, requests.errors.window.requests) == (10, 10)


def test_a_short_lateness_is_subtracted_from_what_it_may_be_part_of() -> None:
    late = [replace(each, late_s=0.45) for each in own([480.0, 700.0])]
    for samples in (late, [Sample.from_record(each.record()) for each in late]):
        assert list(history(*samples).requests.latencies(0.0)) == pytest.approx([30.0, 250.0])


def test_a_deadline_that_passed_while_this_machine_stood_still_is_no_failure_of_the_provider() -> None:
    seen = own_failures(6, 0.0)
    assert history(*seen).requests.errors.window.failures == 6
    still = [replace(each, late_s=20.0) for each in seen]
    assert history(*still).requests.errors.window.requests == 0
    answered = [replace(each, reading=replace(each.reading, status=502)) for each in still]
    assert history(*answered).requests.errors.window.failures == 6
