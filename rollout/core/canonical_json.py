"""Canonical JSON, and SHA-256 over it: equal values have equal digests."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, time
from pathlib import Path
from typing import Any

RECORDED_AS = "recorded_as"
"""The metadata of a dataclass field that journals and digests know by a former name: that name."""

NOT_RECORDED = "not_recorded"
"""The metadata of a dataclass field that former versions do not know: the value with which it is left out."""


def to_json(value: Any) -> Any:
    """Return `value` as JSON types: records become objects, sets become sorted lists, paths and times strings.

    Raises:
        TypeError: a value has no canonical form.
    """
    if value is None or isinstance(value, (str, int, float)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {_recorded_name(field): to_json(part) for field, part in parts if _is_recorded(field, part)}
    if isinstance(value, Mapping):
        return {str(key): to_json(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(part) for part in value]
    if isinstance(value, (set, frozenset)):
        return sorted(to_json(part) for part in value)
    if isinstance(value, (Path, time, datetime)):
        return str(value)
    raise TypeError(f"no canonical form for {type(value).__name__}")


def by_field_name(kind: Any, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recorded object of the dataclass `kind` by the names of its fields today."""
    names = {_recorded_name(field): field.name for field in dataclasses.fields(kind)}
    return {names.get(key, key): value for key, value in recorded.items()}


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of `value`: sorted keys, no spaces, UTF-8, no NaN.

    Raises:
        TypeError: a value has no canonical form.
        ValueError: a number is NaN or infinite.
    """
    return json.dumps(
        to_json(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def sha256(value: Any) -> str:
    """Return the hexadecimal SHA-256 of `value`'s canonical JSON; of the bytes themselves if it is bytes."""
    return hashlib.sha256(value if isinstance(value, bytes) else canonical(value)).hexdigest()


def _recorded_name(field: dataclasses.Field[Any]) -> str:
    return str(field.metadata.get(RECORDED_AS, field.name))


def _is_recorded(field: dataclasses.Field[Any], value: Any) -> bool:
    return NOT_RECORDED not in field.metadata or bool(value != field.metadata[NOT_RECORDED])
