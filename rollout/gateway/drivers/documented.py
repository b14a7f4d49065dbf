"""The gateway of docs/GATEWAY_API.md: how a change is written to it, from its target's settings alone.

`rollout emergency` describes its activation by this module within its half second, so what it imports is the standard
library and names of the domain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, assert_never

from rollout.core.canary_stages import destination
from rollout.core.capabilities import Capability
from rollout.core.errors import GatewayError
from rollout.core.kinds import DEFAULT_KIND
from rollout.core.recognition import Get, Recognition
from rollout.core.scenario import ProviderChange
from rollout.core.target import OtherCall, Routing, Target
from rollout.core.wishes import Activate, SetEnvironment, SetLimit, Split, Wish
from rollout.core.writes import Claim, Deadline, FileEdit, HttpCall, Read, ReadCall, Restart, Write
from rollout.gateway.costs import sent_by
from rollout.gateway.drivers.deferred_settings import DeferredSettings
from rollout.gateway.endpoints import filled, filled_path, life_of, path_of, weights_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from rollout.gateway.calls import Call
    from rollout.gateway.drivers.protocol import Reads
    from rollout.gateway.sender import Sender

_CALLS = {Read.ACTIVE: "providers", Read.TEST_CONNECTION: "test_connection", Read.COMPLETION: "chat"}


class Documented:
    """The documented API; the deviations of one gateway are its target's settings."""

    kind: ClassVar[str] = DEFAULT_KIND
    summary: ClassVar[str] = "the API of docs/GATEWAY_API.md; the settings are a gateway's deviations from it"
    if TYPE_CHECKING:
        settings: ClassVar[type[BaseModel]]
    else:
        settings = DeferredSettings("rollout.core.schemas.deviations", "DeviationsSchema")

    def __init__(self, target: Target) -> None:
        """Keep the target; nothing is read."""
        self._target = target

    @classmethod
    def recognise(cls, get: Get) -> Recognition | None:
        """Return None: `rollout doctor` examines a gateway by this API wherever no other kind is recognised."""
        del get
        return None

    def capabilities(self) -> Mapping[Capability, str | None]:
        """Return what the documented API lacks: removing limits, and what the target does not say or cannot."""
        lacking = {Capability.DELETE_LIMIT: "the documented API cannot take limits away (docs/GATEWAY_API.md, 15)"}
        if self._target.routing is None:
            lacking[Capability.WEIGHTS] = (
                "it does not say how its requests are split, which `routing: {set: …, read: …}` does"
            )
        if self._target.restart:
            lacking[Capability.LIVE_SWITCH] = f"target {self._target.name} states that an activation needs a restart"
        return {each: lacking.get(each) for each in Capability}

    def writes(self, wish: Wish) -> tuple[Write, ...]:
        """Return the writes that bring `wish` about, in order.

        Raises:
            GatewayError: this gateway cannot be asked for it; nothing is sent.
        """
        match wish:
            case Activate():
                return self._activation(wish)
            case Split():
                return (self._weights(wish),)
            case SetLimit():
                return (self._limit(wish),)
            case SetEnvironment():
                return FileEdit(None, "env", wish.values, wish.secrets, wish.remove), Restart()
            case _:
                assert_never(wish)

    def validate(self, contents: Mapping[Path, bytes]) -> tuple[str, ...]:
        """Return nothing: the documented API is not written by files."""
        del contents
        return ()

    def advise(self, call: Call, status: int, reason: str) -> str:
        """Return which deviation's setting would mend a refused write (`rollout.gateway.drivers.documented_advice`)."""
        from rollout.gateway.drivers.documented_advice import advise_setting  # noqa: PLC0415 - only of a refused write

        return advise_setting(call, self._target, status, reason)

    def read_call(self, read: Read, provider: str = "") -> ReadCall:
        """Return how a read is asked for; a chat by the target's own call, where it has one (deviation 17)."""
        own = self._target.chat_with if read is Read.COMPLETION else None
        if own is not None:
            return ReadCall("POST", own.path)
        method = "POST" if read in (Read.TEST_CONNECTION, Read.COMPLETION) else "GET"
        call = life_of(self._target.paths) if read is Read.HEALTH else _CALLS[read]
        return ReadCall(method, self._path(call, provider or None))

    def paid_reads(self) -> Iterator[str]:
        """Yield a line for each read that may cost money (`rollout.gateway.costs`)."""
        yield from sent_by(self._target)

    def place(self, reported: str | None, configuration: Mapping[str, str]) -> ProviderChange:
        """Return the provider that is reported, and the model in the target's `model_key`."""
        if not reported:
            raise GatewayError("GET providers", "no provider is active; activate one by hand before a rollout")
        model = configuration.get(self._target.model_key)
        if not model:
            raise GatewayError(
                "GET config/runtime",
                f"{self._target.model_key} is not in the configuration, so it is unknown what a rollback restores; "
                "name the key that holds the active model as the target's model_key",
            )
        return ProviderChange(self.activated_as(reported), model)

    def active_calls(self) -> tuple[ReadCall, ...]:
        """Return the provider list and the configuration: the active provider's model is only in the latter."""
        return tuple(ReadCall("GET", self._path(call)) for call in ("providers", "runtime_config"))

    def place_in(self, answers: Sequence[Any]) -> ProviderChange | None:
        """Return the active provider and model of both answers."""
        try:
            listed, runtime = answers
            return self.place(listed["active_provider"], runtime["config"])
        except (GatewayError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def destination(self, of: ProviderChange) -> str:
        """Return the name of a provider and model among the weights, as `routing` spells it."""
        return destination(of, routing_of(self._target).destination)

    def activated_as(self, reported: str) -> str:
        """Return the name that activates the provider which the gateway reports as `reported` (deviation 14)."""
        named = (name for name, alias in self._target.reported_as.items() if alias.casefold() == reported.casefold())
        return next(named, reported)

    def reported_as(self, provider: str) -> str:
        """Return the name under which the gateway reports a provider; the case of `provider` does not matter."""
        aliases = {name.casefold(): alias for name, alias in self._target.reported_as.items()}
        return aliases.get(provider.casefold(), provider)

    def activation_keys(self) -> tuple[str, ...]:
        """Return the keys of the active provider and model, and what else an activation rewrites."""
        return (self._target.provider_key, self._target.model_key, *self._target.activation_rewrites)

    def connect(self, sender: Sender) -> Reads:
        """Return the reads over `sender`'s connections."""
        # Reading takes an HTTP client and pydantic, which a description does without.
        from rollout.gateway.drivers.documented_reads import DocumentedReads  # noqa: PLC0415

        return DocumentedReads(self._target, sender)

    def _activation(self, wish: Activate) -> tuple[Write, ...]:
        if not wish.model:
            # Without one the gateway silently resets the model to its default (deviation 8).
            raise GatewayError(
                f"activating {wish.provider}", "no model is named, and the gateway would choose one; name the model"
            )
        own = self._own_activation(wish.provider)
        setting, path, body = self._documented_activation(wish) if own is None else _replaced(wish, *own)
        claim = Claim.ACTIVATED if own is None else Claim.STATUS
        call = HttpCall(setting, "POST", path, body, Deadline.ACTIVATE, "activations", claim)
        restarts = wish.restart or self._target.restarts(wish.provider)
        return (call, Restart(if_needed=True)) if restarts else (call,)

    def _own_activation(self, provider: str) -> tuple[str, OtherCall] | None:
        """Return the target's own call for this provider, with the target's spelling of its name (deviation 13)."""
        owned = self._target.activate_with.items()
        return next((own for own in owned if own[0].casefold() == provider.casefold()), None)

    def _documented_activation(self, wish: Activate) -> tuple[str, str, Mapping[str, str]]:
        return "paths.activate", self._path("activate", wish.provider), {"model": wish.model}

    def _limit(self, wish: SetLimit) -> HttpCall:
        path, types = self._path("limits"), self._target.limit_types
        if wish.kind not in types or not wish.values:
            raise GatewayError(
                f"POST {path}", f"nothing to set: give limits, of a kind among {', '.join(types)}, not {wish.kind!r}"
            )
        # One as reported, ``provider:openai``, is asked for as ``openai`` (deviation 20).
        scope = wish.scope.removeprefix("provider:")
        body = {"limit_type": types[wish.kind], "scope": scope, **wish.values}
        return HttpCall("paths.limits", "POST", path, body, Deadline.READ, "setting limits", Claim.LIMIT_SET)

    def _weights(self, wish: Split) -> HttpCall:
        routing = routing_of(self._target)
        body = weights_of(routing.set_body, wish.shares, percent=routing.percent)
        return HttpCall(
            "routing.set.path",
            routing.set_method,
            routing.set_path,
            body,
            Deadline.ACTIVATE,
            "setting weights",
            Claim.ACCEPTED,
        )

    def _path(self, call: str, provider: str | None = None) -> str:
        try:
            return path_of(call, self._target.paths, provider)
        except ValueError as problem:
            raise GatewayError(f"POST {call}", str(problem)) from None


def routing_of(target: Target) -> Routing:
    """Return how the target's requests are split.

    Raises:
        GatewayError: it does not say.
    """
    if target.routing is None:
        raise GatewayError("routing", f"target {target.name} does not say how its requests are split")
    return target.routing


def _replaced(wish: Activate, name: str, call: OtherCall) -> tuple[str, str, Mapping[str, str]]:
    setting, values = f"activate_with.{name}", {"provider": wish.provider, "model": wish.model}
    try:
        path = filled_path(call.path, **values)
    except ValueError as problem:
        raise GatewayError(f"POST {setting}", str(problem)) from None
    return setting, path, {key: filled(text, **values) for key, text in call.body.items()}
