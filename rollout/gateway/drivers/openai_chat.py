"""Completions of a service that speaks OpenAI's chat completions, and who answered them, as a target states it.

Several kinds of gateways ask so: these settings and this read are a part of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from rollout.core.key_paths import InvalidKey, parse_key
from rollout.core.schemas import validators
from rollout.core.schemas.base import CompleteSchema
from rollout.core.schemas.validators import InvalidValue
from rollout.core.schemas.values import CallPath, Text
from rollout.gateway import parsing
from rollout.gateway.calls import CHAT, Call
from rollout.gateway.documents import EVENTS, media_type, parse_object
from rollout.gateway.drivers.json_answers import find_text
from rollout.gateway.responses import Completion
from rollout.gateway.sender import Sender
from rollout.gateway.transport import Answer

_HEADER = "header"


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
    if list(value) != [_HEADER]:
        raise InvalidValue("is neither a key of the answer nor a header; write `provider`, or `{header: x-provider}`")
    return {_HEADER: validators.header(value[_HEADER]).casefold()}


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


def ask(
    sender: Sender, chat: Mapping[str, Any], served_by: Mapping[str, Any] | None, prompt: str, **options: Any
) -> Completion:
    """Request a completion, and return it with the names that the target says can be relied on (VER-2, MON-5).

    Args:
        sender: sends it, once where a provider may have seen it.
        chat: the settings of `ChatSchema`.
        served_by: the settings of `ServedBySchema`; None: the answer's names are not relied on, and are None.
        prompt: the user's message.
        options: ``max_tokens``, and ``stream`` where a stream of events is asked for.

    Raises:
        Refused: the service refused it.
        GatewayError: no completion, or an incomplete one.
    """
    body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": options["max_tokens"]}
    body |= {"model": chat["model"]} if chat["model"] else {}
    body |= {"stream": True} if options.get("stream") else {}
    places = served_by or {"provider": None, "model": None}

    def parse(answer: Answer) -> Completion:
        found = parsing.completion(answer)
        provider, model = (_named(answer, found, name, places[name]) for name in ("provider", "model"))
        return replace(found, provider=provider, model=model)

    return sender.send(Call("settings.chat.path", "POST", chat["path"], body, CHAT), parse)


def _named(answer: Answer, found: Completion, name: str, place: Mapping[str, str] | None) -> str | None:
    if place is None:
        return None
    if _HEADER in place:
        return answer.headers.get(place[_HEADER]) or None
    if media_type(answer) == EVENTS:
        # The events of a stream are put together already; they name both by these keys, or not at all.
        named: str | None = getattr(found, name) if place["key"] == name else None
        return named
    return find_text(parse_object(answer.body, "the completion"), place["key"])
