"""The limit of a P95 has the uncertainty of its baseline in it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.histogram import Histogram
from rollout.monitoring.effective_limit import (
    EffectiveLimit,
    Slower,
    count_slower,
    effective_limit,
    effective_limit_of_histogram,
    factor_that_exceeds,
)
from rollout.monitoring.share_test import ShareTest

INF = math.inf


def ranks(count: int) -> list[float]:
    """Latencies of 1, 2, 3 … ms, so that a latency is its own rank."""
    return [float(rank) for rank in range(1, count + 1)]


def found_limit(count: int, alpha: float) -> EffectiveLimit:
    found = effective_limit(ranks(count), 2.0, alpha)
    assert found is not None
    return found


@pytest.mark.parametrize(("alpha", "least"), [(0.001, 149), (0.01, 104)])
def test_a_baseline_of_so_many_requests_bounds_its_p95_and_a_smaller_one_widens_the_share(alpha: float, least: int):
    from scipy import special

    assert found_limit(least, alpha) == EffectiveLimit(2.0 * least, 0.05, least)
    below = found_limit(least - 1, alpha)
    rank = math.ceil(0.95 * (least - 1))
    assert below.limit_ms == 2.0 * rank
    assert below.share == pytest.approx(float(special.betaincinv(least - rank, rank, 1 - alpha / 2)), rel=1e-10)


@given(count=st.integers(149, 20_000))
def test_the_rank_is_the_smallest_that_the_true_p95_exceeds_with_half_of_alpha(count: int):
    """By scipy's binomial distribution."""
    from scipy import special

    rank = round(found_limit(count, 0.001).limit_ms / 2)
    assert special.bdtrc(rank - 1, count, 0.95) <= 0.0005 < special.bdtrc(rank - 2, count, 0.95)


@given(count=st.integers(2, 3000), alpha=st.sampled_from([0.001, 0.01, 0.1]))
def test_healthy_requests_exceed_the_share_with_half_of_alpha_at_most(count: int, alpha: float):
    """Exactly: the share of requests slower than the k-th of n has the distribution Beta(n - k + 1, k)."""
    from scipy import special

    found = effective_limit(ranks(count), 1.0, alpha)
    assert found is not None
    rank = round(found.limit_ms)
    assert 1.0 - special.betainc(count - rank + 1, rank, found.share) <= alpha / 2 * (1 + 1e-9)


def test_without_a_request_there_is_no_limit_and_one_request_judges_nothing():
    assert effective_limit([], 2.0, 0.01) is None
    alone = found_limit(1, 0.01)
    assert not ShareTest(alone.share, 0.005, 360).is_judgeable


def test_its_price_is_the_designs_for_log_normal_latencies():
    """By 1.36 at 1,000 requests and by 1.10 at 10,000 (alpha = 0.001): the median of 60 baselines with a heavy tail."""
    rng = np.random.default_rng(0)
    for count, price in ((1000, 1.36), (10_000, 1.10)):
        slow = rng.random((60, count)) < 0.15
        latencies = np.where(slow, 12.0 * rng.lognormal(0, 0.7, slow.shape), 1.2 * rng.lognormal(0, 0.6, slow.shape))
        ordered = np.sort(latencies, axis=1)
        factors = []
        for row in ordered:
            found = effective_limit(row.tolist(), 2.0, 0.001)
            assert found is not None
            factors.append(found.factor_of(float(np.quantile(row, 0.95))) / 2.0)
        assert np.median(factors) == pytest.approx(price, abs=0.05)


def test_the_multiple_at_which_a_share_is_slower_than_the_limit():
    latencies = ranks(100)
    factor = factor_that_exceeds(latencies, 200.0, 0.08)
    assert factor == pytest.approx(200 / 92)
    assert sum(latency * factor * 1.0001 > 200 for latency in latencies) == 9
    assert factor_that_exceeds([5.0], 10.0, 0.95) == 2.0


def test_no_multiple_of_a_latency_of_0_is_slower_than_a_limit():
    assert factor_that_exceeds([0.0, 0.0, 0.0, 150.0, 300.0], 160.0, 0.5) is None
    assert factor_that_exceeds([0.0, 0.0, 0.0, 150.0, 300.0], 160.0, 0.3) == pytest.approx(160 / 150)


# Histograms


BUCKETS = {0.1: 0.0, 0.5: 800.0, 1.0: 1000.0, INF: 1000.0}


def test_a_histogram_gives_the_interpolated_latency_and_says_so():
    """The rank of 1,000 requests at alpha 0.001 is 972: 172 of 200 in the bucket from 0.5 to 1 s."""
    found = effective_limit_of_histogram(Histogram.of(BUCKETS), 2.0, 0.001)
    assert found == EffectiveLimit(pytest.approx(2000 * (0.5 + 0.5 * 172 / 200)), 0.05, 1000, is_interpolated=True)


@pytest.mark.parametrize("counts", [{0.1: 0.0, INF: 0.0}, {0.1: 900.0, INF: 1000.0}, {INF: 1000.0}])
def test_without_requests_or_above_the_highest_bound_there_is_no_limit(counts: dict[float, float]):
    assert effective_limit_of_histogram(Histogram.of(counts), 2.0, 0.001) is None


@given(count=st.integers(150, 3000))
def test_a_histogram_of_even_latencies_gives_no_lower_limit_than_the_latencies(count: int):
    """Latencies at k / (n + 1) within one bucket: the mean places of an even distribution."""
    single = effective_limit([1000 * (k + 1) / (count + 1) for k in range(count)], 2.0, 0.01)
    buckets = effective_limit_of_histogram(Histogram.of({1.0: float(count), INF: float(count)}), 2.0, 0.01)
    assert single is not None
    assert buckets is not None
    assert single.limit_ms <= buckets.limit_ms <= single.limit_ms * 1.01


@pytest.mark.parametrize(
    ("limit_ms", "failures", "unknown"),
    [(50, 1000, 0), (100, 1000, 0), (300, 600, 0), (500, 200, 0), (750, 100, 0), (1000, 5, 0), (1500, 0, 5)],
)
def test_requests_slower_than_the_limit_are_interpolated_within_its_bucket(limit_ms, failures, unknown):
    histogram = Histogram.of(BUCKETS | {1.0: 995.0})
    expected = failures if limit_ms != 750 else 5 + 195 / 2
    assert count_slower(histogram, limit_ms) == Slower(1000, pytest.approx(expected), unknown)


def test_a_limit_above_all_requests_leaves_nothing_unknown():
    assert count_slower(Histogram.of(BUCKETS), 1e9) == Slower(1000, 0.0)
