"""Activations, in a scenario and as a target's safe provider."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from rollout.config import validators
from rollout.config.schemas.base import CompleteSchema, Schema
from rollout.config.schemas.values import Flag, Startup


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
