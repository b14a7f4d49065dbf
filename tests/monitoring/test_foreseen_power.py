"""What `rollout plan`, PRE-2.5 and PRE-5.4 say of the windows before they begin."""

from __future__ import annotations

import math

import pytest

from rollout.core.limits import Limits
from rollout.core.policy import Policy
from rollout.core.scenario import Canary, Monitor, ProviderChange, Scenario, Share, SyntheticPower
from rollout.core.signals import PromqlSignal, SignalLimit, Signals, Slices
from rollout.monitoring.foreseen_power import ForeseenPower, UsersTraffic, foresee_power
from rollout.monitoring.samples import Baseline
from rollout.monitoring.signal_samples import SignalBaseline
from rollout.monitoring.verdict import percentile

NEW = ProviderChange("openai", "gpt-4o")
UNKNOWN = UsersTraffic(None, "not known: the polls are 0.2 s apart, at least 1 s are needed")
LATENCIES = tuple(1000.0 * math.exp(rank / 60) for rank in range(150))

ONE_A_SECOND = """\
alpha 0.01: so often one trigger rolls back a change that is within its limit; MON-2, MON-3 and MON-5, judged by \
shares, together 0.03 at most
users: 1.0 requests a second
users, 1,800 requests: 5 % from 7.9 %
the suite's own, one every 1m: 30 requests: twice the limit cannot be seen
baseline, 20 requests of the suite's own: 34 % of requests may be slower than its limit, so that MON-3 sees gross \
slowness only; `baseline_requests: 117` \
makes it 5 %
"""


def users(a_second: float) -> UsersTraffic:
    return UsersTraffic(a_second, f"{a_second:.1f} requests a second")


def foreseen(
    traffic: UsersTraffic,
    *,
    alpha: float = 0.01,
    canary: Canary | None = None,
    baseline: Baseline | None = None,
    usd_per_1k_tokens: float | None = None,
    counts_codes: bool = True,
    **monitor: object,
) -> ForeseenPower:
    planned = Monitor(**monitor)  # type: ignore[arg-type]
    scenario = Scenario("s", "s.yaml", "t", (NEW,), "alice", monitor=planned, canary=canary)
    return foresee_power(
        scenario, Policy("p", alpha=alpha), traffic, baseline, usd_per_1k_tokens, counts_codes=counts_codes
    )


def own_baseline(count: int) -> Baseline:
    latencies = LATENCIES[:count]
    return Baseline(
        "ollama", synthetic_latencies_ms=latencies, synthetic_samples=count, synthetic_p95_ms=percentile(latencies)
    )


def test_users_requests_are_enough() -> None:
    """One request a second: nothing more is asked for, and nothing is missing."""
    assert foreseen(users(1.0)) == ForeseenPower(tuple(ONE_A_SECOND.splitlines()), unseen=())


def test_one_request_a_minute_cannot_show_twice_the_limit() -> None:
    """The plan says so, with the price of more, and what stays unseen near the window's end."""
    found = foreseen(users(1 / 60), usd_per_1k_tokens=0.07)
    more = "22 synthetic requests a minute (0.91 USD) would show it in 9 of 10"
    own = f"30 requests: twice the limit cannot be seen; {more}"
    assert "users, 30 requests: twice the limit cannot be seen" in found.lines
    assert f"the suite's own, one every 1m (at most 0.042 USD, 0.084 USD with extensions): {own}" in found.lines
    assert "below 6 requests a minute a change in the last third may stay unseen" in found.lines
    assert found.unseen == (f"users: 30 requests; the suite's own, {own}",)


def test_unknown_traffic_is_said_with_what_it_would_have_to_be() -> None:
    found = foreseen(UNKNOWN)
    assert f"users: {UNKNOWN.words}" in found.lines
    assert "users: 689 requests, 23 a minute, would show twice the limit in 9 of 10" in found.lines
    assert "below 6 requests a minute a change in the last third may stay unseen, unless users send more" in found.lines
    assert found.unseen[0].startswith(f"users: {UNKNOWN.words}; the suite's own, 30 requests: twice the limit cannot")


def test_the_suites_own_requests_of_a_power_are_enough() -> None:
    """The pace that follows is stated, and what it costs."""
    found = foreseen(UNKNOWN, synthetic=SyntheticPower(0.9), usd_per_1k_tokens=0.01)
    assert found.unseen == ()
    assert (
        "the suite's own, one every 2s799ms, for a power of 0.9 (at most 0.13 USD, 0.26 USD with extensions): "
        "643 requests: 5 % from 10 %"
    ) in found.lines


def test_requests_that_are_switched_off_are_no_help() -> None:
    found = foreseen(users(0.1), probes=())
    assert "the suite's own: off" in found.lines
    (unseen,) = found.unseen
    assert unseen == (
        "users: 180 requests; the suite's own (off), 0 requests: twice the limit cannot be seen; "
        "20 synthetic requests a minute would show it in 9 of 10"
    )


def test_a_window_too_short_for_any_traffic_says_so() -> None:
    found = foreseen(UNKNOWN, window_s=3.0, metrics_every_s=1.0)
    assert "users: no number of requests shows twice the limit in 3 polls" in found.lines
    assert "; the window is too short to show it with ten synthetic requests a second" in found.unseen[0]


def test_each_stage_of_a_canary_is_a_window_with_its_part_of_traffic_and_alpha() -> None:
    canary = Canary((Share(0.1, 3600.0), Share(1.0, 3600.0)), 3600.0)
    found = foreseen(users(1.0), canary=canary)
    assert "that is within its limit, all stages of the canary together; MON-2," in found.lines[0]
    assert "10% of the traffic for 1h: users, 360 requests: twice the limit cannot be seen" in found.lines
    assert "100% of the traffic for 1h: users, 3,600 requests: 5 % from 7.3 %" in found.lines
    (unseen,) = found.unseen
    assert unseen.startswith("10% of the traffic for 1h: users: 360 requests; the suite's own, 6 requests: twice")


def test_a_relative_limit_has_an_alpha_of_its_own() -> None:
    first = foreseen(users(1.0), limits=Limits(error_rate_rise=3.0)).lines[0]
    assert first.endswith("; error_rate_rise, MON-2, MON-3 and MON-5, judged by shares, together 0.04 at most")


def test_a_larger_alpha_sees_more() -> None:
    assert "users, 1,800 requests: 5 % from 7.5 %" in foreseen(users(1.0), alpha=0.1).lines


def test_the_measured_baseline_gives_the_effective_limit() -> None:
    found = foreseen(users(1.0), baseline=own_baseline(150), synthetic=SyntheticPower(0.9))
    slower = "P95 2 x (effective 2.3 x) from 2.6 x, if every request slows down alike"
    assert f"the suite's own, 643 requests: {slower}" in found.lines
    assert found.lines[-1].startswith("baseline, 150 requests of the suite's own: 5 % of requests may be slower than ")
    assert found.lines[-1].endswith(", effective 2.26 x with the uncertainty of its 150 requests)")


def test_a_small_baseline_says_how_many_requests_it_would_take() -> None:
    last = foreseen(users(1.0), baseline=own_baseline(20)).lines[-1]
    assert last.startswith("baseline, 20 requests of the suite's own: 34 % of requests may be slower than 2")
    assert last.endswith(", so that MON-3 sees gross slowness only; `baseline_requests: 117` makes it 5 %")


@pytest.mark.parametrize("requests", [117, 149])
def test_the_baseline_that_is_asked_for_is_no_guess(requests: int) -> None:
    last = foreseen(users(1.0), baseline_requests=requests).lines[-1]
    assert last == f"baseline, {requests} requests of the suite's own: 5 % of requests may be slower than its limit"


def test_an_absolute_limit_needs_no_baseline() -> None:
    found = foreseen(users(1.0), baseline=own_baseline(20), limits=Limits(p95_ms=2000.0))
    assert not any("baseline_requests" in line for line in found.lines)
    assert any(line.startswith("the suite's own, 30 requests: P95 2000 ms from ") for line in found.lines)


ABSOLUTE = Signals(
    first_token=SignalLimit(800.0),
    rate_limited_share=SignalLimit(0.02),
    cost_per_1k=SignalLimit(12.5),
    promql=(PromqlSignal("sum(q)", "queue", limit=20.0), PromqlSignal("sum(r)", factor=2.0)),
)
SIGNALS_OF_A_SECOND = """\
unexpected_share (MON-5): at most 10 % of the suite's own answers; the suite's own, 1,800 requests: 10 % from 15 %
signal first_token (MON-5): P95 at most 800 ms; later answers of the suite's own, 1,800 requests: 5 % from 8.1 %
signal rate_limited_share (MON-5): at most 2 % of the requests; users, 1,800 requests: twice 2 % cannot be seen; \
the suite's own, 1,800 requests: 2 % from 4 %
signal cost_per_1k (MON-5): at most 12.5 US dollars for 1,000 requests; 3 numbers in a row above it breach
signal queue (MON-5): at most 20; 3 numbers in a row above it breach
signal sum(r) (MON-5): at most 2 x that of the baseline; 3 numbers in a row above it breach
error_rate_rise (MON-2): at most 3 x the share before the change
slices by model (MON-2): at most 5 % each of small, large, with an alpha of its own each
"""


def test_signals_and_slices_are_named_with_their_units_and_what_their_requests_show() -> None:
    found = foreseen(
        users(1.0),
        signals=ABSOLUTE,
        slices=Slices("model", ("small", "large")),
        limits=Limits(unexpected_share=0.1, error_rate_rise=3.0),
        synthetic_every_s=1.0,
    )
    assert [line for line in found.lines if "(MON-" in line] == SIGNALS_OF_A_SECOND.splitlines()


def test_a_factor_is_told_by_the_baseline() -> None:
    signals = Signals(first_token=SignalLimit(factor=2.0), timeout_share=SignalLimit(factor=3.0))
    before = [line for line in foreseen(users(1.0), signals=signals).lines if line.startswith("signal")]
    waits = "the baseline tells what its requests can show (PRE-5.4)"
    assert before == [
        f"signal first_token (MON-5): P95 at most 2 x that of the baseline; {waits}",
        f"signal timeout_share (MON-5): at most 3 x that of the baseline of the requests; {waits}",
    ]
    measured = SignalBaseline(requests=200, first_token_ms=LATENCIES, users_requests=1000, users_timed_out=10)
    known = Baseline("ollama", signals=measured)
    after = [line for line in foreseen(users(10.0), signals=signals, baseline=known).lines if line.startswith("signal")]
    assert " ms with its uncertainty; later answers of the suite's own, 30 requests: " in after[0]
    assert "; users, 18,000 requests: " in after[1]
    only_own = foreseen(users(10.0), signals=signals, baseline=known, counts_codes=False).lines
    assert not any("timeout_share" in line and "users" in line for line in only_own)


def test_slices_that_none_is_judged_of_are_shown() -> None:
    assert "slices by model (MON-2): shown, and none is judged" in foreseen(users(1.0), slices=Slices("model")).lines
