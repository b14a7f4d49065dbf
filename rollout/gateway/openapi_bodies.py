"""The bodies of calls in an OpenAPI document: their fields, and the words that a field takes.

A reference is followed within the document only, and nothing is fetched. What is followed is bounded: a document that
refers to itself in a circle, or without end, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.gateway.documents import InvalidResponse

MOST_STEPS = 5_000
"""The most schemas that are read of one document."""
DEEPEST = 20
"""The most schemas within each other."""
LONGEST_REFERENCE = 300

_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_ALTERNATIVES = ("anyOf", "oneOf")


@dataclass(slots=True)
class Schemas:
    """The schemas of one document."""

    document: Mapping[str, Any]
    _steps: int = field(default=0, init=False)

    def resolve(self, node: Any) -> Mapping[str, Any]:
        """Return the object that a node is or refers to; empty where it is none, or is not in the document.

        Raises:
            InvalidResponse: the references lead in a circle, or there are too many of them.
        """
        followed: set[str] = set()
        while isinstance(node, dict):
            self._count()
            reference = node.get("$ref")
            if not isinstance(reference, str):
                return node
            if reference in followed:
                raise InvalidResponse("the document refers to itself in a circle ($ref), and is not believed")
            followed.add(reference)
            node = self._at(reference)
        return {}

    def fields(self, operation: Mapping[str, Any]) -> Mapping[str, bool] | None:
        """Return the fields of an operation's JSON body, each with whether it is required; None where that is not said.

        Raises:
            InvalidResponse: as `resolve`.
        """
        parts = self._parts(self._body(operation))
        if not parts:
            return None
        required = {name for part in parts for name in _texts(part.get("required"))}
        names = [name for part in parts for name in _mapping(part.get("properties"))]
        if not names or not all(map(_WORD.fullmatch, names)):
            return None
        return {name: name in required for name in names}

    def words(self, operation: Mapping[str, Any], name: str) -> tuple[str, ...]:
        """Return the words that a field of an operation's JSON body takes; empty where they are not enumerated.

        Raises:
            InvalidResponse: as `resolve`.
        """
        schemas = [_mapping(part.get("properties")).get(name) for part in self._parts(self._body(operation)) or []]
        found = [word for schema in schemas if schema is not None for word in self._enumerated(schema)]
        return tuple(dict.fromkeys(found)) if all(map(_WORD.fullmatch, found)) else ()

    def _body(self, operation: Mapping[str, Any]) -> Any:
        content = self.resolve(operation.get("requestBody")).get("content")
        return self.resolve(_mapping(content).get("application/json")).get("schema")

    def _parts(self, node: Any, depth: int = 0) -> list[Mapping[str, Any]] | None:
        """Return the object schemas that hold together for a node; None where the document leaves a choice."""
        schema = self._within(node, depth)
        parts = [schema] if schema else []
        members = _items(schema.get("allOf"))
        for key in _ALTERNATIVES:
            if key in schema:
                choices = [each for each in _items(schema[key]) if not self._is_null(each)]
                if len(choices) != 1:
                    return None
                members += choices
        for member in members:
            more = self._parts(member, depth + 1)
            if more is None:
                return None
            parts += more
        return parts

    def _enumerated(self, node: Any, depth: int = 0) -> list[str]:
        schema = self._within(node, depth)
        if "const" in schema:
            return _texts([schema["const"]])
        if "enum" in schema:
            return _texts(schema["enum"])
        members = [*_items(schema.get("allOf")), *(each for key in _ALTERNATIVES for each in _items(schema.get(key)))]
        found = [self._enumerated(member, depth + 1) for member in members if not self._is_null(member)]
        # One member that takes any word takes all of them.
        return [word for words in found for word in words] if all(found) else []

    def _is_null(self, node: Any) -> bool:
        return self.resolve(node).get("type") == "null"

    def _within(self, node: Any, depth: int) -> Mapping[str, Any]:
        if depth > DEEPEST:
            raise InvalidResponse(
                f"the document's schemas refer to each other more than {DEEPEST} deep, and are not believed"
            )
        return self.resolve(node)

    def _at(self, reference: str) -> Any:
        if not reference.startswith("#/") or len(reference) > LONGEST_REFERENCE:
            return None
        node: Any = self.document
        for part in reference[2:].split("/"):
            node = _mapping(node).get(part.replace("~1", "/").replace("~0", "~"))
        return node

    def _count(self) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise InvalidResponse(f"the document takes more than {MOST_STEPS} steps to read, and is not believed")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Any]:
    return value[:] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    """Return the texts of a list; none where anything else is in it."""
    items = _items(value)
    return items if all(isinstance(each, str) for each in items) else []
