"""The numbers that the chart of a window draws are those that the triggers judge."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.core.limits import Limits
from rollout.core.scenario import Monitor
from rollout.monitoring.binomial import confidence_sequence
from rollout.monitoring.samples import Baseline, SourceName
from rollout.reporting.chart_data import (
    Bake,
    control_error_rates,
    control_latencies,
    effective_limit,
    error_band,
    error_rates,
    gaps,
    goes_on,
    latencies,
    latency_limit,
    recent_error_rates,
    state_spans,
)

BASELINE = Baseline("ollama", users_p95_ms=70.0, users_samples=80, synthetic_p95_ms=75.0, synthetic_samples=20)
LATENCY = {"value": 80.0, "limit": 140.0, "interval": [0.01, 0.03], "effective_limit": 191.2}


def at(second: float) -> str:
    return f"2026-11-23T12:00:{second:06.3f}Z"


def sample(source: str, second: float, **body: Any) -> dict[str, Any]:
    return {"source": source, "at_s": second, "at": at(second), **body}


def metrics(second: float, total: int, failed: int, p95_ms: float | None = 60.0) -> dict[str, Any]:
    body = {} if p95_ms is None else {"p95_ms": p95_ms}
    return sample("metrics", second, total=total, failed=failed, samples=total, **body)


def bake(*samples: dict[str, Any], monitor: Monitor | None = None, **parts: Any) -> Bake:
    parts = {"baseline": BASELINE, **parts}
    return Bake("TITLE", "a → b", monitor or Monitor(min_requests=20, min_samples=3), samples=samples, **parts)


def judged(clause: str = "MON-2", **parts: Any) -> dict[str, dict[str, Any]]:
    verdict = {"clause": clause, "state": "holding", "decided": False, "at": at(4), "value": 0.03, "limit": 0.05}
    return {
        clause: {**verdict, "samples": 100, "source": "users", "span": "the window's 4 s", "watched_s": 4.0, **parts}
    }


def breach(clause: str = "MON-2", **parts: Any) -> dict[str, dict[str, Any]]:
    return judged(clause, **{"state": "breached", "decided": True, "value": 0.25, **parts})


def slices() -> list[dict[str, Any]]:
    """Return the samples of two calls with 250 s between them."""
    before = [metrics(second, 10 * second, 0) for second in range(0, 60, 10)]
    after = [sample("metrics", 300.0 + s, total=9000, failed=0, samples=9) | {"at": at(59)} for s in (0, 10)]
    return [*before, *after]


# Curves


def test_the_error_rate_is_counted_in_the_window_and_not_since_the_gateway_began() -> None:
    curve = error_rates(bake(metrics(0, 1000, 0), metrics(5, 1040, 10)), "users")
    assert curve.values == [0.25]


def test_the_error_rate_is_that_of_the_window_so_far_and_beside_it_that_of_the_last_minutes() -> None:
    """Neither an old outage nor a new one is hidden by the other line."""
    samples = [metrics(second, second * 10, max(0, second - 30) * 5) for second in range(0, 41, 5)]
    seen = bake(*samples, monitor=Monitor(short_span_s=10.0))
    assert error_rates(seen, "users").values[-1] == 50 / 400
    recent = recent_error_rates(seen, "users")
    assert recent.values[-1] == 0.5
    assert recent.at_s == [15, 20, 25, 30, 35, 40], "before that both lines are one"


def test_the_last_minutes_have_no_line_where_they_have_too_few_requests() -> None:
    """After a stretch that was not watched one request of ten would read as 10 %."""
    samples = [metrics(second, second * 10, 0) for second in (0, 10, 20)] + [metrics(59, 205, 1)]
    assert recent_error_rates(bake(*samples, monitor=Monitor(short_span_s=5.0)), "users").at_s == [20]


def test_the_suites_own_requests_are_not_counted_as_users() -> None:
    """As MON-2 counts: the gateway's counters have both."""
    own = [sample("synthetic", second, ok=False, status=502, latency_ms=9.0) for second in (1, 2)]
    assert error_rates(bake(metrics(0, 0, 0), metrics(5, 22, 2), *own), "users").values == [0.0]


def test_the_band_ends_at_the_verdicts_interval_and_has_few_points_in_a_long_window() -> None:
    samples = [metrics(0, 0, 0)] + [sample("metrics", s, total=s, failed=s * 3 // 100) for s in range(10, 1801, 10)]
    samples = [{"samples": 9, **each} for each in samples]
    found = error_band(bake(*samples), "users")
    assert len(found.at_s) <= 150
    assert found.at_s[-1] == 1800
    low, high = confidence_sequence(1800, 54)
    assert (found.low[-1], found.high[-1]) == (low, high)
    assert f"{low * 100:.1f}-{high * 100:.1f}" == "1.7-4.7", "as docs/JUDGING.md says"


def test_too_few_requests_are_marked_as_too_few() -> None:
    """Fewer than the scenario asks for, and fewer than it takes to exclude twice the limit."""
    curve = error_rates(bake(metrics(0, 0, 0), metrics(1, 28, 1), metrics(2, 29, 1)), "users")
    assert curve.enough == [False, True]
    assert curve.judged == [1 / 29]
    strict = Monitor(min_requests=50)
    assert error_rates(bake(metrics(0, 0, 0), metrics(2, 49, 1), monitor=strict), "users").enough == [False]


def test_the_suites_own_requests_have_a_rate_of_their_own() -> None:
    curve = error_rates(bake(*(sample("synthetic", s, ok=s != 2, latency_ms=9.0) for s in range(4))), "synthetic")
    assert curve.values == [0, 0, pytest.approx(1 / 3), 0.25]
    assert curve.enough == [False] * 4


def test_users_p95_is_the_windows_own_where_the_source_has_a_histogram() -> None:
    buckets = [{"0.1": 100.0 * n, "0.2": 100.0 * n, "+Inf": 100.0 * n} for n in (1, 2)]
    polls = [metrics(s, 100 * s, 0, None) | {"buckets": each} for s, each in enumerate(buckets)]
    found = latencies(bake(*polls), "users")
    assert (found.at_s, found.values, found.enough) == ([1], [pytest.approx(95.0)], [True])


def test_a_failed_poll_is_a_gap_and_no_zero() -> None:
    gap = sample("metrics", 2, error="timed out")
    seen = bake(metrics(0, 0, 0), metrics(1, 30, 3), gap, metrics(3, 60, 6), sample("synthetic", 2, error="no answer"))
    assert error_rates(seen, "users").at_s == [1, 3]
    assert latencies(seen, "users").at_s == [0, 1, 3]
    assert error_rates(seen, "synthetic").at_s == []


def test_p95_that_the_gateway_does_not_know_is_not_drawn() -> None:
    assert latencies(bake(metrics(0, 30, 0, None)), "users").at_s == []


def test_each_source_is_compared_with_its_own_baseline() -> None:
    assert latency_limit(bake(), "users") == 140.0
    assert latency_limit(bake(), "synthetic") == 150.0
    assert latency_limit(bake(monitor=Monitor(limits=Limits(p95_ms=99.0))), "users") == 99.0
    assert latency_limit(bake(baseline=None), "users") is None


def test_states_last_until_the_next_poll_and_equal_ones_are_one_span() -> None:
    states = ("connected", "connected", "offline", "connected")
    polls = [sample("status", second, status=state) for second, state in enumerate(states)]
    found = state_spans(bake(*polls, metrics(5, 1, 0)), SourceName.STATUS, lambda each: str(each["status"]))
    assert found == [(0, 2, "connected"), (2, 3, "offline"), (3, 5.0, "connected")]


# Stretches and limits


def test_a_gap_is_as_long_as_the_samples_say_and_gaps_that_overlap_are_one() -> None:
    """The live view and MON-6 name the same seconds; what a busy machine causes is no gap."""
    samples = slices()
    samples[6]["unwatched_s"] = 230.0
    samples.append(sample("status", 302.0, status="connected", unwatched_s=200.0) | {"at": at(59)})
    samples.append(sample("way_back", 309.0, succeeded=True, unwatched_s=40.0) | {"at": at(59)})
    samples.append(sample("alerts", 30.0, alerts=[], unwatched_s=0.4))
    # It lies between the other two, and ends before them.
    samples.append(sample("fallbacks", 290.0, count=0, unwatched_s=180.0) | {"at": at(59)})
    assert gaps(bake(*samples)) == [(70.0, 302.0)]


def test_between_two_calls_of_an_earlier_version_there_is_a_gap() -> None:
    monitor, samples = Monitor(metrics_every_s=10.0), slices()
    assert gaps(bake(*samples, monitor=monitor)) == [(50.0, 300.0)]
    assert gaps(bake(*samples[:6], monitor=monitor)) == []


def test_a_window_goes_on_where_it_is_longer_than_planned() -> None:
    """Not by the time of its last poll."""
    assert goes_on(bake(*slices(), monitor=Monitor(window_s=200.0)))
    assert not goes_on(bake(*slices(), monitor=Monitor(window_s=309.5)))


def test_a_window_that_is_longer_for_no_recorded_reason_does_not_go_on() -> None:
    """The stages of a canary take a second longer than planned."""
    monitor = Monitor(window_s=30.0, metrics_every_s=10.0, dark_in_a_row=3)
    polls = [metrics(second, second, 0) for second in range(0, 41, 10)]
    assert not goes_on(bake(*polls, monitor=monitor))
    assert goes_on(bake(*polls, monitor=monitor, extended_at_s=[30.0]))
    failed = [sample("status", second, error="refused") for second in range(3)]
    assert goes_on(bake(*polls, *failed, monitor=monitor))
    assert not goes_on(bake(*polls, *failed[:2], monitor=monitor))


def test_each_stage_of_a_canary_is_counted_by_itself() -> None:
    """As its verdict is, which stands above the curve."""
    polls = [metrics(0, 0, 0), metrics(10, 100, 10), metrics(11, 110, 10), metrics(20, 200, 10)]
    stages = bake(*polls, stages_at_s=[0.0, 10.5])
    assert error_rates(stages, "users").values == [0.1, 0.0]
    assert error_rates(bake(*polls), "users").values[-1] == 0.05
    assert error_band(stages, "users").low[-1] == 0.0


def test_an_effective_limit_is_that_of_the_source_which_was_judged_and_differs_from_the_limit() -> None:
    judged_by = bake(verdicts=judged("MON-3", **LATENCY))
    assert effective_limit(judged_by, "users") == 191.2
    assert effective_limit(judged_by, "synthetic") is None
    assert effective_limit(bake(verdicts=judged("MON-3", **LATENCY | {"effective_limit": 140.3})), "users") is None
    assert effective_limit(bake(verdicts=judged("MON-3")), "users") is None


def test_the_control_group_is_counted_in_each_stage_by_itself() -> None:
    counts = ((0, 1000, 0), (2, 1040, 10), (4, 1140, 10), (6, 1240, 60))
    polls = [sample("control", at_s, total=total, failed=failed, p95_ms=60.0 + at_s) for at_s, total, failed in counts]
    canary = bake(*polls, stages_at_s=[0.0, 4.0], stage_names=["CAN-2.1 10%", "CAN-2.2 25%"])
    assert control_error_rates(canary) == ([2, 6], [0.25, 0.5], [True, True])
    assert control_latencies(canary).values == [60.0, 62.0, 64.0, 66.0]
    assert control_error_rates(bake(metrics(0, 10, 0), metrics(5, 20, 1))).at_s == []
