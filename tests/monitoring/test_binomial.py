"""Binomial tails, the upper bound and the confidence sequence, against scipy, exact fractions and enumeration.

scipy is imported where it is used: every worker imports every module of tests, and scipy takes most of a second.
"""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.monitoring.binomial import (
    confidence_sequence,
    divergence,
    log_probability,
    lower_tail,
    upper_bound,
    upper_tail,
)

DIGITS = 1e-10
LEAST = 1e-290
"""Below it scipy's results lose digits, as numbers of this size do."""

shares = st.sampled_from([1e-9, 1e-4, 0.01, 0.05, 0.1, 0.3, 0.5, 0.95, 0.999])


def exactly(failures: int, requests: int, share: Fraction) -> Fraction:
    terms = (math.comb(requests, k) * share**k * (1 - share) ** (requests - k) for k in range(failures + 1))
    return sum(terms, Fraction(0))


@pytest.mark.parametrize("requests", [1, 2, 7, 30, 120])
@pytest.mark.parametrize("share", [Fraction(1, 1024), Fraction(1, 16), Fraction(1, 2), Fraction(61, 64)])
def test_tails_are_those_of_exact_fractions(requests: int, share: Fraction):
    for failures in {0, 1, requests // 3, requests - 1, requests}:
        below = exactly(failures, requests, share)
        assert lower_tail(failures, requests, float(share)) == pytest.approx(float(below), rel=1e-13)
        above = 1 - below + math.comb(requests, failures) * share**failures * (1 - share) ** (requests - failures)
        assert upper_tail(failures, requests, float(share)) == pytest.approx(float(above), rel=1e-13)


@given(requests=st.integers(1, 10**6), share=shares, deviations=st.floats(-8, 8))
def test_tails_are_scipys(requests: int, share: float, deviations: float):
    from scipy import special

    spread = math.sqrt(requests * share * (1 - share))
    failures = min(requests - 1, max(0, round(requests * share + deviations * spread)))
    below, above = lower_tail(failures, requests, share), upper_tail(failures + 1, requests, share)
    for mine, theirs in (
        (below, special.betaincc(failures + 1, requests - failures, share)),
        (above, special.betainc(failures + 1, requests - failures, share)),
    ):
        assert mine == pytest.approx(float(theirs), rel=DIGITS, abs=LEAST)
    assert below + above == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("failures", [49_950_000, 50_000_000, 50_050_000])
def test_a_thousand_million_requests_keep_their_digits(failures: int):
    from scipy import special

    theirs = float(special.betaincc(failures + 1, 10**9 - failures, 0.05))
    assert lower_tail(failures, 10**9, 0.05) == pytest.approx(theirs, rel=1e-8)


@pytest.mark.parametrize(
    ("failures", "requests", "share", "below"),
    [(-1, 5, 0.1, 0.0), (5, 5, 0.1, 1.0), (0, 5, 0.0, 1.0), (3, 5, 0.0, 1.0), (4, 5, 1.0, 0.0), (5, 5, 1.0, 1.0)],
)
def test_what_is_certain_or_impossible_is_exactly_so(failures: int, requests: int, share: float, below: float):
    assert lower_tail(failures, requests, share) == below
    assert upper_tail(failures + 1, requests, share) == 1.0 - below


def test_a_single_probability_that_is_impossible_is_minus_infinity():
    assert (log_probability(1, 5, 0.0), log_probability(4, 5, 1.0)) == (-math.inf, -math.inf)
    assert log_probability(0, 5, 0.0) == 0.0


@given(
    requests=st.integers(1, 10**5), part=st.floats(0, 1, exclude_max=True), alpha=st.sampled_from([0.0005, 0.005, 0.05])
)
def test_the_upper_bound_is_the_quantile_of_scipys_beta(requests: int, part: float, alpha: float):
    from scipy import special

    failures = int(part * requests)
    theirs = float(special.betaincinv(failures + 1, requests - failures, 1 - alpha))
    assert upper_bound(failures, requests, alpha) == pytest.approx(theirs, rel=DIGITS)


def test_the_upper_bound_of_nothing_but_failures_is_one():
    assert upper_bound(3, 3, 0.01) == 1.0


def test_the_divergence_of_twice_five_percent_is_the_designs():
    assert math.log(1 / 0.001) / divergence(0.1, 0.05) == pytest.approx(334, abs=1)


# The confidence sequence


def test_a_confidence_sequence_holds_the_true_share_at_every_poll_at_once():
    """Exactly: the probability to be outside at any of 60 polls, by the distribution of the failures so far."""
    for share, alpha in ((0.05, 0.05), (0.3, 0.2), (0.9, 0.05)):
        inside = {0: 1.0}
        for poll in range(1, 61):
            moved: dict[int, float] = {}
            for failures, weight in inside.items():
                moved[failures] = moved.get(failures, 0.0) + weight * (1 - share)
                moved[failures + 1] = moved.get(failures + 1, 0.0) + weight * share
            bounds = {failures: confidence_sequence(poll, failures, alpha) for failures in moved}
            inside = {k: weight for k, weight in moved.items() if bounds[k][0] <= share <= bounds[k][1]}
        assert 1 - alpha <= sum(inside.values()) < 1.0


@given(requests=st.integers(1, 10**9), part=st.floats(0, 1))
def test_a_confidence_sequence_holds_its_estimate(requests: int, part: float):
    failures = min(requests, round(part * requests))
    low, high = confidence_sequence(requests, failures)
    assert 0.0 <= low <= failures / requests <= high <= 1.0
    assert (low == 0.0) == (failures == 0)
    assert (high == 1.0) == (failures == requests)


def test_its_bounds_are_where_the_likelihood_is_alpha_of_the_mixtures():
    from scipy import special

    low, high = confidence_sequence(1800, 56)
    mixture = special.betaln(56.5, 1744.5) - special.betaln(0.5, 0.5)
    for share in (low, high):
        assert 56 * math.log(share) + 1744 * math.log1p(-share) == pytest.approx(mixture + math.log(0.05), abs=1e-3)


def test_without_a_request_everything_is_possible():
    assert confidence_sequence(0, 0) == (0.0, 1.0)


def test_nothing_heavy_is_imported():
    """The functions are loaded with the triggers: start-up time is part of the product."""
    names = ("binomial", "share_test", "effective_limit", "power", "rise_test")
    modules = ", ".join(f"rollout.monitoring.{name}" for name in names)
    code = f"import sys, {modules}; print([n for n in ('numpy', 'scipy', 'statistics', 'httpx') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
