"""``/openapi.json`` is true: every call that it names is there with its body, and no other call is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from rollout.gateway.endpoints import DEFAULTS
from rollout.gateway.openapi import OTHERS
from rollout.sandbox.process import Running

from .conftest import Started, client
from .test_deviations import switch

LIMITS = "/api/v1/governance/limits"
POSTED = {"test_connection", "preflight", "activate", "limits", "chat"}
KNOWN = {
    *(("post" if name in POSTED else "get", path) for name, path in DEFAULTS.items()),
    *(("get" if name == "health" else "post", path) for name, path in OTHERS.items()),
    ("post", "/api/v1/config/runtime"),
    ("put", "/api/v1/routing/weights"),
    ("get", "/metrics"),
}
NOT_THERE = {404, 405}


@pytest.fixture(scope="module")
def shared(launch_for_all: Started) -> Running:
    """A sandbox of this file's own: its limits are changed, which cannot be restored."""
    return launch_for_all()


@pytest.fixture
def deviating(api: httpx.Client) -> Iterator[httpx.Client]:
    """A client of the shared sandbox, whose deviations are switched off afterwards."""
    yield api
    switch(api)


def document(api: httpx.Client) -> dict[str, Any]:
    return dict(api.get("/openapi.json").json())


def stated(api: httpx.Client) -> set[tuple[str, str]]:
    """Return the calls that the document names."""
    return {(method, path) for path, item in document(api)["paths"].items() for method in item}


def schema(found: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the schema of a body, from behind its reference."""
    reference = found["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    return dict(found["components"]["schemas"][reference.rpartition("/")[2]])


@pytest.mark.parametrize(
    "switched",
    [(), ("healthz", "stream_chat"), ("local_activation_elsewhere", "config_write_errors")],
    ids=["none", "paths", "more calls"],
)
def test_it_names_the_calls_that_are_there_and_no_others(deviating: httpx.Client, switched: tuple[str, ...]):
    """A call that is not there is answered with 404 or 405, whatever its body."""
    switch(deviating, *switched)
    there = {
        (method, path)
        for method, path in KNOWN
        if deviating.request(method, path.replace("{provider}", "openai"), json=[]).status_code not in NOT_THERE
    }
    assert stated(deviating) - {("get", "/api/v1/routing/weights")} == there


@pytest.mark.parametrize("switched", [(), ("limit_types_cost_rate",)])
def test_the_limit_types_are_those_that_are_accepted(deviating: httpx.Client, switched: tuple[str, ...]):
    switch(deviating, *switched)
    kinds = document(deviating)["components"]["schemas"]["LimitType"]["enum"]
    body = {"scope": "openai", "hard_limit_usd": 10.0, "soft_limit_usd": 5.0}
    accepted = [
        kind
        for kind in ("per_provider", "cost", "rate", "daily")
        if deviating.post(LIMITS, json={**body, "limit_type": kind}).status_code == 200
    ]
    assert kinds == accepted


def test_what_a_body_requires_is_required(deviating: httpx.Client):
    switch(deviating, "stream_chat", "local_activation_elsewhere")
    found = document(deviating)
    for path in (LIMITS, "/api/v1/system/llm-servers/active", "/api/v1/llm/simple/stream"):
        for name in schema(found, path)["required"]:
            body = {other: "x" for other in schema(found, path)["required"] if other != name}
            answer = deviating.post(path, json=body)
            assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", name])


def test_it_needs_the_token_of_the_other_calls(launch: Started, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GATEWAY_TOKEN", "t0ken")
    with client(launch(token_env="GATEWAY_TOKEN")) as api:
        assert api.get("/openapi.json").status_code == 401
