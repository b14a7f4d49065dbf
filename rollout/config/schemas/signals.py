"""The `signals:` of a bake time (MON-5)."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, ConfigDict, model_validator

from rollout.config import quantities, signal_values
from rollout.config.schemas.values import Texts
from rollout.core.schemas import validators
from rollout.core.schemas.base import CompleteSchema, Schema

Factor = Annotated[float | None, BeforeValidator(quantities.factor)]


class SignalSchema(Schema):
    """``{limit: …}`` or ``{factor: 2x}``; the limit alone is the short form."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    factor: Factor = None

    @model_validator(mode="after")
    def _has_one_limit(self) -> Self:
        signal_values.refuse_no_limit(self.explicit_values(), self.example)
        return self


class FirstTokenSchema(SignalSchema):
    """The P95 of the time to the first token: ``800ms`` or ``{factor: 2x}``."""

    example = "first_token: 800ms"

    limit: Annotated[float | None, BeforeValidator(quantities.milliseconds)] = None


class ShareSignalSchema(SignalSchema):
    """A share of requests: ``2%`` or ``{factor: 3x}``."""

    example = "rate_limited_share: 2%"

    limit: Annotated[float | None, BeforeValidator(quantities.judged_share)] = None


class CostSignalSchema(SignalSchema):
    """The cost of 1,000 requests in US dollars: ``12.50`` or ``{factor: 1.5x}``."""

    example = "cost_per_1k: 12.50"

    limit: Annotated[float | None, BeforeValidator(quantities.dollars)] = None


class PromqlSignalSchema(CompleteSchema):
    """``{query: …, limit: 20}`` or ``{query: …, factor: 2x}``."""

    example = "{query: 'sum(llm_queue_depth)', limit: 20}"
    required_keys = ("query",)

    query: Annotated[str, BeforeValidator(signal_values.expression)] = ""
    name: Annotated[str | None, BeforeValidator(validators.prose)] = None
    limit: Annotated[float | None, BeforeValidator(signal_values.level)] = None
    factor: Factor = None

    @model_validator(mode="after")
    def _has_one_limit(self) -> Self:
        signal_values.refuse_no_limit(self.explicit_values(), self.example)
        return self


class SlicesSchema(CompleteSchema):
    """``{by: model, judge: [gpt-4o]}``: parts of users' requests by a label of Prometheus (MON-2)."""

    example = "{by: model, judge: [gpt-4o]}"
    required_keys = ("by",)

    by: Annotated[str, BeforeValidator(signal_values.label)] = ""
    judge: Texts = None


class SignalsSchema(Schema):
    """What is watched besides the procedure's triggers; nothing of it is, unless it is named."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})
    example = "{first_token: 800ms}"

    first_token: Annotated[FirstTokenSchema | None, BeforeValidator(signal_values.limit_or_factor)] = None
    rate_limited_share: Annotated[ShareSignalSchema | None, BeforeValidator(signal_values.limit_or_factor)] = None
    timeout_share: Annotated[ShareSignalSchema | None, BeforeValidator(signal_values.limit_or_factor)] = None
    cost_per_1k: Annotated[CostSignalSchema | None, BeforeValidator(signal_values.limit_or_factor)] = None
    promql: Annotated[list[PromqlSignalSchema] | None, BeforeValidator(validators.items)] = None

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"names no signal; remove it, or write one such as `{self.example}`")
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        signal_values.refuse_same_names([part.name or part.query for part in self.promql or ()])
        return self
