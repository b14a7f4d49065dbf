"""The judgments of a review, over a simulated day."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rollout.approvals.obligations import ObligationKind, open_of
from rollout.context import RolloutContext
from rollout.core.errors import RolloutError, TryLater
from rollout.core.histogram import Histogram
from rollout.core.options import ReviewOptions
from rollout.core.scenario import Impact, ProviderChange, Scenario
from rollout.core.target import PrometheusSource, Sources
from rollout.engine import closing_snapshot, post_change_metrics
from rollout.gateway.responses import Latency, Metrics
from rollout.journal.record import Decision, Kind, RolloutRecord, What
from rollout.monitoring.samples import Baseline
from rollout.plugin.review_run import chosen
from tests.support.rollouts import NEW, OLD, ScriptedGateway, rollout_in

DAY_S = 24 * 3600.0
OPTIONS = ReviewOptions(
    rollout=None,
    target=None,
    gateway=None,
    documentation=None,
    learnings=None,
    journal="sqlite:///j",
    reports=Path("reports"),
)


class Counting(ScriptedGateway):
    """A gateway whose counters are an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.active = NEW.provider
        self.config |= {"ACTIVE_PROVIDER": NEW.provider, "LLM_MODEL_NAME": NEW.model}
        self.counted = {NEW.provider: counted(0), OLD.provider: counted(5000, usd=5.0, tokens=100_000)}
        self.boot: str | None = "first"

    def uninterruptible(self) -> Counting:
        """Return itself."""
        return self

    def metrics(self, provider: str) -> Metrics:
        """Return the counters."""
        return self.counted[provider]

    def boot_id(self) -> str | None:
        """Return the id of the process."""
        return self.boot


def counted(
    total: int, failed: int = 0, *, p95_ms: float = 100.0, usd: float = 0.0, tokens: int | None = None
) -> Metrics:
    latency = Latency(None, p95_ms if total else None, None, min(total, 1000))
    tokens = 20 * total if tokens is None else tokens
    return Metrics(total, total - failed, failed, 0.0, latency, {}, total_usd=usd, total_tokens=tokens)


def closed(folder: Path, gateway: Counting, decision: Decision = Decision.KEPT, **scenario: Any) -> RolloutContext:
    """Return a rollout that was closed a day ago, with its snapshot."""
    impact = Impact("low", "nobody", "little", usd_a_day=40.0)
    full_scenario = Scenario("s", "s.yaml", "t", (NEW,), author="alice", impact=impact, **scenario)
    rollout = rollout_in(folder, gateway, scenario=full_scenario)
    target = {"name": "t"}
    rollout.append(Kind.OPENED, digest="d", scenario={}, target=target, change=str(NEW), author="alice", url="u")
    backup = {"previous": {"provider": OLD.provider, "model": OLD.model}, "cost_limits": {}, "rate_limits": {}}
    rollout.append(Kind.BACKUP, **backup)
    rollout.append(Kind.BASELINE, **Baseline(OLD.provider, users_p95_ms=100.0, users_samples=1000).record())
    rollout.take_lease()
    with rollout.journaled_write("APP-1.2", "forward", str(NEW), what=What.PROVIDER):
        pass
    rollout.append(Kind.CLOSED, decision=decision, word="KEPT", why="", not_passed={}, rollback=[], commands=[])
    closing_snapshot.capture(rollout)
    rollout.clock.wait(DAY_S)
    return rollout


@pytest.fixture
def gateway() -> Counting:
    return Counting()


def test_a_day_within_the_limits_is_a_pass_with_its_numbers(tmp_path: Path, gateway: Counting):
    rollout = closed(tmp_path, gateway)
    gateway.counted[NEW.provider] = counted(20_000, 100, usd=30.0)
    seen = post_change_metrics.metrics(rollout)
    assert seen.problems == []
    assert (
        "error rate 0.5 % (0.3-0.7 %) over the review's 24 h (100 of 20000 requests) is not above 5 %" in seen.message
    )
    assert "P95 100 ms" in seen.message
    cost = post_change_metrics.cost(rollout)
    assert cost.problems == []
    assert "openai:gpt-4o cost 30 USD a day (30 USD in 24 h, as the gateway counts it)" in cost.message
    assert "ollama:gemma3:4b would have cost 20 USD for the same tokens" in cost.message


def test_a_day_above_the_limits_is_no_pass(tmp_path: Path, gateway: Counting):
    rollout = closed(tmp_path, gateway)
    gateway.counted[NEW.provider] = counted(20_000, 2_000, p95_ms=201.0, usd=41.0)
    assert any("error rate 10.0 %" in problem for problem in post_change_metrics.metrics(rollout).problems)
    assert any("P95 201 ms" in problem for problem in post_change_metrics.metrics(rollout).problems)
    (problem,) = post_change_metrics.cost(rollout).problems
    assert "more than the estimated 40 USD a day" in problem


def test_a_restart_leaves_the_requests_after_it_and_without_any_nothing_is_judged(tmp_path: Path, gateway: Counting):
    gateway.counted[NEW.provider] = counted(500)
    rollout = closed(tmp_path, gateway)
    # More requests than before, so that only the process's id shows the restart.
    gateway.counted[NEW.provider], gateway.boot = counted(900, 90), "second"
    judged = post_change_metrics.metrics(rollout)
    assert any("90 of 900 requests" in problem for problem in judged.problems)
    assert "the counters were reset since" in judged.message
    gateway.counted[NEW.provider] = counted(0)
    assert any("which is never a pass" in problem for problem in post_change_metrics.metrics(rollout).problems)


@pytest.mark.parametrize(
    ("scenario", "usd", "reason"),
    [
        ({}, 0.0, "the gateway reports no cost, 0 for every provider, and the scenario no price of openai:gpt-4o"),
        ({"impact": Impact("low", "nobody", "about 3 USD")}, 5.0, "the estimate is prose (about 3 USD)"),
        ({"impact": None}, 5.0, "there is no estimate"),
    ],
)
def test_a_cost_that_is_not_known_is_no_pass(
    tmp_path: Path, gateway: Counting, scenario: dict[str, Any], usd: float, reason: str
):
    gateway.counted[OLD.provider] = counted(5000)
    rollout = closed(tmp_path, gateway)
    rollout.scenario = Scenario("s", "s.yaml", "t", (NEW,), author="alice", **scenario)
    gateway.counted[NEW.provider] = counted(100, usd=usd)
    try:
        shown = "; ".join(post_change_metrics.cost(rollout).problems)
    except post_change_metrics.NotJudged as error:
        shown = str(error)
    assert reason in shown


def test_prices_take_the_place_of_a_gateway_that_counts_no_cost(tmp_path: Path, gateway: Counting):
    gateway.counted[OLD.provider] = counted(5000)
    rollout = closed(tmp_path, gateway, usd_per_1k_tokens={str(NEW): 0.005, str(OLD): 0.0})
    gateway.counted[NEW.provider] = counted(100_000)
    seen = post_change_metrics.cost(rollout)
    assert seen.problems == []
    assert "openai:gpt-4o cost 10 USD a day (10 USD in 24 h, 2000000 tokens at the scenario's 0.005" in seen.message
    gateway.counted[NEW.provider] = counted(100_000, tokens=0)
    with pytest.raises(post_change_metrics.NotJudged, match="reports neither cost nor tokens"):
        post_change_metrics.cost(rollout)


def test_a_gateway_that_did_not_answer_at_the_end_leaves_nothing_to_compare(tmp_path: Path, gateway: Counting):
    gateway.active = None
    rollout = closed(tmp_path, gateway)
    for judge in (post_change_metrics.metrics, post_change_metrics.cost):
        with pytest.raises(
            post_change_metrics.NotJudged, match=r"could not be read when the rollout ended.*no provider is active"
        ):
            judge(rollout)
    with pytest.raises(post_change_metrics.NotJudged, match="is not named as a file that can be read from here"):
        post_change_metrics.errors(rollout)


def test_where_prometheus_is_the_source_it_is_asked_for_the_time_since(
    tmp_path: Path, gateway: Counting, monkeypatch: pytest.MonkeyPatch
):
    """Its percentile covers the day's own requests, and no reset hides any."""
    asked: list[float] = []

    @contextmanager
    def observed(_: RolloutContext, __: ProviderChange, *, since_s: float = 0.0) -> Iterator[Any]:
        asked.append(since_s)
        slow = Histogram.of({0.1: 900.0, 0.3: 1000.0, math.inf: 1000.0})
        yield SimpleNamespace(metrics=lambda _: replace(counted(1000, 10), histogram=slow))

    monkeypatch.setattr(post_change_metrics, "observe_provider", observed)
    rollout = closed(tmp_path, gateway)
    source = PrometheusSource("http://127.0.0.1:9", "r", "e", "b")
    rollout.target = replace(rollout.target, sources=Sources(prometheus=source))
    seen = post_change_metrics.metrics(rollout)
    assert asked == [DAY_S]
    assert any("P95 200 ms" in row["seen"] and row["state"] == "holding" for row in seen.rows), seen.rows
    assert any("10 of 1000 requests" in row["seen"] for row in seen.rows)


# Which rollout is reviewed, and when


def record_of(rollout: RolloutContext) -> RolloutRecord:
    return rollout.record()


def test_a_review_may_be_held_after_a_day_and_is_overdue_after_a_week(tmp_path: Path, gateway: Counting):
    rollout = closed(tmp_path, gateway)
    record, now = record_of(rollout), rollout.clock.now()
    (obligation,) = open_of(record)
    assert (obligation.what, obligation.is_overdue(now), (obligation.due - now).days) == (
        ObligationKind.REVIEW,
        False,
        6,
    )
    assert chosen([record], OPTIONS, now) is record
    snapshot = closing_snapshot.of_record(record)
    with pytest.raises(TryLater, match=r"the review of r-1 may be held from 2026-11-24T12:00:00\.000Z on"):
        chosen([record], OPTIONS, snapshot.at)
    rollout.clock.wait(6 * DAY_S + 1)
    assert obligation.is_overdue(rollout.clock.now())


def test_the_latest_that_may_be_reviewed_is_chosen_and_a_fulfilled_one_no_more(tmp_path: Path, gateway: Counting):
    older = record_of(closed(tmp_path / "older", gateway))
    rollout = closed(tmp_path / "newer", gateway)
    rollout.clock.wait(3600)
    newer = record_of(rollout)
    newer.closed_at = "2026-11-24T00:00:00.000Z"
    now = rollout.clock.now()
    assert chosen([newer, older], OPTIONS, now) is newer
    newer.owed.clear()
    assert chosen([newer, older], OPTIONS, now) is older
    older.owed.clear()
    with pytest.raises(RolloutError, match="no rollout owes a review"):
        chosen([newer, older], OPTIONS, now)
