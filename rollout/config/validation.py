"""Fills schemas from documents, and turns the errors of pydantic into messages."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rollout.config.source import Place, Source
from rollout.core.schemas.base import Schema
from rollout.core.schemas.validators import suggest

S = TypeVar("S", bound=Schema)

_OF_A_KEY = "[key]"


def fill_schema(schema: type[S], data: Any, source: Source, place: Place = ()) -> S:
    """Return the schema filled with the valid parts of `data`; every invalid part is refused in `source`.

    The valid parts are returned even then, so that the rules between them are judged in the same run.
    """
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
    for detail in errors:
        _refuse(schema, detail, source, place)
    valid = copy.deepcopy(data)
    removed = [_remove(valid, inside) for inside in dict.fromkeys(detail["loc"] for detail in errors)]
    # What is refused only because a part is missing now is no mistake of the file.
    return fill_schema(schema, valid if any(removed) else {}, Source(source.name), place)


def _refuse(schema: type[Schema], error: ErrorDetails, source: Source, place: Place) -> None:
    inside = error["loc"]
    if inside[-1:] == (_OF_A_KEY,):
        # A mapping's key is at fault, not its value. It stands in the message: in a path it would not be redacted.
        source.refuse((*place, *inside[:-2]), _describe(schema, error), line=source.lines.get((*place, *inside[:-1])))
        return
    # A lone value may stand for a list of one; the message names its place as it is written.
    at = (*place, *inside)
    if at not in source.lines:
        lone = tuple(part for part in inside if part != 0)
        at = (*place, *lone) if (*place, *lone) in source.lines else at
    source.refuse(at, _describe(schema, error))


def _describe(schema: type[Schema], error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "extra_forbidden":
        return _unknown_key(_schema_at(schema, error["loc"][:-1]), str(error["loc"][-1]))
    return "is not what is expected here; see the commented examples in scenarios/"


def _unknown_key(schema: type[Schema], key: str) -> str:
    known = dict(_keys(schema))
    inner = next((outer for outer, part in known.items() if part and key in dict(_keys(part))), None)
    hint = suggest(key, known) or (f"move it under {inner!r}; " if inner else "")
    return f"is no key here; {hint}the keys are {', '.join(known)}"


def _keys(schema: type[Schema]) -> Iterator[tuple[str, type[Schema] | None]]:
    for key, field in schema.model_fields.items():
        yield field.alias or key, _schema_in(field.annotation)


def _schema_in(annotation: Any) -> type[Schema] | None:
    if isinstance(annotation, type) and issubclass(annotation, Schema):
        return annotation
    return next((found for part in get_args(annotation) if (found := _schema_in(part))), None)


def _schema_at(schema: type[Schema], place: Place) -> type[Schema]:
    for part in place:
        if isinstance(part, str):
            schema = dict(_keys(schema)).get(part) or schema
    return schema


def _remove(data: Any, place: Place) -> bool:
    """Remove what stands at `place`, of a list with a mistake the list; return whether anything was removed."""
    if not place or not isinstance(data, dict) or place[0] not in data:
        return False
    if not _remove(data[place[0]], place[1:]):
        del data[place[0]]
    return True
