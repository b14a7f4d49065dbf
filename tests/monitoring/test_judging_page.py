"""Every number of docs/JUDGING.md is computed again."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from rollout.monitoring.binomial import confidence_sequence
from rollout.monitoring.effective_limit import effective_limit
from rollout.monitoring.power import (
    delay_bound,
    describe_smallest_share,
    needed_a_minute,
    requests_needed,
    smallest_share,
)
from rollout.monitoring.share_test import CAP, ShareTest, excludes_twice_the_limit
from tests.monitoring.share_windows import NEVER, first_breaches, random_traffic
from tests.support.forks import ROOT

PAGE = (ROOT / "docs" / "JUDGING.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())
TEST = ShareTest(0.05, 0.01, 360)
POLLS = 180


def rows(first_cell_of_the_head: str) -> list[list[str]]:
    """Return the cells of the table below that head."""
    _, _, rest = PAGE.partition(f"| {first_cell_of_the_head} |")
    lines = rest.split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def number(text: str) -> float:
    return float(re.sub(r"[^\d.]", "", text))


@pytest.mark.parametrize("row", rows("requests of the window"), ids=lambda row: row[0])
def test_the_smallest_share_of_so_many_requests(row: list[str]):
    requests = int(number(row[0]))
    smallest = smallest_share(TEST, requests, POLLS)
    assert smallest is not None
    assert describe_smallest_share(requests, 0.05, smallest).endswith(f"from {row[1]}")


@pytest.mark.parametrize("row", rows("requests of the baseline"), ids=lambda row: row[0])
def test_the_rank_and_the_share_of_a_baseline(row: list[str]):
    count = int(number(row[0]))
    found = effective_limit([float(rank) for rank in range(1, count + 1)], 1.0, 0.01)
    assert found is not None
    assert (found.limit_ms, f"{found.share * 100:.0f} %") == (number(row[1]), row[2])


@pytest.mark.parametrize("row", rows("requests a second"), ids="-".join)
def test_the_delays(row: list[str]):
    rate, share, median_s, p95_s = (number(cell) for cell in row)
    world = random_traffic(np.random.default_rng(0), lambda _poll: share / 100, 10 * rate, POLLS, 300)
    found = first_breaches(TEST, world)
    delays = np.where(found == NEVER, np.inf, 10.0 * found)
    assert (np.median(delays), np.quantile(delays, 0.95, method="higher")) == (median_s, p95_s)


def test_the_numbers_of_the_text():
    needed, low_high = requests_needed(TEST, 0.1, POLLS), confidence_sequence(1800, 54)
    low, high = (f"{bound * 100:.1f}" for bound in low_high)
    growth = math.exp(0.1 * math.log(2) + 0.9 * math.log(0.9 / 0.95))
    for words in (
        f"0.90 / 0.95 = {0.9 / 0.95:.3f}",
        f"by a factor of {growth:.3f} a request",
        f"e^{CAP} = {math.exp(CAP):.1f}",
        f"that is {delay_bound(0.05, 0.1, 0.01):.0f} requests",
        f"Twice the limit takes {needed} requests, {needed_a_minute(TEST, POLLS, 30.0)} a minute",
        f'54 failures of 1,800 requests read "3.0 % ({low}\N{EN DASH}{high} %)"',
        f"a breach takes 10^{TEST.log10_threshold:.1f}",
        "29 requests without a failure exclude twice the limit, and 28 do not",
    ):
        assert words in TEXT
    assert [excludes_twice_the_limit(requests, 0, 0.05) for requests in (28, 29)] == [False, True]
