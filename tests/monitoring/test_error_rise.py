"""A relative limit of the error rate: against the baseline, and in a canary against the control group (MON-2)."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.core.limits import Limits
from rollout.core.scenario import Monitor
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.error_rise import judge_error_rate
from rollout.monitoring.samples import Baseline, Context, Sample
from rollout.monitoring.verdict import State, Verdict
from tests.support.windows import OLD, answered, context, failed, history, metrics, sample

BEFORE = Baseline("ollama", users_error_rate=0.001, users_requests=10_000)


def polled(source: str, share: float, polls: int = 60, requests: int = 200) -> list[Sample]:
    """Return polls of counters, every 10 s, of which that share fails."""
    return [
        sample(source, 10.0 * at + (source == "control") / 10, metrics(requests * at, round(requests * at * share)))
        for at in range(polls)
    ]


def window(*shares: tuple[str, float]) -> Aggregates:
    samples = [one for source, share in shares for one in polled(source, share)]
    return history(*sorted(samples, key=lambda one: one.at_s))


def judged(seen: Aggregates, rise: float | None = None, **changes: Any) -> Verdict:
    known: Context = context(Monitor(limits=Limits(error_rate_rise=rise)), baseline=BEFORE)
    return judge_error_rate(seen, context(known.monitor, **({"baseline": BEFORE} | changes)), 600.0)


def test_a_rise_above_the_factor_breaches_although_the_share_is_within_the_limit() -> None:
    found = judged(window(("metrics", 0.02)), 3.0)
    assert (found.state, found.source, found.value) == (State.BREACHED, "users", pytest.approx(0.02))
    assert found.message.startswith("error rate 2.00% of 11800 of users' requests rose to more than 3x")
    assert (found.power, found.span) == ("", "the window's 9 min 50 s")
    assert "rose to more than 3x the baseline's 0.10% (10 of 10000); with the baseline's" in found.message
    assert found.limit == pytest.approx(0.0063, abs=0.0005)


def test_a_rise_within_the_factor_holds() -> None:
    found = judged(window(("metrics", 0.0025)), 3.0)
    assert (found.state, "rose" in found.message) == (State.HOLDING, False)
    words = "; the share of users' requests that failed, 0.25%, has not risen to more than 3x (limit 0.6"
    assert words in found.message
    assert found.message.endswith("%, from the baseline's 0.10% (10 of 10000) with its uncertainty)")


def test_without_the_key_a_clear_rise_within_the_limit_is_noted_and_holds() -> None:
    found = judged(window(("metrics", 0.03)))
    assert found.state is State.HOLDING
    assert found.message.endswith(
        "; that of users' requests rose from 0.10% (10 of 10000 requests before the change) to 3.00%; no "
        "error_rate_rise limits that"
    )
    assert "rose" not in judged(window(("metrics", 0.003))).message


def test_a_rise_from_nothing_that_was_measured_is_no_pass() -> None:
    found = judged(window(("metrics", 0.0)), 3.0, baseline=None)
    assert found.state is State.INCONCLUSIVE
    assert "the baseline has none of users' requests that a rise to 3x could be compared with" in found.message


def test_the_suites_own_requests_are_compared_with_the_suites_own() -> None:
    own = [sample("synthetic", 10.0 * at, failed() if at % 3 == 0 else answered()) for at in range(120)]
    loose = Monitor(limits=Limits(error_rate=0.5, error_rate_rise=2.0))
    known = context(loose, baseline=Baseline("ollama", synthetic_samples=196, synthetic_failures=4))
    found = judge_error_rate(history(*own), known, 1200.0)
    assert (found.state, found.source) == (State.BREACHED, "synthetic")
    assert "33.33% of 120 of the suite's own requests rose to more than 2x" in found.message


def test_in_a_canary_the_control_group_is_the_comparison() -> None:
    """What raises both groups alike is no evidence against the new provider."""
    beside = {"control": OLD}
    found = judged(window(("metrics", 0.04), ("control", 0.005)), 3.0, **beside)
    assert (found.state, found.source) == (State.BREACHED, "users")
    assert "is more than 3x that of the control group ollama, 0.5" in found.message
    assert found.power == ""
    assert found.interval is not None
    assert found.interval[0] < 0.04 < found.interval[1]
    assert judged(window(("metrics", 0.04), ("control", 0.04)), 3.0, **beside).state is State.HOLDING
    alone = judged(window(("metrics", 0.0)), 3.0, **beside)
    assert (alone.state, alone.undecided) == (State.INCONCLUSIVE, True)


def test_a_baseline_of_one_request_judges_no_rise() -> None:
    one = Baseline("ollama", users_error_rate=0.0, users_requests=1)
    found = judged(window(("metrics", 0.0)), 3.0, baseline=one)
    assert (found.state, found.undecided) == (State.INCONCLUSIVE, False)
    assert "; a rise to 3x cannot be judged: 0 of 1 of users' requests failed before the change" in found.message
    assert found.message.endswith("the limit is 100%")


def test_the_requests_that_decide_are_compared_with_their_own_kind() -> None:
    """Users' baseline is none of the suite's own."""
    own = history(*(sample("synthetic", 10.0 * at, answered()) for at in range(60)))
    found = judged(own, 3.0)
    assert (found.state, found.source, found.undecided) == (State.INCONCLUSIVE, "synthetic", False)
    assert "the baseline has none of the suite's own requests that a rise to 3x could be compared with" in found.message
    few, enough = (judged(own, 3.0, baseline=Baseline("ollama", synthetic_samples=before)) for before in (28, 29))
    assert (few.state, few.undecided, enough.state) == (State.INCONCLUSIVE, False, State.HOLDING)
    assert "; 28 of the suite's own requests before the change are too few to judge a rise to 3x; 29" in few.message


def test_a_window_of_few_requests_does_not_exclude_a_rise() -> None:
    """Thirty requests are enough for a limit of 5 %, and not for one of 0.6 %."""
    found = judged(window(("metrics", 0.0))).state, judged(history(*polled("metrics", 0.0, 2)), 3.0)
    assert (found[0], found[1].state, found[1].undecided) == (State.HOLDING, State.INCONCLUSIVE, True)
    assert "; 200 of users' requests are too few to judge a rise to 3x; 2" in found[1].message


def test_a_control_group_of_one_request_judges_no_rise() -> None:
    few = [*polled("control", 0.0, polls=2, requests=1), *polled("metrics", 0.0)]
    found = judged(history(*sorted(few, key=lambda one: one.at_s)), 3.0, control=OLD)
    assert (found.state, found.undecided) == (State.INCONCLUSIVE, True)
    assert "were compared with 1 of the control group; to judge a rise to 3x, 29 of each are needed" in found.message


def test_a_control_group_that_ended_before_the_last_stretch_judges_no_rise() -> None:
    for polls, state in ((10, State.INCONCLUSIVE), (58, State.HOLDING)):
        seen = [*polled("control", 0.0, polls), *polled("metrics", 0.0)]
        found = judged(history(*sorted(seen, key=lambda one: one.at_s)), 3.0, control=OLD)
        assert (found.state, found.undecided) == (state, state is State.INCONCLUSIVE)
        assert ("of users' requests were compared with none of the control group" in found.message) == found.undecided


def test_own_requests_of_the_control_group_are_not_its_users() -> None:
    seen = history(*polled("control", 0.0, polls=1))
    for one in (sample("synthetic", 5.0, failed()), *polled("control", 0.1, polls=2)[1:]):
        seen.add(one)
    assert [(block[1].requests, block[1].failures) for block in seen.both.blocks] == [(0, 0), (200, 20)]
