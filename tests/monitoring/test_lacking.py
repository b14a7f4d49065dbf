"""What the gateway lacks is not polled, and its triggers are not applicable: neither a pass nor an obstacle."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.core.scenario import Monitor, ProviderChange
from rollout.core.target import Target
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.samples import Context
from rollout.monitoring.sources.registry import gateway_sources
from rollout.monitoring.triggers import judge
from rollout.monitoring.verdict import State
from tests.support.clocks import SimulatedClock
from tests.support.gateways import LiveGateway

NEW, OLD = ProviderChange("openai", "gpt-4o"), ProviderChange("ollama", "gemma3:4b")
EVERYTHING = {"control", "status", "metrics", "alerts", "fallbacks", "synthetic", "way_back"}
LIMITS = (("cost_limits", "no budgets"), ("rate_limits", "no rates"))


def context(*lacking: tuple[str, str]) -> Context:
    return Context(NEW, OLD, Monitor(), control=OLD, lacking=lacking)


@pytest.mark.parametrize(
    ("lacking", "unpolled"),
    [
        ((), set()),
        ((("status", "x"),), {"status"}),
        ((("counters", "x"),), {"metrics", "control"}),
        ((("alerts", "x"),), {"alerts"}),
        (LIMITS[:1], set()),
        (LIMITS, {"fallbacks"}),
    ],
)
def test_a_source_of_what_is_lacking_is_left_out(lacking: Any, unpolled: set[str]) -> None:
    clock = SimulatedClock()
    sources = gateway_sources(LiveGateway(clock), context(*lacking), Target("t", "lab"), clock=clock)  # type: ignore[arg-type]
    assert {str(source.name) for source in sources} == EVERYTHING - unpolled


def test_its_triggers_are_not_applicable_with_the_reason() -> None:
    known = context(("status", "it watches none"), ("alerts", "it has none"))
    verdicts = {verdict.clause: verdict for verdict in judge(Aggregates(("synthetic",)), known, 1.0)}
    assert (verdicts["MON-1"].state, verdicts["MON-1"].message) == (State.NOT_APPLICABLE, "it watches none")
    assert (verdicts["MON-4"].state, verdicts["MON-4"].message) == (State.NOT_APPLICABLE, "it has none")
    assert {clause for clause, verdict in verdicts.items() if verdict.state is State.NOT_APPLICABLE} == {
        "MON-1",
        "MON-4",
    }


def test_without_the_reason_a_source_that_is_left_out_is_no_data() -> None:
    verdicts = judge(Aggregates(("synthetic",)), context(), 1.0)
    assert {verdict.state for verdict in verdicts if verdict.clause in ("MON-1", "MON-4")} == {State.NO_DATA}
