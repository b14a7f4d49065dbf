"""The latency limit: the baseline's with its uncertainty, the control group's of the stage before, or an absolute."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from rollout.core.histogram import Histogram
from rollout.core.limits import Limits
from rollout.core.scenario import Monitor
from rollout.monitoring.effective_limit import effective_limit, effective_limit_of_histogram
from rollout.monitoring.latency_limit import LatencyLimit, baseline_limit
from rollout.monitoring.samples import Baseline, Context
from rollout.monitoring.share_tests import baseline_alpha
from tests.support.windows import context

MANY = tuple(100.0 + number for number in range(1000))
FEW = tuple(90.0 + number for number in range(20))
HISTOGRAM = Histogram.of({0.1: 900.0, 0.2: 960.0, 0.4: 1000.0, math.inf: 1000.0})


def of(source: str, base: Baseline | None, **changes: object) -> LatencyLimit:
    found = baseline_limit(context(baseline=base, **changes), source)
    assert found is not None
    return found


def measured(latencies_ms: tuple[float, ...], p95_ms: float) -> Baseline:
    count = len(latencies_ms)
    return Baseline("ollama", synthetic_p95_ms=p95_ms, synthetic_samples=count, synthetic_latencies_ms=latencies_ms)


def test_the_limit_is_a_multiple_of_a_latency_that_the_baselines_p95_hardly_exceeds() -> None:
    found, expected = of("synthetic", measured(MANY, 1049.05)), effective_limit(MANY, 2.0, 0.005)
    assert expected is not None
    assert found.value_ms == expected.limit_ms > found.named_ms == pytest.approx(2098.1)
    assert (found.share, found.requests) == (0.05, 1000)
    assert found.why == "2 x baseline 1049 ms, effective 2.04 x with the uncertainty of its 1000 requests"


def test_a_small_baseline_widens_the_share() -> None:
    found, expected = of("synthetic", measured(FEW, 108.05)), effective_limit(FEW, 2.0, 0.005)
    assert expected is not None
    assert (found.value_ms, found.share) == (expected.limit_ms, expected.share)
    assert found.share == pytest.approx(0.344, abs=1e-3)


def test_users_have_the_limit_of_their_histogram() -> None:
    base = Baseline("ollama", users_p95_ms=183.3, users_samples=1000, users_histogram=HISTOGRAM)
    found, expected = of("users", base), effective_limit_of_histogram(HISTOGRAM, 2.0, 0.005)
    assert expected is not None
    assert (found.value_ms, found.named_ms) == (expected.limit_ms, 366.6)
    assert found.value_ms > found.named_ms
    assert found.why.startswith("2 x baseline 183.3 ms, effective ")


@pytest.mark.parametrize("source", ["users", "synthetic"])
def test_a_baseline_of_an_older_journal_has_a_p95_alone_and_the_limit_is_its_multiple(source: str) -> None:
    old = Baseline("ollama", users_p95_ms=100.0, users_samples=500, synthetic_p95_ms=100.0, synthetic_samples=20)
    again = Baseline.from_record(
        {name: value for name, value in old.record().items() if "latencies" not in name and "histogram" not in name}
    )
    found = of(source, again)
    assert (found.named_ms, found.value_ms, found.why) == (200.0, 200.0, "2 x baseline 100 ms")
    # Twenty requests leave open which share is slower than their P95.
    assert found.share == (0.05 if source == "users" else pytest.approx(0.344, abs=0.001))
    few = Monitor(min_samples=501)
    assert baseline_limit(context(few, baseline=again), source) is None


def test_an_absolute_limit_needs_no_baseline_and_has_no_uncertainty() -> None:
    for source in ("users", "synthetic"):
        found = baseline_limit(context(Monitor(limits=Limits(p95_ms=250.0)), baseline=None), source)
        assert found == LatencyLimit(250.0, 250.0, 0.05, 0, "absolute", is_absolute=True)


@pytest.mark.parametrize("p95_ms", [math.nan, math.inf, 0.0, -1.0])
def test_an_absolute_limit_that_is_no_latency_is_none_and_hides_no_baseline(p95_ms: float) -> None:
    assert baseline_limit(context(Monitor(limits=Limits(p95_ms=p95_ms))), "synthetic") is None


# A canary's stages


def staged(control_ms: tuple[float, ...], base: Baseline | None = None) -> Context:
    return context(baseline=base or measured(FEW, 108.05), stages=5, control_latencies_ms=control_ms)


def test_the_control_group_of_the_stage_before_is_the_baseline_of_the_suites_own_requests() -> None:
    known = staged((200.0,) * 40)
    found = baseline_limit(known, "synthetic")
    assert found is not None
    assert (found.named_ms, found.requests, found.why) == (400.0, 40, "2 x control group of the stage before 200 ms")
    expected = effective_limit((200.0,) * 40, 2.0, baseline_alpha(known))
    assert expected is not None
    assert found.share == expected.share, "its uncertainty has the part of alpha that one stage has"
    users = replace(measured(FEW, 108.05), users_p95_ms=100.0, users_samples=500)
    known = staged((200.0,) * 40, users)
    found = baseline_limit(known, "users")
    assert found is not None
    assert found.why == "2 x baseline 100 ms", "users are compared with users"


def test_a_control_group_of_fewer_requests_than_the_precheck_measured_is_no_baseline() -> None:
    for control, of_whom in (((200.0,) * 19, "baseline"), ((200.0,) * 20, "control group of the stage before")):
        found = baseline_limit(staged(control), "synthetic")
        assert found is not None
        assert f"2 x {of_whom}" in found.why
    larger = measured(MANY, 1049.05)
    found = baseline_limit(staged((200.0,) * 999, larger), "synthetic")
    assert found is not None
    assert "2 x baseline" in found.why


def test_a_control_group_serves_where_the_precheck_could_measure_nothing() -> None:
    known = replace(staged((200.0,) * 20), baseline=None)
    found = baseline_limit(known, "synthetic")
    assert found is not None
    assert (found.named_ms, baseline_limit(known, "users")) == (400.0, None)
