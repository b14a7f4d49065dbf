"""The settings of a target whose provider stands in a file (docs/SERVICE-BEHIND-A-FILE.md)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from rollout.core import units
from rollout.core.schemas import commands, validators
from rollout.core.schemas.base import CompleteSchema, Schema
from rollout.core.schemas.validators import InvalidValue
from rollout.core.schemas.values import CallPath, ProviderPath, Text
from rollout.gateway.drivers.file import codec_of
from rollout.gateway.drivers.openai_chat_settings import ChatSchema, Key, ServedBySchema, key

_PATH = Annotated[Path | None, BeforeValidator(validators.file)]
_SIGNAL = Annotated[str | None, BeforeValidator(validators.choice("SIGHUP", "SIGUSR1", "SIGUSR2"))]
_COMMAND = Annotated[list[str] | None, BeforeValidator(commands.command)]
_CODEC = Annotated[str | None, BeforeValidator(validators.choice("env", "yaml", "json", "toml"))]
_MODELS = Annotated[
    list[Annotated[str, BeforeValidator(validators.text)]], BeforeValidator(validators.items), Field(min_length=1)
]
_LONGEST_S = 600.0
_WAYS = "`apply: restart`, `apply: {signal: SIGHUP, pid_file: …}` or `apply: {command: […]}`"


def _timeout(value: Any) -> float:
    found = units.duration(value)
    if not 0 < found <= _LONGEST_S:
        raise InvalidValue(f"{value} is out of range; write one above 0s and up to 10m, such as 10s")
    return found


def _apply(value: Any) -> Any:
    return {"restart": True} if value == "restart" else value


class ApplySchema(Schema):
    """How the running service takes over an edited file.

    Attributes:
        restart: by a restart, with the target's `service`.
        signal: by a signal on which it reads the file again.
        pid_file: the file with its process id.
        command: by a command: a program and its arguments.
        timeout: the command's deadline, in seconds.
    """

    example = "signal: SIGHUP, pid_file: /run/service.pid"

    restart: bool = False
    signal: _SIGNAL = None
    pid_file: _PATH = None
    command: _COMMAND = None
    timeout: Annotated[float, BeforeValidator(_timeout)] = 30.0

    @model_validator(mode="after")
    def _is_one_way(self) -> Self:
        if [self.restart, self.signal is not None, self.command is not None].count(True) != 1:
            raise InvalidValue(f"is not one way to apply the file; write {_WAYS}")
        if (self.signal is None) != (self.pid_file is None):
            raise InvalidValue("has one of signal and pid_file, and they belong together; write both")
        return self


class InEffectSchema(CompleteSchema):
    """The call that shows which provider the running service uses; it must cost nothing.

    Attributes:
        path: the path of the call, which is read with GET.
        provider: the key of its JSON answer that holds the provider; left out where the model alone tells it.
        model: the key that holds the model; left out where `provider` holds ``PROVIDER/MODEL``.
    """

    example = "path: /status, provider: active.provider, model: active.model"
    required_keys = ("path",)

    path: CallPath = None
    provider: Key = None
    model: Key = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if self.provider is None and self.model is None:
            raise InvalidValue(f"names neither provider nor model; write all, such as `{self.example}`")
        return self


class FileSettings(CompleteSchema):
    """The settings of a service whose provider stands in a file.

    Attributes:
        path: the file, on this host.
        codec: its format; left out, its suffix names it.
        provider_key: the key that holds the provider's name; without `model_key`, ``PROVIDER/MODEL``.
        model_key: the key that holds the model.
        providers: the providers that may be activated, each with its models.
        apply: how the running service takes over an edit of the file.
        health: the path that shows whether the service is up, and costs nothing.
        chat: how a completion is asked for.
        in_effect: the call that shows which provider the running service uses.
        served_by: where an answer names the provider and the model that gave it.
        test: the path that answers 200 where the service can reach the provider, ``{provider}`` in it.
    """

    example = "path: /srv/llm/config.yaml, provider_key: llm.provider, providers: {…}, apply: restart, health: /healthz"
    required_keys = ("path", "provider_key", "providers", "apply", "health")

    path: _PATH = None
    codec: _CODEC = None
    provider_key: Text = None
    model_key: Text = None
    providers: dict[Annotated[str, BeforeValidator(validators.provider)], _MODELS] = Field(default_factory=dict)
    apply: Annotated[ApplySchema | None, BeforeValidator(_apply)] = None
    health: CallPath = None
    chat: ChatSchema = ChatSchema()
    in_effect: InEffectSchema | None = None
    served_by: ServedBySchema | None = None
    test: ProviderPath = None

    @model_validator(mode="after")
    def _can_be_edited(self) -> Self:
        codec = codec_of(str(self.path), self.codec)
        if codec is None:
            raise InvalidValue("names a file whose suffix tells no format; add `codec: env`, yaml, json or toml")
        keys = [each for each in (self.provider_key, self.model_key) if each is not None]
        if len(set(keys)) != len(keys):
            raise InvalidValue(
                "has one key for provider and model; leave out model_key where the key holds PROVIDER/MODEL"
            )
        if codec != "env":
            for each in keys:
                key(each)
        return self

    @model_validator(mode="after")
    def _tells_what_is_in_effect(self) -> Self:
        if self.in_effect is None and self.served_by is None:
            raise InvalidValue(
                "says nothing of the running service: the file shows what is configured, and not what is in effect; "
                "add `in_effect: {path: …, provider: …, model: …}`, or `served_by: {…}` where the answers name it"
            )
        if self.in_effect and self.in_effect.model is None and self.model_key is not None:
            raise InvalidValue("has a model_key, and in_effect names no model; add `in_effect: {model: …}`")
        return self

    @model_validator(mode="after")
    def _names_each_provider_once(self) -> Self:
        if not self.providers:
            raise InvalidValue("names no providers; write each with its models: `providers: {openai: [gpt-4o]}`")
        names = Counter(name.casefold() for name in self.providers)
        if twice := [name for name, count in names.items() if count > 1]:
            raise InvalidValue(f"names {twice[0]} twice; capitals do not distinguish providers")
        models = Counter(model for each in self.providers.values() for model in each)
        shared = next((model for model, count in models.items() if count > 1), None)
        if shared is not None and any(each and each.provider is None for each in (self.in_effect, self.served_by)):
            raise InvalidValue(
                f"has the model {units.shown(shared)} at two providers, so a model does not tell its provider; name "
                "`provider` in in_effect and in served_by"
            )
        return self
