"""Reads that lag, a slow start, activations that wait for a restart, a slow switch; and the true state meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from rollout.sandbox.api import build_api
from rollout.sandbox.faults import Fault
from rollout.sandbox.gateway import Gateway
from rollout.sandbox.process import Running, stop
from rollout.sandbox.settings import LONGEST_S, STALE_CALLS, InvalidSettings, SandboxSettings

from .conftest import FakeClock, Started, ask, client, eventually

PROVIDERS = "/api/v1/providers"
WEIGHTS = "/api/v1/routing/weights"
LIMITS = "/api/v1/governance/limits"
SERVERS = "/api/v1/system/llm-servers/active"
OLD, NEW = "ollama:gemma3:4b", "openai:gpt-4o"
HALVES = {"openai:gpt-4o": 0.5, "ollama:gemma3:4b": 0.5}
LOCAL = ("local_activation_elsewhere",)


class Within(httpx.BaseTransport):
    """Sends requests to an application within this process."""

    def __init__(self, app: Starlette) -> None:
        self._transport = httpx.ASGITransport(app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the application does."""

        async def respond() -> httpx.Response:
            answer = await self._transport.handle_async_request(request)
            return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

        return asyncio.run(respond())


Made = Callable[..., tuple[Gateway, httpx.Client]]


@pytest.fixture
def made(tmp_path: Path, fake_clock: FakeClock) -> Made:
    """Make a gateway with the fake clock."""

    def make(**settings: Any) -> tuple[Gateway, httpx.Client]:
        gateway = Gateway(tmp_path, SandboxSettings(users_per_s=0, **settings), fake_clock)
        return gateway, httpx.Client(transport=Within(build_api(gateway)), base_url="http://gateway")

    return make


def activate(api: httpx.Client, provider: str, model: str) -> None:
    api.post(f"{PROVIDERS}/{provider}/activate", json={"model": model}).raise_for_status()


def limit(api: httpx.Client, hard_usd: float) -> None:
    body = {"limit_type": "cost", "scope": "global", "soft_limit_usd": 1, "hard_limit_usd": hard_usd}
    api.post(LIMITS, json=body).raise_for_status()


def reads(api: httpx.Client) -> dict[str, Any]:
    """Return what each call that may lag shows."""
    cost = api.get("/api/v1/governance/status").json()["cost_limits"]["global"]["hard_limit_usd"]
    return {
        "config": api.get("/api/v1/config/runtime").json()["config"]["ACTIVE_PROVIDER"],
        "providers": api.get(PROVIDERS).json()["active_provider"],
        "governance": cost,
        "routing": api.get(WEIGHTS).json()["weights"],
        "chat": ask(api).json()["provider"],
    }


BEFORE = {"config": "ollama", "providers": "ollama", "governance": 50.0, "routing": {}, "chat": "ollama"}
AFTER = {"config": "openai", "providers": "openai", "governance": 5.0, "routing": {}, "chat": "openai"}


# Reads that lag


@pytest.mark.parametrize("lagging", [*[(call,) for call in STALE_CALLS], STALE_CALLS, ()])
def test_the_named_reads_show_the_earlier_state_and_the_others_the_present_one(
    made: Made, fake_clock: FakeClock, lagging: tuple[str, ...]
):
    gateway, api = made(stale_reads_s=10, stale_calls=lagging)
    fake_clock.elapsed_s = 100
    activate(api, "openai", "gpt-4o")
    limit(api, 5)
    for elapsed_s in (100, 109.9):
        fake_clock.elapsed_s = elapsed_s
        assert reads(api) == {call: (BEFORE if call in lagging else AFTER)[call] for call in AFTER}
        assert gateway.true_state()["active"] == NEW, "the write is in effect at once"
    fake_clock.elapsed_s = 110
    assert reads(api) == AFTER


def test_each_write_shows_after_the_same_lag(made: Made, fake_clock: FakeClock):
    """An answer is the state of so many seconds ago, also between two writes."""
    _, api = made(stale_reads_s=10)
    for elapsed_s, provider, model in ((4, "openai", "gpt-4o"), (8, "vllm", "gemma-3-4b-it")):
        fake_clock.elapsed_s = elapsed_s
        activate(api, provider, model)
    shown = {}
    for elapsed_s in (13, 14, 17, 18):
        fake_clock.elapsed_s = elapsed_s
        shown[elapsed_s] = reads(api)["providers"]
    assert shown == {13: "ollama", 14: "openai", 17: "openai", 18: "vllm"}


def test_weights_lag_and_their_write_answers_what_was_written(made: Made, fake_clock: FakeClock):
    _, api = made(stale_reads_s=10)
    assert api.put(WEIGHTS, json={"weights": HALVES}).json()["weights"] == HALVES
    assert reads(api)["routing"] == {}
    fake_clock.elapsed_s = 10
    assert reads(api)["routing"] == HALVES


def test_a_completion_that_lags_is_answered_and_counted_by_the_earlier_provider(made: Made):
    gateway, api = made(stale_reads_s=10, stale_calls=("chat",))
    activate(api, "openai", "gpt-4o")
    answer = ask(api).json()
    assert (answer["provider"], answer["model"]) == ("ollama", "gemma3:4b")
    assert (gateway.metrics["ollama"].total, gateway.metrics["openai"].total) == (1, 0)
    assert [entry[1:] for entry in gateway.true_state()["served"]] == [["ollama", "gemma3:4b", 200]]


def test_a_start_reads_what_it_loads(made: Made):
    """The history begins with the process: an edited file does not lag."""
    gateway, api = made(stale_reads_s=10)
    activate(api, "openai", "gpt-4o")
    gateway.keep()
    _, again = made(stale_reads_s=10)
    assert reads(again)["config"] == "openai"


# A slow start


def test_while_it_starts_every_call_answers_503_and_the_control_interface_at_once(launch: Started):
    running = launch(settings=SandboxSettings(users_per_s=50, startup_s=1.5))
    with client(running) as api:
        paths = ("/health", PROVIDERS, "/metrics", "/api/v1/config/runtime", "/nothing")
        assert {api.get(path).status_code for path in paths} == {503}
        assert {ask(api).status_code, api.post(f"{PROVIDERS}/openai/activate").status_code} == {503}
        state = api.get("/sandbox/state").json()
        assert (state["active"], state["served"]) == (OLD, []), "users are not served either"
        assert api.get("/twin/health").status_code == 200, "the staging gateway is another installation"
        eventually(lambda: api.get("/health").status_code == 200)
        assert ask(api).status_code == 200
        eventually(lambda: api.get("/sandbox/state").json()["served"])


def test_the_start_takes_the_configured_time(made: Made, fake_clock: FakeClock):
    gateway, _ = made(startup_s=40)
    fake_clock.elapsed_s = 39.9
    assert gateway.is_starting
    fake_clock.elapsed_s = 40
    assert not gateway.is_starting


# Providers that wait for a restart


def restarted(launch: Started, running: Running) -> Running:
    stop(running)
    return launch(running.directory, port=int(running.url.rpartition(":")[2]))


def test_a_provider_that_needs_a_restart_is_written_at_once_and_in_effect_after_it(launch: Started):
    running = launch(settings=SandboxSettings(users_per_s=0, restart_providers=("openai",)))
    with client(running) as api:
        activate(api, "openai", "gpt-4o")
        config = api.get("/api/v1/config/runtime").json()["config"]
        assert f"{config['ACTIVE_PROVIDER']}:{config['LLM_MODEL_NAME']}" == NEW
        assert (api.get(PROVIDERS).json()["active_provider"], ask(api).json()["provider"]) == ("ollama", "ollama")
        state = api.get("/sandbox/state").json()
        assert (state["active"], state["pending"], state["activations"]["count"]) == (OLD, NEW, 1)
    with client(restarted(launch, running)) as api:
        after = api.get("/sandbox/state").json()
        assert (after["active"], after["pending"]) == (NEW, None)
        assert after["boot_id"] != state["boot_id"]
        assert ask(api).json()["provider"] == "openai"


def test_the_other_providers_are_in_effect_at_once(made: Made):
    gateway, api = made(restart_providers=("openai",))
    activate(api, "openai", "gpt-4o")
    activate(api, "vllm", "gemma-3-4b-it")
    assert (gateway.true_state()["active"], gateway.true_state()["pending"]) == ("vllm:gemma-3-4b-it", None)


def test_a_fault_since_the_activation_begins_with_the_restart(launch: Started):
    """A provider that was written and waits for a restart serves from the restart on."""
    fault = Fault("openai", since="activation", error_share=1)
    running = launch(settings=SandboxSettings(users_per_s=0, restart_providers=("openai",), faults=(fault,)))
    settings = SandboxSettings(users_per_s=0, restart_providers=("openai",), faults=(fault,))
    with client(running) as api:
        activate(api, "openai", "gpt-4o")
        assert ask(api).status_code == 200
    stop(running)
    with client(launch(running.directory, settings=settings)) as api:
        assert ask(api).status_code == 502


# A slow switch


def test_completions_are_refused_while_a_runtime_is_switched(launch: Started):
    running = launch(settings=SandboxSettings(users_per_s=0, switch_s=1.5, deviations=LOCAL))
    began = time.monotonic()
    with client(running) as api, ThreadPoolExecutor(1) as pool:
        body = {"server_name": "vllm", "model": "gemma-3-4b-it"}
        switching = pool.submit(api.post, SERVERS, json=body)
        eventually(lambda: ask(api).status_code == 409)
        state = api.get("/sandbox/state").json()
        assert (state["active"], state["served"][-1][1:]) == (OLD, ["ollama", "gemma3:4b", 409])
        assert switching.result().status_code == 200
        assert time.monotonic() - began >= 1.5
        assert (ask(api).json()["provider"], api.get("/sandbox/state").json()["active"]) == (
            "vllm",
            "vllm:gemma-3-4b-it",
        )
        assert api.get(f"{PROVIDERS}/ollama/metrics").json()["metrics"]["errors"]["by_code"]["http_409"] >= 1


def test_a_switch_that_is_refused_ends_the_refusals(made: Made):
    gateway, api = made(switch_s=0.0, faults=(Fault("vllm", status="offline"),), deviations=LOCAL)
    assert api.post(SERVERS, json={"server_name": "vllm"}).status_code == 503
    assert ask(api).status_code == 200
    assert gateway.true_state()["activations"] == {"count": 0, "last": []}


# The true state


def test_the_state_counts_activations_and_lists_serving_providers(api: httpx.Client):
    count = api.get("/sandbox/state").json()["activations"]["count"]
    activate(api, "openai", "gpt-4o")
    activate(api, "openai", "gpt-4o")
    assert api.post(f"{PROVIDERS}/openai/activate", json={"model": "gpt-9"}).status_code == 400
    ask(api)
    api.put("/sandbox/faults", json=[{"provider": "openai", "error_share": 1}])
    ask(api)
    state = api.get("/sandbox/state").json()
    assert state["activations"]["count"] == count + 2, "writing the same again counts, a refused one does not"
    newest = state["activations"]["last"][-1]
    assert (newest["provider"], newest["model"], newest["user"]) == ("openai", "gpt-4o", "unknown")
    assert newest["time"].endswith("Z")
    assert [entry[1:] for entry in state["served"][-2:]] == [["openai", "gpt-4o", 200], ["openai", "gpt-4o", 502]]


def test_the_state_shows_no_secret(api: httpx.Client, shared: Running):
    assert "made-up" in shared.env_file.read_text(encoding="utf-8")
    assert "made-up" not in api.get("/sandbox/state").text


def test_the_state_shows_limits_and_weights_whatever_reads_show(made: Made):
    gateway, api = made(stale_reads_s=10)
    limit(api, 5)
    api.put(WEIGHTS, json={"weights": HALVES})
    state = gateway.true_state()
    assert (state["cost_limits"]["global"]["hard_limit_usd"], state["weights"]) == (5.0, HALVES)
    assert state["rate_limits"].keys() == {"global"}


def test_a_file_that_was_edited_by_hand_is_pending(made: Made):
    gateway, _ = made()
    file = gateway.state.env_file
    file.write_text(file.read_text().replace("LLM_MODEL_NAME=gemma3:4b", "LLM_MODEL_NAME=qwen2.5:7b"))
    assert gateway.true_state()["pending"] == "ollama:qwen2.5:7b"


def test_only_the_latest_are_listed(made: Made):
    gateway, api = made()
    for _ in range(51):
        activate(api, "openai", "gpt-4o")
    for _ in range(201):
        gateway.truth.served("openai", "gpt-4o", 200)
    state = gateway.true_state()
    assert (state["activations"]["count"], len(state["activations"]["last"]), len(state["served"])) == (51, 50, 200)


# At run time


def test_it_can_be_set_at_run_time_and_outlives_a_restart(launch: Started):
    running = launch()
    wanted = {"stale_reads_s": 30, "stale_calls": ["providers"], "restart_providers": ["vllm"]}
    with client(running) as api:
        assert api.get("/sandbox/timing").json()["stale_reads_s"] == 0
        answer = api.put("/sandbox/timing", json=wanted)
        assert answer.json() == {**wanted, "startup_s": 0, "switch_s": 0}
        activate(api, "openai", "gpt-4o")
        assert api.get(PROVIDERS).json()["active_provider"] == "ollama"
    with client(restarted(launch, running)) as api:
        assert api.get("/sandbox/timing").json() == answer.json()
        assert api.put("/sandbox/timing", json={}).json()["stale_reads_s"] == 0


def test_what_is_wrong_is_refused_with_every_problem_and_changes_nothing(launch: Started):
    wrong = {
        "stale_reads_s": -1,
        "stale_calls": ["confg"],
        "startup_s": LONGEST_S + 1,
        "restart_providers": ["huggingface"],
        "switch_s": "long",
    }
    with pytest.raises(InvalidSettings) as caught:
        SandboxSettings.from_mapping(wrong)
    assert {path for path, _ in caught.value.problems} == wrong.keys()
    assert "did you mean config?" in str(caught.value)
    with client(launch()) as api:
        answer = api.put("/sandbox/timing", json=wrong)
        assert answer.status_code == 422
        assert all(name in answer.json()["detail"] for name in wrong)
        assert api.put("/sandbox/timing", json={"stale_calls": "config"}).status_code == 422
        assert api.get("/sandbox/timing").json()["startup_s"] == 0


def test_the_staging_gateway_takes_no_time(launch: Started):
    """Delays belong to one installation; the staging gateway runs the same software and has none."""
    settings = SandboxSettings(users_per_s=0, stale_reads_s=30, restart_providers=("openai",), switch_s=9)
    with client(launch(settings=settings)) as api:
        assert api.get("/twin/sandbox/timing").json()["stale_reads_s"] == 0
        api.post("/twin/api/v1/providers/openai/activate").raise_for_status()
        assert api.get("/twin/api/v1/providers").json()["active_provider"] == "openai"
        assert api.get("/twin/sandbox/state").json()["active"] == NEW
        assert api.get("/sandbox/state").json()["activations"]["count"] == 0
