"""Whatever a source says, a trigger that holds has seen enough of it: random windows, sick numbers among them."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.core.scenario import Monitor
from rollout.gateway.responses import Connection, ConnectionTest, Latency, Metrics
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.samples import Sample, SourceName, SyntheticReading
from rollout.monitoring.share_test import excludes_twice_the_limit, fewest_requests
from rollout.monitoring.triggers import judge
from rollout.monitoring.verdict import State, Verdict
from tests.support.windows import BASELINE, alert, context, sample

SICK = st.sampled_from([None, math.nan, math.inf, -math.inf, -1, -0.5, "12", True])
MONITOR = Monitor(min_requests=10, min_samples=5)


def number(highest: float = 1e6) -> st.SearchStrategy[Any]:
    """Numbers as gateways give them, one in ten of them sick."""
    sound = st.floats(0, highest, allow_nan=False)
    return st.one_of(*[sound] * 9, SICK)


def count() -> st.SearchStrategy[Any]:
    return st.one_of(*[st.integers(0, 300)] * 9, SICK)


def counters() -> st.SearchStrategy[Any]:
    return st.builds(
        lambda total, failed, p95, samples: Metrics(total, 0, failed, 0.0, Latency(None, p95, None, samples), {}),
        count(),
        st.one_of(st.just(0), count()),
        number(),
        count(),
    )


def requests() -> st.SearchStrategy[Any]:
    return st.builds(
        lambda ok, latency, reason: SyntheticReading(ok, latency, "openai", "gpt-4o", reason),
        st.booleans(),
        number(),
        st.one_of(st.none(), st.just("the completion is empty")),
    )


READINGS: dict[str, st.SearchStrategy[Any]] = {
    SourceName.STATUS: st.builds(Connection, st.sampled_from(["connected", "offline", "degraded", "unknown", None, 7])),
    SourceName.METRICS: counters(),
    SourceName.ALERTS: st.lists(st.sampled_from([alert(), alert("DATA_LOSS", None)]), max_size=2).map(tuple),
    SourceName.FALLBACKS: count(),
    SourceName.SYNTHETIC: requests(),
    SourceName.LOG: st.lists(st.text("abc ", min_size=1), max_size=2).map(tuple),
    SourceName.OPERATOR: st.one_of(st.none(), st.none(), st.none(), st.just("somebody: stop")),
    SourceName.ROLLBACK: st.builds(ConnectionTest, st.booleans(), st.just("connected"), number(), st.just("ok")),
}


@st.composite
def samples(draw: st.DrawFn) -> list[Sample]:
    """A window: each source looked at in any order, one look in ten in vain."""
    found = []
    for at_s in range(draw(st.integers(0, 60))):
        source = draw(st.sampled_from(list(READINGS)))
        dark = draw(st.integers(0, 9)) == 0
        reading = None if dark else draw(READINGS[source])
        found.append(sample(source, 5.0 * at_s, reading, "no answer" if dark else None))
    return found


def seen(found: list[Sample]) -> Aggregates:
    history = Aggregates(READINGS)
    for one in found:
        history.add(one)
    return history


def judged(found: list[Sample]) -> dict[str, Verdict]:
    known = context(MONITOR, baseline=BASELINE)
    return {verdict.clause: verdict for verdict in judge(seen(found), known, 300.0)}


@settings(max_examples=300, deadline=None)
@given(samples())
def test_what_holds_was_seen_often_enough_and_is_a_number(found: list[Sample]) -> None:
    verdicts, history = judged(found), seen(found)
    for clause in ("MON-2", "MON-3"):
        verdict = verdicts[clause]
        if verdict.state in (State.HOLDING, State.BREACHED):
            assert isinstance(verdict.value, float)
            assert math.isfinite(verdict.value)
            assert isinstance(verdict.limit, float)
            assert (verdict.value > verdict.limit) == (verdict.state is State.BREACHED)
        if verdict.state is State.HOLDING:
            assert verdict.samples >= (MONITOR.min_requests if verdict.source == "users" else MONITOR.min_samples)
    sources = {
        "MON-1": (SourceName.STATUS,),
        "MON-4": (SourceName.ALERTS,),
        "MON-6": tuple(set(READINGS) - {SourceName.ROLLBACK}),
    }
    for clause, names in sources.items():
        if verdicts[clause].state is State.HOLDING:
            assert all(history.good(name) is not None for name in names), clause


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=30))
def test_an_error_rate_is_what_it_is_called(polls: list[tuple[int, int]]) -> None:
    """Breached: the rate that is named is above the limit. Holding: it is not, and excludes twice the limit."""
    counted, requests, failed = [sample("metrics", 0, _counted(0, 0))], 0, 0
    for number, (more, bad) in enumerate(polls, 1):
        requests, failed = requests + more, failed + min(bad, more)
        counted.append(sample("metrics", 10.0 * number, _counted(requests, failed)))
    verdict = judged(counted)["MON-2"]
    if verdict.state is State.BREACHED:
        assert verdict.value is not None
        assert verdict.value > 0.05
    elif verdict.state is State.HOLDING:
        assert failed <= 0.05 * requests
        assert excludes_twice_the_limit(requests, failed, 0.05)
        assert not verdict.undecided
    elif verdict.state is State.INCONCLUSIVE:
        assert verdict.undecided
        assert requests < fewest_requests(0.05) or failed
    else:
        assert not requests


def _counted(total: int, failed: int) -> Metrics:
    return Metrics(total, total - failed, failed, 0.0, Latency(None, None, None, 0), {})


@settings(max_examples=200, deadline=None)
@given(samples())
def test_the_same_is_judged_again_from_what_the_journal_keeps(found: list[Sample]) -> None:
    """Every sample as the journal writes it, through JSON and back, leads to the very same verdicts."""
    history = Aggregates(READINGS)
    kept = [json.loads(json.dumps(history.add(one).record())) for one in found]
    again = judged([Sample.from_record(body) for body in kept])
    assert again == judged(found)


@settings(max_examples=200, deadline=None)
@given(samples(), st.integers(0, 60))
def test_a_poll_that_fails_never_turns_anything_into_a_pass(found: list[Sample], at: int) -> None:
    """What could not be looked at may only cost: no verdict becomes holding by it."""
    before = judged(found)
    dark = sample(SourceName.METRICS, 5.0 * 61, error="no answer")
    after = judged([*found, dark])
    for clause, verdict in before.items():
        if verdict.state is not State.HOLDING:
            assert after[clause].state is not State.HOLDING, (clause, at)
