"""Any service whose provider stands in a `.env`, YAML, JSON or TOML file: how a change is written to it.

The file says what is configured. The running service says what is in effect: by a call (`in_effect`), and by its
answers (`served_by`). The description loads neither pydantic nor a codec.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rollout.core.capabilities import Capability
from rollout.core.errors import GatewayError
from rollout.core.recognition import Get, Recognition
from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.core.text import one_line
from rollout.core.wishes import Activate, Wish
from rollout.core.writes import Codec, Command, FileEdit, Read, ReadCall, Restart, Signal, Write
from rollout.gateway.drivers.deferred_settings import DeferredSettings
from rollout.gateway.drivers.json_answers import find_text
from rollout.gateway.drivers.plain import PlainDriver
from rollout.gateway.endpoints import filled_path

if TYPE_CHECKING:
    from pydantic import BaseModel

    from rollout.gateway.drivers.protocol import Reads
    from rollout.gateway.sender import Sender

MODEL_IN_EFFECT = "in effect: model"
"""The key of the configuration that holds the model in effect, as the service reports it; no file has it."""

_SHOWN_CHARACTERS = 60
_PAGE = "docs/SERVICE-BEHIND-A-FILE.md"
_UNKNOWN = (
    f"`path`, `provider_key` and `model_key` are not known: which file and keys hold them, ask who runs it ({_PAGE})",
    "`providers` is not known: the file lists those that the service can use, and whoever runs it the models of each",
    "`apply` is not known, how the service takes an edit over: its unit or its start command says it (ExecReload=)",
    "`health` is not known, and none was tried, for some services send every provider a paid request for it",
    "`in_effect` or `served_by` is not known: see what a read and an answer of the service show of its provider",
)
_CODECS: Mapping[str, Codec] = {".env": "env", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".toml": "toml"}
_LACKING = {
    Capability.STATUS: "a service behind a file does not watch its providers",
    Capability.COUNTERS: "a service behind a file has no counters that the suite knows",
    Capability.ALERTS: "a service behind a file has no alerts",
    Capability.AUDIT: "a service behind a file keeps no audit log",
    Capability.COST_LIMITS: "a service behind a file has no cost limits",
    Capability.RATE_LIMITS: "a service behind a file has no rate limits",
    Capability.WEIGHTS: "the file names one provider, so requests cannot be split",
    Capability.BOOT_ID: "a service behind a file has no id of its process",
    Capability.DELETE_LIMIT: "a service behind a file has no limits",
}


class File(PlainDriver):
    """A service behind a file; the target's settings say which file, and how the service takes an edit over."""

    kind: ClassVar[str] = "file"
    summary: ClassVar[str] = "any service whose provider stands in a .env, YAML, JSON or TOML file"
    if TYPE_CHECKING:
        settings: ClassVar[type[BaseModel]]
    else:
        settings = DeferredSettings("rollout.gateway.drivers.file_settings", "FileSettings")

    def __init__(self, target: Target) -> None:
        """Keep the target; nothing is read."""
        self._target = target
        self._said = target.settings

    @classmethod
    def recognise(cls, get: Get) -> Recognition | None:
        """Return that it lists models as OpenAI's API does: any service behind a file may, and others do too."""
        answer = get("/v1/models")
        if answer is None or answer.status != HTTPStatus.OK:
            return None
        try:
            model = find_text(json.loads(answer.body), "data[0].id")
        except ValueError:
            return None
        if model is None:
            return None
        seen = f"GET /v1/models lists models as OpenAI's API does ({one_line(model, _SHOWN_CHARACTERS)})"
        return Recognition(seen, is_certain=False, unknown=_UNKNOWN)

    def capabilities(self) -> Mapping[Capability, str | None]:
        """Return what the service lacks: all but what its settings say of its answers and of how it takes an edit."""
        lacking: dict[Capability, str] = dict(_LACKING)
        if self._said["served_by"] is None:
            lacking[Capability.SERVED_BY] = "the target does not say where an answer names its provider (`served_by`)"
        if self._said["apply"]["restart"]:
            lacking[Capability.LIVE_SWITCH] = "the service reads its file when it is started (`apply: restart`)"
        return {each: lacking.get(each) for each in Capability}

    def writes(self, wish: Wish) -> tuple[Write, ...]:
        """Return the edit of the file, and what makes the service take it over.

        Raises:
            GatewayError: the provider or model is not among the settings.
        """
        if not isinstance(wish, Activate):
            raise GatewayError(
                f"editing {self.path}", f"a service behind a file takes activations alone, and no {type(wish).__name__}"
            )
        edit = FileEdit(self.path, self.codec, self.values(self._listed(wish)))
        taken_over = self._taken_over()
        if wish.restart and not isinstance(taken_over, Restart):
            return edit, taken_over, Restart(if_needed=True)
        return edit, taken_over

    def read_call(self, read: Read, provider: str = "") -> ReadCall:
        """Return how a read is asked for; where no call shows what is in effect, a completion does."""
        health, in_effect = self._said["health"], self._said["in_effect"]
        if read is Read.COMPLETION or (read is Read.ACTIVE and in_effect is None):
            return ReadCall("POST", self._said["chat"]["path"])
        if read is Read.ACTIVE:
            return ReadCall("GET", in_effect["path"])
        return ReadCall("GET", self.test_path(provider) if read is Read.TEST_CONNECTION else health)

    def paid_reads(self) -> Iterator[str]:
        """Yield the completion, and the test of a connection where the service has one."""
        yield (
            f"POST {self._said['chat']['path']}: a completion is paid for by its tokens (PRE-5.4, VER-2, RBK-4.1, EMG, "
            "and the synthetic requests while the change is watched)"
        )
        if self._said["test"]:
            yield (
                f"GET {self._said['test']}: some services send the provider a request for it (PRE-2.4, PRE-3.1, "
                "PRE-5.1, APP-1.1, and every `way_back_every` while the change is watched)"
            )

    def place(self, reported: str | None, configuration: Mapping[str, str]) -> ProviderChange:
        """Return the provider that is reported, and the model in effect.

        Raises:
            GatewayError: either is not known.
        """
        model = configuration.get(MODEL_IN_EFFECT)
        if not reported or not model:
            raise GatewayError(f"reading {self.path}", "it is not known which provider and model are in effect")
        return ProviderChange(reported, model)

    def active_calls(self) -> tuple[ReadCall, ...]:
        """Return the call that shows what is in effect; where none does, the health, which shows nothing of it."""
        in_effect = self._said["in_effect"]
        return (ReadCall("GET", self._said["health"] if in_effect is None else in_effect["path"]),)

    def place_in(self, answers: Sequence[Any]) -> ProviderChange | None:
        """Return the provider and model in the answer of the call `in_effect`."""
        in_effect = self._said["in_effect"]
        if in_effect is None or not answers or not isinstance(answers[0], dict):
            return None
        keys = [in_effect[name] for name in ("provider", "model")]
        provider, model = (key and find_text(answers[0], key) for key in keys)
        is_shown = all(key is None or named is not None for key, named in zip(keys, (provider, model), strict=True))
        return self.identify(provider, model) if is_shown else None

    def activated_as(self, reported: str) -> str:
        """Return the name as the settings spell it."""
        return next((name for name in self.providers if name.casefold() == reported.casefold()), reported)

    def reported_as(self, provider: str) -> str:
        """Return the name as the settings spell it."""
        return self.activated_as(provider)

    def activation_keys(self) -> tuple[str, ...]:
        """Return the keys of the file that an activation edits, and the model in effect."""
        model_key = self._said["model_key"]
        return (self._said["provider_key"], *([model_key] if model_key else []), MODEL_IN_EFFECT)

    def connect(self, sender: Sender) -> Reads:
        """Return the reads over `sender`'s connections, and of the file."""
        from rollout.gateway.drivers.file_reads import FileReads  # noqa: PLC0415 - reading takes pydantic and a codec

        return FileReads(self, self._said, sender)

    def explain_no_restart(self) -> str:
        """Return why the service cannot take the file over by a restart that is due; empty where it can."""
        if not self._said["apply"]["restart"] or self._target.service is not None:
            return ""
        return f"target {self._target.name} does not say how it is restarted; add `service: {{stop: […], start: […]}}`"

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self._said["path"])

    @property
    def codec(self) -> Codec:
        """The file's format; the settings' model has made sure of it."""
        return cast("Codec", codec_of(self._said["path"], self._said["codec"]))

    @property
    def providers(self) -> Mapping[str, Sequence[str]]:
        """Provider -> its models, as the settings list them."""
        found: Mapping[str, Sequence[str]] = self._said["providers"]
        return found

    def values(self, to: ProviderChange) -> dict[str, str]:
        """Return key -> value: what the file holds where this provider and model are configured."""
        provider_key, model_key = self._said["provider_key"], self._said["model_key"]
        if model_key is None:
            return {provider_key: f"{to.provider}/{to.model}"}
        return {provider_key: to.provider, model_key: to.model}

    def identify(self, provider: str | None, model: str | None) -> ProviderChange | None:
        """Return the provider and model of what the file or the service names; None where they do not tell both.

        Args:
            provider: the provider's name; without a model, ``PROVIDER/MODEL``.
            model: the model; without a provider, the one provider that has it.
        """
        if provider is not None and model is None:
            provider, _, model = provider.partition("/")
        elif provider is None and model is not None:
            provider = next((name for name, models in self.providers.items() if model in models), None)
        return ProviderChange(self.activated_as(provider), model) if provider and model else None

    def test_path(self, provider: str) -> str:
        """Return the path that tests the connection to a provider; the health of a service without such a test.

        Raises:
            GatewayError: the provider's name would lead elsewhere.
        """
        if not self._said["test"]:
            return str(self._said["health"])
        try:
            return filled_path(self._said["test"], provider=provider)
        except ValueError as problem:
            raise GatewayError(f"GET {self._said['test']}", str(problem)) from None

    def _listed(self, wish: Activate) -> ProviderChange:
        provider = self.activated_as(wish.provider)
        call = f"editing {self.path}"
        if provider not in self.providers:
            known = ", ".join(self.providers)
            raise GatewayError(
                call, f"{wish.provider!r} is none of the target's providers ({known}); nothing is written"
            )
        if wish.model not in self.providers[provider]:
            known = ", ".join(self.providers[provider])
            raise GatewayError(
                call, f"{wish.model!r} is no model of {provider} ({known}); name one, or add it to settings.providers"
            )
        return ProviderChange(provider, wish.model)

    def _taken_over(self) -> Write:
        apply = self._said["apply"]
        if apply["signal"]:
            return Signal(apply["signal"], Path(apply["pid_file"]))
        if apply["command"]:
            return Command(tuple(apply["command"]), apply["timeout"])
        return Restart()


def codec_of(path: str, said: str | None) -> str | None:
    """Return the format of a file: the one that is stated, else that of its suffix; None where that tells none."""
    if said is not None:
        return said
    name = PurePath(path).name.casefold()
    return "env" if name == ".env" or name.startswith(".env.") else _CODECS.get(PurePath(name).suffix)
