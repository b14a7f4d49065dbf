"""The settings of a target that is read and changed by its own commands (docs/COMMANDS.md)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from rollout.core.schemas import commands, validators
from rollout.core.schemas.base import CompleteSchema
from rollout.core.schemas.validators import InvalidValue
from rollout.core.units import shown
from rollout.gateway.drivers.openai_chat_settings import ChatSchema, ServedBySchema

_PLACEHOLDER = re.compile(r"{(\w+)}")
"""A body of JSON among the arguments has braces, too; around more than one word they are no placeholder."""
_OFFERED = ("status", "counters", "alerts", "audit")


def template(*needed: str) -> Callable[[Any], list[str]]:
    """Return a validator of a command that names each of the `needed` placeholders, and no other one."""

    def read(value: Any) -> list[str]:
        found = commands.command(value)
        named = {name for item in found for name in _PLACEHOLDER.findall(item)}
        if unknown := sorted(named - set(needed)):
            known = " and ".join(f"{{{name}}}" for name in needed) or "no braces"
            raise InvalidValue(f"{shown('{' + unknown[0] + '}')} is no placeholder here; write {known}")
        if missing := [name for name in needed if name not in named]:
            raise InvalidValue(f"does not say where {{{missing[0]}}} stands; add it as an argument, or within one")
        if _PLACEHOLDER.search(found[0]):
            raise InvalidValue("has a placeholder in its program's name; write the program itself")
        return found

    return read


_PLAIN = Annotated[list[str] | None, BeforeValidator(template())]
_OF_A_PLACE = Annotated[list[str] | None, BeforeValidator(template("provider", "model"))]
_OF_A_PROVIDER = Annotated[list[str] | None, BeforeValidator(template("provider"))]
_OF_A_PROMPT = Annotated[list[str] | None, BeforeValidator(template("prompt"))]
_OFFERS = Annotated[
    list[Annotated[str, BeforeValidator(validators.choice(*_OFFERED))]], BeforeValidator(validators.items)
]
_KEYS = Annotated[list[Annotated[str, BeforeValidator(validators.text)]], BeforeValidator(validators.items)]


class CommandSettings(CompleteSchema):
    """The settings of a gateway that the target's own commands read and change.

    Every command is a program and its arguments. The target's `timeouts` bound them: `read` those that read, `chat` the
    completion, `activate` the activation.

    Attributes:
        snapshot: prints the state as one JSON object (docs/COMMANDS.md).
        offers: what the snapshot holds beyond provider, model and configuration: status, counters, alerts, audit.
        activate: makes ``{provider}`` with ``{model}`` active, and ends once that is so.
        restart: whether an activation takes effect only after a restart, by the target's `service`.
        activation_rewrites: keys of the snapshot's configuration that an activation may change.
        health: exits with 0 where the service is up; left out, the snapshot shows it.
        test: exits with 0 where the gateway reaches ``{provider}``.
        ask: answers ``{prompt}``, and prints the completion as one JSON object.
        chat: asks for a completion over HTTP, in the place of `ask`.
        served_by: where an answer over HTTP names the provider and the model that gave it.
    """

    example = (
        "snapshot: [/srv/llm/state], activate: [/srv/llm/use, '{provider}', '{model}'], ask: [/srv/llm/ask, '{prompt}']"
    )
    required_keys = ("snapshot", "activate")

    snapshot: _PLAIN = None
    offers: _OFFERS = Field(default_factory=list)
    activate: _OF_A_PLACE = None
    restart: bool = False
    activation_rewrites: _KEYS = Field(default_factory=list)
    health: _PLAIN = None
    test: _OF_A_PROVIDER = None
    ask: _OF_A_PROMPT = None
    chat: ChatSchema | None = None
    served_by: ServedBySchema | None = None

    @model_validator(mode="after")
    def _asks_one_way(self) -> Self:
        if (self.ask is None) == (self.chat is None):
            raise InvalidValue(
                "is not one way to ask for a completion; write `ask: [PROGRAM, '{prompt}']`, or `chat: {path: …}`"
            )
        if self.ask is not None and self.served_by is not None:
            raise InvalidValue("has served_by beside ask, whose output names provider and model itself; remove it")
        return self
