"""What a scenario may say of its synthetic requests: their list, and what is expected of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rollout.core.schemas.validators import InvalidValue, items, mapping
from rollout.core.units import shown

_EXAMPLE = "{type: object, required: [answer]}"
_PROBE = "{prompt: say pong, expect: {contains: pong}}"
_LONGEST = 160


def in_turn(value: Any) -> list[Any]:
    """Return the list of probes, a lone one as a list of one; ``off`` (YAML reads it as false) is an empty one."""
    if value is False or value == "off":
        return []
    found = items(value)
    if not found or not isinstance(value, (list, dict)):
        written = "an empty list" if value == [] else shown(value)
        raise InvalidValue(f"{written} is neither `off` nor a list of probes; write one such as `[{_PROBE}]`")
    return found


def expectation(value: Any) -> Any:
    """Return text as the mapping that it abbreviates; anything else as it is."""
    return {"contains": value} if isinstance(value, str) else value


def json_schema(value: Any) -> dict[str, Any]:
    """Return a JSON Schema (draft 2020-12); it may refer to itself only, because nothing is fetched."""
    schema = mapping(_EXAMPLE)(value)
    # Here, because only a scenario with a JSON Schema needs them.
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415
    from referencing import Registry, Resource  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415
    from referencing.jsonschema import DRAFT202012  # noqa: PLC0415

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise InvalidValue(f"is no JSON Schema at {error.json_path}: {error.message[:_LONGEST]}") from None
    except (TypeError, RecursionError) as error:
        raise InvalidValue(f"is no JSON Schema: {error}") from None
    resource = Resource.from_contents(schema, default_specification=DRAFT202012)
    resolver = Registry().with_resource("", resource).resolver("")
    for reference in _references(schema):
        try:
            resolver.lookup(reference)
        except Unresolvable:
            raise InvalidValue(
                f"refers to {shown(reference)}, which is not in it; nothing is fetched, so write it here"
            ) from None
    return schema


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(found := part.get("$ref"), str):
            yield found
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _references(inner)
