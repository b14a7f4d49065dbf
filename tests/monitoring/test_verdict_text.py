"""A verdict's numbers in words: value and band, limit and effective limit, and the requests that they are from."""

from __future__ import annotations

from dataclasses import replace

from rollout.monitoring.verdict import State, Verdict
from rollout.monitoring.verdict_text import (
    describe_band,
    describe_basis,
    describe_numbers,
    read_verdict,
    show_effective,
    show_numbers,
)

WINDOW = "the window's 30 min"
ERRORS = Verdict(
    "MON-2", State.HOLDING, 0.031, 0.05, 1800, "users", WINDOW, "", "m", interval=(0.0223, 0.0431), power="5 % from 8 %"
)
LATENCY = Verdict(
    "MON-3",
    State.HOLDING,
    412.4,
    800.0,
    30,
    "synthetic",
    WINDOW,
    "",
    "m",
    interval=(0.0, 0.161),
    effective_limit=1088.0,
)


def test_a_rate_stands_with_its_band_and_its_limit() -> None:
    assert describe_numbers(ERRORS) == "3.1 % (2.2-4.3 %), limit 5 %"
    assert describe_basis(ERRORS) == "from 1,800 requests of users; the window's 30 min"


def test_a_latency_stands_with_the_share_of_slower_requests_and_both_limits() -> None:
    assert describe_numbers(LATENCY) == "412 ms (0.0-16.1 % slower), limit 800 ms (effective 1088 ms)"
    assert describe_basis(LATENCY) == "from 30 of the suite's own requests; the window's 30 min"


def test_the_band_of_the_window_is_named_as_that_beside_the_value_of_a_stretch() -> None:
    """Otherwise a value of 31 % would stand beside a band that ends at 4 %."""
    breached = replace(ERRORS, state=State.BREACHED, value=0.31, span="the last 40 s", samples=26)
    assert describe_numbers(breached) == "31.0 % (2.2-4.3 % over the window), limit 5 %"
    assert describe_basis(breached) == "decided by 26 requests of users in the last 40 s"
    assert describe_band(replace(ERRORS, span="the window")) == "2.2-4.3 %"


def test_a_p95_above_its_limit_that_holds_says_why() -> None:
    """After a small baseline more than 5 % of the requests may be slower than the limit."""
    held = replace(LATENCY, value=1200.0)
    assert describe_numbers(held).endswith(
        "limit 800 ms (effective 1088 ms; small baseline, more than 5 % may be slower)"
    )
    assert "small" not in describe_numbers(replace(held, state=State.BREACHED))
    assert "small" not in describe_numbers(LATENCY)


def test_an_effective_limit_that_reads_like_the_limit_is_not_named_twice() -> None:
    assert show_effective(replace(LATENCY, effective_limit=800.001)) == ""
    assert show_effective(replace(LATENCY, effective_limit=None)) == ""
    assert show_effective(LATENCY) == "1088 ms"


def test_a_share_of_another_clause_is_percent_too_and_a_text_stays_a_text() -> None:
    fallbacks = replace(ERRORS, clause="MON-5", value=0.004, limit=0.01, interval=(0.001, 0.009))
    assert describe_numbers(fallbacks) == "0.4 % (0.1-0.9 %), limit 1 %"
    status = Verdict("MON-1", State.HOLDING, "connected", "connected", 3, "status", "", "", "")
    assert show_numbers(status) == ("connected", "connected")
    assert describe_numbers(replace(ERRORS, value=None)) == ""


def test_a_verdict_is_read_as_it_was_written_and_one_of_an_earlier_version_with_defaults() -> None:
    for verdict in (ERRORS, LATENCY, replace(ERRORS, undecided=True, state=State.INCONCLUSIVE)):
        body = {**verdict.record(), "decided": False, "watched_s": 1.0, "fence": 1}
        assert read_verdict(body) == verdict
        assert read_verdict({**body, "interval": [*(verdict.interval or ())]}) == verdict
    old = {key: ERRORS.record()[key] for key in ("clause", "state", "value", "limit", "samples", "source", "span")}
    assert read_verdict(old) == replace(ERRORS, message="", interval=None, power="")
