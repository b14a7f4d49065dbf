"""The plan comes from the clause table; what is left out of it has a reason that the report shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import time

import pytest

from rollout.core.clauses import CLAUSES, ORDER, PHASES, Owner, planned
from rollout.core.plan import left_out, of_other_kinds, plan
from rollout.core.policy import Policy
from rollout.core.scenario import (
    Canary,
    EnvironmentChange,
    Impact,
    LimitChange,
    Operator,
    ProviderChange,
    Scenario,
    Share,
)
from rollout.core.target import ChangeWindow, Target

SILENT = Scenario("s", "s.yaml", "t", (ProviderChange("openai", "gpt-4o"),), author="alice")
TARGET = Target("t", "sandbox")
ALL_KINDS = replace(
    SILENT,
    changes=(*SILENT.changes, EnvironmentChange({"LOG_LEVEL": "debug"}), LimitChange("cost", "openai", {})),
)
LAX = Policy("sandbox", not_demanded=frozenset({"PRE-2.1", "PRE-2.2", "PRE-2.3", "PRE-3.1", "PRE-4.2", "PRE-4.3"}))


def test_a_policy_that_demands_everything_leaves_nothing_out():
    assert left_out(SILENT, TARGET, Policy("production")) == {}


def test_what_the_policy_does_not_demand_is_left_out_with_the_reason():
    reasons = left_out(SILENT, TARGET, LAX)
    assert set(reasons) == LAX.not_demanded
    assert reasons["PRE-2.1"] == "policy 'sandbox' does not demand it, and the scenario says nothing about it"


@pytest.mark.parametrize(
    ("clause", "stated"),
    [
        ("PRE-2.1", {"ticket": "T-1"}),
        ("PRE-2.2", {"approved_by": ("bob",)}),
        ("PRE-2.3", {"impact": Impact("a", "b", "c")}),
        ("PRE-4.2", {"notify": ("log",)}),
        ("PRE-4.3", {"operator": Operator("carol", "c@example.com")}),
    ],
)
def test_what_the_scenario_states_is_checked_all_the_same(clause, stated):
    assert set(left_out(replace(SILENT, **stated), TARGET, LAX)) == LAX.not_demanded - {clause}


def test_what_the_target_states_is_checked_all_the_same():
    window = ChangeWindow(frozenset({0}), time(9), time(17))
    stated = replace(TARGET, staging="http://127.0.0.1:1", windows=(window,))
    lax = replace(LAX, not_demanded=frozenset({"PRE-3.1", "PRE-3.2", "PRE-4.1"}))
    assert left_out(SILENT, stated, lax) == {}
    assert set(left_out(SILENT, TARGET, lax)) == lax.not_demanded


def test_a_target_can_switch_the_proof_of_the_rollback_off():
    reasons = left_out(SILENT, replace(TARGET, prove_way_back=False), Policy("production"))
    assert reasons == {"APP-0.2": "target 't' switches it off (prove_way_back: false)"}


def test_the_plan_is_every_built_clause_of_the_phases_in_procedure_order():
    ids = [clause.id for clause in plan(PHASES, replace(ALL_KINDS, canary=Canary()), {})]
    assert ids == sorted(ids, key=ORDER.__getitem__)
    assert set(ids) == {c.id for c in CLAUSES.values() if c.phase in PHASES and c.owner is Owner.CHECK}
    assert [clause.id for clause in plan(["verify"], ALL_KINDS, {"VER-3": "why"})] == ["VER-1", "VER-2", "VER-4"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (ALL_KINDS.changes[:1], {"APP-1.1", "APP-1.2"}),
        (ALL_KINDS.changes[1:2], {"APP-2.1", "APP-2.2", "APP-2.3", "APP-2.4"}),
        (ALL_KINDS.changes[2:], {"APP-3.1", "APP-3.2"}),
    ],
)
def test_clauses_of_kinds_that_the_scenario_does_not_change_are_not_planned(changes, expected):
    always = {"APP-0.1", "APP-0.2", "APP-4.1"}
    scenario = replace(ALL_KINDS, changes=changes)
    assert {clause.id for clause in plan(["apply"], scenario, {})} == always | expected
    assert not of_other_kinds(scenario) & (always | expected)


def test_the_gate_is_the_last_precheck_because_it_judges_the_others():
    assert planned(["precheck"])[-1].id == "PRE-3.3"


CANARY = {"CAN-1", "CAN-2.1", "CAN-2.2", "CAN-2.3", "CAN-2.4", "CAN-3"}


def ids(scenario: Scenario) -> set[str]:
    skipped = left_out(scenario, TARGET, Policy("production"))
    return {clause.id for clause in plan(("apply", "verify", "monitor"), scenario, skipped)}


def test_a_scenario_that_is_no_canary_has_none_of_its_clauses():
    assert not ids(SILENT) & CANARY
    assert of_other_kinds(SILENT) >= CANARY


def test_a_canary_plans_its_stages_and_not_the_clauses_that_they_replace():
    found = ids(replace(SILENT, canary=Canary()))
    assert found >= CANARY
    reasons = left_out(replace(SILENT, canary=Canary()), TARGET, Policy("production"))
    assert set(reasons) == {"APP-1.2", "APP-4.1", "VER-2"}
    assert not found & set(reasons)


def test_a_canary_beside_other_changes_plans_that_applying_them_again_changes_nothing():
    assert "APP-4.1" in ids(replace(ALL_KINDS, canary=Canary()))


def test_a_stage_that_a_canary_does_not_have_is_left_out_with_the_reason():
    planned_ = Canary((Share(0.3, 60), Share(1.0, 60)), 60)
    assert ids(replace(SILENT, canary=planned_)) & CANARY == {"CAN-1", "CAN-2.2", "CAN-2.4", "CAN-3"}
    reasons = left_out(replace(SILENT, canary=planned_), TARGET, Policy("production"))
    assert reasons["CAN-2.1"] == "the scenario has no stage of such a share"


def test_the_single_request_alone_plans_the_activation_and_the_stabilisation():
    found = ids(replace(SILENT, canary=Canary(shares=())))
    assert found & CANARY == {"CAN-1", "CAN-3"}
    assert found >= {"APP-1.2", "APP-4.1", "VER-2"}
