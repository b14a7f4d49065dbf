"""The types of single values that a driver's settings hold, each with the validator that reads it from YAML."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from rollout.core.schemas import validators

Text = Annotated[str | None, BeforeValidator(validators.text)]
Variable = Annotated[str | None, BeforeValidator(validators.variable)]
Variables = Annotated[
    list[Annotated[str, BeforeValidator(validators.variable)]] | None, BeforeValidator(validators.items)
]
CallPath = Annotated[str | None, BeforeValidator(validators.path)]
ProviderPath = Annotated[str | None, BeforeValidator(validators.provider_path)]
