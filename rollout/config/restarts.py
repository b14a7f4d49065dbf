"""Restart and start-up: what a target may declare, and what a scenario may add."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rollout.config.schemas.targets import TargetSchema
from rollout.config.source import Place, Source
from rollout.core.scenario import EnvironmentChange, ProviderChange
from rollout.core.target import Target
from rollout.core.units import show_duration

SERVICE = "say how: `service: {stop: [make, api-stop], start: [make, api-start]}`"
"""What a target must say whose service is to be restarted."""


def refuse_odd_restarts(name: str, parsed: TargetSchema, source: Source, *, may_be_embedded: bool) -> None:
    """Refuse a target that restarts without a service, or contradicts itself about a provider.

    Args:
        name: the target's name.
        parsed: what it says.
        source: the targets' file.
        may_be_embedded: it may be an embedded gateway, which has a service of its own.
    """
    if not may_be_embedded and not parsed.service:
        for place in _restarts(parsed):
            source.refuse((name, *place), f"there is no `service:` to restart; {SERVICE}")
    _refuse_twice(name, parsed, source)
    _refuse_odd_safe(name, parsed, source)


def add_restart(change: ProviderChange, target: Target) -> ProviderChange:
    """Return the activation as it is on its target: with a restart where either of the two says so."""
    return replace(change, restart=change.restart or target.restarts(change.provider))


def refuse_lesser_restart(
    change: ProviderChange | EnvironmentChange, place: Place, target: Target, source: Source
) -> None:
    """Refuse a change that takes a restart away which its target needs, or leaves it less time to start."""
    provider = change.provider if isinstance(change, ProviderChange) else None
    whose = f"target {target.name!r}" + (f" for {provider}" if provider else "")
    least_s = target.startup_s_of(provider)
    if change.startup_s is not None and change.startup_s < least_s:
        source.refuse(
            (*place, "startup"),
            f"{show_duration(change.startup_s)} is shorter than {whose} allows its service ({show_duration(least_s)}); "
            "raise it, or remove it",
        )
    if provider and target.restarts(provider) and source.written.get((*place, "restart"), "").lower() == "false":
        source.refuse((*place, "restart"), f"is false, and {whose} says `restart: true`; remove it")


def _restarts(parsed: TargetSchema) -> Iterator[Place]:
    if parsed.restart:
        yield ("restart",)
    yield from (("providers", name, "restart") for name, own in (parsed.providers or {}).items() if own.restart)
    if parsed.safe and parsed.safe.restart:
        yield ("safe", "restart")


def _refuse_twice(name: str, parsed: TargetSchema, source: Source) -> None:
    seen: dict[str, str] = {}
    for provider in parsed.providers or {}:
        first = seen.setdefault(provider.casefold(), provider)
        if first != provider:
            source.refuse((name, "providers", provider), f"is {first} once more, above; keep one of the two")


def _refuse_odd_safe(name: str, parsed: TargetSchema, source: Source) -> None:
    safe = parsed.safe
    if safe is None or safe.restart is None:
        return
    own = [one for provider, one in (parsed.providers or {}).items() if provider.casefold() == safe.provider.casefold()]
    own_restart = next((one.restart for one in own if one.restart is not None), None)
    restarts = own_restart if own_restart is not None else bool(parsed.restart) or safe.restart
    if safe.restart is not restarts:
        here, there = (str(value).lower() for value in (safe.restart, restarts))
        where = f"`providers: {{{safe.provider}: …}}`" if own_restart is not None else "the target"
        source.refuse((name, "safe", "restart"), f"is {here}, and {where} says `restart: {there}`; remove it here")
