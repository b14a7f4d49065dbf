"""Relative limits: a rise against a baseline and against a control group."""

from __future__ import annotations

import copy
import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.monitoring.binomial import log_probability
from rollout.monitoring.rise_test import (
    Group,
    RiseEvidence,
    RiseTest,
    log_block_ratio,
    share_limit_of_rise,
)

ROUNDING = 1e-9
groups = st.integers(1, 8)
shares = st.floats(0.001, 0.6)


def probability(failures: int, requests: int, share: float) -> float:
    return math.exp(log_probability(failures, requests, share))


# Its guarantee, exactly


@given(treated=groups, control=groups, alternative=st.tuples(shares, shares), null=shares, below=st.floats(0, 1))
@pytest.mark.parametrize("factor", [1.0, 1.5, 3.0])
def test_the_expected_ratio_of_a_block_is_at_most_one_within_the_factor(
    factor, treated, control, alternative, null, below
):
    """For every two shares within the factor, and every alternative: the sum over all outcomes is exact."""
    treated_share, expected = min(1.0, factor * null) * below, 0.0
    for failed, control_failed in product(range(treated + 1), range(control + 1)):
        ratio = log_block_ratio(*alternative, factor, Group(treated, failed), Group(control, control_failed))
        weight = probability(failed, treated, treated_share) * probability(control_failed, control, null)
        expected += weight * math.exp(ratio)
    assert expected <= 1 + ROUNDING


@pytest.mark.parametrize(("control_share", "factor"), [(0.2, 1.0), (0.15, 3.0)])
def test_a_rise_at_the_factor_breaches_at_any_poll_with_at_most_the_probability_alpha(control_share, factor):
    """Every outcome of four polls of two requests a group is enumerated."""
    outcomes = {
        (failed, other): probability(failed, 2, factor * control_share) * probability(other, 2, control_share)
        for failed, other in product(range(3), repeat=2)
    }

    def breach_probability(before: RiseEvidence, polls_left: int) -> float:
        if before.is_breached:
            return 1.0
        total = 0.0
        for (failed, other), weight in outcomes.items() if polls_left else ():
            after = copy.copy(before)
            after.add(Group(2, failed), Group(2, other))
            total += weight * breach_probability(after, polls_left - 1)
        return total

    assert breach_probability(RiseEvidence(RiseTest(factor, 0.25, 4)), 4) <= 0.25


# What it tells


def run(treated: float, control: float, factor: float = 3.0, polls: int = 180, seed: int = 0) -> int | None:
    """Return the poll of the breach, from 1, with 20 and 180 requests a poll in the groups; None without one."""
    evidence, rng = RiseEvidence(RiseTest(factor, 0.01, 2 * polls)), np.random.default_rng(seed)
    for poll in range(1, polls + 1):
        evidence.add(Group(20, rng.binomial(20, treated)), Group(180, rng.binomial(180, control)))
        if evidence.is_breached:
            return poll
    return None


def test_a_rise_within_the_factor_does_not_breach_and_twice_the_factor_does():
    assert [run(0.02, 0.01, seed=seed) for seed in range(10)] == [None] * 10
    found = [run(0.06, 0.01, seed=seed) for seed in range(10)]
    assert all(poll is not None and poll <= 120 for poll in found)


def test_failures_that_rise_in_both_groups_alike_are_no_evidence():
    """A share limit of 5 % would breach: all requests fail at 30 %."""
    evidence, rng = RiseEvidence(RiseTest(1.0, 0.01, 360)), np.random.default_rng(1)
    for share in (0.01,) * 60 + (0.3,) * 60 + (0.02,) * 60:
        evidence.add(Group(20, rng.binomial(20, share)), Group(180, rng.binomial(180, share)))
        assert not evidence.is_breached


def test_a_change_late_in_the_window_is_told():
    evidence, rng = RiseEvidence(RiseTest(2.0, 0.01, 8640)), np.random.default_rng(2)
    for _poll in range(2000):
        evidence.add(Group(50, rng.binomial(50, 0.01)), Group(50, rng.binomial(50, 0.01)))
    assert not evidence.is_breached
    for _poll in range(60):
        evidence.add(Group(50, rng.binomial(50, 0.2)), Group(50, rng.binomial(50, 0.01)))
    assert evidence.is_breached


def test_what_one_group_alone_has_waits_for_the_others_next_requests():
    together, apart = RiseEvidence(RiseTest(2.0, 0.01, 60)), RiseEvidence(RiseTest(2.0, 0.01, 60))
    together.add(Group(12, 4), Group(100, 1))
    apart.add(Group(12, 4), Group(0, 0))
    assert apart.log10_evidence == RiseEvidence(RiseTest(2.0, 0.01, 60)).log10_evidence
    apart.add(Group(0, 0), Group(100, 1))
    assert apart == together
    assert together.log10_evidence > -math.log10(2)


@given(failures=st.integers(0, 19), control=st.integers(0, 20))
def test_one_failure_more_is_never_less_evidence_and_one_of_the_control_group_never_more(failures, control):
    def evidence(failed: int, control_failed: int) -> float:
        found = RiseEvidence(RiseTest(2.0, 0.01, 60))
        found.add(Group(20, failed), Group(20, control_failed))
        return found.log10_evidence

    assert evidence(failures + 1, control) >= evidence(failures, control) - ROUNDING
    if control:
        assert evidence(failures, control - 1) >= evidence(failures, control) - ROUNDING


def test_a_thousand_million_requests_a_poll_do_not_overflow():
    for treated, control, is_breached in ((10**8, 10**7, True), (10**7, 10**7, False), (10**9, 0, True)):
        evidence = RiseEvidence(RiseTest(3.0, 0.01, 1000))
        for _poll in range(20):
            evidence.add(Group(10**9, treated), Group(10**9, control))
        assert evidence.is_breached is is_breached
        assert math.isfinite(evidence.log10_evidence)


@pytest.mark.parametrize("numbers", [(0.9, 0.01, 1), (math.inf, 0.01, 1), (2, 0, 1), (2, 1, 1), (2, 0.01, 0)])
def test_numbers_outside_of_their_range_are_refused(numbers):
    with pytest.raises(ValueError, match="needs a factor of at least 1"):
        RiseTest(*numbers)


@pytest.mark.parametrize("groups", [(Group(5, 6), Group(5, 0)), (Group(5, 0), Group(5, -1))])
def test_a_poll_that_cannot_be_is_refused(groups):
    with pytest.raises(ValueError, match="cannot have failed"):
        RiseEvidence(RiseTest(2.0, 0.01, 60)).add(*groups)


# Against a baseline


def test_the_limit_of_a_rise_has_the_baselines_uncertainty_in_it():
    """At 10 of 10,000, with 0.5 % for the baseline."""
    limit = share_limit_of_rise(10_000, 10, 3.0, 0.01)
    assert 3 * 0.001 < limit < 3 * 0.0025
    assert share_limit_of_rise(1_000_000, 1000, 3.0, 0.01) == pytest.approx(0.003, rel=0.1)
    assert share_limit_of_rise(0, 0, 3.0, 0.01) == 1.0, "without a request nothing can be judged"
