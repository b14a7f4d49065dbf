"""What a gateway's OpenAPI document says about the documented calls: paths, an activation's body, types of limits.

Nothing else of it is believed. A call is recognised where its path is the documented one: hyphens, capitals, the plural
and the name of the provider's place may differ, and the prefix may be another one that several calls share. Where two
paths fit equally, neither is believed.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.gateway.documents import InvalidResponse, read_document
from rollout.gateway.endpoints import DEFAULTS
from rollout.gateway.openapi_bodies import Schemas
from rollout.gateway.transport import Answer

PATH = "/openapi.json"
ELSEWHERE = ", elsewhere"
OTHERS: Mapping[str, str] = {
    "health": "/healthz",
    "chat": "/api/v1/llm/simple/stream",
    "activate": "/api/v1/system/llm-servers/active",
}
"""Documented call -> the path of the call that is known to take its place (deviations 13 and 17)."""

_POSTED = frozenset({"test_connection", "preflight", "activate", "limits", "chat"})
_TEMPLATES: Mapping[str, str] = {**DEFAULTS, **{f"{name}{ELSEWHERE}": path for name, path in OTHERS.items()}}
_LIMIT_TYPE = "limit_type"
_SHARED_BY = 3
"""So many calls below one prefix are the documented ones, moved."""
_OPENAI = ("v1",)
"""The prefix of chat/completions in OpenAI's own API."""
_STAYS = frozenset({"health", f"health{ELSEWHERE}"})
"""Calls that are not believed at another place, because a health call sends paid requests on some gateways."""
_PLACE = "{}"
_PATH = re.compile(r"(?:/(?!\.+(?:/|$))[A-Za-z0-9._~-]{1,64}|/\{\w{1,64}\}){1,12}/?", re.ASCII)


@dataclass(frozen=True, slots=True)
class StatedCall:
    """A call as the document states it.

    Attributes:
        path: from the base URL, ``{provider}`` in the provider's place.
        fields: the fields of its JSON body, each with whether it is required; None where the document does not say.
    """

    path: str
    fields: Mapping[str, bool] | None = None


@dataclass(frozen=True, slots=True)
class ApiDocument:
    """What is believed of an OpenAPI document.

    Attributes:
        calls: name -> the call; the names are those of `DEFAULTS` and, with `ELSEWHERE`, of `OTHERS`. A call that is
            not among them is not in the document.
        limit_types: the words that the governance call takes as ``limit_type``; empty where they are not enumerated.
    """

    calls: Mapping[str, StatedCall] = field(default_factory=dict)
    limit_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A path that may be a call: the path as stated, its part before the call's own, and its operation."""

    path: str
    prefix: tuple[str, ...]
    operation: Mapping[str, Any]


def api_document(answer: Answer) -> ApiDocument:
    """Read ``GET /openapi.json``.

    Raises:
        InvalidResponse: no JSON object, no OpenAPI 3 document, one without a documented call, or one that refers to
            itself without end.
    """
    return read_api(read_document(answer))


def read_api(document: Mapping[str, Any]) -> ApiDocument:
    """Return what is believed of an OpenAPI document.

    Raises:
        InvalidResponse: as `api_document`.
    """
    version, paths = document.get("openapi"), document.get("paths")
    if not isinstance(version, str) or not version.startswith("3.") or not isinstance(paths, dict):
        raise InvalidResponse("the answer is no OpenAPI 3 document: it needs `openapi: 3.…` and `paths`")
    schemas = Schemas(document)
    found = _candidates(paths, schemas)
    shared = Counter(prefix for each in found.values() for prefix in {candidate.prefix for candidate in each})
    chosen = {name: one for name, each in found.items() if (one := _choose(name, each, shared)) is not None}
    if not chosen:
        raise InvalidResponse("the document names no call of docs/GATEWAY_API.md; is this the gateway's base URL?")
    limits = chosen.get("limits")
    return ApiDocument(
        {name: StatedCall(_template(one.path), schemas.fields(one.operation)) for name, one in chosen.items()},
        () if limits is None else schemas.words(limits.operation, _LIMIT_TYPE),
    )


def _candidates(paths: Mapping[str, Any], schemas: Schemas) -> Mapping[str, list[_Candidate]]:
    found: dict[str, list[_Candidate]] = defaultdict(list)
    for path, item in paths.items():
        if not _PATH.fullmatch(path):
            continue
        for name, prefix in _names(path):
            operation = schemas.resolve(item).get(_method(name))
            if isinstance(operation, dict):
                found[name].append(_Candidate(path, prefix, operation))
    return found


def _names(path: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each call that a path may be, with the part of the path before the call's own."""
    segments = _segments(path)
    for name, own in _OWN_BY_LAST.get(segments[-1], []):
        prefix = segments[: len(segments) - len(own)]
        if segments[len(prefix) :] == own and _PLACE not in prefix:
            yield name, prefix


def _choose(name: str, candidates: list[_Candidate], shared: Mapping[tuple[str, ...], int]) -> _Candidate | None:
    """Return the path that a call has; None where none can be believed, or two fit equally."""

    def rank(one: _Candidate) -> tuple[bool, bool, int]:
        return _template(one.path) == _TEMPLATES[name], one.prefix == _HOME[name], shared[one.prefix]

    believed = [one for one in candidates if one.prefix == _HOME[name] or _may_move(name, one.prefix, shared)]
    ranked = sorted(believed, key=rank, reverse=True)
    if not ranked or (len(ranked) > 1 and rank(ranked[0]) == rank(ranked[1])):
        return None
    return ranked[0]


def _may_move(name: str, prefix: tuple[str, ...], shared: Mapping[tuple[str, ...], int]) -> bool:
    if name == "chat" and prefix == _OPENAI:
        return True
    return name not in _STAYS and shared[prefix] >= _SHARED_BY


def _method(name: str) -> str:
    return "post" if name.removesuffix(ELSEWHERE) in _POSTED else "get"


def _template(path: str) -> str:
    return re.sub(r"\{\w+\}", "{provider}", path)


def _segments(path: str) -> tuple[str, ...]:
    """Return the parts of a path as they are compared."""
    return tuple(
        _PLACE if part.startswith("{") else re.sub(r"[-_.]", "", part).casefold().removesuffix("s")
        for part in path.strip("/").split("/")
    )


_API = _segments("/api/v1")
_HOME: Mapping[str, tuple[str, ...]] = {name: () if name in _STAYS else _API for name in _TEMPLATES}
"""Call -> the prefix that it has as documented."""
_Own = tuple[str, tuple[str, ...]]


def _own_segments() -> Mapping[str, list[_Own]]:
    found: dict[str, list[_Own]] = defaultdict(list)
    for name, path in _TEMPLATES.items():
        own = _segments(path)[len(_HOME[name]) :]
        found[own[-1]].append((name, own))
    return dict(found)


_OWN_BY_LAST = _own_segments()
"""The last part of a path -> the calls that end with it, each with its parts below the prefix."""
