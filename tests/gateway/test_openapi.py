"""What is believed of an OpenAPI document: paths, an activation's body, limit types; and what is refused."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any

import pytest

from rollout.gateway.documents import InvalidResponse
from rollout.gateway.endpoints import DEFAULTS
from rollout.gateway.openapi import ApiDocument, StatedCall, api_document, read_api
from rollout.gateway.transport import CAP_BYTES, Answer

API = "/api/v1"
POSTED = {"test_connection", "preflight", "activate", "limits", "chat"}
ACTIVATE = f"{API}/providers/{{provider}}/activate"
LIMITS = f"{API}/governance/limits"
MODEL = {"properties": {"model": {"type": "string"}}, "required": ["model"]}
WHY = {"properties": {"why": {}}}


def operation(schema: Any = None) -> dict[str, Any]:
    """Return an operation, with a JSON body where a schema is given."""
    return {} if schema is None else {"requestBody": {"content": {"application/json": {"schema": schema}}}}


def document(paths: Mapping[str, Any], **components: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "paths": dict(paths), "components": {"schemas": components}}


def stated(*paths: str, method: str = "get") -> ApiDocument:
    return read_api(document({path: {method: {}} for path in paths}))


def activating(schema: Any, **components: Any) -> Mapping[str, bool] | None:
    """Return the fields of an activation's body."""
    return read_api(document({ACTIVATE: {"post": operation(schema)}}, **components)).calls["activate"].fields


def limiting(schema: Any, **components: Any) -> tuple[str, ...]:
    """Return the limit types of a field's schema."""
    body = {"properties": {"limit_type": schema}}
    return read_api(document({LIMITS: {"post": operation(body)}}, **components)).limit_types


def answer(body: bytes) -> Answer:
    return Answer(200, {"content-type": "application/json"}, body, 1.0)


# Paths


def test_every_documented_call_is_recognised():
    paths = {path: {"post" if name in POSTED else "get": {}} for name, path in DEFAULTS.items()}
    assert {name: call.path for name, call in read_api(document(paths)).calls.items()} == dict(DEFAULTS)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"{API}/providers/{{provider_name}}/status", "status"),
        (f"{API}/provider/{{id}}/status", "status"),
        (f"{API}/Providers/", "providers"),
        (f"{API}/governance_/status", "governance"),
        (f"{API}/admin/audit", "audit"),
    ],
)
def test_hyphens_capitals_plurals_and_the_places_name_may_differ(path: str, name: str):
    calls = stated(path).calls
    assert {found: call.path for found, call in calls.items()} == {name: re.sub(r"{\w+}", "{provider}", path)}


def test_a_prefix_that_three_calls_share_is_believed():
    found = read_api(
        document(
            {
                "/gw/v2/providers": {"get": {}},
                "/gw/v2/alerts": {"get": {}},
                "/gw/v2/providers/{name}/activate": {"post": operation(MODEL)},
            }
        )
    )
    assert found.calls["activate"] == StatedCall("/gw/v2/providers/{provider}/activate", {"model": True})
    assert found.calls["providers"].path == "/gw/v2/providers"


def test_a_prefix_of_two_is_another_api_and_openais_own_is_known_for_completions():
    found = {path: {"get": {}} for path in ("/shop/providers", "/shop/alerts", "/v1/alerts")}
    found["/v1/chat/completions"] = {"post": {}}
    assert read_api(document(found)).calls == {"chat": StatedCall("/v1/chat/completions")}


def test_a_prefix_with_a_place_is_another_api():
    with pytest.raises(InvalidResponse, match="names no call"):
        stated(*(f"/{{tenant}}/{call}" for call in ("providers", "alerts", "admin/audit")))


def test_the_documented_path_counts_before_a_moved_one_and_of_two_equals_neither():
    moved = [f"/{prefix}/{call}" for prefix in ("a", "b") for call in ("providers", "alerts", "config/runtime")]
    assert stated(*moved, f"{API}/alerts").calls == {"alerts": StatedCall(f"{API}/alerts")}
    assert stated(f"{API}/provider", f"{API}/providers").calls["providers"].path == f"{API}/providers"
    with pytest.raises(InvalidResponse, match="names no call"):
        stated(f"{API}/providers/", f"{API}/provider")


def test_a_health_call_is_believed_at_its_known_paths_only():
    """It may cost money elsewhere."""
    moved = stated("/gw/health", "/gw/healthz", "/gw/providers", "/gw/alerts", "/gw/admin/audit", "/healthz").calls
    assert sorted(moved) == ["alerts", "audit", "health, elsewhere", "providers"]


@pytest.mark.parametrize(
    "path",
    [
        f"{API}/../providers",
        f"/{API}/providers",
        f"{API}/providers?x=1",
        f"{API}/providers#x",
        f"{API}/pro viders",
        f"http://evil{API}/providers",
        f"{API}/{{tenant}}/providers",
        f"{API}/providers\x1b[2J",
        "providers",
        "",
    ],
)
def test_a_path_that_leads_elsewhere_is_not_believed(path: str):
    with pytest.raises(InvalidResponse, match="names no call"):
        stated(path)


def test_a_call_of_another_method_is_not_the_call():
    with pytest.raises(InvalidResponse, match="names no call"):
        stated(ACTIVATE, method="put")


def test_the_calls_that_take_anothers_place_are_known():
    found = stated(f"{API}/system/llm-servers/active", f"{API}/llm/simple/stream", method="post")
    assert sorted(found.calls) == ["activate, elsewhere", "chat, elsewhere"]


def test_a_paths_operations_may_be_referred_to():
    shared = document({ACTIVATE: {"$ref": "#/components/pathItems/a~1b"}})
    shared["components"]["pathItems"] = {"a/b": {"post": operation(MODEL)}}
    assert read_api(shared).calls["activate"].fields == {"model": True}


# Bodies and limit types


@pytest.mark.parametrize(
    ("schema", "fields"),
    [
        (MODEL, {"model": True}),
        ({"$ref": "#/components/schemas/Body"}, {"model": True}),
        ({"anyOf": [{"$ref": "#/components/schemas/Body"}, {"type": "null"}]}, {"model": True}),
        (
            {"allOf": [{"$ref": "#/components/schemas/Body"}, WHY]},
            {"model": True, "why": False},
        ),
        ({"anyOf": [MODEL, WHY]}, None),
        ({"$ref": "#/components/schemas/Missing"}, None),
        ({"$ref": "https://evil.example/schema.json"}, None),
        ({"$ref": "other.json#/Body"}, None),
        ({"properties": {"mo\x1bdel": {}}}, None),
        ({"properties": []}, None),
        ({"type": "object"}, None),
        ([], None),
        (None, None),
    ],
)
def test_the_fields_of_an_activation(schema: Any, fields: Mapping[str, bool] | None):
    assert activating(schema, Body=MODEL) == fields


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"enum": ["cost", "rate"]}, ("cost", "rate")),
        ({"$ref": "#/components/schemas/Kind"}, ("per_provider", "rate")),
        ({"allOf": [{"$ref": "#/components/schemas/Kind"}]}, ("per_provider", "rate")),
        ({"anyOf": [{"const": "cost"}, {"const": "rate"}, {"type": "null"}]}, ("cost", "rate")),
        ({"anyOf": [{"const": "cost"}, {"type": "string"}]}, ()),
        ({"enum": ["cost", 1]}, ()),
        ({"enum": ["co\x1bst"]}, ()),
        ({"type": "string"}, ()),
        ("cost", ()),
    ],
)
def test_the_limit_types(schema: Any, words: tuple[str, ...]):
    assert limiting(schema, Kind={"enum": ["per_provider", "rate"]}) == words


# What is refused


def refused(body: bytes | Mapping[str, Any]) -> str:
    """Return why an answer is refused; it takes no longer than a second."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert len(raw) <= CAP_BYTES, "the transport reads no more"
    started = time.process_time()
    with pytest.raises(InvalidResponse) as caught:
        api_document(answer(raw))
    assert time.process_time() - started < 1.0
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"<html>", "is not JSON"),
        (b'{"openapi": "3.1.0", "paths": {', "cut off"),
        (b"[]", "not an object"),
        (b'{"swagger": "2.0", "paths": {}}', "no OpenAPI 3 document"),
        (b'{"openapi": 3.1, "paths": {}}', "no OpenAPI 3 document"),
        (b'{"openapi": "3.1.0", "paths": []}', "no OpenAPI 3 document"),
        (b'{"openapi": "3.1.0", "paths": {"/pets": {"get": {}}}}', "names no call"),
        (b'{"openapi": "3.1.0", "paths": {"/api/v1/alerts": 7, "/health": {"get": []}}}', "names no call"),
        (b'{"openapi": "3.1.0", "paths": ' + b'{"a":' * 300_000, "not valid JSON"),
        (b'{"openapi": "3.1.0", "paths": ' + b"[" * 300_000, "not valid JSON"),
    ],
)
def test_what_is_no_document_is_refused(body: bytes, says: str):
    assert says in refused(body)


def test_references_that_lead_in_a_circle_are_refused():
    for schema in ("A", "Self"):
        body = document(
            {ACTIVATE: {"post": operation({"$ref": f"#/components/schemas/{schema}"})}},
            A={"$ref": "#/components/schemas/B"},
            B={"$ref": "#/components/schemas/A"},
            Self={"$ref": "#/components/schemas/Self"},
        )
        assert "refers to itself in a circle" in refused(body)


def test_schemas_that_hold_themselves_are_refused():
    for key in ("allOf", "anyOf", "oneOf"):
        nested = {"A": {key: [{"$ref": "#/components/schemas/A"}]}}
        assert "more than 20 deep" in refused(
            document({ACTIVATE: {"post": operation({"$ref": "#/components/schemas/A"})}}, **nested)
        )
        field = {"properties": {"limit_type": {"$ref": "#/components/schemas/A"}}}
        assert "more than 20 deep" in refused(document({LIMITS: {"post": operation(field)}}, **nested))


def test_schemas_that_multiply_are_refused():
    """Each of 15 schemas holds the next one twice: 32,768 at the end."""
    nested = {f"S{n}": {"allOf": [{"$ref": f"#/components/schemas/S{n + 1}"}] * 2} for n in range(15)}
    body = document({ACTIVATE: {"post": operation({"$ref": "#/components/schemas/S0"})}}, **nested)
    assert "more than 5000 steps" in refused(body)


def test_a_document_of_nothing_but_calls_is_refused_in_time():
    paths = {f"/p{n}/alerts": {"$ref": "#/paths/" + "x" * 200} for n in range(8_000)}
    assert "more than 5000 steps" in refused(document(paths))
    strange = {f"/{'a' * 40}{n}/{{b}}/{{c}}": {} for n in range(30_000)}
    assert "names no call" in refused(document(strange))
