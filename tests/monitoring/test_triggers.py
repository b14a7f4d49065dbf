"""Each trigger: a history that breaches it, one that comes close and does not, one with no data."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.histogram import Histogram
from rollout.core.limits import Limits
from rollout.core.scenario import Monitor
from rollout.gateway.responses import Connection
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.counters import Counters
from rollout.monitoring.data_quality import extended
from rollout.monitoring.samples import Baseline, Context, Sample, SourceName, SyntheticReading
from rollout.monitoring.triggers import judge, judge_again
from rollout.monitoring.verdict import State, Verdict, percentile
from tests.support.windows import FakeGateway, alert, answered, context, failed, history, metrics, sample

CLAUSES = ("MON-1", "MON-2", "MON-3", "MON-4", "MON-5", "MON-6")


def verdict(clause: str, seen: Aggregates, known: Context | None = None, now_s: float = 1800.0) -> Verdict:
    return {v.clause: v for v in judge(seen, known or context(), now_s)}[clause]


def state(clause: str, seen: Aggregates, known: Context | None = None) -> State:
    return verdict(clause, seen, known).state


def healthy(until_s: float = 300.0) -> list[Sample]:
    """Return the samples of a healthy window in which every source was polled."""
    samples = [sample("operator", 0), sample("log", 0, ()), sample("alerts", 0, ()), sample("fallbacks", 0, 0)]
    samples += [sample("way_back", 0, FakeGateway().test)]
    for tick in range(int(until_s // 10) + 1):
        samples += [sample("status", tick * 10, Connection("connected")), sample("metrics", tick * 10, metrics(tick))]
        samples += [sample("synthetic", tick * 10, answered())]
    return samples


def statuses(*seen: tuple[float, str]) -> list[Sample]:
    return [sample("status", at_s, Connection(word)) for at_s, word in seen]


def counters(*seen: tuple[float, int, int]) -> list[Sample]:
    """Metrics without a usable percentile: (at, total, failed)."""
    return [sample("metrics", at_s, metrics(total, bad, p95_ms=None)) for at_s, total, bad in seen]


def own(latencies: list[float], every_s: float = 1.0) -> list[Sample]:
    return [sample("synthetic", tick * every_s, answered(ms)) for tick, ms in enumerate(latencies)]


def test_a_healthy_window_holds_in_every_clause() -> None:
    verdicts = judge(history(*healthy()), context(), 300.0)
    assert [(v.clause, v.state) for v in verdicts] == [(clause, State.HOLDING) for clause in CLAUSES]


def test_a_window_without_a_sample_is_no_data_in_every_clause() -> None:
    verdicts = judge(history(), context(), 1800.0)
    assert [(v.clause, v.state, v.value) for v in verdicts] == [(clause, State.NO_DATA, None) for clause in CLAUSES]


# MON-1


@pytest.mark.parametrize("word", ["offline", "degraded", "OFFLINE"])
def test_a_bad_status_that_is_read_again_breaches(word: str) -> None:
    found = verdict("MON-1", history(*statuses((0, "connected"), (10, word), (11, word))))
    assert (found.state, found.value, found.limit) == (State.BREACHED, word.lower(), "connected")
    assert found.message == f"openai is {word.lower()}, read 2 times in a row over 1.0 s"


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([(0, "connected"), (10, "offline")], State.INCONCLUSIVE),
        ([(10, "offline"), (10.2, "offline")], State.INCONCLUSIVE),
        ([(10, "offline"), (11, "connected")], State.HOLDING),
        ([(10, "offline"), (11, "connected"), (20, "offline")], State.INCONCLUSIVE),
        ([(0, "unknown"), (10, "unknown")], State.INCONCLUSIVE),
        ([(0, "fine")], State.INCONCLUSIVE),
        ([(10, "offline"), (10.95, "degraded")], State.BREACHED),
    ],
)
def test_a_flapping_or_unknown_status_does_not_count(seen: list[tuple[float, str]], expected: State) -> None:
    assert state("MON-1", history(*statuses(*seen))) is expected


def test_one_poll_is_never_enough_even_if_nothing_is_to_pass_before_the_second() -> None:
    known = context(Monitor(confirm_after_s=0.0))
    assert state("MON-1", history(*statuses((0, "offline"))), known) is State.INCONCLUSIVE
    assert state("MON-1", history(*statuses((0, "offline"), (0, "offline"))), known) is State.BREACHED


def test_polls_that_all_failed_are_no_status() -> None:
    assert state("MON-1", history(sample("status", 0, error="refused"))) is State.NO_DATA


# MON-2


def test_an_error_rate_above_the_limit_breaches_and_reads_like_a_sentence() -> None:
    found = verdict("MON-2", history(*counters((0, 1000, 0), (600, 2000, 0), (900, 2150, 18))))
    assert found.state is State.BREACHED
    assert (found.value, found.limit, found.samples, found.source) == (0.12, 0.05, 150, "users")
    assert found.message == "error rate 12.0 % over the last 5 min (18 of 150 requests) is above 5 %"


@pytest.mark.parametrize(("bad", "expected"), [(50, State.HOLDING), (51, State.BREACHED)])
def test_an_error_rate_exactly_at_the_limit_holds(bad: int, expected: State) -> None:
    assert state("MON-2", history(*counters((0, 900, 90), (100, 1900, 90 + bad)))) is expected


@pytest.mark.parametrize(("bad", "expected"), [(9, State.INCONCLUSIVE), (10, State.BREACHED)])
def test_a_breach_takes_more_failures_than_chance_brings(bad: int, expected: State) -> None:
    """Nine of sixty is above 5 %; it does not fire yet, and it is no pass either."""
    found = verdict("MON-2", history(*counters((0, 0, 0), (60, 60, bad))))
    assert found.state is expected
    chance = "by fewer failures than the 10 that it takes to tell it from chance"
    assert (chance in found.message) == (expected is State.INCONCLUSIVE)


def test_a_short_spans_few_failures_do_not_spoil_a_window_that_holds() -> None:
    seen = history(*counters((0, 0, 0), (1000, 1000, 5), (1300, 1030, 7)))
    assert state("MON-2", seen) is State.HOLDING


def test_users_who_have_gone_do_not_hide_that_every_request_fails() -> None:
    """After 23 healthy hours the users' rate is no evidence any more; the synthetic requests are, in four minutes."""
    day = 23 * 3600
    gone = counters((0, 0, 0), (day, 1_000_000, 100), (day + 60, 1_000_000, 100), (day + 400, 1_000_000, 100))
    asked = [sample("synthetic", 60 * n, answered()) for n in range(day // 60)]
    failing = [sample("synthetic", day + 60 * n, failed()) for n in range(1, 5)]
    assert state("MON-2", history(*asked, *gone, *failing[:3])) is State.HOLDING
    found = verdict("MON-2", history(*asked, *gone, *failing))
    assert (found.state, found.source) == (State.BREACHED, "synthetic")


def test_a_rate_just_above_the_limit_never_reads_like_the_limit() -> None:
    found = verdict("MON-2", history(*counters((0, 0, 0), (100, 19_999, 1000))))
    assert found.state is State.BREACHED
    assert "5.00025 %" in found.message


def test_a_lifetime_of_success_does_not_hide_a_failing_window() -> None:
    assert state("MON-2", history(*counters((0, 1_000_000, 0), (60, 1_000_050, 50)))) is State.BREACHED


def test_a_lifetime_of_failures_does_not_condemn_a_good_window() -> None:
    assert state("MON-2", history(*counters((0, 1000, 900), (60, 1100, 900)))) is State.HOLDING


def test_an_outage_after_23_healthy_hours_breaches_within_half_a_minute() -> None:
    seen, day = history(), 23 * 3600
    for at_s in range(0, day + 1, 10):
        seen.add(counters((at_s, at_s, 0))[0])
    assert state("MON-2", seen) is State.HOLDING
    for late_s in (10, 20, 30):
        seen.add(counters((day + late_s, day + late_s, late_s))[0])
    found = verdict("MON-2", seen)
    assert (found.state, found.value, found.span) == (State.BREACHED, 0.1, "the last 5 min")


def test_a_failure_that_shows_before_its_request_is_counted_as_one() -> None:
    assert state("MON-2", history(*counters((0, 100, 0), (10, 120, 0), (20, 120, 20)))) is State.BREACHED


def test_a_young_window_is_not_called_the_last_five_minutes() -> None:
    found = verdict("MON-2", history(*counters((0.001, 0, 0), (60.001, 100, 0))))
    assert found.message == "error rate 0.0 % over the window's 1 min (0 of 100 requests) is not above 5 %"


def test_a_short_span_with_few_requests_does_not_judge_by_itself() -> None:
    seen = history(*counters((0, 0, 0), (1000, 1000, 0), (1300, 1000, 0), (1310, 1009, 9)))
    assert state("MON-2", seen) is State.HOLDING


@pytest.mark.parametrize(("last", "expected"), [(0, State.NO_DATA), (19, State.INCONCLUSIVE), (20, State.HOLDING)])
def test_too_few_requests_are_inconclusive_and_none_is_no_data(last: int, expected: State) -> None:
    assert state("MON-2", history(*counters((0, 0, 0), (60, last, 0)))) is expected


def test_too_few_requests_are_inconclusive_even_if_all_of_them_failed() -> None:
    assert state("MON-2", history(*counters((0, 0, 0), (60, 9, 9)))) is State.INCONCLUSIVE


def test_an_outage_is_not_waited_out_until_there_are_enough_requests() -> None:
    assert state("MON-2", history(*counters((0, 0, 0), (60, 10, 10)))) is State.BREACHED


def test_a_reset_counts_anew_and_keeps_what_was_counted_before() -> None:
    seen = history(*counters((0, 500, 5), (10, 540, 5), (20, 3, 0), (30, 63, 10)))
    found = verdict("MON-2", seen)
    assert (found.state, found.samples) == (State.BREACHED, 100)
    assert found.value == pytest.approx(0.10)


def test_a_reset_shows_in_either_counter() -> None:
    for first in ((0, 500, 0), (0, 3, 2)):
        found = verdict("MON-2", history(*counters(first, (10, 3, 0), (20, 53, 0))))
        assert (found.state, found.samples) == (State.HOLDING, 50)


def test_a_rate_that_cannot_be_compared_does_not_hold() -> None:
    known = context(Monitor(limits=Limits(error_rate=math.nan)))
    assert state("MON-2", history(*counters((0, 0, 0), (60, 100, 0))), known) is State.INCONCLUSIVE


def test_without_users_the_suites_own_requests_decide_and_the_verdict_says_so() -> None:
    seen = [*own([100.0] * 16), *(sample("synthetic", 16 + n, failed()) for n in range(4))]
    found = verdict("MON-2", history(*seen))
    assert (found.state, found.value, found.samples, found.source) == (State.BREACHED, 0.2, 20, "synthetic")
    assert "4 of 20 of the suite's own requests" in found.message
    assert state("MON-2", history(*seen[:-1])) is State.INCONCLUSIVE


@pytest.mark.parametrize(("good", "expected"), [(19, State.HOLDING), (18, State.INCONCLUSIVE)])
def test_own_requests_need_their_least_number_too(good: int, expected: State) -> None:
    assert state("MON-2", history(*own([100.0] * good), sample("synthetic", 19, failed()))) is expected


def test_the_suites_own_requests_are_no_user_traffic() -> None:
    requests = [sample("synthetic", tick * 10, answered()) for tick in range(31)]
    found = verdict("MON-2", history(*requests, *counters((0, 0, 0), (300, 31, 0))))
    assert (found.state, found.source) == (State.HOLDING, "synthetic")


# MON-3


@pytest.mark.parametrize(
    ("p95_ms", "expected"), [(200.0, State.HOLDING), (200.1, State.BREACHED), (None, State.INCONCLUSIVE)]
)
def test_users_p95_above_twice_the_baseline_breaches(p95_ms: float | None, expected: State) -> None:
    seen = history(sample("metrics", 0, metrics(0, p95_ms=None)), sample("metrics", 60, metrics(100, p95_ms=p95_ms)))
    assert state("MON-3", seen) is expected


def test_a_p95_verdict_names_the_number_that_decided() -> None:
    seen = history(sample("metrics", 0, metrics(0, p95_ms=None)), sample("metrics", 60, metrics(100, p95_ms=450.0)))
    found = verdict("MON-3", seen)
    assert (found.value, found.limit, found.samples, found.source) == (450.0, 200.0, 100, "users")
    text = "P95 450 ms over the window's 1 min (100 of users' requests) is above 200 ms (2 x baseline 100 ms)"
    assert found.message == text


def test_a_percentile_with_old_samples_in_it_does_not_decide() -> None:
    seen = history(sample("metrics", 0, metrics(900)), sample("metrics", 60, metrics(1000, p95_ms=9000.0)))
    assert state("MON-3", seen) is State.INCONCLUSIVE


def test_requests_since_the_activation_make_the_percentile_the_windows_own() -> None:
    seen = history(sample("metrics", 0, metrics(80)), sample("metrics", 10, metrics(110, p95_ms=900.0)))
    assert state("MON-3", seen) is State.INCONCLUSIVE
    found = verdict("MON-3", seen, context(counters_before=metrics(0)))
    assert (found.state, found.span) == (State.BREACHED, "the time since the activation")


def test_users_of_whom_there_are_too_few_do_not_decide() -> None:
    seen = history(sample("metrics", 0, metrics(0, p95_ms=None)), sample("metrics", 60, metrics(19, p95_ms=9000.0)))
    assert state("MON-3", seen) is State.INCONCLUSIVE


def test_a_percentile_from_a_few_samples_does_not_decide() -> None:
    few = metrics(100, p95_ms=9000.0, samples=3)
    assert state("MON-3", history(sample("metrics", 0, metrics(0)), sample("metrics", 60, few))) is State.INCONCLUSIVE


def test_a_percentile_of_the_suites_own_requests_is_not_the_users() -> None:
    requests = [sample("synthetic", tick * 5, failed(1.0)) for tick in range(13)]
    users = [sample("metrics", 0, metrics(0, p95_ms=None)), sample("metrics", 60, metrics(30, p95_ms=9000.0))]
    assert state("MON-3", history(*requests, *users)) is State.INCONCLUSIVE
    assert state("MON-3", history(*users)) is State.BREACHED


def test_a_percentile_of_the_last_minutes_is_named_so() -> None:
    seen = (sample("metrics", at_s, metrics(at_s * 10, p95_ms=90.0)) for at_s in range(0, 1000, 10))
    assert verdict("MON-3", history(*seen)).span == "the last 5 min"


def test_a_restart_in_the_window_leaves_only_requests_of_the_window() -> None:
    readings = (metrics(50), metrics(10), metrics(35, p95_ms=9000.0))
    seen = history(*(sample("metrics", tick * 10, reading) for tick, reading in enumerate(readings)))
    assert state("MON-3", seen, context(counters_before=metrics(0))) is State.INCONCLUSIVE


@pytest.mark.parametrize(("ms", "expected"), [(200.0, State.HOLDING), (200.5, State.BREACHED)])
def test_own_latencies_decide_without_users(ms: float, expected: State) -> None:
    found = verdict("MON-3", history(*own([ms] * 20)))
    assert (found.state, found.source, found.samples) == (expected, "synthetic", 20)


def test_fewer_own_latencies_than_the_least_number_are_inconclusive() -> None:
    assert state("MON-3", history(*own([9000.0] * 19))) is State.INCONCLUSIVE


def test_slow_own_requests_breach_although_users_hold() -> None:
    users = [sample("metrics", 0, metrics(0, p95_ms=None)), sample("metrics", 60, metrics(100, p95_ms=90.0))]
    found = verdict("MON-3", history(*users, *own([900.0] * 20)))
    assert (found.state, found.source) == (State.BREACHED, "synthetic")


def test_users_decide_where_both_hold() -> None:
    users = [sample("metrics", 0, metrics(0, p95_ms=None)), sample("metrics", 60, metrics(100, p95_ms=90.0))]
    found = verdict("MON-3", history(*users, *own([150.0] * 20)))
    assert (found.state, found.source, found.value) == (State.HOLDING, "users", 90.0)


def test_fast_failures_do_not_lower_the_percentile() -> None:
    slow = own([150.0] * 16 + [900.0] * 4)
    fast = [sample("synthetic", 20 + tick, failed(1.0)) for tick in range(200)]
    assert state("MON-3", history(*slow, *fast)) is State.BREACHED


def test_a_few_slow_answers_are_chance_and_no_pass() -> None:
    """Two of twenty raise the P95 above its limit; without users that is inconclusive, with them they decide."""
    few = own([150.0] * 17 + [900.0] * 3)
    found = verdict("MON-3", history(*few))
    assert found.state is State.INCONCLUSIVE
    assert "by fewer answers than the 4 that it takes to tell it from chance" in found.message
    users = [sample("metrics", 0, metrics(0, samples=0)), sample("metrics", 60, metrics(100, p95_ms=90.0))]
    assert verdict("MON-3", history(*few, *users)).state is State.HOLDING
    assert state("MON-3", history(*own([150.0] * 16 + [900.0] * 4), *users)) is State.BREACHED


def test_fast_failures_are_no_latencies() -> None:
    fast = [sample("synthetic", 20 + tick, failed(1.0)) for tick in range(5)]
    assert state("MON-3", history(*own([100.0] * 19), *fast)) is State.INCONCLUSIVE


def test_fast_failures_do_not_lower_the_percentile_of_the_short_span() -> None:
    calm = own([100.0] * 1000)
    late = [sample("synthetic", 1300 + tick, answered(100.0 if tick < 20 else 900.0)) for tick in range(24)]
    fast = [sample("synthetic", 1324 + tick, failed(1.0)) for tick in range(200)]
    found = verdict("MON-3", history(*calm, *late, *fast))
    assert (found.state, found.samples) == (State.BREACHED, 24)


def test_failures_that_took_long_raise_the_percentile() -> None:
    slow = [sample("synthetic", 20 + tick, failed(30_000.0)) for tick in range(4)]
    assert state("MON-3", history(*own([100.0] * 20), *slow)) is State.BREACHED


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
def test_without_a_usable_baseline_p95_is_inconclusive(base: Baseline | None) -> None:
    assert state("MON-3", history(*own([100.0] * 20)), context(baseline=base)) is State.INCONCLUSIVE


@pytest.mark.parametrize(("limit", "expected"), [(250.0, State.HOLDING), (249.0, State.BREACHED)])
def test_an_absolute_limit_stands_in_for_a_sick_baseline(limit: float, expected: State) -> None:
    known = context(Monitor(limits=Limits(p95_ms=limit)), baseline=None)
    found = verdict("MON-3", history(*own([250.0] * 20)), known)
    assert (found.state, found.limit) == (expected, limit)


def test_p95_is_interpolated_linearly() -> None:
    assert percentile([float(n) for n in range(1, 101)]) == pytest.approx(95.05)
    assert percentile([7.0]) == 7.0


# MON-4


def test_a_new_critical_alert_breaches_even_after_it_cleared() -> None:
    seen = history(sample("alerts", 0, ()), sample("alerts", 30, (alert(),)), sample("alerts", 60, ()))
    found = verdict("MON-4", seen)
    assert (found.state, found.value, found.at[-7:]) == (State.BREACHED, "ERROR_SPIKE/openai", "30.000Z")


@pytest.mark.parametrize(
    "known",
    [
        context(alerts_before=frozenset({"ERROR_SPIKE/ollama"})),
        context(alerts_before=frozenset({"error_spike/OLLAMA"})),
        context(fixes=frozenset({"ERROR_SPIKE/ollama"})),
        context(fixes=frozenset({"ollama"})),
    ],
)
def test_an_alert_that_was_firing_or_is_to_be_cured_does_not_count(known: Context) -> None:
    assert state("MON-4", history(sample("alerts", 0, (alert(provider="ollama"),))), known) is State.HOLDING


def test_a_new_provider_that_is_to_be_cured_still_trips() -> None:
    known = context(fixes=frozenset({"openai"}))
    assert state("MON-4", history(sample("alerts", 0, (alert(),))), known) is State.BREACHED


@pytest.mark.parametrize(
    ("provider", "expected"),
    [("openai", State.BREACHED), ("ollama", State.BREACHED), (None, State.BREACHED), ("vllm", State.HOLDING)],
)
def test_related_leaves_other_providers_alone(provider: str | None, expected: State) -> None:
    seen = history(sample("alerts", 0, (alert(provider=provider),)))
    assert state("MON-4", seen, context(Monitor(alerts="related"))) is expected
    assert state("MON-4", seen) is State.BREACHED


# MON-6


ROLL_BACK = Monitor(on_no_data={"metrics": "roll_back"})


def failed_polls(polls: int, at_s: float = 400) -> list[Sample]:
    return [sample("metrics", at_s + tick, error="GET /metrics: no answer") for tick in range(polls)]


def test_three_failed_polls_in_a_row_are_no_data_and_two_are_not() -> None:
    assert state("MON-6", history(*healthy(), *failed_polls(2)), context(ROLL_BACK)) is State.HOLDING
    found = verdict("MON-6", history(*healthy(), *failed_polls(3)), context(ROLL_BACK))
    assert (found.state, found.source) == (State.BREACHED, "metrics")
    assert "3 looks in a row failed" in found.message
    assert "no answer" in found.message


def test_a_source_that_is_unavailable_for_the_first_time_has_as_long_again() -> None:
    """Paged and extended once by default, then rolled back; meanwhile it is not a pass."""
    found = verdict("MON-6", history(*healthy(), *failed_polls(3)))
    assert (found.state, found.source) == (State.INCONCLUSIVE, "metrics")
    assert "3 looks in a row failed" in found.message
    assert "people are told, and it has 3 more looks to come back" in found.message
    assert state("MON-6", history(*healthy(), *failed_polls(5))) is State.INCONCLUSIVE
    assert state("MON-6", history(*healthy(), *failed_polls(6))) is State.BREACHED
    assert extended(history(*healthy(), *failed_polls(2)), context()) == ()
    assert extended(history(*healthy(), *failed_polls(3)), context()) == ("metrics",)
    assert extended(history(*healthy(), *failed_polls(3)), context(ROLL_BACK)) == ()


def test_a_source_that_recovered_in_time_is_forgiven_once() -> None:
    back = [sample("metrics", 410 + n, metrics(200 + n)) for n in range(30)]
    found = verdict("MON-6", history(*healthy(), *failed_polls(5), *back))
    assert found.state is State.HOLDING
    assert "dark once, paged, and the window extended for it: metrics" in found.message
    again = history(*healthy(), *failed_polls(3), *back)
    for tick in range(3):
        assert state("MON-6", again) is State.HOLDING
        again.add(sample("metrics", 500 + tick, error="no answer"))
    assert state("MON-6", again) is State.BREACHED


def still(own: int, totals: tuple[int, ...] = (100, 110, 120)) -> Aggregates:
    """Return a window whose counters stand still from 20 s on, while so many of our own requests succeed."""
    others = [one for one in healthy() if one.source not in ("metrics", "synthetic")]
    counted = [sample("metrics", 10 * n, metrics(totals[min(n, len(totals) - 1)])) for n in range(40)]
    asked = [sample("synthetic", 5, answered()), *(sample("synthetic", 30 + 10 * n, answered()) for n in range(own))]
    return history(*others, *counted, *asked)


def test_counters_that_do_not_count_our_own_requests_are_stale() -> None:
    """A number that does not change is not current: first it is inconclusive, then MON-6 is breached."""
    assert state("MON-6", still(2)) is State.HOLDING
    found = verdict("MON-6", still(3))
    assert (found.state, found.source) == (State.INCONCLUSIVE, "metrics")
    assert "its counters stand still since 20 s into the window, and 3 requests of the suite's own" in found.message
    assert state("MON-6", still(3), context(ROLL_BACK)) is State.BREACHED
    assert state("MON-6", still(5)) is State.INCONCLUSIVE
    assert state("MON-6", still(6)) is State.BREACHED


def refused_at_first(source: str, at_s: float, took_s: float, reading: Any) -> Sample:
    """Return a poll that a rate limit delayed, and that was answered at its end."""
    return replace(sample(source, at_s, reading), took_s=took_s)


def test_counters_are_as_young_as_the_end_of_a_poll_that_had_to_wait() -> None:
    """A refused poll is repeated; its reading includes the requests that were answered meanwhile."""
    others = [one for one in healthy() if one.source not in ("metrics", "synthetic")]
    asked = [sample("synthetic", 9 + n / 10, answered(5.0)) for n in range(9)]
    polls = [sample("metrics", 0, metrics(0)), refused_at_first("metrics", 8.9, 1.1, metrics(9))]
    after = sample("metrics", 10.1, metrics(9))
    assert state("MON-6", history(*others, *asked, *polls, after)) is State.HOLDING
    # The same numbers, read at once: nine requests were answered after them, and ten seconds later none is counted.
    polls[1] = sample("metrics", 8.9, metrics(9))
    assert state("MON-6", history(*others, *asked, *polls, after)) is State.BREACHED


def test_a_request_that_had_to_wait_is_not_missed_before_it_was_answered() -> None:
    others = [one for one in healthy() if one.source not in ("metrics", "synthetic")]
    polls = [sample("metrics", at_s, metrics(at_s and 1)) for at_s in range(6)]
    waited = [refused_at_first("synthetic", 1.1 + n / 10, 9.0, answered(5.0)) for n in range(9)]
    assert state("MON-6", history(*others, *polls, *waited)) is State.HOLDING
    assert state("MON-6", history(*others, *polls, *waited, sample("metrics", 11, metrics(1)))) is State.BREACHED


def test_polls_that_were_refused_prove_nothing_about_counters() -> None:
    """Counters stand still when they were read again, and not when they could not be."""
    others = [one for one in healthy() if one.source not in ("metrics", "synthetic")]
    asked = [sample("synthetic", 2 + n / 10, answered(5.0)) for n in range(20)]
    polls = [sample("metrics", 0, metrics(0)), sample("metrics", 1, metrics(3))]
    refused = [sample("metrics", 3, error="429"), sample("metrics", 4, error="429")]
    assert state("MON-6", history(*others, *asked, *polls, *refused)) is State.HOLDING
    read_again = sample("metrics", 5, metrics(3))
    assert state("MON-6", history(*others, *asked, *polls, *refused, read_again)) is State.BREACHED


def scraped(every_s: int, until_s: int = 400) -> list[Sample]:
    """Return polls every 10 s of counters that are scraped every `every_s`; each scrape finds two more requests."""
    return [
        sample("metrics", at_s, replace(metrics(2 * (at_s // every_s)), age_s=float(at_s % every_s)))
        for at_s in range(0, until_s, 10)
    ]


def test_counters_that_are_scraped_more_rarely_than_requests_are_sent_are_not_stale() -> None:
    others = [one for one in healthy() if one.source not in ("metrics", "synthetic")]
    asked = [sample("synthetic", 5 * n, answered()) for n in range(80)]
    assert state("MON-6", history(*others, *asked, *scraped(60))) is State.HOLDING
    # The same numbers, with the moment of the poll as theirs.
    claimed = [replace(one, reading=replace(one.reading, age_s=0.0)) for one in scraped(60)]
    assert state("MON-6", history(*others, *asked, *claimed)) is State.BREACHED


def test_a_reading_of_a_source_besides_the_gateway_survives_the_journal() -> None:
    (taken,) = bucketed((7, (1, 2, 3)))
    taken = replace(taken, reading=replace(taken.reading, age_s=4.5))
    again = Sample.from_record(json.loads(json.dumps(taken.record())))
    assert (again.reading.histogram, again.reading.age_s) == (taken.reading.histogram, 4.5)
    span = history(again).counters.latest()
    assert span is not None
    assert span.to_s == 2.5


def test_counters_that_never_moved_are_not_stale_but_no_data() -> None:
    """A gateway that counts nothing has no number to be old: the suite's own requests decide, if there are enough."""
    assert state("MON-6", still(9, (0,))) is State.HOLDING
    assert state("MON-2", still(9, (0,))) is State.INCONCLUSIVE


def test_failed_polls_with_a_good_one_between_are_not_in_a_row() -> None:
    polls = [sample("metrics", 400 + tick, error="no answer") for tick in range(4)]
    polls.insert(2, sample("metrics", 402, metrics(100)))
    assert state("MON-6", history(*healthy(), *polls)) is State.HOLDING


def test_more_failures_than_requests_is_garbage() -> None:
    garbage = sample("metrics", 0, replace(metrics(10), failed_requests=11))
    assert history().add(garbage).error == "metrics: 11 of 10 requests failed, which cannot be"


@pytest.mark.parametrize(("bad", "expected"), [(2, State.HOLDING), (3, State.BREACHED)])
def test_more_than_the_share_of_failed_polls_breaches(bad: int, expected: State) -> None:
    spread = {position * 2 for position in range(bad)}
    polls = [sample("metrics", n, None if n in spread else metrics(n), "x" if n in spread else None) for n in range(10)]
    assert state("MON-6", history(*polls, expected=("metrics",))) is expected


def test_a_share_of_fewer_than_ten_polls_decides_nothing() -> None:
    polls = [sample("metrics", 0, error="x"), sample("metrics", 1, metrics(1)), sample("metrics", 2, error="x")]
    assert state("MON-6", history(*polls, expected=("metrics",))) is State.HOLDING


def test_a_source_without_a_poll_is_inconclusive() -> None:
    found = verdict("MON-6", history(*(one for one in healthy() if one.source != "alerts")))
    assert (found.state, found.source) == (State.INCONCLUSIVE, "alerts")


def test_an_unavailable_previous_provider_does_not_roll_back() -> None:
    failed_polls = [sample("way_back", 30 * tick, error="refused") for tick in range(5)]
    assert state("MON-6", history(*healthy(), *failed_polls)) is State.HOLDING


# All of them

_NUMBERS = st.one_of(st.integers(), st.floats(), st.none(), st.text(max_size=3), st.booleans())
_GARBAGE = st.one_of(
    _NUMBERS,
    st.lists(st.integers()).map(tuple),
    st.builds(metrics, st.just(0)).flatmap(
        lambda sane: st.builds(replace, st.just(sane), total_requests=st.just(math.nan), failed_requests=_NUMBERS)
    ),
    st.builds(SyntheticReading, ok=st.just(value=True), latency_ms=st.sampled_from([math.nan, math.inf, -1.0, None])),
    st.builds(Connection, st.none()),
)


@given(st.lists(st.tuples(st.sampled_from(["status", "metrics", "synthetic"]), _GARBAGE), max_size=40))
def test_garbage_never_holds(readings: list[tuple[str, object]]) -> None:
    seen = history(*(sample(source, tick, reading) for tick, (source, reading) in enumerate(readings)))
    verdicts = {v.clause: v.state for v in judge(seen, context(), 1800.0)}
    assert {verdicts[clause] for clause in ("MON-1", "MON-2", "MON-3")} == {State.NO_DATA}
    assert State.HOLDING not in verdicts.values()


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=60), st.floats(0, 700))
def test_no_span_has_a_negative_count(readings: list[tuple[int, int]], seconds: float) -> None:
    kept = Counters()
    for tick, (good, bad) in enumerate(readings):
        kept.add(tick * 10.0, metrics(good + bad, bad))
    for span in (kept.latest(), kept.latest(seconds)):
        assert span is not None
        assert 0 <= span.failures <= span.requests


@given(st.lists(st.floats(0.001, 1e6), min_size=20, max_size=80), st.floats(0.001, 1e6))
def test_a_window_that_holds_has_a_p95_at_or_below_its_limit(latencies: list[float], limit: float) -> None:
    found = verdict("MON-3", history(*own(latencies)), context(Monitor(limits=Limits(p95_ms=limit))))
    assert (found.state is State.HOLDING) == (percentile(sorted(latencies)) <= limit)


@pytest.mark.parametrize("limit", [math.nan, math.inf, -1.0, 0.0])
def test_a_limit_that_is_no_limit_is_inconclusive(limit: float) -> None:
    known = context(Monitor(limits=Limits(p95_ms=limit)))
    assert state("MON-3", history(*own([100.0] * 20)), known) is State.INCONCLUSIVE


def test_judging_only_what_a_sample_can_change_says_the_same() -> None:
    seen, known = Aggregates(SourceName), context()
    verdicts = judge(seen, known, 0.0)
    for one in [*healthy(600), *counters((610, 900, 800)), *statuses((620, "offline"), (621, "offline"))]:
        seen.add(one)
        verdicts = judge_again(verdicts, one.source, seen, known, one.at_s)
        assert verdicts == judge(seen, known, one.at_s)


def test_samples_and_verdicts_are_written_as_plain_json() -> None:
    samples = [*healthy(20), sample("alerts", 1, (alert(),)), sample("metrics", 2, metrics(1, p95_ms=math.nan))]
    seen = history()
    records = [seen.add(one).record() for one in samples] + [v.record() for v in judge(seen, context(), 60.0)]
    assert json.loads(json.dumps(records, allow_nan=False)) == records


# Users' numbers from histograms


def bucketed(*seen: tuple[float, tuple[int, int, int]], total: int = 0) -> list[Sample]:
    """Metrics whose latencies come as cumulative buckets up to 0.1 s, up to 0.4 s and beyond: (at, counts)."""
    found = []
    for at_s, (fast, slow, everything) in seen:
        latencies = Histogram.of({0.1: fast, 0.4: slow, math.inf: everything})
        found.append(sample("metrics", at_s, replace(metrics(total or everything, p95_ms=50.0), histogram=latencies)))
    return found


def test_the_windows_p95_comes_from_what_its_buckets_gained() -> None:
    # A million fast requests before the window say nothing about it.
    seen = bucketed((0, (10**6, 10**6, 10**6)), (10, (10**6, 10**6 + 100, 10**6 + 100)))
    found = verdict("MON-3", history(*seen))
    assert (found.state, found.source, found.samples) == (State.BREACHED, "users", 100)
    assert found.value == pytest.approx(385.0)
    assert found.message == (
        "P95 385 ms over the window's 10 s (100 of users' requests; interpolated linearly in the histogram's bucket "
        "100-400 ms, as histogram_quantile does) is above 200 ms (2 x baseline 100 ms)"
    )


def test_an_interpolated_p95_at_the_limit_holds_and_above_it_breaches() -> None:
    exactly = context(Monitor(limits=Limits(p95_ms=385.0)))
    seen = history(*bucketed((0, (0, 0, 0)), (10, (0, 100, 100))))
    assert verdict("MON-3", seen, exactly).state is State.HOLDING
    below = context(Monitor(limits=Limits(p95_ms=384.99)))
    assert verdict("MON-3", seen, below).state is State.BREACHED


@pytest.mark.parametrize(
    ("limit_ms", "state"), [(300.0, State.BREACHED), (400.0, State.BREACHED), (500.0, State.INCONCLUSIVE)]
)
def test_above_the_highest_bound_p95_breaches_what_lies_below_and_never_holds(limit_ms: float, state: State) -> None:
    seen = history(*bucketed((0, (0, 0, 0)), (10, (0, 0, 100))), *own([100.0] * 30))
    found = verdict("MON-3", seen, context(Monitor(limits=Limits(p95_ms=limit_ms))))
    assert (found.state, found.source) == (state, "users")
    assert "P95 more than 400 ms over" in found.message
    assert ("let the gateway have a bucket above it" in found.message) == (state is State.INCONCLUSIVE)


def test_a_short_span_that_holds_does_not_hide_a_window_that_is_unknown() -> None:
    known = context(Monitor(limits=Limits(p95_ms=500.0)))
    # The short span's is 400 ms exactly, and so is the bound that the window's is above.
    seen = bucketed((0, (0, 0, 0)), (10, (0, 0, 100)), (400, (0, 0, 100)), (700, (0, 95, 200)), (701, (0, 95, 200)))
    assert verdict("MON-3", history(*seen), known).state is State.INCONCLUSIVE


def test_the_short_span_of_a_histogram_breaches_while_the_window_is_fine() -> None:
    seen = bucketed((0, (0, 0, 0)), (900, (10_000, 10_000, 10_000)), (1200, (10_000, 10_060, 10_060)))
    found = verdict("MON-3", history(*seen))
    assert (found.state, found.span, found.samples) == (State.BREACHED, "the last 5 min", 60)


def test_a_histogram_of_too_few_requests_besides_the_suites_own_does_not_decide() -> None:
    seen = [*bucketed((0, (0, 0, 0)), (30, (0, 40, 40))), *own([100.0] * 30)]
    assert verdict("MON-3", history(*seen)).source == "synthetic"


def test_buckets_are_in_the_samples_record() -> None:
    (taken,) = bucketed((0, (1, 2, 3)))
    assert json.loads(json.dumps(taken.record()))["buckets"] == {"0.1": 1, "0.4": 2, "+Inf": 3}
