"""The faults as an operator writes them, below ``sandbox.faults`` or for ``PUT /sandbox/faults``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from rollout.sandbox.fates import Batch
from rollout.sandbox.faults import ANY, CALLS, ERROR_STATUSES, STATUSES, Brownout, Fault
from rollout.sandbox.providers import PROVIDERS
from rollout.sandbox.validation import Problems, Reader, is_number

_OF_COMPLETIONS = ("first_token_ms", "between_tokens_ms", "heavy_tail", "drift", "retries")
_OF_FAILURES = ("error_status", "batch", "retries")
_EFFECTS = (
    "latency_ms",
    *_OF_COMPLETIONS[:-1],
    "error_share",
    "brownout",
    "status",
    "answer",
    "hang",
)
_MODELS = tuple(model for provider in PROVIDERS.values() for model in provider.models)
_DEFAULTS = Fault("")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


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
        heavy_tail=read.number("heavy_tail", 0.0, at_most=10),
        drift=read.number("drift", 0.0, at_most=2),
        error_share=read.number("error_share", 0.0, at_most=1),
        error_status=_read_error_status(read),
        batch=_read_batch(read),
        brownout=_read_brownout(read),
        retries=read.whole_number("retries", 0, at_most=100),
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
    for name in _OF_FAILURES:
        if getattr(fault, name) != getattr(_DEFAULTS, name) and not (fault.error_share or fault.brownout):
            read.problem(name, "says how calls fail, and none does; give error_share or brownout too")
    for name in _OF_COMPLETIONS:
        if getattr(fault, name) and "chat" not in fault.calls:
            read.problem(name, "is for completions; add chat to calls, or leave calls out")
    if fault.model is not None and (fault.status or fault.calls != ("chat",)):
        read.problem("model", "is for completions only; leave out status and calls, or model")
    provider = PROVIDERS.get(fault.provider)
    if fault.model is not None and provider is not None and fault.model not in provider.models:
        read.problem("model", f"is none of provider {provider.name}; its models: {', '.join(provider.models)}")


def _read_error_status(read: Reader) -> int:
    status = read.raw("error_status", _DEFAULTS.error_status)
    if isinstance(status, int) and status in ERROR_STATUSES:
        return int(status)
    read.problem("error_status", f"must be one of {', '.join(map(str, ERROR_STATUSES))}")
    return _DEFAULTS.error_status


def _read_batch(outer: Reader) -> Batch | None:
    if outer.raw("batch") is None:
        return None
    read = Reader(outer.raw("batch"), outer.at("batch"), outer.problems, ("of", "share"))
    read.require("of", "is missing; give how many calls in a row are a batch")
    return Batch(of=read.whole_number("of", 2, at_least=2, at_most=10_000), share=read.number("share", 1.0, at_most=1))


def _read_brownout(outer: Reader) -> Brownout | None:
    if outer.raw("brownout") is None:
        return None
    keys = [item.name for item in fields(Brownout)]
    read = Reader(outer.raw("brownout"), outer.at("brownout"), outer.problems, keys)
    for key in keys:
        read.require(key, f"is missing; give {', '.join(keys[:-1])} and {keys[-1]}")
    found = Brownout(
        every_s=read.number("every_s", 1.0, above=0),
        lasts_s=read.number("lasts_s", 1.0, above=0),
        error_share=read.number("error_share", 1.0, above=0, at_most=1),
    )
    if found.lasts_s >= found.every_s and is_number(read.raw("lasts_s")):
        read.problem("lasts_s", f"is {found.lasts_s:g}; it must be less than every_s, {found.every_s:g}")
    return found


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
