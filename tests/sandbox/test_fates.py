"""Shares, batches and latencies follow the seed, and a share is no matter of luck."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from statistics import correlation, mean, median, stdev

import pytest

from rollout.sandbox.fates import PERSISTENCE, STRATUM, Batch, BatchedFates, Drift, Fates, draw_heavy_tail_ms


def drawn(fates: Fates | BatchedFates, calls: int) -> list[bool]:
    return [fates.is_next_failing() for _ in range(calls)]


@pytest.mark.parametrize("share", [0.003, 0.04, 0.15, 0.3, 0.5, 0.98, 1.0])
def test_a_share_is_kept_in_every_twenty_calls_to_a_call(share: float):
    fates = drawn(Fates("7", share), 50 * STRATUM)
    for calls in range(STRATUM, len(fates) + 1, STRATUM):
        assert abs(sum(fates[:calls]) - share * calls) <= 0.5 + 1e-6


def test_fifteen_of_a_hundred_are_three_of_every_twenty():
    fates = drawn(Fates("7", 0.15), 10 * STRATUM)
    assert [sum(fates[at : at + STRATUM]) for at in range(0, len(fates), STRATUM)] == [3] * 10


def test_the_seed_decides_which_calls_fail():
    first, again, other = (drawn(Fates(seed, 0.3), 200) for seed in ("7", "7", "8"))
    assert first == again
    assert first != other
    assert (True, True) in pairwise(first), "they fail in no fixed rhythm"


def test_the_calls_of_a_batch_share_one_fate():
    """Three of ten batches fail, and none in part."""
    fates = drawn(BatchedFates("7", 0.3, Batch(of=20)), 200 * 20)
    failed = [sum(fates[at : at + 20]) for at in range(0, len(fates), 20)]
    assert set(failed) == {0, 20}
    assert failed.count(20) == 60


def test_only_the_stated_share_of_the_batches_is_united_and_the_share_of_failures_stays():
    fates = drawn(BatchedFates("7", 0.3, Batch(of=20, share=0.3)), 200 * 20)
    failed = [sum(fates[at : at + 20]) for at in range(0, len(fates), 20)]
    assert sum(each in {0, 20} for each in failed) == 60
    assert failed.count(20) == 18
    assert sum(fates) == pytest.approx(0.3 * len(fates), abs=1)


def test_a_drift_wanders_from_minute_to_minute_as_stated():
    drift, again = Drift("7", 0.25), Drift("7", 0.25)
    logs = [math.log(drift.factor(60.0 * minute)) for minute in range(20_000)]
    assert again.factor(60.0 * 300 + 59.9) == drift.factor(60.0 * 300)
    assert (mean(logs), stdev(logs)) == (pytest.approx(0, abs=0.02), pytest.approx(0.25, rel=0.1))
    assert correlation(logs[1:], logs[:-1]) == pytest.approx(PERSISTENCE, abs=0.02)


def test_a_heavy_tail_is_the_stated_mixture():
    """A median of 1.36 s, and 9.1 % slower than 10 s."""
    generator = random.Random(7)
    latencies_ms = [draw_heavy_tail_ms(generator) for _ in range(20_000)]
    assert median(latencies_ms) == pytest.approx(1360, rel=0.05)
    assert mean(each > 10_000 for each in latencies_ms) == pytest.approx(0.091, abs=0.008)
