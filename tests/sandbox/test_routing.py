"""Weights: requests are split by them, they survive a restart, and invalid ones are refused."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from rollout.sandbox.process import stop
from rollout.sandbox.routing import Routing, pick

from .conftest import Started, ask, client, eventually

WEIGHTS = "/api/v1/routing/weights"
TENTH = {"openai:gpt-4o": 0.1, "ollama:gemma3:4b": 0.9}


def test_without_weights_the_active_provider_serves_everything(api: httpx.Client):
    assert api.get(WEIGHTS).json() == {"status": "success", "weights": {}}
    assert {ask(api).json()["provider"] for _ in range(5)} == {"ollama"}


def test_requests_are_split_by_weight_and_the_answer_names_the_provider(api: httpx.Client):
    assert api.put(WEIGHTS, json={"weights": {"openai:gpt-4o": 0.5, "ollama:qwen2.5:7b": 0.5}}).status_code == 200
    before = {name: counted(api, name) for name in ("openai", "ollama")}
    answers = [ask(api).json() for _ in range(20)]
    answered = {(answer["provider"], answer["model"]) for answer in answers}
    assert answered == {("openai", "gpt-4o-2024-08-06"), ("ollama", "qwen2.5:7b")}
    assert all(counted(api, name) > before[name] for name in before), "metrics are kept for each provider"
    assert api.get("/api/v1/providers").json()["active_provider"] == "ollama", "weights activate no provider"


def counted(api: httpx.Client, provider: str) -> int:
    return api.get(f"/api/v1/providers/{provider}/metrics").json()["metrics"]["total_requests"]


def test_background_users_are_split_as_well(launch: Started):
    with client(launch()) as http:
        http.put(WEIGHTS, json={"weights": {"openai:gpt-4o": 0.5, "ollama:gemma3:4b": 0.5}})
        http.put("/sandbox/traffic", json={"users_per_s": 100})
        eventually(lambda: counted(http, "openai") > 10 and counted(http, "ollama") > 10)


def test_a_tenth_is_a_tenth(tmp_path: Path):
    routing = Routing(tmp_path / "routing.json")
    routing.replace(TENTH)
    generator = random.Random(7)
    picked = Counter(pick(routing.weights, generator) for _ in range(10_000))
    assert picked["openai", "gpt-4o"] == pytest.approx(1000, abs=100)
    assert picked.total() == picked["openai", "gpt-4o"] + picked["ollama", "gemma3:4b"]


def test_weights_outlive_a_restart(launch: Started):
    running = launch()
    with client(running) as http:
        assert http.put(WEIGHTS, json={"weights": TENTH}).json()["weights"] == TENTH
    stop(running)
    with client(launch(running.directory)) as http:
        assert http.get(WEIGHTS).json()["weights"] == TENTH


def test_an_activation_removes_the_weights_and_empty_ones_can_be_set(api: httpx.Client):
    api.put(WEIGHTS, json={"weights": TENTH})
    api.post("/api/v1/providers/openai/activate", json={"model": "gpt-4o"})
    assert api.get(WEIGHTS).json()["weights"] == {}
    assert ask(api).json()["provider"] == "openai"
    api.put(WEIGHTS, json={"weights": TENTH})
    assert api.put(WEIGHTS, json={"weights": {}}).json()["weights"] == {}


def test_the_audit_log_has_user_and_weights(api: httpx.Client):
    api.put(WEIGHTS, json={"weights": TENTH}, headers={"X-User": "alice"})
    api.put(WEIGHTS, json={"weights": {"openai:gpt-4o": 0.1}}, headers={"X-User": "alice"})
    entry = api.get("/api/v1/admin/audit?limit=1").json()["entries"][0]
    assert (entry["action"], entry["user"], entry["result"]) == ("set_routing_weights", "alice", "success")
    assert entry["details"] == {"weights": TENTH, "previous_weights": {}}


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ([0.1, 0.9], "must map PROVIDER:MODEL to a fraction"),
        ({"openai:gpt-4o": 0.5}, "add up to 0.5, not to 1"),
        ({"openai:gpt-4o": 0.6, "ollama:gemma3:4b": 0.6}, "add up to 1.2"),
        ({"openai:gpt-4o": 0, "ollama:gemma3:4b": 1}, "a fraction above 0 and up to 1, not 0"),
        ({"openai:gpt-4o": -0.5, "ollama:gemma3:4b": 1.5}, "not -0.5"),
        ({"openai:gpt-4o": "10%", "ollama:gemma3:4b": 0.9}, "not '10%'"),
        ({"openai:gpt-4o": True}, "not True"),
        ({"openai:gpt-4o": None}, "not None"),
        ({"opnai:gpt-4o": 1}, "opnai is not a known provider"),
        ({"openai": 1}, "no model is not available"),
        ({"huggingface:x": 1}, "cannot be activated"),
        ({"openai:gpt-4o": 0.5, "OpenAI:gpt-4o": 0.5}, "named twice"),
    ],
    ids=str,
)
def test_invalid_weights_are_refused_and_change_nothing(api: httpx.Client, weights: Any, reason: str):
    api.put(WEIGHTS, json={"weights": TENTH})
    refused = api.put(WEIGHTS, json={"weights": weights})
    assert refused.status_code == 400
    assert reason in refused.json()["detail"]
    assert api.get(WEIGHTS).json()["weights"] == TENTH


def test_nan_is_no_weight(api: httpx.Client):
    refused = api.put(WEIGHTS, content=b'{"weights": {"openai:gpt-4o": NaN}}')
    assert (refused.status_code, refused.json()["detail"][-9:]) == (400, ", not nan")


def test_a_body_without_weights_is_malformed(api: httpx.Client):
    assert api.put(WEIGHTS, json={}).status_code == 422


def test_a_provider_that_is_offline_is_given_no_share(api: httpx.Client):
    api.put("/sandbox/faults", json=[{"provider": "openai", "status": "offline"}])
    refused = api.put(WEIGHTS, json={"weights": TENTH})
    assert refused.status_code == 503
    entry = api.get("/api/v1/admin/audit?limit=1").json()["entries"][0]
    assert (entry["action"], entry["result"]) == ("set_routing_weights", "failure")
    assert api.get(WEIGHTS).json()["weights"] == {}


def test_a_fault_since_activation_begins_with_the_first_weight(api: httpx.Client):
    api.put("/sandbox/faults", json=[{"provider": "openai", "since": "activation", "error_share": 1}])
    api.put(WEIGHTS, json={"weights": {"openai:gpt-4o": 1}})
    assert ask(api).status_code == 502
