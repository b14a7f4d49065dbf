"""MON-5: what is proof at once, what one more request confirms, and the shares that have a limit."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from rollout.core.limits import Limits
from rollout.core.scenario import Monitor, Probe
from rollout.gateway.responses import Completion
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.answer_kinds import Unexpected
from rollout.monitoring.behaviour import is_to_confirm, judge_behaviour
from rollout.monitoring.behaviour_tests import behaviour_alpha
from rollout.monitoring.fallback_share import FallbackShare
from rollout.monitoring.samples import Context, Sample, SyntheticReading
from rollout.monitoring.sources.registry import Source
from rollout.monitoring.sources.synthetic import Probes, ask
from rollout.monitoring.verdict import State, Verdict
from tests.monitoring.test_window import Window
from tests.support.clocks import SimulatedClock
from tests.support.windows import NEW, OLD, TARGET, FakeGateway, answered, context, failed, history, metrics, sample

SEEN = (sample("operator", 0), sample("log", 0, ()), sample("fallbacks", 0, 2), sample("synthetic", 0, answered()))
SHARES = Monitor(limits=Limits(unexpected_share=0.02))
NORMAL = replace(TARGET, fallbacks_are_normal=True)
WORDS = "the answer does not contain 'pong'"


def verdict(seen: Aggregates, known: Context | None = None) -> Verdict:
    return judge_behaviour(seen, known or context(fallbacks_before=2), 60.0)


def state(seen: Aggregates, known: Context | None = None) -> State:
    return verdict(seen, known).state


def unmet() -> SyntheticReading:
    return replace(answered(reason=WORDS), unexpected=Unexpected.UNMET)


def fallen_back() -> SyntheticReading:
    return replace(answered(reason="ollama answered instead of openai"), unexpected=Unexpected.FALLBACK)


def own(*readings: SyntheticReading) -> list[Sample]:
    return [sample("synthetic", 10.0 + at, reading) for at, reading in enumerate(readings)]


def polled(*polls: tuple[int, int], every_s: float = 30.0) -> list[Sample]:
    """Return polls of counters and, right after them, of fallbacks: (requests, fallbacks) so far."""
    samples = []
    for tick, (requests, fallbacks) in enumerate(polls):
        samples += [sample("metrics", tick * every_s, metrics(requests))]
        samples += [sample("fallbacks", tick * every_s + 0.1, fallbacks)]
    return samples


def with_fallbacks(*polls: tuple[int, int]) -> Aggregates:
    return history(*(one for one in SEEN if one.source != "fallbacks"), *polled(*polls))


# Proof at once


@pytest.mark.parametrize(
    ("more", "source", "words"),
    [
        (sample("operator", 9, "customers complain"), "operator", "customers complain"),
        (sample("log", 9, ("12:00:00 | ERROR | x:y - boom",)), "log", "boom"),
        (sample("synthetic", 9, answered(reason="ollama answered instead of openai")), "synthetic", "ollama answered"),
    ],
)
def test_unexpected_behaviour_breaches(more: Sample, source: str, words: str) -> None:
    found = verdict(history(*SEEN, more))
    assert (found.state, found.source) == (State.BREACHED, source)
    assert words in found.message


def test_nothing_unexpected_holds() -> None:
    quiet = (sample("log", 9, ()), sample("fallbacks", 9, 1), sample("synthetic", 9, failed()))
    assert state(history(*SEEN, *quiet)) is State.HOLDING


@pytest.mark.parametrize("missing", ["operator", "log", "fallbacks", "synthetic"])
def test_a_source_of_behaviour_that_was_not_seen_is_inconclusive(missing: str) -> None:
    found = verdict(history(*(one for one in SEEN if one.source != missing)))
    assert (found.state, found.undecided) == (State.INCONCLUSIVE, False)
    assert missing in found.message


def test_a_source_that_is_not_configured_is_not_missed() -> None:
    seen = history(*(one for one in SEEN if one.source != "log"), expected=("operator", "fallbacks", "synthetic"))
    assert state(seen) is State.HOLDING


def test_own_requests_that_all_failed_say_nothing_of_behaviour() -> None:
    assert state(history(*SEEN[:3], sample("synthetic", 0, failed()))) is State.INCONCLUSIVE


# Users' fallbacks


def test_fallbacks_within_the_limit_hold_and_are_shown() -> None:
    found = verdict(with_fallbacks((0, 2), (1000, 7), (2000, 12)))
    assert found.state is State.HOLDING
    assert "fallbacks 0.5 % (10 of 1999 requests of users), limit 1 %" in found.message
    assert found.interval is not None
    assert found.interval[0] < 0.005 < found.interval[1]


def test_fallbacks_above_the_limit_breach() -> None:
    found = verdict(with_fallbacks((0, 2), (1000, 52), (2000, 102), (3000, 152), (4000, 202)))
    assert (found.state, found.source, found.samples) == (State.BREACHED, "fallbacks", 3999)
    assert found.message.startswith(
        "5.0 % of users' requests fell back to another provider since the change (200 of 3999), more than 1 %"
    )


def test_the_limit_is_the_scenarios() -> None:
    seen = with_fallbacks((0, 2), (1000, 52), (2000, 102), (3000, 152), (4000, 202))
    known = context(Monitor(limits=Limits(fallback_share=0.05)), fallbacks_before=2)
    assert state(seen, known) is State.HOLDING


def test_one_fallback_of_three_requests_is_left_to_the_test() -> None:
    assert state(with_fallbacks((0, 2), (3, 3))) is State.HOLDING


def test_every_request_that_falls_back_breaches_soon() -> None:
    seen = with_fallbacks((0, 2), (30, 32))
    assert state(seen) is State.BREACHED


def test_without_counted_requests_one_fallback_is_enough_and_the_verdict_says_so() -> None:
    """The counters of a gateway may count the provider that answered in the place of the new one."""
    unread = sample("metrics", 1, error="no answer")
    for seen in (history(*SEEN, unread, sample("fallbacks", 9, 3)), with_fallbacks((5, 2), (5, 3), (5, 3))):
        found = verdict(seen)
        assert found.state is State.BREACHED
        assert "fell back 1 time(s) to another provider since the change; no request of users was" in found.message


def test_fallbacks_wait_for_the_first_counters() -> None:
    found = verdict(history(*SEEN, sample("fallbacks", 9, 3)))
    assert found.state is State.HOLDING
    assert found.message.endswith("; 1 fallback(s) wait for the counters of users' requests")


def test_fallbacks_wait_for_counters_that_are_older() -> None:
    """A scrape a minute: the fallbacks of its minute are no outage, and the verdict says that they wait."""
    scraped = [
        sample("metrics", at_s, replace(metrics(1000 * (at_s // 60)), age_s=float(at_s % 60))) for at_s in range(130)
    ]
    listed = [sample("fallbacks", at_s, 2 + at_s // 30 * 5) for at_s in (0, 30, 60, 90, 120)]
    samples = sorted([*SEEN[:2], SEEN[3], *scraped, *listed], key=lambda one: one.at_s)
    waiting = verdict(history(*(one for one in samples if one.at_s < 60)))
    assert waiting.state is State.HOLDING
    assert "5 fallback(s) wait for the counters of users' requests" in waiting.message
    assert state(history(*samples)) is State.HOLDING


def test_fallbacks_and_requests_between_activation_and_window_count() -> None:
    seen = history(*(one for one in SEEN if one.source != "fallbacks"), *polled((1000, 42), (1001, 42)))
    known = context(fallbacks_before=2, counters_before=metrics(0))
    assert "fallbacks 4.0 % (40 of 1000 requests of users)" in verdict(seen, known).message
    after_restart = context(fallbacks_before=2, counters_before=metrics(50_000))
    assert "(40 of 1000 requests of users)" in verdict(seen, after_restart).message


def test_old_fallbacks_that_age_out_hide_no_new_one() -> None:
    assert "(1 of 499 requests" in verdict(with_fallbacks((0, 2), (100, 0), (500, 1))).message


def test_a_fallback_is_paired_once_and_never_with_more_than_there_are() -> None:
    share = FallbackShare()
    share.add(0.0, fallbacks=0, requests=0, counted_to_s=0.0)
    share.add(30.0, fallbacks=8, requests=5, counted_to_s=29.0)
    paired = share.paired(0, 0)
    assert (paired.stream.window.requests, paired.stream.window.failures, paired.waiting) == (5, 5, 3)
    share.add(60.0, fallbacks=8, requests=6, counted_to_s=59.0)
    again = share.paired(0, 0)
    # One of the three was counted since; the counters, read after them, have no request for the other two.
    assert (again.stream.window.requests, again.stream.window.failures, again.waiting) == (8, 8, 0)
    assert again.counted == 6


# An answer that breaks an expectation


def test_one_broken_expectation_waits_for_its_confirmation() -> None:
    found = verdict(history(*SEEN, *own(unmet())))
    assert (found.state, found.undecided) == (State.INCONCLUSIVE, True)
    assert found.message == f"a request of the suite's own: {WORDS}; it is being sent again"


def test_two_in_a_row_breach_whatever_fails_between_them() -> None:
    found = verdict(history(*SEEN, *own(unmet(), failed(), unmet())))
    assert (found.state, found.source) == (State.BREACHED, "synthetic")
    assert found.message == f"two requests of the suite's own in a row: {WORDS}"


def test_an_expected_answer_refutes_a_broken_expectation() -> None:
    assert state(history(*SEEN, *own(unmet(), answered(), unmet(), answered()))) is State.HOLDING


def test_a_share_that_the_scenario_states_decides_in_the_place_of_two_in_a_row() -> None:
    known = context(SHARES, fallbacks_before=2)
    assert state(history(*SEEN, *own(unmet(), unmet())), known) is State.HOLDING
    found = verdict(history(*SEEN, *own(*[unmet()] * 12)), known)
    assert found.state is State.BREACHED
    assert "of the answers to the suite's own requests break an expectation (12 of 12), more than 2 %" in found.message


def test_an_answer_of_an_earlier_version_is_judged_by_its_rule() -> None:
    old = Sample.from_record({"source": "synthetic", "at_s": 9, "at": "", "ok": True, "latency_ms": 1, "reason": WORDS})
    assert state(history(*SEEN, old)) is State.BREACHED


def test_what_an_unexpected_answer_is_survives_the_journal() -> None:
    taken = sample("synthetic", 9, unmet())
    assert Sample.from_record(json.loads(json.dumps(taken.record()))).reading == taken.reading
    assert "unexpected" not in sample("synthetic", 9, answered()).record()


# Fallbacks that are normal


def test_an_answer_by_another_provider_counts_as_a_fallback_where_that_is_normal() -> None:
    known = context(fallbacks_before=2, fallbacks_are_normal=True)
    assert state(history(*SEEN, *own(answered(), fallen_back(), fallen_back())), known) is State.HOLDING
    found = verdict(history(*SEEN, *own(*[fallen_back()] * 12)), known)
    assert found.state is State.BREACHED
    assert "of the suite's own requests were answered by another provider or model (12 of 12)" in found.message


def test_own_fallbacks_are_not_the_users() -> None:
    """The gateway lists the suite's own fallbacks too."""
    known = context(fallbacks_before=2, fallbacks_are_normal=True)
    seen = with_fallbacks((0, 2))
    for one in (*own(fallen_back(), fallen_back()), *polled((0, 2), (100, 5))[2:]):
        seen.add(one)
    assert "fallbacks 1.03093 % (1 of 97 requests of users)" in verdict(seen, known).message


def test_each_share_has_its_part_of_alpha() -> None:
    assert behaviour_alpha(context(alpha=0.01)) == 0.01
    assert behaviour_alpha(context(SHARES, alpha=0.01, fallbacks_are_normal=True)) == pytest.approx(0.01 / 3)
    assert behaviour_alpha(context(Monitor(probes=()), alpha=0.01, fallbacks_are_normal=True)) == 0.01


# What a request finds


@pytest.mark.parametrize(
    ("answer", "kind", "normal"),
    [
        (Completion("pong", "gpt-4o", "openai", 3, 5.0), None, None),
        (Completion("ping", "gpt-4o", "openai", 3, 5.0), Unexpected.UNMET, Unexpected.UNMET),
        (Completion(" ", "gpt-4o", "openai", 3, 5.0), Unexpected.UNMET, Unexpected.UNMET),
        (Completion("pong", "llama3", "ollama", 3, 5.0), None, Unexpected.FALLBACK),
        (Completion("ping", "gpt-3.5", "openai", 3, 5.0), None, Unexpected.FALLBACK),
    ],
)
def test_an_answer_is_unmet_a_fallback_or_proof(answer: Completion, kind: Any, normal: Any) -> None:
    gateway, probe = FakeGateway(), Monitor(expect="pong").in_turn[0]
    gateway.completion = answer
    kinds = [ask(gateway, NEW, probe, target, SimulatedClock()).unexpected for target in (TARGET, NORMAL)]
    assert kinds == [kind, normal]


def asked_with(gateway: FakeGateway, answers: list[Any], **more: Any) -> list[str]:
    """Return the prompts that are sent, one for each answer."""
    probes = Probes(gateway, NEW, Monitor(probes=ONE_OF_TWO, **more), TARGET, SimulatedClock(), control=OLD)
    for gateway.completion in answers:
        probes()
    return [call.split()[1] for call in gateway.calls if call.startswith("chat")]


ONE_OF_TWO = tuple(Probe(prompt, Monitor(expect="pong").in_turn[0].expect) for prompt in ("one", "two"))
GOOD, BAD = Completion("pong", "gpt-4o", "openai", 3, 5.0), Completion("ping", "gpt-4o", "openai", 3, 5.0)
CONTROL = Completion("ping", "llama3", "ollama", 3, 5.0)


def test_a_broken_expectation_is_asked_for_again_until_the_new_provider_answers() -> None:
    from tests.support.windows import unreachable

    assert asked_with(FakeGateway(), [BAD, GOOD, GOOD, GOOD]) == ["one", "one", "two", "one"]
    assert asked_with(FakeGateway(), [BAD, CONTROL, unreachable(), BAD, GOOD]) == ["one"] * 4 + ["two"]


def test_with_a_share_no_prompt_is_sent_again() -> None:
    assert asked_with(FakeGateway(), [BAD, GOOD, GOOD], limits=Limits(unexpected_share=0.1)) == ["one", "two", "one"]


def window_of(*readings: SyntheticReading) -> tuple[Window, Any]:
    window, left = Window(), list(readings)
    source = Source("synthetic", 20.0, lambda: left.pop(0) if len(left) > 1 else left[0])
    return window, window.watch([source], 60.0)


def test_the_window_asks_again_at_once_and_once() -> None:
    window, watched = window_of(answered(), unmet(), unmet())
    assert window.times("synthetic") == [0, 20, 20]
    assert (watched.breach.clause, watched.watched_s) == ("MON-5", 20.0)
    window, watched = window_of(answered(), unmet(), answered())
    assert window.times("synthetic")[:4] == [0, 20, 20, 40]
    assert watched.breach is None


def test_a_broken_expectation_at_the_very_end_is_still_confirmed() -> None:
    window, watched = window_of(answered(), answered(), unmet(), unmet())
    assert window.times("synthetic") == [0, 20, 40, 40]
    assert watched.breach.clause == "MON-5"


def test_the_shares_of_the_suites_own_answers_are_shown_with_their_limits() -> None:
    known = context(SHARES, fallbacks_before=2, fallbacks_are_normal=True)
    found = verdict(history(*SEEN, *own(*[answered()] * 97, fallen_back(), unmet())), known)
    assert found.state is State.HOLDING
    unexpected = "; answers that break an expectation 1.0 % (1 of 99 of the suite's own), limit 2 %"
    assert f"{unexpected}; answers by another provider or model 1.0 % (1 of 100 of the suite's own), limit 1 %" in (
        found.message
    )
    assert "the suite's own" not in verdict(history(*SEEN, *own(answered()))).message


def test_a_share_of_answers_without_an_answer_is_no_pass() -> None:
    """A fallback's answer is not compared with the expectations."""
    known = context(SHARES, fallbacks_before=2, fallbacks_are_normal=True)
    seen = [one for one in SEEN if one.source != "synthetic"]
    found = verdict(history(*seen, *own(fallen_back())), known)
    assert (found.state, found.undecided) == (State.INCONCLUSIVE, True)
    assert found.message.startswith("nothing unexpected, but not seen once: unexpected_share (no answer was seen)")


def test_only_the_first_is_asked_for_again() -> None:
    first, failure = own(unmet(), failed())
    seen = history(first, failure)
    assert is_to_confirm(seen, context(), first)
    assert not is_to_confirm(seen, context(), failure)
    assert not is_to_confirm(seen, context(SHARES), first)
