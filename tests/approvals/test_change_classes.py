"""What lets a change in by its class: the policy's word, a review, or one approval, if need be afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.approvals.change_classes import authorize
from rollout.approvals.obligations import open_of
from rollout.core.errors import ApprovalPending
from rollout.core.policy import Policy, StandardChange
from rollout.core.scenario import ChangeClass, EnvironmentChange, Impact, LimitChange, ProviderChange, Scenario
from rollout.core.standard_changes import why_not
from rollout.journal.record import Kind
from tests.support.rollouts import NEW, rollout_in

SCENARIO = Scenario("s", "s.yaml", "t", (NEW,), author="alice")
LOW = Impact("low, it is a test", "nobody", "none")


def rollout_of(folder, change_class, **policy):
    scenario = replace(SCENARIO, change_class=ChangeClass(change_class))
    return rollout_in(folder, scenario=scenario, policy=Policy("lab", approvals_at_least=2, **policy))


def test_a_normal_change_needs_as_many_approvals_as_the_policy_says(tmp_path):
    assert authorize(rollout_of(tmp_path, "normal"), ["bob"]).approvals == 2


def test_a_standard_change_needs_none_and_says_whose_word_that_is(tmp_path):
    found = authorize(rollout_of(tmp_path, "standard", standard=(StandardChange("provider", ("openai",)),)), [])
    assert found.approvals == 0
    assert found.words == (
        "class standard: approved beforehand by policy 'lab', which lists provider openai, risk up to low"
    )


def test_one_approval_is_enough_for_an_emergency(tmp_path):
    made = rollout_of(tmp_path, "emergency")
    assert authorize(made, ["bob"]).approvals == 1
    assert made.record().owed == {}


def test_an_emergency_that_nobody_approved_is_owed_and_settled_by_whoever_approves_before_it_is_applied(tmp_path):
    made = rollout_of(tmp_path, "emergency", retrospective_within_s=7200.0)
    with pytest.raises(ApprovalPending, match=r"due by 2026-11-23T14:00:00.000Z: rollout approve r-1"):
        authorize(made, [])
    made.append(Kind.INTENT, step="APP-1.2", direction="forward", to="openai:gpt-4o")
    assert [str(each.what) for each in open_of(made.record())] == ["retrospective approval"]
    authorize(made, ["bob"])
    assert open_of(made.record()) == ()


LISTED = Policy(
    "production",
    standard=(
        StandardChange("provider", ("openai",), ("gpt-4o",)),
        StandardChange("environment", keys=("LOG_LEVEL", "LOG_FORMAT"), risk="medium"),
        StandardChange("limits", ("ollama",)),
    ),
)


@pytest.mark.parametrize(
    "change",
    [
        NEW,
        ProviderChange("OpenAI", "gpt-4o"),
        EnvironmentChange({"LOG_LEVEL": "debug"}, remove=("LOG_FORMAT",)),
        LimitChange("cost", "ollama", {}),
    ],
)
def test_what_the_policy_lists_is_standard(change):
    assert why_not(change, LOW, LISTED) is None


@pytest.mark.parametrize(
    "change",
    [
        ProviderChange("ollama", "gpt-4o"),
        ProviderChange("openai", "gpt-5"),
        EnvironmentChange({"LOG_LEVEL": "debug", "AI_MODE": "x"}),
        EnvironmentChange({"LOG_LEVEL": "debug"}, secrets={"OPENAI_API_KEY": "NEW_KEY"}),
        LimitChange("cost", "global", {}),
    ],
)
def test_anything_beside_what_the_policy_lists_is_not(change):
    assert "is no standard change of production, which lists: provider openai, model gpt-4o, risk up to low; " in str(
        why_not(change, LOW, LISTED)
    )


@pytest.mark.parametrize("risk", ["medium, a new contract", "high", "moderate", "…"])
def test_a_greater_risk_or_one_that_nobody_can_compare_is_not_standard(risk):
    said = str(why_not(NEW, replace(LOW, risk=risk), LISTED))
    assert said.startswith(
        "production approves openai:gpt-4o beforehand up to a risk of low, and the scenario states a "
    )


def test_the_greatest_risk_of_several_entries_counts():
    assert why_not(EnvironmentChange({"LOG_LEVEL": "x"}), replace(LOW, risk="Medium: logs grow"), LISTED) is None


def test_a_risk_that_nobody_states_is_standard_only_where_none_has_to_be_stated():
    assert "states no impact" in str(why_not(NEW, None, LISTED))
    assert why_not(NEW, None, replace(LISTED, not_demanded=frozenset({"PRE-2.3"}))) is None
