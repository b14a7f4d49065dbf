"""Whether the gateway lists the providers and models that a request names, checked before any other step.

A wrong name ends a precheck here with exit code 4: no backup is taken, no notification and no call that may cost is
sent, and no rollout is opened in the journal. A gateway that cannot be read refuses nothing here: the prechecks report
why it cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import NamedTuple

from rollout.core.clock import Clock
from rollout.core.errors import GatewayError, InvalidInput, Problem
from rollout.core.redaction import Redactor
from rollout.core.request import Request
from rollout.core.scenario import ProviderChange
from rollout.core.schemas.validators import suggest
from rollout.engine.credentials import connect
from rollout.gateway.client import ignore
from rollout.gateway.drivers.selection import driver_of
from rollout.gateway.transport import Exchange
from rollout.sandbox.providers import PROVIDERS

MOST_NAMES = 12
"""A message shows at most this many names of a list."""

Models = Mapping[str, Sequence[str]]
"""Provider -> its models; empty where the gateway lists none."""


class _Named(NamedTuple):
    """A provider and model, and where they are named: ``scenarios/a.yaml`` and ``change``."""

    file: str
    place: str
    wanted: ProviderChange


def look_up(
    request: Request,
    env: Mapping[str, str],
    *,
    clock: Clock,
    redactor: Redactor,
    on_exchange: Callable[[Exchange], None] = ignore,
) -> tuple[str, ...]:
    """Check the names of the request against its gateway; only reads.

    An embedded gateway that would be started on demand is not started for this: its catalogue is known.

    Returns:
        what could not be checked, in sentences.

    Raises:
        InvalidInput: a provider or model is not listed; the problems name each, with the closest listed name.
    """
    if request.target.url is None:
        return refuse_unlisted(request, {name: tuple(each.models) for name, each in PROVIDERS.items()})
    try:
        with closing(connect(request.target, env, clock=clock, redactor=redactor, on_exchange=on_exchange)) as gateway:
            listed = {each.name: each.models for each in gateway.providers().providers}
    except GatewayError:
        return ()
    return refuse_unlisted(request, listed)


def refuse_unlisted(request: Request, listed: Models) -> tuple[str, ...]:
    """Return what could not be checked, in sentences.

    Raises:
        InvalidInput: a provider or model is not among those that are listed.
    """
    if not listed:
        return ("the gateway lists no providers, so neither provider nor model is checked",)
    problems, unchecked = [], {}
    for named in _named(request):
        provider = _found(request, named.wanted.provider, listed)
        if provider is None:
            unknown = f"the gateway lists no provider {named.wanted.provider!r}; "
            problems.append(_problem(named, "activate", unknown, named.wanted.provider, listed))
        elif not listed[provider]:
            unchecked[provider] = f"the gateway lists no models for {provider}, so the model is not checked"
        elif named.wanted.model not in listed[provider]:
            unknown = f"the gateway lists no model {named.wanted.model!r} for {named.wanted.provider!r}; "
            problems.append(_problem(named, "model", unknown, named.wanted.model, listed[provider]))
    if problems:
        raise InvalidInput(problems)
    return tuple(unchecked.values())


def _named(request: Request) -> Iterator[_Named]:
    """Yield every provider that a rollout of this request may activate, apart from those with a call of their own.

    A provider under `activate_with` of the target needs no entry in the gateway's list.
    """
    scenario, target = request.scenario, request.target
    several = len(scenario.changes) > 1
    requested = [
        _Named(scenario.source, f"change[{number}]" if several else "change", change)
        for number, change in enumerate(scenario.changes)
        if isinstance(change, ProviderChange)
    ]
    if scenario.rollback_to is not None:
        requested.append(_Named(scenario.source, "rollback_to", scenario.rollback_to))
    if target.safe is not None:
        requested.append(_Named(str(request.origin.targets or "targets.yaml"), f"{target.name}.safe", target.safe))
    own = {name.casefold() for name in target.activate_with}
    yield from (named for named in requested if named.wanted.provider.casefold() not in own)


def _found(request: Request, provider: str, listed: Models) -> str | None:
    """Return the listed name of the provider, its own or the one it is reported as; None where neither is listed."""
    names = {provider.casefold(), driver_of(request.target).reported_as(provider).casefold()}
    return next((name for name in listed if name.casefold() in names), None)


def _problem(named: _Named, key: str, unknown: str, word: str, known: Iterable[str]) -> Problem:
    place = "" if named.file.startswith("--") else f"{named.place}.{key}"
    return Problem(named.file, None, place, f"{unknown}{suggest(word, known)}it lists {_some(list(known))}")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(name if name.isprintable() else ascii(name) for name in names[:MOST_NAMES])
    return shown + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
