"""``policy.yaml``: what each environment demands at least."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rollout.loading.border import fill, reads_as_name
from rollout.loading.forms import PolicyForm
from rollout.loading.source import Source
from rollout.policy import Policy
from rollout.units import show_duration

PRODUCTION = "production"
SANDBOX = "sandbox"

BUILT_IN = {
    PRODUCTION: Policy(name=PRODUCTION),
    SANDBOX: Policy(
        name=SANDBOX,
        window_at_least_s=3.0,
        not_demanded=frozenset(
            {"PRE-2.1", "PRE-2.2", "PRE-2.3", "PRE-3.1", "PRE-3.2", "PRE-4.2", "PRE-4.3", "REV-3", "REV-4", "REV-5"}
        ),
        review="named",
        approval_max_age_s=None,
        operator_ack_max_age_s=None,
        limits_for_good="accept",
        outside_window="warn",
        canary_at_high_risk=False,
        review_after_s=60.0,
    ),
}
"""What rules where ``policy.yaml`` says nothing."""

_FIELDS = {
    "window_at_least": "window_at_least_s",
    "precheck_max_age": "precheck_max_age_s",
    "hold_at_most": "hold_at_most_s",
    "confirm_within": "confirm_within_s",
    "approval_max_age": "approval_max_age_s",
    "operator_ack_max_age": "operator_ack_max_age_s",
    "review_after": "review_after_s",
    "review_within": "review_within_s",
}


def policies(source: Source) -> dict[str, Policy]:
    """Return environment -> policy, those built in included."""
    found = dict(BUILT_IN)
    for name, data in source.data.items():
        form = fill(PolicyForm, data, source, (name,))
        reads_as_name(source, name)
        demands = {_FIELDS.get(key, key): _frozen(value) for key, value in form.given().items()}
        found[name] = replace(BUILT_IN.get(name, Policy(name)), **demands)
        _refuse_impossible_review(found[name], source)
    _refuse_loose_production(found[PRODUCTION], source)
    _refuse_loose_review(found[PRODUCTION], source)
    return found


def _refuse_loose_production(policy: Policy, source: Source) -> None:
    """Refuse a production policy that asks for less than the procedure does; it may ask for more."""
    least = BUILT_IN[PRODUCTION]
    if policy.window_at_least_s < least.window_at_least_s:
        source.refuse(
            (PRODUCTION, "window_at_least"),
            f"{show_duration(policy.window_at_least_s)} is shorter than the procedure's "
            f"{show_duration(least.window_at_least_s)} (PRE-4.4); raise it, or give the target another environment",
        )
    if policy.approvals_at_least < least.approvals_at_least:
        source.refuse(
            (PRODUCTION, "approvals_at_least"),
            f"{policy.approvals_at_least} is less than the procedure's {least.approvals_at_least} (PRE-2.2); raise it",
        )
    if policy.hold_at_most_s > least.hold_at_most_s:
        source.refuse(
            (PRODUCTION, "hold_at_most"),
            f"{show_duration(policy.hold_at_most_s)} would leave a breach alone for longer than "
            f"{show_duration(least.hold_at_most_s)}; lower it, or give the target another environment",
        )
    if policy.review == "named":
        source.refuse(
            (PRODUCTION, "review"),
            "named lets anybody write down anybody's name; the procedure asks for an approval of this very content "
            "(PRE-2.2): write recorded or signed, or give the target another environment",
        )
    if policy.operator_ack_max_age_s is None:
        source.refuse(
            (PRODUCTION, "operator_ack_max_age"),
            "the procedure asks for the operator's acknowledgement (PRE-4.3); write how old it may be, such as 12h",
        )
    if policy.limits_for_good != least.limits_for_good:
        source.refuse(
            (PRODUCTION, "limits_for_good"),
            f"{policy.limits_for_good} would leave a limit behind that no rollback can take away (RBK-3.4); "
            f"write {least.limits_for_good}, or give the target another environment",
        )
    if not policy.canary_at_high_risk:
        source.refuse(
            (PRODUCTION, "canary_at_high_risk"),
            "the procedure demands a canary where the risk is high (CAN); remove it, or give the target another "
            "environment",
        )
    if policy.not_demanded:
        source.refuse(
            (PRODUCTION, "not_demanded"),
            "production demands every clause of the procedure; remove the list, or give the target another environment",
        )


def _refuse_loose_review(policy: Policy, source: Source) -> None:
    """Refuse a production policy that reviews on less than the procedure's metrics, or lets a review wait."""
    least = BUILT_IN[PRODUCTION]
    if policy.review_after_s < least.review_after_s:
        source.refuse(
            (PRODUCTION, "review_after"),
            f"{show_duration(policy.review_after_s)} is shorter than the procedure's "
            f"{show_duration(least.review_after_s)} of metrics (REV-1); raise it, or give the target another "
            "environment",
        )
    if policy.review_within_s > least.review_within_s:
        source.refuse(
            (PRODUCTION, "review_within"),
            f"{show_duration(policy.review_within_s)} lets a review wait for longer than "
            f"{show_duration(least.review_within_s)}; lower it, or give the target another environment",
        )


def _refuse_impossible_review(policy: Policy, source: Source) -> None:
    if policy.review_within_s < policy.review_after_s:
        source.refuse(
            (policy.name,),
            f"a review is owed {show_duration(policy.review_within_s)} after its end (review_within), and may "
            f"be held after {show_duration(policy.review_after_s)} only (review_after); let it be owed later",
        )


def _frozen(value: Any) -> Any:
    return frozenset(value) if isinstance(value, list) else value
