"""The test of a share: its guarantee, proven exactly where that is possible and simulated with seeds elsewhere."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.monitoring.binomial import log_probability
from rollout.monitoring.share_test import (
    CAP,
    Counted,
    ShareEvidence,
    ShareTest,
    excludes_twice_the_limit,
    is_holding,
    last_stretch,
)
from tests.monitoring.share_windows import NEVER, breach_of, first_breaches, fixed_traffic, random_traffic

LIMIT = 0.05
HOUR = 360
"""The polls of a window of 30 minutes with its extension, one in 10 s."""

ROUNDING = 1e-9
few = settings(max_examples=40)
limits = st.sampled_from([0.001, 0.01, 0.05, 0.0999, 0.2, 0.5, 0.89])
polls = st.lists(st.integers(0, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1, max_size=8)


def evidence_of(test: ShareTest, seen: list[tuple[int, int]]) -> ShareEvidence:
    evidence = ShareEvidence(test)
    for requests, failures in seen:
        evidence.add(requests, failures)
    return evidence


def probability(failures: int, requests: int, share: float) -> float:
    return math.exp(log_probability(failures, requests, share))


# The rule's numbers


def test_the_alternatives_of_five_percent_are_those_of_the_design():
    assert ShareTest(LIMIT, 0.01, HOUR).alternatives == pytest.approx((0.06, 0.075, 0.1, 0.15, 0.25, 0.5, 0.95))


@pytest.mark.parametrize(
    ("limit", "alternatives", "gross"),
    [
        (0.6, (0.72, 0.9, 0.95), None),
        (0.8, (0.95,), None),
        (0.1, (0.12, 0.15, 0.2, 0.3, 0.5, 0.95), None),
        (0.09, (0.108, 0.135, 0.18, 0.27, 0.45, 0.9, 0.95), 0.45),
        (0.9, (), None),
        (0.0, (), None),
    ],
)
def test_alternatives_are_above_the_limit_at_most_95_percent_and_none_twice(limit, alternatives, gross):
    test = ShareTest(limit, 0.01, HOUR)
    assert test.alternatives == pytest.approx(alternatives)
    assert test.gross_limit == (gross if gross is None else pytest.approx(gross))
    assert test.is_judgeable == bool(alternatives)


@pytest.mark.parametrize("limit", [0.0, 0.9, 1.0])
def test_a_limit_that_no_data_can_exceed_is_never_breached(limit):
    evidence = evidence_of(ShareTest(limit, 0.01, HOUR), [(1000, 1000)] * 5)
    assert (evidence.is_breached, evidence.log_evidence) == (False, -math.inf)


@pytest.mark.parametrize(
    "numbers", [(-0.1, 0.01, 1), (1.1, 0.01, 1), (0.05, 0.0, 1), (0.05, 1.0, 1), (0.05, 0.01, 0), (math.nan, 0.01, 1)]
)
def test_numbers_outside_of_their_range_are_refused(numbers):
    with pytest.raises(ValueError, match="needs a limit of 0 to 1"):
        ShareTest(*numbers)


@pytest.mark.parametrize("poll", [(5, 6), (5, -1), (-1, -1), (math.inf, 1), (5, math.nan)])
def test_a_poll_that_cannot_be_is_refused_and_changes_nothing(poll):
    evidence = ShareEvidence(ShareTest(LIMIT, 0.01, HOUR))
    with pytest.raises(ValueError, match="cannot have failed"):
        evidence.add(*poll)
    assert evidence == ShareEvidence(ShareTest(LIMIT, 0.01, HOUR))


def test_the_first_poll_gives_the_evidence_that_the_design_states():
    """Computed here by the design's formula, with one alternative after the other."""
    test, evidence = ShareTest(LIMIT, 0.01, HOUR), ShareEvidence(ShareTest(LIMIT, 0.01, HOUR))
    evidence.add(20, 3)
    ratios = [
        min(math.e**1.5, (g / LIMIT) ** 3 * ((1 - g) / (1 - LIMIT)) ** 17)
        for g in (0.06, 0.075, 0.1, 0.15, 0.25, 0.5, 0.95)
    ]
    mean = sum(ratios) / 7
    assert math.exp(evidence.log_limit_evidence) == pytest.approx(mean / 2 + mean / 2 / HOUR, rel=1e-12)
    gross = [((g / 0.25) ** 3 * ((1 - g) / 0.75) ** 17) ** 0.23 for g in (0.5, 0.75, 0.95)]
    assert math.exp(evidence.log_gross_evidence) == pytest.approx(sum(gross) / 3 / (3 * HOUR), rel=1e-12)
    assert math.exp(test.log_threshold) == pytest.approx(4 / 0.03)
    assert evidence.describe() == f"evidence 10^{evidence.log10_evidence:.1f}, a breach takes 10^2.1"


# Its guarantee, exactly


@few
@given(limit=limits, below=st.floats(0, 1), requests=st.integers(1, 12), seen=polls)
def test_the_expected_evidence_of_the_next_poll_is_at_most_that_of_now(limit, below, requests, seen):
    """Given any past, for any share at or below the limit: a poll adds at most what the change's statistic may grow.

    The sum over all outcomes of a poll is exact. It covers the cap and gross failure.
    """
    test, share = ShareTest(limit, 0.01, 50), below * limit
    now = evidence_of(test, seen)
    expected = expected_gross = 0.0
    for failures in range(requests + 1):
        after = copy.copy(now)
        after.add(requests, failures)
        expected += probability(failures, requests, share) * math.exp(after.log_limit_evidence)
        expected_gross += probability(failures, requests, share) * math.exp(after.log_gross_evidence)
    assert expected <= (math.exp(now.log_limit_evidence) + 1 / (2 * 50)) * (1 + ROUNDING)
    assert expected_gross <= (math.exp(now.log_gross_evidence) + 1 / (3 * 50)) * (1 + ROUNDING)


@pytest.mark.parametrize(("limit", "requests"), [(0.2, 3), (0.05, 4), (0.6, 2)])
def test_a_share_at_its_limit_breaches_at_any_poll_with_at_most_the_probability_alpha(limit, requests):
    """Every outcome of every poll of a short window is enumerated: no stopping rule can do worse."""

    def breach_probability(before: ShareEvidence, polls_left: int) -> float:
        if before.is_breached:
            return 1.0
        if not polls_left:
            return 0.0
        total = 0.0
        for failures in range(requests + 1):
            after = copy.copy(before)
            after.add(requests, failures)
            total += probability(failures, requests, limit) * breach_probability(after, polls_left - 1)
        return total

    assert 0 < breach_probability(ShareEvidence(ShareTest(limit, 0.2, 5)), 5) <= 0.2


# Its guarantee and its speed, simulated


def delays(rate: float, share: float, alpha: float = 0.001, healthy_polls: int = 0, windows: int = 300) -> np.ndarray:
    """Return the seconds from the change to the breach in windows of 30 min, infinite where none came."""
    test, rng = ShareTest(LIMIT, alpha, HOUR), np.random.default_rng(0)
    world = random_traffic(rng, lambda poll: share if poll >= healthy_polls else 0.01, 10 * rate, HOUR // 2, windows)
    found = first_breaches(test, world)
    return np.where(found == NEVER, np.inf, 10.0 * (found - healthy_polls))


def test_the_simulation_is_the_rule():
    test = ShareTest(LIMIT, 0.01, 60)
    rng = np.random.default_rng(1)
    world = [*random_traffic(rng, lambda poll: 0.03 if poll < 30 else 0.11, 8.0, 60, 40)]
    found = first_breaches(test, world)
    singly = [breach_of(test, [(n[window], x[window]) for n, x in world]) for window in range(40)]
    assert list(found) == singly
    assert NEVER in singly
    assert len(set(singly)) > 5


@pytest.mark.parametrize("rate", [0.1, 1, 1000])
def test_a_share_of_four_percent_of_five_does_not_breach(rate):
    found = delays(rate, 0.04, alpha=0.01, windows=500)
    assert int(np.isfinite(found).sum()) == 0


def test_at_the_limit_and_a_large_alpha_breaches_stay_below_alpha():
    test, rng = ShareTest(LIMIT, 0.1, HOUR), np.random.default_rng(2)
    found = first_breaches(test, random_traffic(rng, lambda _poll: LIMIT, 10.0, HOUR, 1000))
    assert 5 <= int((found != NEVER).sum()) <= 100


def test_traffic_that_depends_on_the_evidence_so_far_gains_nothing():
    """The adversary sends much while failures are many, little otherwise."""
    test, rng = ShareTest(LIMIT, 0.1, 120), np.random.default_rng(3)

    def world():
        requests = np.full(1000, 20)
        for _poll in range(120):
            failures = rng.binomial(requests, LIMIT)
            yield requests.astype(float), failures.astype(float)
            requests = np.where(failures > LIMIT * requests, 60, 3)

    assert int((first_breaches(test, world()) != NEVER).sum()) <= 100


@pytest.mark.parametrize(
    ("rate", "share", "healthy_polls", "median_s", "p95_s"),
    [
        (1, 0.25, 0, 90, 140),
        (1, 0.25, 120, 150, 190),
        (10, 0.075, 0, 220, 380),
        (10, 0.1, 0, 90, 130),
        (10, 0.1, 120, 140, 190),
        (1000, 0.06, 0, 70, 90),
        (1000, 0.1, 0, 60, 60),
        (1000, 0.1, 120, 100, 100),
    ],
)
def test_delays_are_those_of_the_design(rate, share, healthy_polls, median_s, p95_s):
    """Median and P95 of its table, to a poll and a tenth."""
    found = delays(rate, share, healthy_polls=healthy_polls)
    assert np.median(found) == pytest.approx(median_s, abs=10 + 0.1 * median_s)
    assert np.quantile(found, 0.95) == pytest.approx(p95_s, abs=10 + 0.1 * p95_s)


def test_a_burst_of_fifteen_seconds_does_not_breach():
    """A quarter of the requests of two polls fail, at 100 a second."""
    brownout = [(1000, 10)] * 30 + [(1000, 250), (1000, 130)] + [(1000, 10)] * 30
    assert breach_of(ShareTest(LIMIT, 0.01, HOUR), brownout) == NEVER


@pytest.mark.parametrize(("requests", "within_polls"), [(10, 6), (100, 1), (10_000, 1)])
def test_a_total_outage_breaches_in_one_poll_at_10_a_second_and_in_60_s_at_one(requests, within_polls):
    for alpha in (0.001, 0.01):
        breached = breach_of(ShareTest(LIMIT, alpha, HOUR), [(requests, requests)] * within_polls)
        assert 1 <= breached <= within_polls


def test_two_batches_of_twenty_that_fail_as_one_are_no_outage_and_four_are():
    test = ShareTest(LIMIT, 0.01, HOUR)
    assert [breach_of(test, [(10, 0)] * 9 + [(20, 20)] * batches) for batches in (2, 4)] == [NEVER, 12]


def test_gross_failure_decides_in_one_poll_only_where_failure_is_gross():
    test = ShareTest(LIMIT, 0.01, HOUR)
    assert breach_of(test, [(1000, 950)]) == 1
    assert breach_of(test, [(1000, 250)]) == NEVER
    assert breach_of(ShareTest(0.1, 0.01, HOUR), [(1000, 1000)]) == NEVER, "off where five times the limit is half"


# What it does not depend on


@few
@given(limit=limits, seen=polls, data=st.data())
def test_one_failure_more_is_never_less_evidence(limit, seen, data):
    test = ShareTest(limit, 0.01, 50)
    index = data.draw(st.integers(0, len(seen) - 1))
    requests, failures = seen[index]
    worse = [*seen[:index], (requests, min(requests, failures + 1)), *seen[index + 1 :]]
    assert evidence_of(test, worse).log_evidence >= evidence_of(test, seen).log_evidence - ROUNDING


@few
@given(limit=limits, seen=polls, data=st.data())
def test_the_order_of_polls_does_not_change_the_evidence_since_the_start(limit, seen, data):
    """With so many polls allowed, that since a change weighs nothing."""
    test = ShareTest(limit, 0.01, 10**300)
    shuffled = data.draw(st.permutations(seen))
    expected = pytest.approx(evidence_of(test, seen).log_limit_evidence, abs=ROUNDING)
    assert evidence_of(test, shuffled).log_limit_evidence == expected


@few
@given(limit=limits, seen=polls, idle=st.integers(0, 8))
def test_a_poll_without_requests_changes_nothing(limit, seen, idle):
    test = ShareTest(limit, 0.01, 50)
    assert evidence_of(test, [*seen[:idle], (0, 0), *seen[idle:]]) == evidence_of(test, seen)


@given(requests=st.integers(2, 40), data=st.data())
def test_a_poll_in_two_parts_is_the_same_evidence_since_the_start_unless_the_cap_decides(requests, data):
    failures = data.draw(st.integers(0, 1))
    part = data.draw(st.integers(1, requests - 1))
    test = ShareTest(0.3, 0.01, 10**300)
    parts = [(part, min(failures, part)), (requests - part, failures - min(failures, part))]
    expected = pytest.approx(evidence_of(test, [(requests, failures)]).log_limit_evidence, abs=ROUNDING)
    assert evidence_of(test, parts).log_limit_evidence == expected


@few
@given(seen=polls, requests=st.integers(2, 40), data=st.data())
def test_a_poll_in_two_parts_is_no_less_evidence_of_gross_failure(seen, requests, data):
    first, second = data.draw(st.tuples(*[st.integers(1, requests).flatmap(_poll_of)] * 2))
    test, together = ShareTest(LIMIT, 0.01, 50), (first[0] + second[0], first[1] + second[1])
    apart = evidence_of(test, [*seen, first, second]).log_gross_evidence
    assert apart >= evidence_of(test, [*seen, together]).log_gross_evidence - ROUNDING


def _poll_of(requests: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.just(requests), st.integers(0, requests))


@few
@given(seen=polls, poll=st.integers(1, 40).flatmap(_poll_of))
def test_one_poll_multiplies_the_evidence_by_no_more_than_the_cap(seen, poll):
    test = ShareTest(LIMIT, 0.01, 50)
    before, after = evidence_of(test, seen), evidence_of(test, [*seen, poll])
    grown = math.exp(CAP) * (math.exp(before.log_limit_evidence) + 1 / (2 * 50))
    assert math.exp(after.log_limit_evidence) <= grown * (1 + ROUNDING)


def test_a_thousand_million_requests_a_poll_neither_overflow_nor_lose_the_verdict():
    test = ShareTest(LIMIT, 0.01, 10**6)
    for failures, is_breached in ((10**9, True), (10**7, False), (6 * 10**7, True), (0, False)):
        evidence = evidence_of(test, [(10**9, failures)] * 100)
        assert evidence.is_breached is is_breached
        assert math.isfinite(evidence.log_evidence)


def test_a_fraction_of_a_request_counts_as_a_fraction():
    test, evidence = ShareTest(LIMIT, 0.01, HOUR), ShareEvidence(ShareTest(LIMIT, 0.01, HOUR))
    evidence.add(20, 2.5)
    below, above = evidence_of(test, [(20, 2)]), evidence_of(test, [(20, 3)])
    assert below.log_evidence < evidence.log_evidence < above.log_evidence
    assert evidence.failures == 2.5


# Holding


@pytest.mark.parametrize(
    ("requests", "failures", "limit", "excluded"),
    [
        (28, 0, 0.05, False),
        (29, 0, 0.05, True),
        (0, 0, 0.05, False),
        (1000, 84, 0.05, True),
        (1000, 85, 0.05, False),
        (29, 0.1, 0.05, False),
        (29.9, 0, 0.05, True),
        (28.9, 0, 0.05, False),
        (10**9, 99 * 10**6, 0.05, True),
        (5, 4, 0.5, True),
        (5, 5, 0.5, False),
    ],
)
def test_twice_the_limit_is_excluded_by_few_enough_failures(requests, failures, limit, excluded):
    """By an exact binomial tail; of a fraction the side that excludes less counts."""
    assert excludes_twice_the_limit(requests, failures, limit) is excluded


def test_a_window_above_its_limit_does_not_hold_whatever_else_is_excluded():
    window = Counted(1800, 100_000, 5001)
    assert excludes_twice_the_limit(window.requests, window.failures, LIMIT)
    assert not is_holding(window, Counted(300, 1000, 0), LIMIT)
    assert is_holding(Counted(1800, 100, 29), Counted(300, 120, 0), 0.29), "exactly at the limit is within it"
    assert is_holding(Counted(1800, 100_000, 5000), Counted(300, 1000, 0), LIMIT)


def test_a_window_holds_only_if_its_last_stretch_excludes_twice_the_limit_too():
    window = Counted(1800, 1800, 50)
    assert is_holding(window, Counted(300, 300, 10), LIMIT)
    assert not is_holding(window, Counted(300, 300, 25), LIMIT)
    assert not is_holding(Counted(300, 28, 0), Counted(300, 28, 0), LIMIT)
    assert not is_holding(Counted(300, 0, 0), Counted(300, 0, 0), LIMIT)


def test_the_last_stretch_is_five_minutes_or_120_requests_the_longer():
    busy, quiet = [Counted(10, 100, 1)] * 180, [Counted(60, 1, 0)] * 180
    assert last_stretch(busy) == Counted(300, 3000, 30)
    assert last_stretch(quiet) == Counted(7200, 120, 0)
    assert last_stretch(quiet[:10]) == Counted(600, 10, 0), "fewer than 120 are all there are"
    assert last_stretch([*busy, Counted(300, 120, 7)]) == Counted(300, 120, 7), "the newest"
    assert last_stretch([]) == Counted(0, 0, 0)


def test_thirty_synthetic_requests_of_a_short_window_can_hold():
    """The quickstart's: without a failure, at a limit of 5 %."""
    window = Counted(15, 30, 0)
    assert is_holding(window, last_stretch([Counted(0.5, 1, 0)] * 30), LIMIT)


def test_fixed_traffic_is_spread_as_it_says():
    """What the simulations of power stand on."""
    rng = np.random.default_rng(0)
    sizes = [int(n[0]) for n, _ in fixed_traffic(rng, 0.5, [1, 0, 2], 3)]
    assert sizes == [1, 0, 2]
