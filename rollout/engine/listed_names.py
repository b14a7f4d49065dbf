"""Whether the gateway lists the providers and models that a request names: looked up before anything else is done.

A wrong name ends a precheck here with exit code 4: no backup is taken, nobody is notified, no call that may cost is
sent, and no rollout is opened in the journal. A gateway that cannot be read decides nothing here: the prechecks say why
it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rollout.config.validators import suggest
from rollout.core.clock import Clock
from rollout.core.errors import GatewayError, InvalidInput, Problem
from rollout.core.redaction import Redactor
from rollout.core.request import Request
from rollout.core.scenario import ProviderChange
from rollout.gateway.client import Gateway, ignore
from rollout.gateway.transport import Exchange
from rollout.sandbox.providers import PROVIDERS

MOST_NAMES = 12
"""So many names of a list are shown."""

Models = Mapping[str, Sequence[str]]
"""Provider -> its models; none where the gateway does not say which ones it has."""


class _Named(NamedTuple):
    """A provider and model, and where they are named: ``scenarios/a.yaml`` and ``change``."""

    file: str
    place: str
    wanted: ProviderChange


def look_up(
    request: Request,
    *,
    token: str | None,
    clock: Clock,
    redactor: Redactor,
    on_exchange: Callable[[Exchange], None] = ignore,
) -> tuple[str, ...]:
    """Ask the request's gateway, and return what could not be checked, in sentences; reads only.

    An embedded gateway that would be started on demand is not started for it: its catalogue is known.

    Raises:
        InvalidInput: a provider or model is not listed; names each, with the one that was probably meant.
    """
    if request.target.url is None:
        return refuse_unlisted(request, {name: tuple(each.models) for name, each in PROVIDERS.items()})
    try:
        gateway = Gateway(request.target, token=token, clock=clock, redactor=redactor, on_exchange=on_exchange)
    except GatewayError:
        return ()
    try:
        listed = {each.name: each.models for each in gateway.providers().providers}
    except GatewayError:
        return ()
    finally:
        gateway.close()
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

    A target that says how a provider is activated (`activate_with`) knows it, whatever the list says.
    """
    scenario, target = request.scenario, request.target
    several = len(scenario.changes) > 1
    wishes = [
        _Named(scenario.source, f"change[{number}]" if several else "change", change)
        for number, change in enumerate(scenario.changes)
        if isinstance(change, ProviderChange)
    ]
    if scenario.rollback_to is not None:
        wishes.append(_Named(scenario.source, "rollback_to", scenario.rollback_to))
    if target.safe is not None:
        wishes.append(_Named(str(request.origin.targets or "targets.yaml"), f"{target.name}.safe", target.safe))
    own = {name.casefold() for name in target.activate_with}
    yield from (named for named in wishes if named.wanted.provider.casefold() not in own)


def _found(request: Request, provider: str, listed: Models) -> str | None:
    """Return the provider as the gateway lists it, under its own name or the one it is reported under."""
    aliases = {name.casefold(): alias for name, alias in request.target.reported_as.items()}
    names = {provider.casefold(), aliases.get(provider.casefold(), provider).casefold()}
    return next((name for name in listed if name.casefold() in names), None)


def _problem(named: _Named, key: str, unknown: str, word: str, known: Iterable[str]) -> Problem:
    place = "" if named.file.startswith("--") else f"{named.place}.{key}"
    return Problem(named.file, None, place, f"{unknown}{suggest(word, known)}it lists {_some(list(known))}")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(name if name.isprintable() else ascii(name) for name in names[:MOST_NAMES])
    return shown + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
