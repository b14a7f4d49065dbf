"""One scenario."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from rollout.config import quantities
from rollout.config.schemas.changes import CompleteActivationSchema
from rollout.config.schemas.monitoring import MonitorSchema
from rollout.config.schemas.values import Channels, Seconds, Texts
from rollout.core.scenario import ChangeClass
from rollout.core.schemas import validators
from rollout.core.schemas.base import CompleteSchema, Schema
from rollout.core.schemas.values import Text


class ImpactSchema(CompleteSchema):
    """``{risk: …, affects: …, cost: …}`` (PRE-2.3)."""

    required_keys = ("risk", "affects", "cost")
    example = "{risk: low, affects: all chat users, cost: +10 USD a day}"

    risk: Annotated[str, BeforeValidator(validators.prose)] = ""
    affects: Annotated[str, BeforeValidator(validators.prose)] = ""
    cost: Annotated[str, BeforeValidator(validators.prose)] = ""
    usd_a_day: Annotated[float | None, BeforeValidator(quantities.price)] = None


class OperatorSchema(CompleteSchema):
    """``{name: …, contact: …}`` (PRE-4.3)."""

    required_keys = ("name", "contact")
    example = "{name: carol, contact: carol@example.com}"

    name: Annotated[str, BeforeValidator(validators.text)] = ""
    contact: Annotated[str, BeforeValidator(validators.text)] = ""


class StageSchema(CompleteSchema):
    """``{share: 10%, for: 1h}`` (CAN-2).

    Attributes:
        share: the part of the requests that the new provider gets.
    """

    required_keys = ("share", "for")
    example = "{share: 10%, for: 1h}"

    share: Annotated[float, BeforeValidator(quantities.portion)] = 0.0
    lasts_s: Annotated[float, BeforeValidator(quantities.seconds), Field(alias="for")] = 0.0


class StrategySchema(Schema):
    """``canary``, or a mapping that says how (CAN).

    Attributes:
        shares: the stages, rising up to 100%.
        single_request: `only`: there are no stages, and one request to the new provider comes before the activation.
        without_weights: where the target cannot split its traffic, `refuse` the scenario, or let `single_request`
            take the stages' place.
    """

    example = "canary"

    shares: Annotated[list[StageSchema] | None, BeforeValidator(validators.items), Field(alias="stages")] = None
    stabilise_s: Seconds = None
    single_request: Annotated[str | bool | None, BeforeValidator(validators.true_or_only)] = None
    without_weights: Annotated[str | None, BeforeValidator(validators.choice("refuse", "single_request"))] = None


class WaiverSchema(CompleteSchema):
    """``{clause: …, reason: …, granted_by: …, until: …}``: one clause may fail."""

    example = "{clause: PRE-4.4, reason: the vendor ends the old model tonight, granted_by: dave, until: 2026-12-01}"
    required_keys = ("clause", "reason", "granted_by", "until")

    clause: Annotated[str, BeforeValidator(validators.waivable)] = ""
    reason: Annotated[str, BeforeValidator(validators.text)] = ""
    granted_by: Annotated[str, BeforeValidator(validators.text)] = ""
    until: Annotated[datetime, BeforeValidator(quantities.moment)] = datetime.max  # noqa: DTZ901 - wall clock


class ScenarioSchema(Schema):
    """One scenario file.

    Attributes:
        name: what the rollout is called; the file's name where it is left out.
        target: a name in `targets.yaml`.
        change: what is changed: a mapping of one kind (`activate`, `set`, `limits`), or a list of such mappings, which
            are applied in order and undone in reverse.
        strategy: `canary`, or a mapping that says how the traffic moves over; left out, it moves all at once.
        monitor: the bake time.
        sandbox: settings of the embedded gateway, where it is started on demand (docs/EMBEDDED-GATEWAY.md).
    """

    example = "change: {activate: openai, model: gpt-4o}"
    required_keys = ("change",)

    name: Annotated[str | None, BeforeValidator(validators.name)] = None
    target: Annotated[str | None, BeforeValidator(validators.name)] = None
    ticket: Text = None
    change_class: Annotated[
        ChangeClass | None, BeforeValidator(validators.choice(*ChangeClass)), Field(alias="class")
    ] = None
    author: Text = None
    approved_by: Texts = None
    impact: Annotated[ImpactSchema | None, BeforeValidator(validators.require)] = None
    operator: Annotated[OperatorSchema | None, BeforeValidator(validators.contact)] = None
    notify: Channels = None
    fixes: Texts = None
    waivers: Annotated[list[WaiverSchema] | None, BeforeValidator(validators.items)] = None
    rollback_to: Annotated[CompleteActivationSchema | None, BeforeValidator(validators.require)] = None
    change: Annotated[list[Any] | None, BeforeValidator(validators.items)] = None
    strategy: Annotated[StrategySchema | None, BeforeValidator(validators.strategy)] = None
    monitor: Annotated[MonitorSchema | None, BeforeValidator(validators.require)] = None
    sandbox: Annotated[dict[str, Any] | None, BeforeValidator(validators.mapping("users_per_s: 20"))] = None
    usd_per_1k_tokens: Annotated[
        dict[
            Annotated[str, BeforeValidator(validators.provider_and_model)],
            Annotated[float, BeforeValidator(quantities.price)],
        ]
        | None,
        BeforeValidator(validators.mapping("openai:gpt-4o: 0.005")),
    ] = None
