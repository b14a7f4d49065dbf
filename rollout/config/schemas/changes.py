"""Changes, one schema a kind: activations, in a target as its safe provider too, `.env` keys and governance limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from rollout.config import env_entries, quantities
from rollout.config.schemas.values import Flag, Startup
from rollout.core.schemas import validators
from rollout.core.schemas.base import CompleteSchema, Schema

Dollars = Annotated[float | None, BeforeValidator(quantities.dollars)]
AMinute = Annotated[float | None, BeforeValidator(quantities.a_minute)]
Key = Annotated[str, BeforeValidator(env_entries.key)]


class _ProviderSchema(Schema):
    """A provider, its model and whether it needs a restart."""

    example = "{activate: openai, model: gpt-4o}"
    required_keys = ("activate", "model")

    provider: Annotated[str, BeforeValidator(validators.provider), Field(alias="activate")] = ""
    model: Annotated[str, BeforeValidator(validators.text)] = ""
    restart: Flag = None


class ActivationSchema(_ProviderSchema):
    """``{activate: openai, model: gpt-4o}``; without a model the gateway would reset it (docs/GATEWAY_API.md, 8)."""

    startup_s: Startup = None


class CompleteActivationSchema(ActivationSchema, CompleteSchema):
    """An activation elsewhere than in a scenario's changes."""


class SafeProviderSchema(_ProviderSchema, CompleteSchema):
    """Where an emergency goes; how long a restart takes stands under the target's `providers:`."""


class EnvironmentSchema(Schema):
    """Keys of the service's `.env` file (APP-2).

    Attributes:
        values: key -> new value, written as it is spelled here; a key that is not there is appended.
    """

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": [key]} for key in ("set", "secret", "remove")]})
    example = "set: {LOG_LEVEL: debug}"

    values: Annotated[
        dict[Key, Annotated[str, BeforeValidator(env_entries.value)]] | None,
        BeforeValidator(env_entries.by_key("{LOG_LEVEL: debug}")),
        Field(alias="set"),
    ] = None
    secrets: Annotated[
        dict[Key, Annotated[str, BeforeValidator(env_entries.holder)]] | None,
        BeforeValidator(env_entries.by_key("{OPENAI_API_KEY: NEW_OPENAI_KEY}")),
        Field(alias="secret"),
    ] = None
    remove: Annotated[list[Key] | None, BeforeValidator(validators.items)] = None
    startup_s: Startup = None


class LimitSchema(Schema):
    """A governance limit (APP-3).

    Attributes:
        limits: which kind: `cost` or `rate`.
        scope: `global`, or a provider's name.
    """

    limits: Annotated[str, BeforeValidator(validators.choice("cost", "rate"))] = ""
    scope: Annotated[str, BeforeValidator(validators.scope)] = ""


class CostLimitSchema(LimitSchema):
    """A cost limit: both halves, for the gateway makes up the one that is left out.

    Attributes:
        soft_limit_usd: above it the gateway warns.
        hard_limit_usd: above it the gateway refuses requests.
    """

    example = "{limits: cost, scope: openai, soft_limit_usd: 200, hard_limit_usd: 250}"
    required_keys = ("limits", "scope", "soft_limit_usd", "hard_limit_usd")

    limits: Annotated[str, BeforeValidator(validators.choice("cost"))] = ""
    soft_limit_usd: Dollars = None
    hard_limit_usd: Dollars = None


class RateLimitSchema(LimitSchema):
    """A rate limit: of requests, of tokens, or of both.

    Attributes:
        max_requests_per_minute: above it the gateway refuses requests.
        max_tokens_per_minute: likewise.
    """

    model_config = ConfigDict(json_schema_extra={"minProperties": 3})
    example = "{limits: rate, scope: openai, max_requests_per_minute: 60}"
    required_keys = ("limits", "scope")

    limits: Annotated[str, BeforeValidator(validators.choice("rate"))] = ""
    max_requests_per_minute: AMinute = None
    max_tokens_per_minute: AMinute = None
