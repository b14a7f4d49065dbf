"""Which clauses must have an outcome in this rollout, and which are left out with a reason that people are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rollout.clauses import Clause, planned
from rollout.policy import Policy
from rollout.scenario import EnvironmentChange, LimitChange, ProviderChange, Scenario
from rollout.target import Target

_OF_A_KIND: Mapping[type, tuple[str, tuple[str, ...]]] = {
    ProviderChange: ("activate a provider", ("APP-1.1", "APP-1.2")),
    EnvironmentChange: ("change the environment", ("APP-2.1", "APP-2.2", "APP-2.3", "APP-2.4")),
    LimitChange: ("change governance limits", ("APP-3.1", "APP-3.2")),
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
    kinds = {type(change) for change in scenario.changes}
    reasons |= {
        clause: f"the scenario does not {words}"
        for kind, (words, clauses) in _OF_A_KIND.items()
        for clause in clauses
        if kind not in kinds
    }
    if not target.prove_way_back:
        reasons["APP-0.2"] = f"target {target.name!r} switches it off (prove_way_back: false)"
    return reasons


def plan(phases: Iterable[str], left_out: Mapping[str, str]) -> tuple[Clause, ...]:
    """Return the clauses of `phases` that must pass, in procedure order (safety rule 1)."""
    return tuple(clause for clause in planned(phases) if clause.id not in left_out)
