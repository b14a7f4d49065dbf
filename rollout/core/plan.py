"""Which clauses must have an outcome in this rollout, and which are left out with a reason that the report shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rollout.core.canary_stages import CLAUSES as STAGES
from rollout.core.canary_stages import is_staged, stages
from rollout.core.clauses import Clause, planned
from rollout.core.policy import Policy
from rollout.core.scenario import Canary, ChangeClass, EnvironmentChange, LimitChange, ProviderChange, Scenario
from rollout.core.target import Target

_OF_A_KIND: Mapping[type, frozenset[str]] = {
    ProviderChange: frozenset({"APP-1.1", "APP-1.2"}),
    EnvironmentChange: frozenset({"APP-2.1", "APP-2.2", "APP-2.3", "APP-2.4"}),
    LimitChange: frozenset({"APP-3.1", "APP-3.2"}),
    Canary: frozenset({"CAN-1", *STAGES}),
}


def left_out(scenario: Scenario, target: Target, policy: Policy) -> Mapping[str, str]:
    """Return clause id -> why the clause needs no outcome in this rollout.

    A clause that the policy does not demand is checked all the same where the scenario states what it checks, such
    as a ticket.
    """
    stated = {
        "PRE-2.1": scenario.ticket,
        "PRE-2.2": scenario.approved_by or scenario.change_class is ChangeClass.STANDARD,
        "PRE-2.3": scenario.impact,
        "PRE-3.1": target.staging,
        "PRE-3.2": target.staging,
        "PRE-4.1": target.windows,
        "PRE-4.2": scenario.notify,
        "PRE-4.3": scenario.operator,
        "REV-3": scenario.usd_per_1k_tokens or (scenario.impact and scenario.impact.usd_a_day),
    }
    reasons = {
        clause: f"policy {policy.name!r} does not demand it, and the scenario says nothing about it"
        for clause in sorted(policy.not_demanded)
        if not stated.get(clause)
    }
    if scenario.change_class is ChangeClass.EMERGENCY:
        reasons["PRE-4.1"] = "class emergency: a hotfix waits for no window and no freeze"
    if not target.prove_way_back:
        reasons["APP-0.2"] = f"target {target.name!r} switches it off (prove_way_back: false)"
    return {**reasons, **_moved_by_a_canary(scenario)}


def _moved_by_a_canary(scenario: Scenario) -> Mapping[str, str]:
    """Return clause id -> why a canary leaves it out; a stage that the scenario does not have is among them."""
    if scenario.canary is None:
        return {}
    planned = {stage.clause for stage in stages(scenario)}
    if not is_staged(scenario):
        why = "the single-request test is all that comes before the activation, which moves all of the traffic"
        return {clause: why for clause in STAGES if clause not in planned}
    reasons = {clause: "the scenario has no stage of such a share" for clause in STAGES if clause not in planned}
    reasons["APP-1.2"] = "a canary: its last stage activates the provider, and reads it back (CAN-2.4)"
    reasons["VER-2"] = "a canary: CAN-1 judges who answers a real request"
    if len(scenario.changes) == 1:
        reasons["APP-4.1"] = "a canary: nothing is left of it yet, and each stage recognises what is in effect (CAN-2)"
    return reasons


def of_other_kinds(scenario: Scenario) -> frozenset[str]:
    """Return the clauses of the kinds of change that the scenario does not hold; a canary counts as a kind."""
    kinds = {type(change) for change in (*scenario.changes, scenario.canary)}
    return frozenset().union(*(clauses for kind, clauses in _OF_A_KIND.items() if kind not in kinds))


def plan(phases: Iterable[str], scenario: Scenario, left_out: Mapping[str, str]) -> tuple[Clause, ...]:
    """Return the clauses of `phases` that must pass, in procedure order (safety rule 1)."""
    without = of_other_kinds(scenario) | left_out.keys()
    return tuple(clause for clause in planned(phases) if clause.id not in without)
