"""Activations, in a scenario and as a target's safe provider."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from rollout.config import validators
from rollout.config.schemas.base import CompleteSchema, Schema
from rollout.config.schemas.values import Flag, Startup


class ActivationSchema(Schema):
    """``{activate: openai, model: gpt-4o}``; without a model the gateway would reset it (docs/GATEWAY_API.md, 8)."""

    example = "{activate: openai, model: gpt-4o}"
    required_keys = ("activate", "model")

    activate: Annotated[str, BeforeValidator(validators.provider)] = ""
    model: Annotated[str, BeforeValidator(validators.text)] = ""
    restart: Flag = None
    startup: Startup = None


class CompleteActivationSchema(ActivationSchema, CompleteSchema):
    """An activation elsewhere than in a scenario's changes."""


class SafeProviderSchema(CompleteSchema):
    """Where an emergency goes; how long a restart takes stands under the target's `providers:`."""

    example = ActivationSchema.example
    required_keys = ActivationSchema.required_keys

    activate: Annotated[str, BeforeValidator(validators.provider)] = ""
    model: Annotated[str, BeforeValidator(validators.text)] = ""
    restart: Flag = None
