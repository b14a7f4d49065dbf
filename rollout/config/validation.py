"""Fills schemas from documents, and turns the errors of pydantic into messages."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rollout.config.source import Place, Source
from rollout.core.schemas.base import Schema
from rollout.core.schemas.validators import suggest
from rollout.core.text import one_line

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


def validate_settings(model: type[BaseModel], data: Any, source: Source, place: Place) -> dict[str, Any]:
    """Return the settings of a driver as JSON types, every default stated; of invalid ones nothing.

    Args:
        model: the driver's model of them.
        data: what the file says.
        source: the file; every mistake is refused there.
        place: where the settings stand.
    """
    try:
        return model.model_validate(data).model_dump(mode="json", by_alias=True)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
    except Exception as error:  # noqa: BLE001 - a model of another author: a defect of it is no traceback of this suite
        why = one_line(f"{type(error).__name__}: {error}", 300)
        source.refuse(place, f"cannot be judged, for the driver fails ({why}); install another version of its package")
        return {}
    for detail in errors:
        if detail["type"] != "missing":
            # Below a value's own place pydantic names the alternatives that it tried.
            detail["loc"] = _written_part(detail["loc"], source, place)
        _refuse(model, detail, source, place)
    return {}


def _written_part(inside: Place, source: Source, place: Place) -> Place:
    """Return the beginning of `inside` that the file has below `place`."""
    ends = range(len(inside), -1, -1)
    return next((inside[:end] for end in ends if (*place, *inside[:end]) in source.lines), ())


def _refuse(schema: type[BaseModel], error: ErrorDetails, source: Source, place: Place) -> None:
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


def _describe(schema: type[BaseModel], error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "extra_forbidden":
        return _unknown_key(_schema_at(schema, error["loc"][:-1]), str(error["loc"][-1]))
    if not issubclass(schema, Schema):
        return "is missing; write it" if error["type"] == "missing" else _describe_foreign(error["msg"])
    return "is not what is expected here; see the commented examples in scenarios/"


def _describe_foreign(message: str) -> str:
    """Return pydantic's message about some input as one about the value: ``should be a valid integer``."""
    return message.removeprefix("Input ").removeprefix("Value error, ").rstrip(".") + "; correct it"


def _unknown_key(schema: type[BaseModel], key: str) -> str:
    known = dict(_keys(schema))
    inner = next((outer for outer, part in known.items() if part and key in dict(_keys(part))), None)
    hint = suggest(key, known) or (f"move it under {inner!r}; " if inner else "")
    return f"is no key here; {hint}the keys are {', '.join(known)}"


def _keys(schema: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel] | None]]:
    for key, field in schema.model_fields.items():
        yield field.alias or key, _schema_in(field.annotation)


def _schema_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _schema_in(part))), None)


def _schema_at(schema: type[BaseModel], place: Place) -> type[BaseModel]:
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
