"""What a window can tell, in a sentence beside a verdict (MON-2, MON-3)."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from rollout.core.histogram import Histogram
from rollout.core.limits import Limits
from rollout.core.scenario import Monitor, ProviderChange, SyntheticPower
from rollout.monitoring.latency_limit import LatencyLimit, baseline_limit
from rollout.monitoring.power import smallest_share
from rollout.monitoring.power_report import _shown, describe_latency_power, describe_power
from rollout.monitoring.samples import Baseline, Context
from rollout.monitoring.share_test import Counted
from rollout.monitoring.share_tests import own_error_test, own_latency_test, users_error_test, users_latency_test
from rollout.monitoring.synthetic_pace import planned_requests, raise_pace
from rollout.monitoring.verdict import percentile

CONTEXT = Context(ProviderChange("openai", "gpt-4o"), ProviderChange("ollama", "gemma3:4b"), Monitor())
LATENCIES = tuple(1000.0 * math.exp(rank / 400) for rank in range(1000))


def requests(count: float, seconds: float = 1800.0) -> Counted:
    return Counted(seconds, count, 0.0)


def with_baseline(latencies: tuple[float, ...] = LATENCIES, **limits: float) -> Context:
    base = Baseline(
        "ollama",
        synthetic_latencies_ms=latencies,
        synthetic_samples=len(latencies),
        synthetic_p95_ms=percentile(latencies),
    )
    return replace(CONTEXT, baseline=base, monitor=Monitor(limits=Limits(**limits)))


def latency_power(context: Context, source: str, counted: Counted) -> str:
    limit, test_of = baseline_limit(context, source), users_latency_test if source == "users" else own_latency_test
    assert limit is not None
    return describe_latency_power(
        context, source, limit, test_of(context, limit.share, is_absolute=limit.is_absolute), counted
    )


def test_the_smallest_share_that_is_shown_stands_beside_the_verdict() -> None:
    assert describe_power(CONTEXT, users_error_test(CONTEXT), requests(1800)) == "1,800 requests: 5 % from 7.9 %"


def test_a_window_that_does_not_show_twice_the_limit_says_what_it_shows_and_what_would_show_more() -> None:
    assert describe_power(CONTEXT, own_error_test(CONTEXT), requests(30)) == (
        "30 requests: 5 % from 39 %; 22 synthetic requests a minute would show 10 % in 9 of 10"
    )


def test_a_stage_takes_more_synthetic_requests_of_which_the_control_group_answers_a_part() -> None:
    half = replace(CONTEXT, share=0.5)
    assert "; 44 synthetic requests a minute would" in describe_power(half, own_error_test(half), requests(15))


def test_a_window_that_has_only_begun_has_as_many_polls_as_were_watched() -> None:
    """Each poll adds a limited evidence: a thousand requests in five polls show less than in 180."""
    early = describe_power(CONTEXT, users_error_test(CONTEXT), requests(1000, 50.0))
    assert early.startswith("1,000 requests: too few requests or polls to show any share above 5 %; ")
    assert describe_power(CONTEXT, users_error_test(CONTEXT), requests(1000)) == "1,000 requests: 5 % from 9.1 %"


def test_nothing_is_shown_without_requests() -> None:
    assert describe_power(CONTEXT, users_error_test(CONTEXT), requests(0, 0.0)).startswith("0 requests: too few")


def test_the_requests_of_a_power_show_twice_the_limit() -> None:
    raised = raise_pace(replace(CONTEXT, monitor=Monitor(synthetic=SyntheticPower(0.9))))
    said = describe_power(raised, own_error_test(raised), requests(planned_requests(raised)))
    assert said == "643 requests: 5 % from 10 %"


def test_a_window_computes_few_shares_however_many_polls_it_has() -> None:
    """A day with a poll every 10 s: a share takes milliseconds, and the sentence stands beside each verdict."""
    day = replace(CONTEXT, window_s=86_400.0)
    test, before = users_error_test(day), _shown.cache_info().misses
    for seconds in range(10, 82_000, 10):
        describe_power(day, test, requests(3 * seconds, seconds))
    assert _shown.cache_info().misses - before < 100


@pytest.mark.parametrize(("seconds", "counted"), [(1800.0, 1200), (1709.0, 1000)])
def test_the_numbers_are_rounded_down_before_they_are_computed(seconds: float, counted: int) -> None:
    """A little near the window's end, which decides; more before it."""
    test = users_error_test(CONTEXT)
    rounded = smallest_share(test, counted, 180 if seconds == 1800.0 else 158)
    assert rounded is not None
    said = describe_power(CONTEXT, test, requests(1234, seconds))
    assert said == f"1,234 requests: 5 % from {math.ceil(rounded * 1000) / 10:g} %"


def test_an_extension_adds_polls_and_requests() -> None:
    said = describe_power(CONTEXT, users_error_test(CONTEXT), requests(3600, 3600.0))
    assert said == "3,600 requests: 5 % from 7.1 %"


def test_a_latency_is_told_from_the_effective_limit_on() -> None:
    said = latency_power(with_baseline(), "synthetic", requests(1800))
    assert said == "1,800 requests: P95 2 x (effective 2.1 x) from 2.3 x, if every request slows down alike"


def test_a_small_baseline_shows_only_a_much_slower_provider() -> None:
    said = latency_power(with_baseline(LATENCIES[::50]), "synthetic", requests(1800))
    assert said.startswith(
        "1,800 requests: P95 2 x (effective 2 x) from 4.8 x, if every request slows down alike; 34 %"
    )


def test_too_few_requests_show_no_latency() -> None:
    said = latency_power(with_baseline(), "synthetic", requests(3))
    assert said == "3 requests: no latency above the limit can be seen"


def test_an_absolute_limit_is_told_as_a_multiple_of_the_baseline() -> None:
    said = latency_power(with_baseline(p95_ms=20_000.0), "synthetic", requests(1800))
    assert said == "1,800 requests: P95 20000 ms from 2.1 x the baseline, if every request slows down alike"


def test_users_latencies_are_read_from_the_histogram_of_their_baseline() -> None:
    histogram = Histogram.of({1.0: 9000.0, 2.0: 9900.0, 8.0: 10_000.0, math.inf: 10_000.0})
    base = Baseline("ollama", users_p95_ms=1555.6, users_samples=10_000, users_histogram=histogram)
    said = latency_power(replace(CONTEXT, baseline=base), "users", requests(1800))
    assert said == "1,800 requests: P95 2 x (effective 2.1 x) from 2.7 x, if every request slows down alike"


@pytest.mark.parametrize("base", [None, Baseline("ollama", users_p95_ms=900.0, users_samples=500)])
def test_without_latencies_of_a_baseline_the_share_of_slower_requests_is_told(base: Baseline | None) -> None:
    limit = LatencyLimit(1800.0, 1800.0, 0.05, 500, "2 x baseline 900 ms")
    context = replace(CONTEXT, baseline=base)
    said = describe_latency_power(context, "users", limit, users_latency_test(context), requests(1800))
    assert said == "1,800 requests: P95 1800 ms from 9 % slower requests"


def test_a_control_group_of_fewer_requests_than_the_baseline_is_no_measure_of_a_slowdown() -> None:
    """The limit is the precheck's then, and so is the latency of which the slowdown is a multiple."""
    staged = replace(with_baseline(), control_latencies_ms=(0.0, 0.0, 0.0, 144.0, 303.0))
    counted = requests(1800)
    assert latency_power(staged, "synthetic", counted) == latency_power(with_baseline(), "synthetic", counted)
