"""``policy.yaml``: what each environment demands at least."""

from __future__ import annotations

from dataclasses import asdict

from rollout.config import sanity_bounds
from rollout.config.schemas.policies import PolicySchema
from rollout.config.source import Source
from rollout.config.validation import fill_schema
from rollout.core.policy import EXECUTE, KEEP, KINDS, Policy, StandardChange
from rollout.core.schemas import validators
from rollout.core.schemas.base import build_record
from rollout.core.units import show_duration

PRODUCTION = "production"
SANDBOX = "sandbox"
ELSEWHERE = "give the target another environment"

Demand = tuple[str, bool, str]
"""A key of a policy, whether its value asks for less than the procedure does, and why that is refused."""

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
        standard=tuple(map(StandardChange, KINDS)),
        prove_way_back=EXECUTE,
        on_missing_evidence=KEEP,
    ),
}
"""The policies where ``policy.yaml`` has none."""

_CLAUSE_OF = {
    "approvals_at_least": "PRE-2.2",
    "retrospective_within": "PRE-2.2",
    "required_sources": "PRE-2.5",
    "channels": "PRE-4.2",
    "outside_window": "PRE-4.1",
    "window_at_least": "PRE-4.4",
}
"""What a policy may ask for, and the clause that checks it."""


def read_policies(source: Source) -> dict[str, Policy]:
    """Return environment -> policy, those built in included."""
    found = dict(BUILT_IN)
    for name, data in source.data.items():
        parsed = fill_schema(PolicySchema, data, source, (name,))
        source.accept((name,), validators.name, name)
        found[name] = build_record(
            Policy, asdict(BUILT_IN.get(name, Policy(name))) | parsed.model_dump(exclude_unset=True)
        )
        _refuse_contradictions(found[name], parsed, source)
        _refuse_out_of_bounds(name, parsed, source)
    _refuse_loose_production(found[PRODUCTION], source)
    return found


def _refuse_out_of_bounds(name: str, parsed: PolicySchema, source: Source) -> None:
    if name != SANDBOX:
        bounds = (
            sanity_bounds.POLICY if name == PRODUCTION else {**sanity_bounds.POLICY, **sanity_bounds.BESIDE_PRODUCTION}
        )
        sanity_bounds.refuse_out_of_bounds(bounds, parsed.explicit_values(), name, source, (name,))


def _refuse_contradictions(policy: Policy, parsed: PolicySchema, source: Source) -> None:
    """Refuse a policy that asks for what it does not check, or that nothing could satisfy."""
    if policy.review_within_s < policy.review_after_s:
        source.refuse(
            (policy.name,),
            f"a review is owed {show_duration(policy.review_within_s)} after its end (review_within), and may "
            f"be held after {show_duration(policy.review_after_s)} only (review_after); let it be owed later",
        )
    given = parsed.explicit_values()
    for key in sorted(given.keys() & _CLAUSE_OF.keys()):
        clause = _CLAUSE_OF[key]
        if clause in given.get("not_demanded", ()) and given[key]:
            source.refuse(
                (policy.name, key),
                f"asks for what is not checked: {clause} is under not_demanded; remove one of the two",
            )
    if parsed.approvals_at_least == 0 and "PRE-2.2" not in policy.not_demanded and policy.name != PRODUCTION:
        source.refuse(
            (policy.name, "approvals_at_least"),
            "0 would let PRE-2.2 pass without an approval; write at least 1, or PRE-2.2 under not_demanded",
        )
    if policy.separate_duties and "PRE-2.2" in policy.not_demanded:
        # In a file without a list of its own, the built-in one of the sandbox counts.
        source.refuse(
            (policy.name, "separate_duties"),
            "asks for what is not checked: PRE-2.2 is under not_demanded; write that list without it",
        )
    if not policy.allowed_changes:
        source.refuse((policy.name, "allowed_changes"), "is empty, so nothing could ever change; name what may")
    for number, entry in enumerate(policy.standard):
        if entry.kind not in policy.allowed_changes:
            source.refuse(
                (policy.name, "standard", number, "kind"),
                f"{entry.kind} is approved beforehand, and allowed_changes does not allow it; remove one of the two",
            )


def _refuse_loose_production(policy: Policy, source: Source) -> None:
    """Refuse a production policy that asks for less than the procedure does; it may ask for more."""
    least = BUILT_IN[PRODUCTION]
    for key, is_looser, words in (
        *_change_demands(policy, least),
        *_people_demands(policy, least),
        *_review_demands(policy, least),
    ):
        if is_looser:
            source.refuse((PRODUCTION, key), words)


def _change_demands(policy: Policy, least: Policy) -> tuple[Demand, ...]:
    """Return what the procedure demands of the change."""
    return (
        (
            "window_at_least",
            policy.window_at_least_s < least.window_at_least_s,
            (
                f"{show_duration(policy.window_at_least_s)} is shorter than the procedure's "
                f"{show_duration(least.window_at_least_s)} (PRE-4.4); raise it, or {ELSEWHERE}"
            ),
        ),
        (
            "limits_for_good",
            policy.limits_for_good != least.limits_for_good,
            (
                f"{policy.limits_for_good} would leave a limit behind that no rollback can take away (RBK-3.4); "
                f"write {least.limits_for_good}, or {ELSEWHERE}"
            ),
        ),
        (
            "canary_at_high_risk",
            not policy.canary_at_high_risk,
            f"the procedure demands a canary where the risk is high (CAN); remove it, or {ELSEWHERE}",
        ),
        (
            "on_missing_evidence",
            policy.on_missing_evidence != least.on_missing_evidence,
            (
                f"{policy.on_missing_evidence} would keep a change that no auditor can follow (DOC-1); write "
                f"{least.on_missing_evidence}, or {ELSEWHERE}"
            ),
        ),
        (
            "not_demanded",
            bool(policy.not_demanded),
            f"production demands every clause of the procedure; remove the list, or {ELSEWHERE}",
        ),
    )


def _people_demands(policy: Policy, least: Policy) -> tuple[Demand, ...]:
    """Return what the procedure demands of people."""
    return (
        (
            "approvals_at_least",
            policy.approvals_at_least < least.approvals_at_least,
            f"{policy.approvals_at_least} is less than the procedure's {least.approvals_at_least} (PRE-2.2); raise it",
        ),
        (
            "hold_at_most",
            policy.hold_at_most_s > least.hold_at_most_s,
            (
                f"{show_duration(policy.hold_at_most_s)} would leave a breach alone for longer than "
                f"{show_duration(least.hold_at_most_s)}; lower it, or {ELSEWHERE}"
            ),
        ),
        (
            "review",
            policy.review == "named",
            (
                "named lets anybody write down anybody's name; the procedure asks for an approval of this very content "
                f"(PRE-2.2): write recorded or signed, or {ELSEWHERE}"
            ),
        ),
        (
            "operator_ack_max_age",
            policy.operator_ack_max_age_s is None,
            "the procedure asks for the operator's acknowledgement (PRE-4.3); write how old it may be, such as 12h",
        ),
        (
            "retrospective_within",
            policy.retrospective_within_s > least.retrospective_within_s,
            (
                f"{show_duration(policy.retrospective_within_s)} would leave an emergency unreviewed for longer than "
                f"{show_duration(least.retrospective_within_s)}; lower it, or {ELSEWHERE}"
            ),
        ),
    )


def _review_demands(policy: Policy, least: Policy) -> tuple[Demand, ...]:
    """Return what the procedure demands of a review: enough metrics, and no long wait."""
    return (
        (
            "review_after",
            policy.review_after_s < least.review_after_s,
            (
                f"{show_duration(policy.review_after_s)} is shorter than the procedure's "
                f"{show_duration(least.review_after_s)} of metrics (REV-1); raise it, or {ELSEWHERE}"
            ),
        ),
        (
            "review_within",
            policy.review_within_s > least.review_within_s,
            (
                f"{show_duration(policy.review_within_s)} lets a review wait for longer than "
                f"{show_duration(least.review_within_s)}; lower it, or {ELSEWHERE}"
            ),
        ),
    )
