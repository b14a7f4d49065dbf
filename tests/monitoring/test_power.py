"""What a window can tell: the approximation against simulations of the rule, and its sentences."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from rollout.monitoring.power import (
    POWER,
    breach_probability,
    delay_bound,
    describe_shown,
    describe_smallest_factor,
    describe_smallest_share,
    describe_unseen,
    needed_a_minute,
    requests_needed,
    smallest_share,
)
from rollout.monitoring.share_test import ShareTest
from tests.monitoring.share_windows import NEVER, evenly, first_breaches, fixed_traffic, random_traffic

POLLS = 180
WINDOWS = 800


def simulated_power(test: ShareTest, share: float, requests: int, polls: int) -> float:
    rng = np.random.default_rng(requests)
    world = fixed_traffic(rng, share, evenly(requests, polls), WINDOWS)
    return float((first_breaches(test, world) != NEVER).mean())


@pytest.mark.parametrize(
    ("limit", "alpha", "requests", "polls"),
    [
        (0.05, 0.01, 10, POLLS),
        (0.05, 0.01, 60, 6),
        (0.05, 0.01, 600, POLLS),
        (0.05, 0.001, 1800, POLLS),
        (0.05, 0.01, 18_000, POLLS),
        (0.05, 0.01, 1_800_000, POLLS),
        (0.01, 0.01, 1800, POLLS),
        (0.2, 0.01, 300, 60),
    ],
)
def test_the_smallest_share_is_that_of_simulated_windows_within_the_error_that_is_stated(limit, alpha, requests, polls):
    """Its excess over the limit is at most 3 % too little and 12 % too much; 0.02 is the simulation's own error."""
    test = ShareTest(limit, alpha, 2 * polls)
    smallest = smallest_share(test, requests, polls)
    assert smallest is not None
    excess = smallest - limit
    assert simulated_power(test, limit + 1.03 * excess, requests, polls) > POWER - 0.02
    assert simulated_power(test, limit + 0.88 * excess, requests, polls) < POWER + 0.02
    assert breach_probability(test, smallest, requests, polls) == pytest.approx(POWER, abs=0.02)


def test_requests_that_arrive_at_random_are_told_as_well():
    test = ShareTest(0.05, 0.01, 2 * POLLS)
    smallest = smallest_share(test, 1800, POLLS)
    assert smallest is not None
    world = random_traffic(np.random.default_rng(0), lambda _poll: smallest, 10.0, POLLS, WINDOWS)
    assert (first_breaches(test, world) != NEVER).mean() == pytest.approx(POWER, abs=0.04)


def test_the_requests_needed_tell_twice_the_limit_and_a_tenth_fewer_do_not():
    test = ShareTest(0.05, 0.01, 2 * POLLS)
    needed = requests_needed(test, 0.1, POLLS)
    assert needed is not None
    assert simulated_power(test, 0.1, needed, POLLS) == pytest.approx(POWER, abs=0.03)
    assert breach_probability(test, 0.1, needed * 9 // 10, POLLS) < POWER
    assert needed_a_minute(test, POLLS, 30.0) == math.ceil(needed / 30)
    assert needed > delay_bound(0.05, 0.1, 0.01), "no rule needs fewer on average"


def test_what_cannot_be_told_is_none():
    assert smallest_share(ShareTest(0.05, 0.01, 360), 3, POLLS) is None
    assert requests_needed(ShareTest(0.05, 0.01, 4), 0.1, 2) is None, "two polls add at most twice the cap"
    assert needed_a_minute(ShareTest(0.05, 0.01, 4), 2, 1.0) is None
    assert smallest_share(ShareTest(0.9, 0.01, 360), 10**6, POLLS) is None
    assert breach_probability(ShareTest(0.05, 0.01, 360), 0.1, 0, POLLS) == 0.0
    assert breach_probability(ShareTest(0.05, 0.01, 360), 1.0, 1000, POLLS) == 1.0


def test_more_requests_tell_no_larger_share():
    test = ShareTest(0.05, 0.01, 2 * POLLS)
    found = [smallest_share(test, requests, POLLS) for requests in (60, 180, 360, 1000, 10_000, 100_000)]
    assert found == sorted(found, reverse=True)


def test_a_plan_is_not_kept_waiting():
    """All that a plan says of one trigger in a day's window of 1,000 requests a second, in processor time."""
    began = time.process_time()
    test = ShareTest(0.05, 0.01, 8640)
    smallest_share(test, 8_640_000, 8640)
    needed_a_minute(test, 8640, 1440.0)
    assert time.process_time() - began < 1.0


def test_the_bound_on_the_delay_is_the_designs():
    assert delay_bound(0.05, 0.1, 0.001) == pytest.approx(334, abs=1)


# Sentences


def test_the_sentence_of_a_share_rounds_it_up():
    assert describe_smallest_share(1800, 0.05, 0.0778) == "1,800 requests: 5 % from 7.8 %"
    assert describe_smallest_share(1800, 0.05, 0.0771) == "1,800 requests: 5 % from 7.8 %"
    assert describe_smallest_share(1800, 0.05, 0.08) == "1,800 requests: 5 % from 8 %"
    assert describe_smallest_share(30, 0.001, 0.371) == "30 requests: 0.1 % from 38 %"


def test_the_sentence_of_a_factor_names_the_effective_one():
    assert describe_smallest_factor(2.0, 2.71, 3.31, 0.05) == (
        "P95 2 x (effective 2.7 x) from 3.4 x, if every request slows down alike"
    )
    assert describe_smallest_factor(1.5, 1.62, 12.0, 0.329) == (
        "P95 1.5 x (effective 1.6 x) from 12 x, if every request slows down alike; 33 % may be slower"
    )


def test_the_sentence_beside_a_verdict_names_what_is_shown_instead_of_twice_the_limit():
    assert describe_shown(599, 0.05, 0.1131, 22) == (
        "599 requests: 5 % from 12 %; 22 synthetic requests a minute would show 10 % in 9 of 10"
    )
    assert describe_shown(599, 0.05, 0.1131, None) == "599 requests: 5 % from 12 %"
    assert describe_shown(3, 0.05, None, None) == "3 requests: too few requests or polls to show any share above 5 %"


def test_the_sentence_of_what_cannot_be_seen_names_what_would_show_it():
    assert describe_unseen(30, 28) == (
        "30 requests: twice the limit cannot be seen; 28 synthetic requests a minute would show it in 9 of 10"
    )
    assert describe_unseen(30, 1234, "0.9 USD").endswith(
        "; 1,234 synthetic requests a minute (0.9 USD) would show it in 9 of 10"
    )
    too_short = "; the window is too short to show it with ten synthetic requests a second"
    assert describe_unseen(9, None).endswith(too_short)
