"""Each trigger: a history that breaches it, one that comes close and does not, one with no data."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.core.scenario import Monitor
from rollout.gateway.responses import Connection
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.counters import Counters
from rollout.monitoring.data_quality import extended
from rollout.monitoring.samples import Context, Sample, SourceName, SyntheticReading
from rollout.monitoring.triggers import judge, judge_again
from rollout.monitoring.verdict import State
from tests.support.windows import (
    FakeGateway,
    alert,
    answered,
    bucketed,
    context,
    counters,
    failed,
    history,
    metrics,
    sample,
    served,
    state,
    verdict,
)

CLAUSES = ("MON-1", "MON-2", "MON-3", "MON-4", "MON-5", "MON-6")


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


@pytest.mark.parametrize("source", ["metrics", "control"])
def test_an_infinite_count_is_a_failed_poll(source: str) -> None:
    """The test for shares refuses it with an exception."""
    seen = history(*served((3, 100, 0)), sample("control", 0, metrics(0)))
    found = seen.add(sample(source, 40, replace(metrics(400), total_requests=math.inf)))
    assert found.error == f"{source}: total_requests is inf, not a number from 0 up"
    assert verdict("MON-2", seen).samples == 300


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=60), st.floats(0, 700))
def test_no_span_has_a_negative_count(readings: list[tuple[int, int]], seconds: float) -> None:
    kept = Counters()
    for tick, (good, bad) in enumerate(readings):
        kept.add(tick * 10.0, metrics(good + bad, bad))
    for span in (kept.latest(), kept.latest(seconds)):
        assert span is not None
        assert 0 <= span.failures <= span.requests


def test_judging_only_what_a_sample_can_change_says_the_same() -> None:
    seen, known = Aggregates(SourceName), context()
    verdicts = judge(seen, known, 0.0)
    for one in [*healthy(600), *counters((610, 900, 800)), *statuses((620, "offline"), (621, "offline"))]:
        seen.add(one)
        verdicts = judge_again(verdicts, one.source, seen, known, one.at_s)
        assert verdicts == judge(seen, known, one.at_s)


_COUNTS = st.tuples(*[st.integers(0, 40)] * 4)
_SEEN_BY_A_POLL = st.one_of(
    _COUNTS.map(lambda counts: ("metrics", counts)),
    st.tuples(st.just("synthetic"), st.sampled_from((answered(100.0), answered(900.0), failed(), failed(900.0)))),
    st.tuples(st.sampled_from(("metrics", "synthetic")), st.just("no answer")),
)


def _as_samples(seen: list[tuple[str, Any]]) -> list[Sample]:
    """Return samples 10 s apart; counts are those since the poll before, or since a reset where the first is 0."""
    samples, (fast, slow, bad) = [], (0, 0, 0)
    for tick, (source, what) in enumerate(seen):
        if source == "synthetic" or what == "no answer":
            error = what if what == "no answer" else None
            samples.append(sample(source, tick * 10.0, None if error else what, error))
            continue
        since_reset = what[0] == 0
        fast, slow, bad = (0, 0, 0) if since_reset else (fast, slow, bad)
        fast, slow, bad = fast + what[1], slow + what[2], bad + min(what[3], what[1] + what[2])
        (polled,) = bucketed((tick * 10.0, (fast, fast + slow, fast + slow)))
        samples.append(replace(polled, reading=replace(polled.reading, failed_requests=bad)))
    return samples


@settings(max_examples=40)
@given(st.lists(_SEEN_BY_A_POLL, max_size=30))
def test_judging_after_each_sample_says_what_a_replay_of_the_journal_says(seen: list[tuple[str, Any]]) -> None:
    """`verify-journal` derives from the samples what the window judged while they came."""
    live, known = history(), context()
    verdicts = judge(live, known, 0.0)
    for one in _as_samples(seen):
        live.add(one)
        verdicts = judge_again(verdicts, one.source, live, known, one.at_s)
    journalled = json.loads(json.dumps([one.record() for one in _as_samples(seen)]))
    replayed = history(*map(Sample.from_record, journalled))
    assert verdicts == judge(replayed, known, max(0.0, 10.0 * (len(seen) - 1)))


def test_samples_and_verdicts_are_written_as_plain_json() -> None:
    samples = [*healthy(20), sample("alerts", 1, (alert(),)), sample("metrics", 2, metrics(1, p95_ms=math.nan))]
    seen = history()
    records = [seen.add(one).record() for one in samples] + [v.record() for v in judge(seen, context(), 60.0)]
    written = json.loads(json.dumps(records, allow_nan=False))
    assert written == [
        each | ({"interval": _as_list(each["interval"])} if "interval" in each else {}) for each in records
    ]


def _as_list(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)


def test_buckets_are_in_the_samples_record() -> None:
    (taken,) = bucketed((0, (1, 2, 3)))
    assert json.loads(json.dumps(taken.record()))["buckets"] == {"0.1": 1, "0.4": 2, "+Inf": 3}
