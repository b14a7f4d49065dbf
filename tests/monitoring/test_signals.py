"""Signals: each breaches, nearly breaches and lacks data, absolute and as a factor of the baseline."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from rollout.core.clock import StopFlag
from rollout.core.errors import GatewayError
from rollout.core.scenario import Monitor
from rollout.core.signals import PromqlSignal, SignalLimit, Signals
from rollout.gateway.http_errors import RateLimited
from rollout.gateway.responses import Completion
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.answer_kinds import Unexpected
from rollout.monitoring.baseline import measure
from rollout.monitoring.behaviour_tests import behaviour_alpha
from rollout.monitoring.samples import Baseline, Context, Sample, SyntheticReading
from rollout.monitoring.signal_samples import Levels, SignalBaseline, count_codes
from rollout.monitoring.signals import SignalState, describe_lacking, judge_signals
from rollout.monitoring.sources.synthetic import ask
from rollout.monitoring.triggers import judge
from rollout.monitoring.verdict import State
from tests.support.clocks import SimulatedClock
from tests.support.windows import BASELINE, NEW, OLD, TARGET, FakeGateway, answered, context, history, metrics, sample

LIMIT, FACTOR = SignalLimit, lambda factor: SignalLimit(factor=factor)
NEAR = "P95 800 ms, limit 800 ms: later 0.0 % (0 of 120 of the suite's own answers, limit 5 %)"
QUEUE = PromqlSignal("sum(queue)", "queue", limit=20.0)


def known(baseline: SignalBaseline | None = None, more: dict[str, Any] | None = None, **signals: Any) -> Context:
    return context(Monitor(signals=Signals(**signals)), baseline=replace(BASELINE, signals=baseline), **(more or {}))


def judged(seen: Aggregates, by: Context) -> SignalState:
    [state] = judge_signals(seen, by)
    return state


def own(*readings: SyntheticReading) -> Aggregates:
    return history(*(sample("synthetic", 10.0 * at, reading) for at, reading in enumerate(readings)))


def first_tokens(*took_ms: float) -> Aggregates:
    return own(*(replace(answered(), first_token_ms=ms) for ms in took_ms))


def refused() -> SyntheticReading:
    return SyntheticReading(ok=False, latency_ms=1.0, status=429, unexpected=Unexpected.RATE_LIMITED)


def timed_out() -> SyntheticReading:
    return SyntheticReading(ok=False, latency_ms=30_000.0, timed_out=True)


def coded(*polls: tuple[int, dict[str, int]]) -> list[Sample]:
    return [
        sample("metrics", 10.0 * at, replace(metrics(total, sum(codes.values())), errors_by_code=codes))
        for at, (total, codes) in enumerate(polls)
    ]


def readings(*values: float) -> list[Sample]:
    return [sample("signals", 10.0 * at, Levels({"queue": value})) for at, value in enumerate(values)]


def numbers(*values: float) -> Aggregates:
    return history(*readings(*values))


# The time to the first token


def test_a_late_first_token_breaches_and_a_near_one_holds() -> None:
    by = known(first_token=LIMIT(800.0))
    found = judged(first_tokens(*[801.0] * 12), by)
    assert [(one.source, one.samples) for one in found.breach] == [("synthetic", 12)]
    assert "later than 800 ms (signal first_token) (12 of 12), more than 5 %" in found.breach[0].text
    near = judged(first_tokens(*[800.0] * 120), by)
    assert (near.breach, near.lacks, near.shown) == ((), "", NEAR)


def test_a_first_token_is_compared_with_a_multiple_of_the_baselines() -> None:
    by = known(SignalBaseline(first_token_ms=tuple(range(200))), first_token=FACTOR(2.0))
    assert judged(first_tokens(*[500.0] * 12), by).breach
    assert not judged(first_tokens(*[390.0] * 12), by).breach


def test_answers_that_are_no_streams_have_no_first_token() -> None:
    assert judged(own(answered()), known(first_token=LIMIT(800.0))).lacks == "no answer was a stream"
    assert judged(own(answered()), known(first_token=FACTOR(2.0))).lacks == (
        "the baseline has no time to a first token"
    )


# Shares of requests


@pytest.mark.parametrize(("signal", "bad"), [("rate_limited_share", refused), ("timeout_share", timed_out)])
def test_own_requests_that_fail_so_breach_and_a_few_do_not(signal: str, bad: Any) -> None:
    by = known(**{signal: LIMIT(0.02)})
    found = judged(own(*[bad()] * 12), by)
    assert [one.source for one in found.breach] == ["synthetic"]
    assert f"(signal {signal}) (12 of 12), more than 2 %" in found.breach[0].text
    near = judged(own(*[answered()] * 98, bad(), bad()), by)
    assert (near.breach, near.lacks) == ((), "")
    assert judged(history(), by).lacks == "no request was seen"


@pytest.mark.parametrize(("signal", "code"), [("rate_limited_share", "http_429"), ("timeout_share", "timeout")])
def test_users_failures_count_by_their_codes(signal: str, code: str) -> None:
    polls = coded(*((100 * at, {code: 10 * at, "http_502": at}) for at in range(8)))
    found = judged(history(*polls), known(**{signal: LIMIT(0.02)}))
    assert [one.source for one in found.breach] == ["metrics"]
    assert "of users' requests" in found.breach[0].text
    elsewhere = known(None, {"counts_codes": False}, **{signal: LIMIT(0.02)})
    assert judged(history(*polls), elsewhere).lacks == "no request was seen"


def test_the_suites_own_failures_are_not_the_users() -> None:
    bad = [sample("synthetic", 1.0 + at, SyntheticReading(ok=False, latency_ms=1.0, status=504)) for at in range(5)]
    polls = coded((0, {}), (100, {"http_504": 5}))
    seen = history(polls[0], *bad, polls[1])
    assert seen.signals.users["timeout_share"].stream.window.failures == 0
    assert seen.signals.own["timeout_share"].window.failures == 5


def test_refusals_by_the_gateways_rate_limit_hide_no_users_refusals() -> None:
    polls = coded((0, {}), (100, {"http_429": 5}))
    seen = history(polls[0], *(sample("synthetic", 1.0 + at, refused()) for at in range(5)), polls[1])
    assert seen.signals.users["rate_limited_share"].stream.window.failures == 5
    assert seen.signals.own["rate_limited_share"].window.failures == 5


def test_codes_that_were_reset_count_from_zero() -> None:
    seen = history(*coded((100, {"http_429": 50}), (10, {"http_429": 3})))
    assert seen.signals.users["rate_limited_share"].stream.window.failures == 3


def test_a_share_is_compared_with_a_multiple_of_the_baselines() -> None:
    base = SignalBaseline(requests=200, rate_limited=2, users_requests=10_000, users_rate_limited=100)
    by = known(base, rate_limited_share=FACTOR(3.0))
    assert judged(own(*[refused()] * 20), by).breach
    assert not judged(own(*[answered()] * 97, *[refused()] * 3), by).breach
    few = known(SignalBaseline(requests=2), {"counts_codes": False}, rate_limited_share=FACTOR(3.0))
    assert judged(own(answered()), few).lacks == "the baseline has too few requests to tell a limit"


@pytest.mark.parametrize(
    ("codes", "limited", "late"),
    [({"http_429": 2, "429": 1}, 3, 0), ({"timeout": 2, "http_504": 1, "http_408": 1}, 0, 4), ({"http_502": 9}, 0, 0)],
)
def test_codes_are_told_apart(codes: dict[str, int], limited: int, late: int) -> None:
    assert (count_codes("rate_limited_share", codes), count_codes("timeout_share", codes)) == (limited, late)


# Numbers


def test_a_number_breaches_by_three_polls_in_a_row() -> None:
    by = known(promql=(QUEUE,))
    found = judged(numbers(1, 21, 22, 23), by)
    assert found.breach[0].text == "the signal queue is 23, 3 times in a row above 20"
    assert found.breach[0].source == "signals"
    for near in ((21, 22), (21, 22, 20), (21, 20, 22, 23)):
        assert (judged(numbers(*near), by).breach, judged(numbers(*near), by).lacks) == ((), "")
    assert judged(numbers(21, 22, 20), by).undecided == ""
    assert judged(history(), by).lacks == "it was not read once"


def test_a_number_is_compared_with_a_multiple_of_the_baselines() -> None:
    relative = replace(QUEUE, limit=None, factor=2.0)
    by = known(SignalBaseline(levels={"queue": 10.0}), promql=(relative,))
    assert judged(numbers(21, 21, 21), by).breach
    assert not judged(numbers(20, 20, 20), by).breach
    assert judged(numbers(1), known(promql=(relative,))).lacks.startswith("the baseline has no value")


def charged(usd_per_1k: float, polls: int) -> list[Sample]:
    return [
        sample("metrics", 10.0 * at, replace(metrics(100 * at), total_usd=usd_per_1k * at / 10)) for at in range(polls)
    ]


def test_a_cost_breaches_by_three_polls_in_a_row() -> None:
    by = known(cost_per_1k=LIMIT(10.0))
    said = "the signal cost_per_1k is 11 US dollars for 1,000 requests, 3 times in a row above 10"
    assert judged(history(*charged(11.0, 4)), by).breach[0].text == said
    assert judged(history(*charged(9.5, 4)), by).shown == "9.5 US dollars for 1,000 requests (limit 10)"
    assert not judged(history(*charged(11.0, 3)), by).breach
    assert not judged(history(*charged(10.0, 9)), by).breach
    assert "fewer than 20 requests" in judged(history(*charged(11.0, 1)), by).lacks


# In MON-5


def test_a_signal_decides_mon_5_and_one_without_data_is_no_pass() -> None:
    by = known(promql=(QUEUE,))
    mon_5 = {v.clause: v for v in judge(numbers(21, 22, 23), by, 60.0)}["MON-5"]
    assert (mon_5.state, mon_5.source) == (State.BREACHED, "signals")
    seen = [sample("operator", 0), sample("log", 0, ()), sample("fallbacks", 0, 0), sample("synthetic", 0, answered())]
    without = judge(history(*seen), by, 60.0)[4]
    assert (without.state, without.undecided) == (State.INCONCLUSIVE, True)
    assert "not seen once: signal queue (it was not read once)" in without.message
    with_data = judge(history(*seen, *readings(21, 22, 3)), by, 60.0)[4]
    assert with_data.state is State.HOLDING
    assert with_data.message.endswith("; signals: queue 3 (limit 20)")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((1, 1), "the signal queue has 2 of the 3 values that it takes to judge it"),
        (
            (1, 1, 1, 21, 22),
            "the signal queue is 22, above 20, and not yet 3 times in a row; signals: queue 22 (limit 20)",
        ),
    ],
)
def test_a_number_that_is_not_judged_yet_is_no_pass(values: tuple[float, ...], words: str) -> None:
    seen = [sample("operator", 0), sample("log", 0, ()), sample("fallbacks", 0, 0), sample("synthetic", 0, answered())]
    found = judge(history(*seen, *readings(*values)), known(promql=(QUEUE,)), 60.0)[4]
    assert (found.state, found.undecided) == (State.INCONCLUSIVE, True)
    assert found.message.startswith(words)


def test_each_share_of_a_signal_has_its_part_of_alpha() -> None:
    by = known(None, {"alpha": 0.012}, first_token=LIMIT(1.0), timeout_share=LIMIT(0.1), promql=(QUEUE,))
    assert behaviour_alpha(by) == pytest.approx(0.012 / 4)


def test_a_request_that_the_rate_limit_refuses_is_no_failure_of_the_provider() -> None:
    assert own(refused(), answered()).requests.latest().failures == 0


def test_samples_of_signals_survive_the_journal() -> None:
    for taken in (
        sample("signals", 1, Levels({"queue": 3.5})),
        sample("synthetic", 1, replace(timed_out(), first_token_ms=4.0)),
        *coded((9, {"http_429": 2})),
        *charged(5.0, 2),
    ):
        again = Sample.from_record(json.loads(json.dumps(taken.record())))
        assert again.record() == taken.record()
    assert Sample.from_record(coded((9, {"http_429": 2}))[0].record()).reading.errors_by_code == {"http_429": 2}


def test_a_number_that_is_none_is_no_sample() -> None:
    assert history().add(sample("signals", 1, Levels({"queue": float("nan")}))).error


# The baseline


def test_the_baseline_has_what_a_factor_is_taken_of() -> None:
    gateway = FakeGateway()
    gateway.completion = Completion("pong", "llama3", "ollama", 3, 5.0, first_token_ms=2.0)
    gateway.counters = replace(metrics(1000, 30), errors_by_code={"http_429": 10, "timeout": 20}, total_usd=5.0)
    monitor = Monitor(signals=Signals(first_token=FACTOR(2.0)), min_samples=3)
    found = measure(gateway, OLD, monitor, SimulatedClock(), StopFlag(), target=TARGET, levels=lambda: Levels({"q": 7}))
    assert found.signals == SignalBaseline(3, 0, 0, (2.0, 2.0, 2.0), 1000, 10, 20, 5.0, {"q": 7})
    assert Baseline.from_record(json.loads(json.dumps(found.record()))) == found


def test_a_factor_of_nothing_is_named_before_the_change() -> None:
    signals = Signals(FACTOR(2), FACTOR(2), None, FACTOR(2), (replace(QUEUE, limit=None, factor=2.0),))
    names = [line.split()[2] for line in describe_lacking(signals, SignalBaseline())]
    assert names == ["first_token", "rate_limited_share", "cost_per_1k", "queue"]
    assert describe_lacking(Signals(LIMIT(5.0)), SignalBaseline()) == []


# What a request finds


def asked(error: GatewayError, clock: SimulatedClock | None = None, **signals: Any) -> SyntheticReading:
    gateway = FakeGateway()
    gateway.completion = error
    return ask(gateway, NEW, Monitor().in_turn[0], TARGET, clock or SimulatedClock(), signals=Signals(**signals))


def test_a_refusal_by_the_rate_limit_is_a_reading_where_its_share_is_a_signal() -> None:
    found = asked(RateLimited("POST chat", "429", None), rate_limited_share=LIMIT(0.1))
    assert (found.ok, found.status, found.unexpected) == (False, 429, "rate limited")
    with pytest.raises(RateLimited):
        asked(RateLimited("POST chat", "429", None), timeout_share=LIMIT(0.1))


def test_a_failure_at_the_suites_deadline_timed_out() -> None:
    assert not asked(GatewayError("POST chat", "refused")).timed_out
    at_once = replace(TARGET, timeouts=replace(TARGET.timeouts, chat_s=0.0))
    gateway = FakeGateway()
    gateway.completion = GatewayError("POST chat", "no answer")
    assert ask(gateway, NEW, Monitor().in_turn[0], at_once, SimulatedClock()).timed_out


def test_answers_are_streamed_for_the_first_token_only() -> None:
    gateway = FakeGateway()
    for signals in (None, Signals(timeout_share=LIMIT(0.1)), Signals(first_token=LIMIT(9.0))):
        ask(gateway, NEW, Monitor().in_turn[0], TARGET, SimulatedClock(), signals=signals)
    assert gateway.calls == ["chat ping 16", "chat ping 16", "stream ping 16"]
