"""What one environment of `policy.yaml` demands."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, model_validator

from rollout.config import quantities
from rollout.config.schemas.values import Channels, Flag, Kind, OnNoData, Regex, Seconds, Texts
from rollout.core.policy import BLOCK, EXCEPT_RESTART, EXECUTE, KEEP, WAIT, WARN
from rollout.core.schemas import validators
from rollout.core.schemas.base import CompleteSchema, Schema
from rollout.core.schemas.values import Text, Variable, Variables


class StandardChangeSchema(CompleteSchema):
    """Changes that a policy approves beforehand.

    Attributes:
        kind: what is changed: the active `provider`, the `.env` file (`environment`) or governance `limits`.
    """

    example = "{kind: provider, providers: [openai], models: [gpt-4o], risk: low}"
    required_keys = ("kind",)

    kind: Kind = ""
    providers: Annotated[
        list[Annotated[str, BeforeValidator(validators.provider)]] | None, BeforeValidator(validators.items)
    ] = None
    models: Texts = None
    keys: Variables = None
    risk: Annotated[str | None, BeforeValidator(validators.choice("low", "medium"))] = None

    @model_validator(mode="after")
    def _narrows_its_kind(self) -> Self:
        known = {"provider": {"providers", "models"}, "environment": {"keys"}, "limits": {"providers"}}
        odd = self.model_fields_set & {"providers", "models", "keys"} - known.get(self.kind, set())
        if self.kind and odd:
            raise ValueError(f"{' and '.join(sorted(odd))} cannot narrow changes of kind {self.kind}; remove it")
        if empty := [key for key in ("providers", "models", "keys") if getattr(self, key) == []]:
            raise ValueError(f"{empty[0]} is empty, so nothing would fit; write some, or leave it out for any")
        return self


class PolicySchema(Schema):
    """What one environment of ``policy.yaml`` demands.

    Attributes:
        approval_max_age_s: an older approval does not count; `none` accepts any age.
        operator_ack_max_age_s: the operator must have acknowledged within so long (PRE-4.3); `none` asks for no
            acknowledgement.
        keep_evidence_days: so many days after its end `rollout prune` leaves a rollout's evidence where it is; left
            out, its `--keep` alone decides.
        required: clauses that need an outcome even on a gateway that lacks what they observe, such as MON-4 where it
            has no alerts: the target then names another source, or the scenario a waiver.
        allowed_changes: the kinds of change that this environment accepts: `provider`, `environment`, `limits`.
    """

    example = "{window_at_least: 30m, approvals_at_least: 1}"

    window_at_least_s: Seconds = None
    not_demanded: Annotated[
        list[Annotated[str, BeforeValidator(validators.dispensable)]] | None, BeforeValidator(validators.items)
    ] = None
    ticket_pattern: Regex = None
    ticket_url: Annotated[str | None, BeforeValidator(validators.ticket_url)] = None
    ticket_lookup: Annotated[str | None, BeforeValidator(validators.ticket_url)] = None
    ticket_token_env: Variable = None
    approvals_at_least: Annotated[int | None, BeforeValidator(quantities.whole_number(0))] = None
    review: Annotated[str | None, BeforeValidator(validators.choice("named", "recorded", "signed"))] = None
    allowed_signers: Text = None
    approval_max_age_s: Annotated[float | None, BeforeValidator(quantities.seconds_or_none)] = None
    operator_ack_max_age_s: Annotated[float | None, BeforeValidator(quantities.seconds_or_none)] = None
    pull_request: Annotated[str | None, BeforeValidator(validators.choice("accept", "ignore"))] = None
    limits_for_good: Annotated[str | None, BeforeValidator(validators.choice("refuse", "accept"))] = None
    precheck_max_age_s: Seconds = None
    outside_window: Annotated[str | None, BeforeValidator(validators.choice("warn", "block"))] = None
    hold_at_most_s: Seconds = None
    canary_at_high_risk: Flag = None
    confirm_within_s: Seconds = None
    review_after_s: Seconds = None
    review_within_s: Seconds = None
    standard: Annotated[list[StandardChangeSchema] | None, BeforeValidator(validators.items)] = None
    retrospective_within_s: Seconds = None
    channels: Annotated[Channels, AfterValidator(validators.once)] = None
    allowed_changes: Annotated[list[Kind] | None, BeforeValidator(validators.items)] = None
    required_sources: Annotated[
        list[Annotated[str, BeforeValidator(validators.choice("prometheus", "alertmanager", "log"))]] | None,
        BeforeValidator(validators.items),
    ] = None
    on_no_data: OnNoData = None
    redact: Annotated[
        list[Annotated[str, BeforeValidator(validators.secret_pattern)]] | None,
        BeforeValidator(validators.items),
        AfterValidator(validators.once),
    ] = None
    prove_way_back: Annotated[str | None, BeforeValidator(validators.choice(EXECUTE, EXCEPT_RESTART))] = None
    on_missing_evidence: Annotated[str | None, BeforeValidator(validators.choice(WAIT, KEEP))] = None
    separate_duties: Flag = None
    alpha: Annotated[float | None, BeforeValidator(quantities.alpha)] = None
    required: Annotated[
        list[Annotated[str, BeforeValidator(validators.observing)]] | None, BeforeValidator(validators.items)
    ] = None
    keep_evidence_days: Annotated[int | None, BeforeValidator(quantities.whole_number(1))] = None
    power: Annotated[str | None, BeforeValidator(validators.choice(WARN, BLOCK))] = None
