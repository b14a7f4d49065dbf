"""Slices of users' requests by a label: the worst is shown, and a listed one breaches (MON-2)."""

from __future__ import annotations

import json
from dataclasses import replace

from rollout.core.scenario import Monitor
from rollout.core.signals import Slices
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.error_rise import judge_error_rate
from rollout.monitoring.samples import Sample
from rollout.monitoring.sources.counter_increases import Increase, RequestCounts
from rollout.monitoring.verdict import State, Verdict
from tests.support.windows import context, history, metrics, sample


def polled(polls: int = 60, **shares: float) -> Aggregates:
    """Return polls every 10 s: 100 requests of each model, of which that share fails."""
    samples = []
    for at in range(polls):
        slices = {model: (100 * at, round(100 * at * share)) for model, share in shares.items()}
        total, bad = (sum(part[index] for part in slices.values()) for index in (0, 1))
        samples.append(sample("metrics", 10.0 * at, replace(metrics(total, bad), slices=slices)))
    return history(*samples)


def judged(seen: Aggregates, *judge: str) -> Verdict:
    return judge_error_rate(seen, context(Monitor(slices=Slices("model", judge))), 600.0)


def test_the_worst_slice_is_shown_and_breaches_if_it_is_listed() -> None:
    seen = polled(small=0.0, medium=0.0, large=0.1)
    shown = judged(seen, "small")
    assert shown.state is State.HOLDING
    assert shown.message.endswith(
        "; worst model of 3: large, 10.0 % (590 of 5900); judged at 5 %: small 0.0 % (0 of 5900)"
    )
    found = judged(seen, "small", "large")
    assert (found.state, found.source) == (State.BREACHED, "users")
    assert found.message.startswith("error rate of model large 10.0 % (")
    assert found.power == ""


def test_a_listed_slice_within_the_limit_holds() -> None:
    assert judged(polled(small=0.0, large=0.03), "small", "large").state is State.HOLDING


def test_a_listed_slice_without_a_request_is_no_pass() -> None:
    found = judged(polled(small=0.0), "small", "large")
    assert (found.state, found.undecided) == (State.INCONCLUSIVE, True)
    assert "no request of model large was seen, and the scenario judges it" in found.message


def test_a_listed_slice_of_few_requests_is_no_pass() -> None:
    for failures in (0, 3):
        large = [(min(at, 3), min(at, failures)) for at in range(60)]
        polls = [replace(metrics(100 * at, part[1]), slices={"large": part}) for at, part in enumerate(large)]
        found = judged(history(*(sample("metrics", 10.0 * at, poll) for at, poll in enumerate(polls))), "large")
        assert (found.state, found.undecided) == (State.INCONCLUSIVE, True)
        words = f"; {failures} of 3 requests of model large failed over the window's 9 min 50 s, which is not enough to"
        assert words in found.message


def test_a_listed_slice_is_within_its_limit_in_the_last_stretch_too() -> None:
    """Of its 1,200 requests 2.5 % failed, all in the last five minutes."""
    large = [(10 * at, max(0, at - 90)) for at in range(121)]
    polls = [replace(metrics(100 * at, part[1]), slices={"large": part}) for at, part in enumerate(large)]
    found = judged(history(*(sample("metrics", 10.0 * at, poll) for at, poll in enumerate(polls))), "large")
    assert (found.state, found.undecided) == (State.INCONCLUSIVE, True)
    assert "; 30 of 300 requests of model large failed over the last 5 min, which is not enough" in found.message


def test_without_a_label_the_verdict_says_so() -> None:
    assert judged(history(sample("metrics", 0, metrics(0)), sample("metrics", 10, metrics(100)))).message.endswith(
        "; no request has a model"
    )


def test_a_slice_that_is_born_in_the_window_counts_from_zero() -> None:
    slices = ({"old": (50, 5)}, {"old": (60, 5), "new": (10, 10)})
    seen = history(*(sample("metrics", 10.0 * at, replace(metrics(at), slices=part)) for at, part in enumerate(slices)))
    found = {name: (stream.window.requests, stream.window.failures) for name, stream in seen.slices.streams.items()}
    assert found == {"old": (10, 0), "new": (10, 10)}


def test_slices_survive_the_journal() -> None:
    taken = sample("metrics", 1, replace(metrics(5), slices={"a": (5, 1)}))
    assert Sample.from_record(json.loads(json.dumps(taken.record()))).reading.slices == {"a": (5, 1)}


def series(model: str | None, status: str) -> frozenset[tuple[str, str]]:
    return frozenset({("status", status), *([("model", model)] if model else [])})


def test_increases_are_counted_by_label_over_two_calls() -> None:
    first = RequestCounts(Increase.since({series("a", "ok"): 10}), Increase(), Increase())
    first.requests.add({series("a", "ok"): 15, series("a", "error"): 2, series(None, "ok"): 9})
    first.errors.add({series("a", "error"): 2})
    assert first.slices("model") == {"a": (7, 2)}
    again = RequestCounts.after(json.loads(json.dumps(first.memory("model"))))
    again.requests.add({series("a", "ok"): 16, series("b", "ok"): 3})
    assert again.slices("model") == {"a": (8, 2), "b": (3, 0)}
    assert "slices" not in first.memory()
