"""``policy.yaml``: what each environment demands at least."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rollout.config import sanity_bounds
from rollout.config.schemas.policies import PolicySchema, StandardChangeSchema
from rollout.config.source import Source
from rollout.config.validation import fill_schema, refuse_invalid_name
from rollout.core.policy import EXECUTE, KEEP, KINDS, Policy, StandardChange
from rollout.core.units import show_duration

PRODUCTION = "production"
SANDBOX = "sandbox"
ELSEWHERE = "give the target another environment"

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

_FIELDS = {
    "window_at_least": "window_at_least_s",
    "precheck_max_age": "precheck_max_age_s",
    "hold_at_most": "hold_at_most_s",
    "confirm_within": "confirm_within_s",
    "approval_max_age": "approval_max_age_s",
    "operator_ack_max_age": "operator_ack_max_age_s",
    "review_after": "review_after_s",
    "review_within": "review_within_s",
    "retrospective_within": "retrospective_within_s",
}
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
        refuse_invalid_name(source, name)
        demands = {_FIELDS.get(key, key): _settled(key, value) for key, value in parsed.explicit_values().items()}
        found[name] = replace(BUILT_IN.get(name, Policy(name)), **demands)
        _refuse_impossible_review(found[name], source)
        _refuse_contradictions(found[name], parsed, source)
        _refuse_out_of_bounds(name, parsed, source)
    _refuse_loose_production(found[PRODUCTION], source)
    _refuse_loose_review(found[PRODUCTION], source)
    return found


def _refuse_out_of_bounds(name: str, parsed: PolicySchema, source: Source) -> None:
    if name != SANDBOX:
        bounds = (
            sanity_bounds.POLICY if name == PRODUCTION else {**sanity_bounds.POLICY, **sanity_bounds.BESIDE_PRODUCTION}
        )
        sanity_bounds.refuse_out_of_bounds(bounds, parsed.explicit_values(), name, source, (name,))


def _refuse_contradictions(policy: Policy, parsed: PolicySchema, source: Source) -> None:
    """Refuse a policy that asks for what it does not check, or that nothing could satisfy."""
    for key in sorted(parsed.model_fields_set & _CLAUSE_OF.keys()):
        clause = _CLAUSE_OF[key]
        if parsed.not_demanded and clause in parsed.not_demanded and getattr(parsed, key):
            source.refuse(
                (policy.name, key),
                f"asks for what is not checked: {clause} is under not_demanded; remove one of the two",
            )
    if parsed.approvals_at_least == 0 and "PRE-2.2" not in policy.not_demanded and policy.name != PRODUCTION:
        source.refuse(
            (policy.name, "approvals_at_least"),
            "0 would let PRE-2.2 pass without an approval; write at least 1, or PRE-2.2 under not_demanded",
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
    for key, words in (*_loosened(policy), *_loosened_for_people(policy)):
        source.refuse((PRODUCTION, key), words)


def _loosened(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield (key, why) for what asks less of the change than the procedure does."""
    least = BUILT_IN[PRODUCTION]
    if policy.window_at_least_s < least.window_at_least_s:
        yield (
            "window_at_least",
            (
                f"{show_duration(policy.window_at_least_s)} is shorter than the procedure's "
                f"{show_duration(least.window_at_least_s)} (PRE-4.4); raise it, or {ELSEWHERE}"
            ),
        )
    if policy.limits_for_good != least.limits_for_good:
        yield (
            "limits_for_good",
            (
                f"{policy.limits_for_good} would leave a limit behind that no rollback can take away (RBK-3.4); "
                f"write {least.limits_for_good}, or {ELSEWHERE}"
            ),
        )
    if not policy.canary_at_high_risk:
        yield (
            "canary_at_high_risk",
            f"the procedure demands a canary where the risk is high (CAN); remove it, or {ELSEWHERE}",
        )
    if policy.on_missing_evidence != least.on_missing_evidence:
        yield (
            "on_missing_evidence",
            (
                f"{policy.on_missing_evidence} would keep a change that no auditor can follow (DOC-1); write "
                f"{least.on_missing_evidence}, or {ELSEWHERE}"
            ),
        )
    if policy.not_demanded:
        yield "not_demanded", f"production demands every clause of the procedure; remove the list, or {ELSEWHERE}"


def _loosened_for_people(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield (key, why) for what asks less of people than the procedure does."""
    least = BUILT_IN[PRODUCTION]
    if policy.approvals_at_least < least.approvals_at_least:
        yield (
            "approvals_at_least",
            f"{policy.approvals_at_least} is less than the procedure's {least.approvals_at_least} (PRE-2.2); raise it",
        )
    if policy.hold_at_most_s > least.hold_at_most_s:
        yield (
            "hold_at_most",
            (
                f"{show_duration(policy.hold_at_most_s)} would leave a breach alone for longer than "
                f"{show_duration(least.hold_at_most_s)}; lower it, or {ELSEWHERE}"
            ),
        )
    if policy.review == "named":
        yield (
            "review",
            (
                "named lets anybody write down anybody's name; the procedure asks for an approval of this very content "
                f"(PRE-2.2): write recorded or signed, or {ELSEWHERE}"
            ),
        )
    if policy.operator_ack_max_age_s is None:
        yield (
            "operator_ack_max_age",
            "the procedure asks for the operator's acknowledgement (PRE-4.3); write how old it may be, such as 12h",
        )
    if policy.retrospective_within_s > least.retrospective_within_s:
        yield (
            "retrospective_within",
            (
                f"{show_duration(policy.retrospective_within_s)} would leave an emergency unreviewed for longer than "
                f"{show_duration(least.retrospective_within_s)}; lower it, or {ELSEWHERE}"
            ),
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


def _settled(key: str, value: Any) -> Any:
    if key == "standard":
        return tuple(_standard(parsed) for parsed in value)
    if key in ("channels", "redact"):
        return tuple(dict.fromkeys(value))
    return frozenset(value) if isinstance(value, list) else value


def _standard(parsed: StandardChangeSchema) -> StandardChange:
    parts: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in parsed.explicit_values().items()
    }
    # A mapping that was refused may lack a required key; its policy is never used.
    return StandardChange(**{"kind": "", **parts})
