"""Faults: which effect they have on which calls of a provider, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from rollout.core.clock import Clock
from rollout.sandbox.providers import PROVIDERS
from rollout.sandbox.validation import Problems, Reader

ANY = "*"
"""Stands for every provider."""

CALLS = (
    "activate",
    "alerts",
    "audit",
    "chat",
    "config",
    "governance",
    "health",
    "metrics",
    "preflight",
    "providers",
    "routing",
    "status",
    "system",
    "test_connection",
)
"""The calls that a fault can name."""

STATUSES = ("degraded", "offline")
"""The connection statuses that a fault can impose, the worse one last."""

_EFFECTS = ("latency_ms", "first_token_ms", "between_tokens_ms", "error_share", "status", "answer", "hang")
_MODELS = tuple(model for provider in PROVIDERS.values() for model in provider.models)
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one provider.

    Attributes:
        provider: its name, ``*`` for any. A call that names no provider (alerts, config…) has the faults of the
            active provider.
        model: the only model of it whose completions have the fault; None has no such limit.
        since: ``now`` (when the fault is set, or the gateway starts), or ``activation`` (when the provider was last
            activated by a change from another one, after the fault was set; until then it has no effect).
        after_s: seconds from then to the first effect.
        for_s: seconds that the effect lasts; None has no end.
        latency_ms: time added to each call.
        first_token_ms: time added before the first token of a streamed completion.
        between_tokens_ms: time added between two tokens of a streamed completion.
        error_share: fraction 0-1 of calls that fail with HTTP 502.
        status: ``offline`` or ``degraded``: the connection status, whatever `calls` lists.
        answer: ``empty`` (200 without content) or ``garbage`` (200 with a body that is cut off).
        hang: the call is not answered before the fault ends or the gateway gives up.
        calls: the calls that latency, errors, bad answers and hanging concern.
        when: configuration key -> value; the fault acts only while all of them are in effect.
    """

    provider: str
    since: str = "now"
    after_s: float = 0.0
    for_s: float | None = None
    latency_ms: float = 0.0
    first_token_ms: float = 0.0
    between_tokens_ms: float = 0.0
    error_share: float = 0.0
    status: str | None = None
    answer: str | None = None
    hang: bool = False
    calls: tuple[str, ...] = ("chat",)
    when: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """The joint effect of all faults on one call at this moment; the fields are those of `Fault`."""

    latency_ms: float = 0.0
    first_token_ms: float = 0.0
    between_tokens_ms: float = 0.0
    error_share: float = 0.0
    answer: str | None = None
    hang: bool = False


class Faults:
    """The faults that are set, and the times from which they count.

    Attributes:
        faults: all of them.
        activations: provider -> when it was last activated by a change, in the machine's monotonic seconds.
    """

    def __init__(self, faults: Iterable[Fault], clock: Clock, config: Mapping[str, str] = _NOTHING) -> None:
        """Set the first faults now; `config` is the configuration in effect, read at each call."""
        self._clock = clock
        self._config = config
        self.replace(faults)

    def replace(self, faults: Iterable[Fault]) -> None:
        """Set these faults instead of all earlier ones; ``now`` is this moment, activations count from now on."""
        self.faults = tuple(faults)
        self.activations: dict[str, float] = {}
        self._set_at = self._clock.monotonic()

    def activated(self, provider: str) -> None:
        """Note that the provider was activated by a change from another one."""
        self.activations[provider] = self.activations[ANY] = self._clock.monotonic()

    def effect(self, provider: str, call: str, model: str | None = None) -> Effect:
        """Return the effect on this call now; `model` is the one that a completion is sent to."""
        found = [fault for fault in self._active(provider) if call in fault.calls and fault.model in (None, model)]
        return Effect(
            latency_ms=sum(fault.latency_ms for fault in found),
            first_token_ms=sum(fault.first_token_ms for fault in found),
            between_tokens_ms=sum(fault.between_tokens_ms for fault in found),
            error_share=max((fault.error_share for fault in found), default=0.0),
            answer=next((fault.answer for fault in found if fault.answer), None),
            hang=any(fault.hang for fault in found),
        )

    def status(self, provider: str) -> str | None:
        """Return the connection status that the faults impose now, the worst one; None imposes none."""
        found = (fault.status for fault in self._active(provider) if fault.status)
        return max(found, key=STATUSES.index, default=None)

    def _active(self, provider: str) -> list[Fault]:
        return [fault for fault in self.faults if fault.provider in (provider, ANY) and self._in_effect(fault)]

    def _in_effect(self, fault: Fault) -> bool:
        if any(self._config.get(key) != value for key, value in fault.when.items()):
            return False
        since = self._set_at if fault.since == "now" else self.activations.get(fault.provider)
        if since is None:
            return False
        elapsed = self._clock.monotonic() - since - fault.after_s
        return elapsed >= 0 and (fault.for_s is None or elapsed < fault.for_s)


def read_faults(raw: object, problems: Problems) -> tuple[Fault, ...]:
    """Read the list ``faults``; mistakes are added to `problems`, and then the result is not to be used."""
    if not isinstance(raw, list | tuple):
        problems.append(("faults", f"must be a list of faults, not {type(raw).__name__}"))
        return ()
    return tuple(_read_fault(item, f"faults[{index}]", problems) for index, item in enumerate(raw))


def _read_fault(raw: object, path: str, problems: Problems) -> Fault:
    read = Reader(raw, path, problems, (each.name for each in fields(Fault)))
    fault = Fault(
        provider=read.choice("provider", None, (*PROVIDERS, ANY)) or "",
        since=read.choice("since", "now", ("now", "activation")) or "now",
        after_s=read.number("after_s", 0.0),
        for_s=None if read.raw("for_s") is None else read.number("for_s", 0.0, above=0),
        latency_ms=read.number("latency_ms", 0.0),
        first_token_ms=read.number("first_token_ms", 0.0),
        between_tokens_ms=read.number("between_tokens_ms", 0.0),
        error_share=read.number("error_share", 0.0, at_most=1),
        status=read.choice("status", None, STATUSES),
        answer=read.choice("answer", None, ("empty", "garbage")),
        hang=read.flag("hang"),
        calls=_read_calls(read),
        when=_read_when(read),
        model=read.choice("model", None, _MODELS),
    )
    if isinstance(raw, Mapping):
        read.require("provider", f"is missing; name one of {', '.join((*PROVIDERS, ANY))}")
        _refuse_misfits(read, fault)
    return fault


def _refuse_misfits(read: Reader, fault: Fault) -> None:
    if not any(getattr(fault, name) for name in _EFFECTS):
        read.problem("", f"has no effect; give {', '.join(_EFFECTS[:-1])} or {_EFFECTS[-1]}")
    if fault.model is not None and (fault.status or fault.calls != ("chat",)):
        read.problem("model", "is for completions only; leave out status and calls, or model")
    provider = PROVIDERS.get(fault.provider)
    if fault.model is not None and provider is not None and fault.model not in provider.models:
        read.problem("model", f"is none of provider {provider.name}; its models: {', '.join(provider.models)}")


def _read_calls(read: Reader) -> tuple[str, ...]:
    calls = read.raw("calls", ["chat"])
    if not isinstance(calls, list | tuple) or not calls:
        read.problem("calls", f"must be a list of calls out of {', '.join(CALLS)}")
        return ()
    for call in calls:
        if call not in CALLS:
            read.problem("calls", f"names {call!r}; it must be out of {', '.join(CALLS)}")
    return tuple(str(call) for call in calls)


def _read_when(read: Reader) -> dict[str, str]:
    when = read.raw("when", _NOTHING)
    if isinstance(when, Mapping) and all(isinstance(value, str) for value in when.values()):
        return {str(key): value for key, value in when.items()}
    read.problem("when", 'must map configuration keys to text, such as {MAX_CONTEXT_TOKENS: "8000"}')
    return {}
