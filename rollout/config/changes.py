"""A scenario's changes: each of one kind, and none at odds with another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from rollout.config.env_entries import explain_no_secret, explain_not_plain
from rollout.config.schemas.changes import ActivationSchema, CostLimitSchema, EnvironmentSchema, RateLimitSchema
from rollout.config.source import Place, Source
from rollout.config.validation import fill_schema
from rollout.core.scenario import Change, EnvironmentChange, LimitChange, ProviderChange
from rollout.core.schemas import validators
from rollout.core.schemas.base import Schema

S = TypeVar("S", bound=Schema)

_ENTRIES = ("set", "secret", "remove")
_KINDS = {"activate": ("activate",), "set": _ENTRIES, "limits": ("limits",)}
_EACH = "`activate: PROVIDER`, `set: {KEY: VALUE}` (with `secret:` and `remove:`), or `limits: cost` (or rate)"


@dataclass(frozen=True, slots=True)
class PlacedChange:
    """A change, and where it stands.

    Attributes:
        change: the change.
        place: the place of its mapping in the scenario.
    """

    change: Change
    place: Place

    def places(self) -> Iterator[tuple[str, Place]]:
        """Yield what is changed, each with its own place: keys of the `.env` file, a limit, the active provider."""
        change, place = self.change, self.place
        if isinstance(change, ProviderChange):
            yield "the active provider", place
        elif isinstance(change, LimitChange):
            yield f"the {change.kind} limit of {change.scope.casefold()}", place
        else:
            yield from ((key, (*place, "set", key)) for key in change.values)
            yield from ((key, (*place, "secret", key)) for key in change.secrets)
            yield from ((key, (*place, "remove", position)) for position, key in enumerate(change.remove))


def read_changes(items: Iterable[Any], source: Source, env: Mapping[str, str]) -> tuple[PlacedChange, ...]:
    """Return the changes in their order; what is wrong with one or between them is refused in `source`.

    Args:
        items: what stands under ``change:``, as a list.
        source: the scenario.
        env: environment variables; those that hold a secret must be set in it.
    """
    listed = isinstance(source.data.get("change"), list)
    found = []
    for position, data in enumerate(items):
        place: Place = ("change", position) if listed else ("change",)
        if (change := _change(data, source, place, env)) is not None:
            found.append(PlacedChange(change, place))
    _refuse_twice(found, source)
    return tuple(found)


def _change(data: Any, source: Source, place: Place, env: Mapping[str, str]) -> Change | None:
    match _kind(data, source, place):
        case "activate":
            return _filled(ActivationSchema, data, source, place).build(ProviderChange)
        case "set":
            return _environment(data, source, place, env)
        case "limits":
            return _limit(data, source, place)
        case _:
            return None


def _kind(data: Any, source: Source, place: Place) -> str | None:
    found = source.accept(place, validators.mapping(ActivationSchema.example), data)
    if found is None:
        return None
    kinds = [kind for kind, keys in _KINDS.items() if found.keys() & set(keys)]
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        mixed = " and ".join(f"`{next(key for key in _KINDS[kind] if key in found)}`" for kind in kinds)
        source.refuse(place, f"mixes {mixed}; write one item for each kind: {_EACH}")
    else:
        known = [key for keys in _KINDS.values() for key in keys]
        hint = next((hint for key in found if (hint := validators.suggest(key, known))), "")
        source.refuse(place, f"is no change of a known kind; {hint}write {_EACH}")
    return None


def _filled(schema: type[S], data: dict[str, Any], source: Source, place: Place) -> S:
    """Return the filled schema; refuse missing keys unless a key is unknown, which may be one of them, misspelt."""
    filled = fill_schema(schema, data, source, place)
    known = {field.alias for field in schema.model_fields.values()}
    if data.keys() <= known and (words := schema.missing_keys(data)):
        source.refuse(place, words)
    return filled


def _environment(data: dict[str, Any], source: Source, place: Place, env: Mapping[str, str]) -> EnvironmentChange:
    parsed = _filled(EnvironmentSchema, _as_written(data, source, place), source, place)
    if all(data[key] in ({}, []) for key in data.keys() & set(_ENTRIES)):
        source.refuse(place, f"changes no key; write at least one, such as `{parsed.example}`")
    for key, value in (parsed.values or {}).items():
        if reason := explain_not_plain(key, value):
            source.refuse((*place, "set", key), reason)
    for key, variable in (parsed.secrets or {}).items():
        if reason := explain_no_secret(env.get(variable, "")):
            source.refuse((*place, "secret", key), f"the environment variable {variable} {reason}")
    return parsed.build(EnvironmentChange)


def _as_written(data: dict[str, Any], source: Source, place: Place) -> dict[str, Any]:
    """Return the change with the values of `.env` keys as the file spells them: ``8000``, ``0.50``, ``True``."""
    values = data.get("set")
    if not isinstance(values, dict):
        return data
    return data | {"set": {key: source.written.get((*place, "set", key), value) for key, value in values.items()}}


def _limit(data: dict[str, Any], source: Source, place: Place) -> LimitChange | None:
    kind = source.accept((*place, "limits"), validators.choice("cost", "rate"), data["limits"])
    if kind is None:
        return None
    parsed = _filled(CostLimitSchema if kind == "cost" else RateLimitSchema, data, source, place)
    values: dict[str, float] = parsed.model_dump(exclude_unset=True, exclude={"limits", "scope"})
    soft, hard = values.get("soft_limit_usd"), values.get("hard_limit_usd")
    if soft is not None and hard is not None and soft > hard:
        source.refuse(
            (*place, "soft_limit_usd"),
            f"{soft:g} is above hard_limit_usd ({hard:g}); lower it, for the soft limit warns before the hard one",
        )
    if kind == "rate" and data.keys() <= {"limits", "scope"}:
        source.refuse(
            place,
            f"limits nothing; write max_requests_per_minute, max_tokens_per_minute or both, such as `{parsed.example}`",
        )
    return LimitChange(kind, parsed.scope, values) if parsed.scope else None


def _refuse_twice(placed: Iterable[PlacedChange], source: Source) -> None:
    """Refuse what is changed twice: the scenario does not say which of the two is meant."""
    first: dict[str, Place] = {}
    for what, place in (part for one in placed for part in one.places()):
        before = first.setdefault(what, place)
        if before != place:
            source.refuse(
                place,
                f"changes {what} again (first in line {source.line_of(before)}); keep one, or write a scenario for "
                "each",
            )
