"""Which clauses must have an outcome in this rollout, and which are left out with a reason that people are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rollout.clauses import Clause, planned
from rollout.policy import Policy
from rollout.scenario import EnvironmentChange, LimitChange, ProviderChange, Scenario
from rollout.target import Target

_OF_A_KIND: Mapping[type, frozenset[str]] = {
    ProviderChange: frozenset({"APP-1.1", "APP-1.2"}),
    EnvironmentChange: frozenset({"APP-2.1", "APP-2.2", "APP-2.3", "APP-2.4"}),
    LimitChange: frozenset({"APP-3.1", "APP-3.2"}),
}


def left_out(scenario: Scenario, target: Target, policy: Policy) -> Mapping[str, str]:
    """Return clause id -> why this rollout does not owe it an outcome.

    A clause that the policy does not demand is checked all the same where the scenario speaks of it: whoever names a
    ticket wants it looked at.
    """
    spoken_of = {
        "PRE-2.1": scenario.ticket,
        "PRE-2.2": scenario.approved_by,
        "PRE-2.3": scenario.impact,
        "PRE-3.1": target.twin,
        "PRE-3.2": target.twin,
        "PRE-4.1": target.windows,
        "PRE-4.2": scenario.notify,
        "PRE-4.3": scenario.operator,
    }
    reasons = {
        clause: f"policy {policy.name!r} does not demand it, and the scenario says nothing about it"
        for clause in sorted(policy.not_demanded)
        if not spoken_of.get(clause)
    }
    if not target.prove_way_back:
        reasons["APP-0.2"] = f"target {target.name!r} switches it off (prove_way_back: false)"
    return reasons


def of_other_kinds(scenario: Scenario) -> frozenset[str]:
    """Return the clauses that speak of kinds of change which the scenario does not hold."""
    kinds = {type(change) for change in scenario.changes}
    return frozenset().union(*(clauses for kind, clauses in _OF_A_KIND.items() if kind not in kinds))


def plan(phases: Iterable[str], scenario: Scenario, left_out: Mapping[str, str]) -> tuple[Clause, ...]:
    """Return the clauses of `phases` that must pass, in procedure order (safety rule 1)."""
    without = of_other_kinds(scenario) | left_out.keys()
    return tuple(clause for clause in planned(phases) if clause.id not in without)
