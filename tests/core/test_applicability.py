"""What a gateway lacks, and the clauses that are not applicable for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.core.applicability import OBSERVES, find_inapplicable, find_lacking
from rollout.core.capabilities import Capability
from rollout.core.clauses import CLAUSES
from rollout.core.target import AlertmanagerSource, PrometheusSource, Sources, Target

TARGET = Target("gw", "lab")
NOTHING: dict[Capability, str | None] = {each: f"it has no {each}" for each in Capability}
EVERYTHING: dict[Capability, str | None] = dict.fromkeys(Capability)


def test_a_gateway_that_has_everything_lacks_nothing() -> None:
    assert find_lacking(EVERYTHING, TARGET) == {}
    assert find_inapplicable({}) == {}


def test_what_is_not_read_is_not_among_what_is_lacking() -> None:
    """That an activation takes a restart, for example, makes no clause inapplicable."""
    lacking = find_lacking(NOTHING, TARGET)
    assert set(lacking) == {"status", "counters", "alerts", "audit", "cost_limits", "rate_limits"}
    assert lacking["alerts"] == "it has no alerts"


@pytest.mark.parametrize(
    ("sources", "given", "applicable"),
    [
        (Sources(prometheus=PrometheusSource("http://p", "r", "f")), "counters", {"REV-1", "REV-3"}),
        (Sources(alertmanager=AlertmanagerSource("http://a")), "alerts", {"PRE-5.3", "MON-4", "REL-6"}),
    ],
)
def test_another_source_stands_in(sources: Sources, given: str, applicable: set[str]) -> None:
    lacking = find_lacking(NOTHING, replace(TARGET, sources=sources))
    assert given not in lacking
    assert OBSERVES.keys() - find_inapplicable(lacking).keys() == applicable


def test_a_gateway_with_one_kind_of_limits_is_read_for_both() -> None:
    lacking = {"cost_limits": "no budgets"}
    assert find_inapplicable(lacking) == {}
    assert set(find_inapplicable({**lacking, "rate_limits": "none"})) == {"REL-4", "REL-5"}


def test_a_clause_that_the_policy_insists_on_stays() -> None:
    found = find_inapplicable({"alerts": "none", "audit": "none"}, insisted={"MON-4"})
    assert found == {"PRE-5.3": "none", "VER-3": "none", "REL-6": "none", "REL-7": "none"}


def test_every_clause_of_the_table_is_one_of_the_procedure() -> None:
    assert OBSERVES.keys() <= CLAUSES.keys()
