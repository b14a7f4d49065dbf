"""The OpenAPI document of the gateway's own calls, as its routes are at this moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.routing import Route

from rollout.sandbox.deviating_routes import GatedRoute
from rollout.sandbox.state import LIMIT_DEFAULTS

PATH = "/openapi.json"

_TEXT = {"type": "string"}
_NUMBER = {"type": "number", "exclusiveMinimum": 0}
_MESSAGE = {"type": "object", "properties": {"role": _TEXT, "content": _TEXT}, "required": ["content"]}
_SCHEMAS: Mapping[str, Any] = {
    "ActivateRequest": {"type": "object", "properties": {"model": {"anyOf": [_TEXT, {"type": "null"}]}}},
    "ChatRequest": {
        "type": "object",
        "properties": {
            "messages": {"type": "array", "items": _MESSAGE, "minItems": 1},
            "stream": {"type": "boolean"},
        },
        "required": ["messages"],
    },
    "ConfigUpdateRequest": {
        "type": "object",
        "properties": {"updates": {"type": "object"}},
        "required": ["updates"],
    },
    "LimitRequest": {
        "type": "object",
        "properties": {
            "limit_type": {"$ref": "#/components/schemas/LimitType"},
            "scope": _TEXT,
            **{name: _NUMBER for limits in LIMIT_DEFAULTS.values() for name in limits},
        },
        "required": ["limit_type", "scope"],
    },
    "ServerRequest": {
        "type": "object",
        "properties": {"server_name": _TEXT, "model": {"anyOf": [_TEXT, {"type": "null"}]}},
        "required": ["server_name"],
    },
    "StreamRequest": {"type": "object", "properties": {"content": _TEXT}, "required": ["content"]},
    "WeightsRequest": {
        "type": "object",
        "properties": {"weights": {"type": "object", "additionalProperties": {"type": "number"}}},
        "required": ["weights"],
    },
}
_BODIES: Mapping[tuple[str, str], str] = {
    ("POST", "/api/v1/providers/{provider}/activate"): "ActivateRequest",
    ("POST", "/api/v1/chat/completions"): "ChatRequest",
    ("POST", "/api/v1/config/runtime"): "ConfigUpdateRequest",
    ("POST", "/api/v1/governance/limits"): "LimitRequest",
    ("POST", "/api/v1/system/llm-servers/active"): "ServerRequest",
    ("POST", "/api/v1/llm/simple/stream"): "StreamRequest",
    ("PUT", "/api/v1/routing/weights"): "WeightsRequest",
}
"""Method and path -> the schema of the body."""
_OPTIONAL = "ActivateRequest"
"""The body that may be left out (deviation 8)."""


def describe_routes(routes: Iterable[Route], limit_types: Iterable[str]) -> dict[str, Any]:
    """Return the document of those routes that exist; the document's own is not in it.

    Args:
        routes: all routes of the gateway's API.
        limit_types: the words that the governance call takes.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if route.path != PATH and (not isinstance(route, GatedRoute) or route.exists()):
            for method in _methods(route):
                paths.setdefault(route.path, {})[method.lower()] = _operation(method, route.path)
    return {
        "openapi": "3.1.0",
        "info": {"title": "rollout-sandbox", "version": "1"},
        "paths": paths,
        "components": {"schemas": {**_SCHEMAS, "LimitType": {"type": "string", "enum": list(limit_types)}}},
    }


def _methods(route: Route) -> list[str]:
    return [route.method] if isinstance(route, GatedRoute) else sorted((route.methods or set()) - {"HEAD"})


def _operation(method: str, path: str) -> dict[str, Any]:
    operation: dict[str, Any] = {"responses": {"200": {"description": "as documented"}}}
    if "{provider}" in path:
        operation["parameters"] = [{"name": "provider", "in": "path", "required": True, "schema": _TEXT}]
    schema = _BODIES.get((method, path))
    if schema is not None:
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
        operation["requestBody"] = {"content": content, "required": schema != _OPTIONAL}
    return operation
