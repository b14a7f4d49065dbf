"""Any gateway that the target's own commands read and change: how a change is written to it.

The commands are argument lists, and no shell reads them. The description loads no pydantic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rollout.core.capabilities import Capability
from rollout.core.errors import GatewayError
from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.core.wishes import Activate, Wish
from rollout.core.writes import Command, Read, ReadCall, Restart, Write
from rollout.gateway.drivers.deferred_settings import DeferredSettings
from rollout.gateway.drivers.plain import PlainDriver
from rollout.gateway.endpoints import filled

if TYPE_CHECKING:
    from pydantic import BaseModel

    from rollout.gateway.drivers.protocol import Reads
    from rollout.gateway.sender import Sender

ACTIVE = ("active provider", "active model")
"""The keys of the configuration that hold what the snapshot says is active."""

_NEVER = {
    Capability.COST_LIMITS: "the target's commands set no cost limits",
    Capability.RATE_LIMITS: "the target's commands set no rate limits",
    Capability.WEIGHTS: "the target's commands do not split requests",
    Capability.BOOT_ID: "the target's snapshot has no id of the process",
    Capability.DELETE_LIMIT: "the target's commands set no limits",
}


class CommandLine(PlainDriver):
    """A gateway behind commands; the target's settings say which."""

    kind: ClassVar[str] = "command"
    summary: ClassVar[str] = "any gateway that the target's own commands read and change"
    if TYPE_CHECKING:
        settings: ClassVar[type[BaseModel]]
    else:
        settings = DeferredSettings("rollout.gateway.drivers.command_settings", "CommandSettings")

    def __init__(self, target: Target) -> None:
        """Keep the target; nothing is run."""
        self._target = target
        self._said = target.settings

    def capabilities(self) -> Mapping[Capability, str | None]:
        """Return what the gateway lacks: all but what the target's snapshot offers, and what its answers name."""
        lacking: dict[Capability, str] = dict(_NEVER)
        for each in (Capability.STATUS, Capability.COUNTERS, Capability.ALERTS, Capability.AUDIT):
            if str(each) not in self._said["offers"]:
                lacking[each] = f"the target's snapshot offers no {each} (`offers`)"
        if self._said["ask"] is None and not (self._said["served_by"] or {}).get("provider"):
            lacking[Capability.SERVED_BY] = "the target does not say where an answer names its provider (`served_by`)"
        if self._said["restart"]:
            lacking[Capability.LIVE_SWITCH] = f"target {self._target.name} states that an activation needs a restart"
        return {each: lacking.get(each) for each in Capability}

    def writes(self, wish: Wish) -> tuple[Write, ...]:
        """Return the target's command, and a restart where the target states one.

        Raises:
            GatewayError: the target's commands cannot be asked for it.
        """
        if not isinstance(wish, Activate) or not wish.model:
            what = f"no {type(wish).__name__}" if not isinstance(wish, Activate) else "none without a model"
            raise GatewayError("RUN settings.activate", f"the target's commands make activations alone, and {what}")
        arguments = self.fill("activate", provider=wish.provider, model=wish.model)
        command = Command(arguments, self._target.timeouts.activate_s)
        if self._said["restart"]:
            return command, Restart()
        return (command, Restart(if_needed=True)) if wish.restart else (command,)

    def read_call(self, read: Read, provider: str = "") -> ReadCall:
        """Return the command that reads, or the call of a completion over HTTP."""
        if read is Read.COMPLETION:
            if self._said["ask"] is None:
                return ReadCall("POST", self._said["chat"]["path"])
            return ReadCall("RUN", "", self.fill("ask", prompt="PROMPT"))
        if read is Read.TEST_CONNECTION and self._said["test"] and provider:
            return ReadCall("RUN", "", self.fill("test", provider=provider))
        name = "health" if read is Read.HEALTH and self._said["health"] else "snapshot"
        return ReadCall("RUN", "", self.fill(name))

    def paid_reads(self) -> Iterator[str]:
        """Yield the completion; what the target's other commands cost is not known here."""
        clauses = "PRE-5.4, VER-2, RBK-4.1, EMG, and the synthetic requests while the change is watched"
        how = "settings.ask" if self._said["ask"] else f"POST {self._said['chat']['path']}"
        yield f"{how}: a completion is paid for by its tokens ({clauses})"
        if self._said["test"]:
            yield "settings.test: some gateways send the provider a request for it (PRE-2.4, PRE-5.1, APP-1.1)"

    def place(self, reported: str | None, configuration: Mapping[str, str]) -> ProviderChange:
        """Return the provider that is reported, and the model of the snapshot.

        Raises:
            GatewayError: either is not known.
        """
        model = configuration.get(ACTIVE[1])
        if not reported or not model:
            raise GatewayError("RUN settings.snapshot", "it is not known which provider and model are active")
        return ProviderChange(reported, model)

    def active_calls(self) -> tuple[ReadCall, ...]:
        """Return the command that prints the snapshot."""
        return (ReadCall("RUN", "", self.fill("snapshot")),)

    def place_in(self, answers: Sequence[Any]) -> ProviderChange | None:
        """Return the provider and model that a snapshot says are active; None where it says none."""
        printed = answers[0] if answers else None
        active = printed.get("active") if isinstance(printed, dict) else None
        named = [active.get(key) for key in ("provider", "model")] if isinstance(active, dict) else []
        provider, model = (each if isinstance(each, str) else "" for each in named or ("", ""))
        return ProviderChange(provider, model) if provider and model else None

    def activation_keys(self) -> tuple[str, ...]:
        """Return the keys of the active provider and model, and what else the target says an activation changes."""
        return (*ACTIVE, *self._said["activation_rewrites"])

    def connect(self, sender: Sender) -> Reads:
        """Return the reads by the target's commands; nothing is run yet."""
        from rollout.gateway.drivers.command_reads import CommandReads  # noqa: PLC0415 - reading takes pydantic

        return CommandReads(self, self._said, sender)

    def explain_no_restart(self) -> str:
        """Return why a restart that is due cannot be made; empty where it can, or none is due."""
        if not self._said["restart"] or self._target.service is not None:
            return ""
        return f"target {self._target.name} does not say how it is restarted; add `service: {{stop: […], start: […]}}`"

    def fill(self, name: str, **values: str) -> tuple[str, ...]:
        """Return a command of the settings, its placeholders filled in one pass.

        Args:
            name: the setting.
            values: placeholder -> its value.

        Raises:
            GatewayError: a value would be read as an option.
        """
        arguments: Sequence[str] = self._said[name]
        for item in arguments:
            for placeholder, value in values.items():
                if item == f"{{{placeholder}}}" and value.startswith("-"):
                    raise GatewayError(
                        f"RUN settings.{name}",
                        f"the {placeholder} {value!r} begins with a dash, and the command would read it as an option; "
                        f"write the argument as `--{placeholder}={{{placeholder}}}`, or choose another {placeholder}",
                    )
        return tuple(filled(item, **values) for item in arguments)
