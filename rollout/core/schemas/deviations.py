"""How a gateway deviates from the documented API: the settings of the default kind."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from rollout.core.schemas import validators
from rollout.core.schemas.base import Schema
from rollout.core.schemas.calls import ActivationCallSchema, ChatCallSchema, PathsSchema, RoutingSchema
from rollout.core.schemas.values import Variable, Variables


class LimitTypesSchema(Schema):
    """The gateway's words for the two kinds of governance limits (docs/GATEWAY_API.md, 20).

    Attributes:
        cost: its word for a cost limit.
        rate: its word for a rate limit.
    """

    example = "{cost: per_provider, rate: rate}"

    cost: Annotated[str, BeforeValidator(validators.name)] = "cost"
    rate: Annotated[str, BeforeValidator(validators.name)] = "rate"


Paths = Annotated[PathsSchema | None, BeforeValidator(validators.require)]
ActivationCalls = Annotated[
    dict[Annotated[str, BeforeValidator(validators.provider)], ActivationCallSchema] | None,
    BeforeValidator(validators.mapping("ollama: {path: …, body: {…}}")),
]
ChatCall = Annotated[ChatCallSchema | None, BeforeValidator(validators.require)]
WeightRouting = Annotated[RoutingSchema | None, BeforeValidator(validators.require)]
LimitTypes = Annotated[LimitTypesSchema | None, BeforeValidator(validators.require)]
ReportedNames = Annotated[
    dict[str, Annotated[str, BeforeValidator(validators.provider)]] | None,
    BeforeValidator(validators.mapping("google: google-gemini")),
]


class DeviationsSchema(Schema):
    """The settings of a gateway with the documented API: where it deviates; each may stand directly in the target."""

    example = "paths: {health: /healthz}"

    paths: Paths = None
    activate_with: ActivationCalls = None
    chat_with: ChatCall = None
    routing: WeightRouting = None
    limit_types: LimitTypes = None
    activation_rewrites: Variables = None
    provider_key: Variable = None
    model_key: Variable = None
    reported_as: ReportedNames = None
