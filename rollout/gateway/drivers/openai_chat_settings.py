"""The settings of a service that speaks OpenAI's chat completions: how it is asked, and who gave an answer.

Several kinds of gateways have them. `rollout emergency` reads them, so they load no client.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from rollout.core.key_paths import InvalidKey, parse_key
from rollout.core.schemas import validators
from rollout.core.schemas.base import CompleteSchema
from rollout.core.schemas.validators import InvalidValue
from rollout.core.schemas.values import CallPath, Text

HEADER = "header"


def key(value: Any) -> str:
    """Return a key, spelled as `rollout.core.key_paths` reads it.

    Raises:
        InvalidValue: it is not spelled so.
    """
    found = validators.text(value)
    try:
        parse_key(found)
    except InvalidKey as problem:
        raise InvalidValue(str(problem)) from None
    return found


def named_at(value: Any) -> dict[str, str]:
    """Return where an answer names its provider or model: ``{key: …}`` of its body, or ``{header: …}``.

    Raises:
        InvalidValue: it is neither a key nor a header.
    """
    if not isinstance(value, dict):
        return {"key": key(value)}
    if list(value) != [HEADER]:
        raise InvalidValue("is neither a key of the answer nor a header; write `provider`, or `{header: x-provider}`")
    return {HEADER: validators.header(value[HEADER]).casefold()}


Key = Annotated[str | None, BeforeValidator(key)]
_NamedAt = Annotated[dict[str, str] | None, BeforeValidator(named_at)]


class ChatSchema(CompleteSchema):
    """How a completion is asked for.

    Attributes:
        path: the path of the call.
        model: the `model` of its body; left out, the body names none.
    """

    example = "path: /v1/chat/completions"

    path: CallPath = Field("/v1/chat/completions", validate_default=True)
    model: Text = None


class ServedBySchema(CompleteSchema):
    """Where an answer names the provider and the model that gave it.

    Attributes:
        provider: a key of the answer's body, or ``{header: …}``.
        model: likewise.
    """

    example = "provider: provider, model: model"

    provider: _NamedAt = None
    model: _NamedAt = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if self.provider is None and self.model is None:
            raise InvalidValue(f"names neither provider nor model; write `{self.example}`, or remove it")
        return self
