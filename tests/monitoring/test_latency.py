"""MON-3: histories that breach it, that come close and do not, and that have no data; each source of latencies."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.core.limits import Limits
from rollout.core.scenario import Monitor
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.latency import nearest_rank
from rollout.monitoring.samples import Baseline, Context, Sample, SourceName
from rollout.monitoring.verdict import State, percentile
from tests.support.windows import (
    bucketed,
    context,
    first_breach,
    history,
    metrics,
    own,
    own_failures,
    sample,
    state,
    timed,
    verdict,
)


def limited(p95_ms: float, **monitor: object) -> Context:
    return context(Monitor(limits=Limits(p95_ms=p95_ms), **monitor))  # type: ignore[arg-type]


# Users' requests, from a histogram


def test_users_slower_than_twice_the_baseline_breach_and_the_verdict_names_what_decided() -> None:
    found = first_breach("MON-3", timed((180, 35, 15)))
    assert found is not None
    at_s, breached = found
    assert at_s == 50
    assert (breached.value, breached.limit, breached.samples) == (pytest.approx(350.0), 200.0, 250)
    assert (breached.source, breached.span, breached.effective_limit) == ("users", "the window's 50 s", 200.0)
    assert breached.message == (
        "P95 350 ms over the window's 50 s (interpolated linearly in the histogram's bucket 100-400 ms, as "
        "histogram_quantile does): 20.0 % (12.3-29.6 %) of 250 of users' requests took longer than 200 ms (2 x "
        "baseline 100 ms), which is above 5 %"
    )


def test_a_change_within_the_window_is_named_by_the_stretch_since_it() -> None:
    found = first_breach("MON-3", timed((120, 50, 0), (60, 35, 15)))
    assert found is not None
    at_s, breached = found
    assert at_s <= 1200 + 100
    assert breached.span == "the last 1 min 30 s"
    assert breached.message == (
        "P95 97 ms over the window's 21 min 30 s (interpolated linearly in the histogram's bucket 0-100 ms, as "
        "histogram_quantile does); over the last 1 min 30 s, 20.0 % of 450 of users' requests took longer than 200 ms "
        "(2 x baseline 100 ms), which is above 5 %"
    )


def test_a_million_fast_requests_before_the_window_say_nothing_about_it() -> None:
    before = 10**6
    seen = history(*bucketed(*((10.0 * n, (before, before + 100 * n, before + 100 * n)) for n in range(6))))
    found = verdict("MON-3", seen)
    assert (found.state, found.samples, found.value) == (State.BREACHED, 500, pytest.approx(385.0))


@pytest.mark.parametrize(("limit_ms", "expected"), [(385.0, State.HOLDING), (384.0, State.INCONCLUSIVE)])
def test_an_interpolated_p95_at_the_limit_holds_and_just_above_it_does_not(limit_ms: float, expected: State) -> None:
    found = verdict("MON-3", history(*timed((30, 0, 100))), limited(limit_ms))
    assert (found.state, found.undecided) == (expected, expected is State.INCONCLUSIVE)
    if expected is State.INCONCLUSIVE:
        assert found.message.endswith(
            "5.3 % (3.9-7.0 %) of 3000 of users' requests took longer than 384 ms (absolute), which is above 5 %, and "
            "there is too little evidence for a breach"
        )


def test_one_slow_poll_is_no_breach() -> None:
    burst = timed((30, 50, 0), (1, 0, 50), (60, 50, 0))
    assert first_breach("MON-3", burst) is None
    assert state("MON-3", history(*burst)) is State.HOLDING


def test_a_slow_end_is_not_kept_because_of_the_fast_hour_before_it() -> None:
    found = verdict("MON-3", history(*timed((176, 10, 0), (4, 4, 6))))
    assert (found.state, found.span, found.samples) == (State.INCONCLUSIVE, "the last 5 min", 300)
    assert found.message.endswith(
        "over the last 5 min, 5.3 % of 300 of users' requests took longer than 200 ms (2 x baseline 100 ms), which is "
        "above 5 %, and there is too little evidence for a breach"
    )


def test_a_breach_that_is_held_is_over_once_the_requests_that_follow_are_fast() -> None:
    slow = timed((30, 35, 15))
    assert state("MON-3", history(*slow)) is State.BREACHED
    assert state("MON-3", history(*timed((30, 35, 15), (5, 35, 15)))) is State.BREACHED
    assert state("MON-3", history(*timed((30, 35, 15), (200, 100, 0)))) is State.HOLDING


@pytest.mark.parametrize(("limit_ms", "expected"), [(300.0, State.BREACHED), (500.0, State.INCONCLUSIVE)])
def test_above_the_highest_bound_p95_breaches_what_lies_below_and_never_holds(limit_ms: float, expected: State) -> None:
    beyond = bucketed(*((10.0 * n, (0, 0, 100 * n)) for n in range(8)))
    found = verdict("MON-3", history(*own([100.0] * 30), *beyond), limited(limit_ms))
    assert (found.state, found.source, found.undecided) == (expected, "users", False)
    assert found.message.startswith("P95 more than 400 ms over the window's 1 min 10 s (above the highest bound of")
    if expected is State.INCONCLUSIVE:
        assert found.interval == (0.0, 1.0), "none of them is known to be slower, and all may be"
        assert found.message.endswith(
            "of 700 of users' requests may have taken longer than 500 ms (absolute), which is above 5 %, and the "
            "histogram does not show which of them have; name a limit below its highest bound in monitor.p95, or let "
            "the gateway have a bucket above the limit"
        )


def test_a_last_stretch_that_holds_does_not_hide_a_window_that_is_unknown() -> None:
    seen = bucketed((0, (0, 0, 0)), (10, (0, 0, 100)), (400, (0, 0, 100)), (700, (0, 300, 400)), (1001, (0, 600, 700)))
    assert state("MON-3", history(*seen), limited(500.0)) is State.INCONCLUSIVE


def test_a_histogram_of_too_few_requests_besides_the_suites_own_does_not_decide() -> None:
    few = timed((3, 0, 3))
    found = verdict("MON-3", history(*own([100.0] * 30), *few))
    assert (found.state, found.source) == (State.HOLDING, "synthetic")
    assert found.message.endswith("; these decide, because there is no histogram of enough users' requests")
    alone = verdict("MON-3", history(*few))
    assert (alone.state, alone.undecided) == (State.INCONCLUSIVE, True)
    assert alone.message == "P95 cannot be judged: 9 of users' requests were timed and 29 are needed"


def test_the_suites_own_requests_in_a_histogram_are_not_enough_users() -> None:
    polls = timed((4, 10, 0))
    asked = own([100.0] * 35)
    found = verdict("MON-3", history(*asked, *polls))
    assert (found.state, found.source, found.samples) == (State.HOLDING, "synthetic", 35)
    few = verdict("MON-3", history(*asked[:28], *polls))
    assert few.message == (
        "P95 cannot be judged: 12 of users' requests were timed and 29 are needed; 28 of the suite's own requests "
        "were timed and 29 are needed"
    )


def test_users_decide_where_both_hold() -> None:
    found = verdict("MON-3", history(*own([150.0] * 30), *timed((20, 50, 0))))
    assert (found.state, found.source) == (State.HOLDING, "users")
    assert "these decide" not in found.message


def test_no_request_is_no_data() -> None:
    idle = history(*bucketed(*((10.0 * n, (7, 7, 7)) for n in range(20))))
    found = verdict("MON-3", idle)
    assert (found.state, found.message) == (State.NO_DATA, "no request was seen, so there is no P95")


# The suite's own requests


@pytest.mark.parametrize(
    ("requests", "ms", "expected"),
    [
        (29, 200.0, State.HOLDING),
        (28, 200.0, State.INCONCLUSIVE),
        (6, 200.5, State.BREACHED),
        (5, 200.5, State.INCONCLUSIVE),
    ],
)
def test_own_latencies_decide_without_users(requests: int, ms: float, expected: State) -> None:
    found = verdict("MON-3", history(*own([ms] * requests)))
    assert found.state is expected
    if expected is State.INCONCLUSIVE:
        needed = f"{requests} of the suite's own requests were timed and 29 are needed"
        assert (found.message, found.undecided) == (f"P95 cannot be judged: {needed}", True)
    else:
        assert (found.source, found.samples, found.value) == ("synthetic", requests, ms)


def test_slow_own_requests_breach_although_users_hold() -> None:
    found = verdict("MON-3", history(*own([100.0] * 30 + [900.0] * 9), *timed((30, 50, 0))))
    assert (found.state, found.source) == (State.BREACHED, "synthetic")
    assert found.message == (
        "P95 900 ms over the window's 38 s; over the last 9 s, 100.0 % of 9 of the suite's own requests took longer "
        "than 200 ms (2 x baseline 100 ms), which is above 5 %"
    )


def test_fast_failures_are_no_latencies() -> None:
    assert state("MON-3", history(*own([100.0] * 28), *own_failures(5, 28.0))) is State.INCONCLUSIVE


def test_fast_failures_do_not_lower_the_share_of_slow_requests() -> None:
    seen = history(*own([150.0] * 30 + [900.0] * 12), *own_failures(200, 42.0))
    found = verdict("MON-3", seen)
    assert (found.state, found.samples) == (State.BREACHED, 12)


def test_failures_that_took_long_are_slow_requests() -> None:
    found = verdict("MON-3", history(*own([100.0] * 30), *own_failures(9, 30.0, latency_ms=30_000.0)))
    assert (found.state, found.samples, found.source) == (State.BREACHED, 9, "synthetic")


def test_a_few_slow_answers_are_no_breach_and_no_pass() -> None:
    """Three of thirty are above 5 %; with users, these decide."""
    few = own([150.0] * 27 + [900.0] * 3)
    found = verdict("MON-3", history(*few))
    assert (found.state, found.undecided) == (State.INCONCLUSIVE, True)
    assert found.message == (
        "P95 900 ms over the window's 29 s: 10.0 % (0.8-34.7 %) of 30 of the suite's own requests took longer than 200 "
        "ms (2 x baseline 100 ms), which is above 5 %, and there is too little evidence for a breach; these decide, "
        "because there is no histogram of enough users' requests"
    )
    assert state("MON-3", history(*few, *timed((20, 50, 0)))) is State.HOLDING


# The gateway's own percentiles, where the suite's own requests are switched off

SILENT = Monitor(probes=())
SOURCES = tuple(name for name in SourceName if name != SourceName.SYNTHETIC)


def percentiles(*p95s_ms: float | None, requests: int = 100, samples: int | None = None) -> Aggregates:
    """Return a window whose polls found so many more requests each, and these percentiles of the last `samples`."""
    polls = [sample("metrics", 0, metrics(0, p95_ms=None))]
    for tick, ms in enumerate(p95s_ms, 1):
        total = tick * requests
        polls.append(sample("metrics", 10.0 * tick, metrics(total, p95_ms=ms, samples=samples or requests)))
    return history(*polls, expected=SOURCES)


@pytest.mark.parametrize(("ms", "expected"), [(200.0, State.HOLDING), (200.1, State.INCONCLUSIVE)])
def test_a_gateways_percentile_at_the_limit_holds_and_one_above_it_does_not(ms: float, expected: State) -> None:
    found = verdict("MON-3", percentiles(ms), context(SILENT))
    assert (found.state, found.value, found.limit, found.samples) == (expected, ms, 200.0, 100)
    assert (found.source, found.span, found.undecided) == (
        "users",
        "the gateway's last 100 requests",
        expected is State.INCONCLUSIVE,
    )
    only = "the gateway offers only this percentile, and the scenario switches the suite's own requests off"
    words = {
        State.HOLDING: "P95 200 ms over the gateway's last 100 requests is not above 200 ms (2 x baseline 100 ms); "
        f"{only}",
        State.INCONCLUSIVE: "P95 200.1 ms over the gateway's last 100 requests is above 200 ms (2 x baseline 100 ms); "
        f"{only}; 3 in a row without a request in common are a breach",
    }
    assert found.message == words[expected]


@pytest.mark.parametrize(
    ("p95s_ms", "expected"),
    [
        ((900.0, 900.0), State.INCONCLUSIVE),
        ((900.0, 900.0, 900.0), State.BREACHED),
        ((900.0, 90.0, 900.0, 900.0), State.INCONCLUSIVE),
        ((90.0, 900.0, 900.0, 900.0), State.BREACHED),
    ],
)
def test_three_percentiles_in_a_row_without_a_common_request_breach(
    p95s_ms: tuple[float, ...], expected: State
) -> None:
    found = verdict("MON-3", percentiles(*p95s_ms), context(SILENT))
    assert found.state is expected
    ends = found.message.endswith("; 3 in a row without a request in common are above it")
    assert ends is (expected is State.BREACHED)


def test_percentiles_with_requests_in_common_are_not_three_in_a_row() -> None:
    """Each covers the last 1000 requests, of which a poll brings 100: three in a row take 30 polls."""
    known = context(SILENT)
    assert state("MON-3", percentiles(*[900.0] * 29, samples=1000), known) is State.INCONCLUSIVE
    assert state("MON-3", percentiles(*[900.0] * 30, samples=1000), known) is State.BREACHED


def test_a_breach_states_a_percentile_that_breached_it() -> None:
    """The latest one may have requests in common with them and be below the limit."""
    found = verdict("MON-3", percentiles(*[900.0] * 30, 150.0, samples=1000), context(SILENT))
    assert (found.state, found.value) == (State.BREACHED, 900.0)
    assert "P95 900 ms over the gateway's last 1000 requests is above 200 ms" in found.message


def test_a_percentile_with_old_samples_in_it_does_not_decide() -> None:
    polls = [sample("metrics", 0, metrics(900)), sample("metrics", 60, metrics(1000, p95_ms=9000.0))]
    found = verdict("MON-3", history(*polls, expected=SOURCES), context(SILENT))
    assert (found.state, found.value, found.undecided) == (State.INCONCLUSIVE, None, True)
    assert found.message == (
        "P95 cannot be judged: the gateway's percentile is of its last 1000 requests, and 100 were counted since the "
        "activation; it takes 20, all of them since the activation"
    )


def test_requests_since_the_activation_make_the_percentile_the_windows_own() -> None:
    polls = [sample("metrics", 0, metrics(80)), sample("metrics", 10, metrics(110, p95_ms=90.0))]
    seen = history(*polls, expected=SOURCES)
    assert state("MON-3", seen, context(SILENT)) is State.INCONCLUSIVE
    assert state("MON-3", seen, context(SILENT, counters_before=metrics(0))) is State.HOLDING


def test_a_restart_in_the_window_leaves_only_requests_of_the_window() -> None:
    readings = (metrics(50), metrics(10), metrics(35, p95_ms=90.0, samples=40))
    polls = [sample("metrics", tick * 10, reading) for tick, reading in enumerate(readings)]
    seen = history(*polls, expected=SOURCES)
    assert state("MON-3", seen, context(SILENT, counters_before=metrics(0))) is State.INCONCLUSIVE


@pytest.mark.parametrize(("total", "samples"), [(19, 19), (100, 3)])
def test_a_percentile_of_a_few_requests_does_not_decide(total: int, samples: int) -> None:
    found = verdict("MON-3", percentiles(90.0, requests=total, samples=samples), context(SILENT))
    assert (found.state, found.undecided) == (State.INCONCLUSIVE, True)


def test_the_suites_own_requests_decide_where_a_gateway_offers_percentiles() -> None:
    polls: list[Sample] = [sample("metrics", 0, metrics(0)), sample("metrics", 60, metrics(100, p95_ms=9000.0))]
    assert verdict("MON-3", history(*own([100.0] * 30), *polls)).source == "synthetic"
    waits = verdict("MON-3", history(*polls))
    assert (waits.state, waits.undecided) == (State.INCONCLUSIVE, True)
    assert waits.message == "P95 cannot be judged: no request was timed that a limit applies to"


# The limit


@pytest.mark.parametrize(
    "base",
    [
        None,
        Baseline("ollama"),
        Baseline("ollama", synthetic_p95_ms=100.0, synthetic_samples=19),
        Baseline("ollama", synthetic_p95_ms=0.0, synthetic_samples=20),
        Baseline("ollama", synthetic_p95_ms=math.nan, synthetic_samples=20),
        Baseline("ollama", synthetic_p95_ms=math.inf, synthetic_samples=20),
    ],
)
def test_without_a_usable_baseline_p95_is_inconclusive_for_good(base: Baseline | None) -> None:
    found = verdict("MON-3", history(*own([100.0] * 30)), context(baseline=base))
    assert (found.state, found.undecided) == (State.INCONCLUSIVE, False)
    assert found.message == (
        "P95 cannot be judged: there is no baseline from a request of the previous provider, and no absolute limit "
        "(monitor.p95)"
    )


@pytest.mark.parametrize(("limit", "expected"), [(250.0, State.HOLDING), (249.0, State.BREACHED)])
def test_an_absolute_limit_stands_in_for_a_sick_baseline(limit: float, expected: State) -> None:
    found = verdict("MON-3", history(*own([250.0] * 30)), replace(limited(limit), baseline=None))
    assert (found.state, found.limit, found.effective_limit) == (expected, limit, limit)


def test_a_small_baseline_widens_the_share_that_may_be_slower_and_the_message_says_so() -> None:
    base = Baseline("ollama", synthetic_p95_ms=100.0, synthetic_samples=20, synthetic_latencies_ms=(100.0,) * 20)
    found = verdict("MON-3", history(*own([100.0] * 27 + [900.0] * 3)), context(baseline=base))
    assert found.state is State.HOLDING
    assert found.message.startswith(
        "P95 900 ms over the window's 29 s: 10.0 % (0.8-34.7 %) of 30 of the suite's own requests took longer than 200 "
        "ms (2 x baseline 100 ms), which is not above 34.4 %;"
    )


def test_a_baseline_too_small_to_judge_by_is_said_and_is_not_waited_for() -> None:
    base = Baseline("ollama", synthetic_p95_ms=100.0, synthetic_samples=2, synthetic_latencies_ms=(90.0, 100.0))
    found = verdict("MON-3", history(*own([100.0] * 30)), context(Monitor(min_samples=2), baseline=base))
    assert (found.state, found.undecided) == (State.INCONCLUSIVE, False)
    assert found.message == (
        "P95 cannot be judged: the baseline has 2 requests, so few that 95 % of the requests may be slower than the "
        "limit by chance; raise monitor.baseline_requests"
    )


@pytest.mark.parametrize("limit", [math.nan, math.inf, -1.0, 0.0])
def test_a_limit_that_is_no_limit_never_holds(limit: float) -> None:
    assert state("MON-3", history(*own([100.0] * 30)), limited(limit)) is State.INCONCLUSIVE


# All of them


def test_p95_is_interpolated_linearly() -> None:
    assert percentile([float(n) for n in range(1, 101)]) == pytest.approx(95.05)
    assert percentile([7.0]) == 7.0


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=80), st.floats(0.001, 1e6))
def test_a_p95_is_above_a_limit_exactly_if_more_than_5_percent_are(latencies: list[float], limit: float) -> None:
    slower = sum(ms > limit for ms in latencies)
    assert (nearest_rank(sorted(latencies)) > limit) == (slower / len(latencies) > 0.05)


@settings(max_examples=60)
@given(st.lists(st.sampled_from((50.0, 150.0, 900.0)), min_size=29, max_size=120), st.sampled_from((100.0, 200.0)))
def test_a_window_that_holds_has_a_p95_at_or_below_its_limit(latencies: list[float], limit: float) -> None:
    found = verdict("MON-3", history(*own(latencies)), limited(limit))
    if found.state is State.HOLDING:
        assert isinstance(found.value, float)
        assert found.value <= limit
    assert ("which is not above 5 %" in found.message) or found.state is not State.HOLDING
