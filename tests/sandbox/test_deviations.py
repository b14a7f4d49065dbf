"""Every deviation of docs/GATEWAY_API.md can be shown; those that are switches are off by default."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from rollout.sandbox.deviations import ALWAYS, BESIDES, DEVIATIONS, NOT_APPLICABLE, OPTION, SWITCHES
from rollout.sandbox.process import Running, stop
from rollout.sandbox.settings import InvalidSettings, SandboxSettings

from .conftest import Started, ask, client, sample
from .test_shapes import assert_like

PROVIDERS = "/api/v1/providers"
LIMITS = "/api/v1/governance/limits"
STREAM = "/api/v1/llm/simple/stream"
SERVERS = "/api/v1/system/llm-servers/active"


@pytest.fixture(scope="module")
def shared(launch_for_all: Started) -> Running:
    """A sandbox of this file's own: some of these tests change metrics and alerts, which cannot be restored."""
    return launch_for_all()


@pytest.fixture
def deviating(api: httpx.Client) -> Iterator[httpx.Client]:
    """A client of the shared sandbox, whose deviations are switched off before its state is restored."""
    yield api
    switch(api)


def switch(api: httpx.Client, *names: str) -> None:
    answer = api.put("/sandbox/deviations", json=list(names))
    assert (answer.status_code, set(answer.json())) == (200, set(names)), answer.text


def activate(api: httpx.Client, provider: str, model: str | None = None) -> httpx.Response:
    return api.post(f"{PROVIDERS}/{provider}/activate", json={"model": model} if model else None)


def active(api: httpx.Client) -> str:
    return str(api.get(PROVIDERS).json()["active_provider"])


def config(api: httpx.Client) -> dict[str, str]:
    return dict(api.get("/api/v1/config/runtime").json()["config"])


def restarted(launch: Started, running: Running) -> Running:
    stop(running)
    return launch(running.directory, port=int(running.url.rpartition(":")[2]))


# The table


def test_each_of_the_23_is_a_switch_an_option_always_so_or_not_applicable():
    assert list(DEVIATIONS) == list(range(1, 24))
    for number, found in DEVIATIONS.items():
        for deviation in found:
            assert deviation.name in {ALWAYS, OPTION, NOT_APPLICABLE, *SWITCHES}, number
            assert deviation.sentence.endswith("."), number
    assert {deviation.name for deviation in BESIDES} <= SWITCHES.keys()


def test_every_switch_has_a_test_in_this_file():
    text = Path(__file__).read_text(encoding="utf-8")
    tested = {
        name
        for line in text.splitlines()
        if "switch(" in line or "deviations=(" in line
        for name in SWITCHES
        if f'"{name}"' in line
    }
    assert tested == SWITCHES.keys()


# Switching


def test_no_deviation_is_on_by_default(api: httpx.Client):
    assert api.get("/sandbox/deviations").json() == []
    assert SandboxSettings().deviations == ()


def test_an_unknown_deviation_is_refused_and_the_others_stay(deviating: httpx.Client):
    switch(deviating, "healthz")
    answer = deviating.put("/sandbox/deviations", json=["no_audits"])
    assert answer.status_code == 422
    assert "did you mean no_audit?" in answer.json()["detail"]
    assert deviating.put("/sandbox/deviations", json={"no_audit": True}).status_code == 422
    assert deviating.get("/sandbox/deviations").json() == ["healthz"]


def test_settings_name_deviations_and_refuse_unknown_ones():
    settings = SandboxSettings(deviations=("healthz", "no_audit"))
    assert SandboxSettings.from_mapping(json.loads(json.dumps(asdict(settings)))) == settings
    for wrong in (["health"], "healthz", [["healthz"]]):
        with pytest.raises(InvalidSettings, match="deviation"):
            SandboxSettings.from_mapping({"deviations": wrong})


def test_deviations_set_at_run_time_survive_a_restart(launch: Started):
    running = launch()
    with client(running) as api:
        switch(api, "healthz")
    with client(restarted(launch, running)) as api:
        assert api.get("/sandbox/deviations").json() == ["healthz"]


def test_the_staging_gateway_runs_the_same_software_without_the_faults_of_the_installation(launch: Started):
    faults = ("activate_without_effect", "activate_after_restart", "config_write_errors")
    settings = SandboxSettings(users_per_s=0, deviations=("healthz", *faults))
    with client(launch(settings=settings)) as api:
        assert api.get("/twin/sandbox/deviations").json() == ["healthz"]
        assert api.get("/twin/healthz").status_code == 200
        assert set(api.get("/sandbox/deviations").json()) == {"healthz", *faults}


# The switches, in the order of the document


def test_4_cost_is_always_zero(deviating: httpx.Client):
    activate(deviating, "openai", "gpt-4o")
    before = deviating.get(f"{PROVIDERS}/openai/metrics").json()["metrics"]["cost"]
    switch(deviating, "cost_always_zero")
    ask(deviating)
    after = deviating.get(f"{PROVIDERS}/openai/metrics").json()["metrics"]["cost"]
    assert after["total_tokens"] > before["total_tokens"]
    assert after["total_usd"] == before["total_usd"]
    switch(deviating)
    ask(deviating)
    assert deviating.get(f"{PROVIDERS}/openai/metrics").json()["metrics"]["cost"]["total_usd"] > after["total_usd"]


@pytest.mark.parametrize("lost", [True, False])
def test_4_limits_are_lost_on_a_restart(launch: Started, lost: bool):
    """The limits of the settings represent limits of an operator: they are lost as well."""
    limit = {"soft_limit_usd": 1.0, "hard_limit_usd": 2.0}
    settings = SandboxSettings(
        users_per_s=0, limits={"provider:vllm": limit}, deviations=("limits_lost_on_restart",) * lost
    )
    running = launch(settings=settings)
    with client(running) as api:
        api.post(LIMITS, json={"limit_type": "cost", "scope": "openai", **limit})
        api.post(LIMITS, json={"limit_type": "rate", "scope": "openai", "max_requests_per_minute": 60})
        assert set(api.get("/api/v1/governance/status").json()["cost_limits"]) == {
            "global",
            "provider:vllm",
            "provider:openai",
        }
    stop(running)
    with client(launch(running.directory, settings=settings)) as api:
        status = api.get("/api/v1/governance/status").json()
    kept = set() if lost else {"provider:vllm", "provider:openai"}
    assert set(status["cost_limits"]) == {"global", *kept}
    assert set(status["rate_limits"]) == {"global", *(kept - {"provider:vllm"})}


def test_6_an_activation_without_effect_claims_success_as_recorded(deviating: httpx.Client, shared: Running):
    before = shared.env_file.read_bytes()
    switch(deviating, "activate_without_effect")
    answer = activate(deviating, "openai", "gpt-4o-mini")
    recorded = sample("activate_openai_env_missing_FALSE_SUCCESS")
    assert (answer.status_code, answer.json()) == (recorded["status"], recorded["body"])
    assert active(deviating) == "ollama"
    assert ask(deviating).json()["provider"] == "ollama"
    assert (shared.env_file.read_bytes(), config(deviating)["LLM_MODEL_NAME"]) == (before, "gemma3:4b")


def test_7_an_activation_takes_effect_after_a_restart(launch: Started):
    """The configuration names the new provider at once, and is wrong."""
    running = launch(settings=SandboxSettings(users_per_s=0, deviations=("activate_after_restart",)))
    with client(running) as api:
        assert activate(api, "openai", "gpt-4o-mini").json()["status"] == "success"
        assert (config(api)["ACTIVE_PROVIDER"], config(api)["LLM_MODEL_NAME"]) == ("openai", "gpt-4o-mini")
        assert active(api) == "ollama"
        assert ask(api).json()["provider"] == "ollama"
    with client(restarted(launch, running)) as api:
        assert active(api) == "openai"
        assert ask(api).json()["model"] == "gpt-4o-mini-2024-07-18"


def test_9_what_writes_answers_200_with_status_error_and_writes_nothing(deviating: httpx.Client, shared: Running):
    before, limits = shared.env_file.read_bytes(), deviating.get("/api/v1/governance/status").json()["cost_limits"]
    update = {"updates": {"LLM_SERVICE_TYPE": "banana"}}
    assert deviating.post("/api/v1/config/runtime", json=update).status_code == 405
    switch(deviating, "config_write_errors")
    limit = {"limit_type": "cost", "scope": "global", "soft_limit_usd": 3, "hard_limit_usd": 4}
    for answer in (activate(deviating, "openai", "gpt-4o"), deviating.post(LIMITS, json=limit)):
        assert (answer.status_code, answer.json()["status"]) == (200, "error")
    written = deviating.post("/api/v1/config/runtime", json=update)
    assert_like("err_config_post_invalid_value", written)
    assert (written.json()["status"], written.json()["updated_keys"]) == ("error", ["LLM_SERVICE_TYPE"])
    assert active(deviating) == "ollama"
    assert deviating.get("/api/v1/governance/status").json()["cost_limits"] == limits
    assert shared.env_file.read_bytes() == before
    assert deviating.post("/api/v1/config/runtime", json={}).status_code == 422
    newest = deviating.get("/api/v1/admin/audit?limit=1").json()["entries"][0]
    assert (newest["action"], newest["result"]) == ("activate_provider", "failure")


def events(answer: httpx.Response) -> list[tuple[str, Any]]:
    """Return the event names and data of a stream."""
    found = re.findall(r"event: (\w+)\ndata: (.*)\n\n", answer.text)
    return [(name, json.loads(data)) for name, data in found]


def stream(api: httpx.Client, content: str = "ping") -> httpx.Response:
    return api.post(STREAM, json={"content": content})


def test_10_and_17_answers_are_streamed_from_another_path_as_recorded(deviating: httpx.Client):
    assert stream(deviating).status_code == 404
    switch(deviating, "stream_chat")
    assert_like("chat_completions_404", ask(deviating))
    recorded, answer = sample("chat_after_restart_openai"), stream(deviating, "two words")
    assert (answer.status_code, answer.headers["content-type"]) == (recorded["status"], recorded["content_type"])
    assert events(answer) == [
        ("start", {}),
        *(("content", {"text": f"{word} "}) for word in ("gemma3:4b", "read:", "two", "words")),
        ("done", {}),
    ]
    assert deviating.post(STREAM, json={"messages": []}).status_code == 422


def test_10_a_stream_without_content_is_as_recorded_and_counted_as_a_success(deviating: httpx.Client):
    switch(deviating, "stream_chat")
    before = deviating.get(f"{PROVIDERS}/ollama/metrics").json()["metrics"]
    deviating.put("/sandbox/faults", json=[{"provider": "ollama", "answer": "empty"}])
    assert stream(deviating).text == sample("chat_ollama_garbage")["body"]
    after = deviating.get(f"{PROVIDERS}/ollama/metrics").json()["metrics"]
    assert after["successful_requests"] == before["successful_requests"] + 1


def test_10_a_failure_is_an_event_of_a_stream_with_status_200_as_recorded(deviating: httpx.Client):
    switch(deviating, "stream_chat")
    deviating.put("/sandbox/faults", json=[{"provider": "ollama", "error_share": 1}])
    answer = stream(deviating)
    recorded = re.findall(r"event: (\w+)\n", sample("chat_ollama_down")["body"])
    assert (answer.status_code, [name for name, _ in events(answer)]) == (200, recorded)
    assert events(answer)[1][1]["code"] == "llm_connection_error"


def test_10_a_spoiled_stream_breaks_off(deviating: httpx.Client):
    switch(deviating, "stream_chat")
    deviating.put("/sandbox/faults", json=[{"provider": "ollama", "answer": "garbage"}])
    assert events(stream(deviating)) == [("start", {})]
    assert not stream(deviating).text.endswith("\n\n")


def test_11_a_key_that_is_set_means_connected_even_a_masked_one(launch: Started, tmp_path: Path):
    """Requests fail nevertheless."""
    (tmp_path / ".env").write_text("ACTIVE_PROVIDER=ollama\nLLM_MODEL_NAME=gemma3:4b\nOPENAI_API_KEY=sk-d****cdef\n")
    with client(launch(tmp_path)) as api:
        assert api.post(f"{PROVIDERS}/openai/preflight").json()["ready_for_activation"] is False
        assert activate(api, "openai", "gpt-4o").status_code == 503
        switch(api, "key_means_connected")
        api.put("/sandbox/faults", json=[{"provider": "openai", "status": "offline"}])
        assert (
            api.post(f"{PROVIDERS}/openai/test-connection").json() == sample("provider_openai_test_connection")["body"]
        )
        assert api.post(f"{PROVIDERS}/openai/preflight").json()["ready_for_activation"] is True
        assert api.get(f"{PROVIDERS}/google/status").json()["connection_status"]["status"] == "offline"
        assert activate(api, "openai", "gpt-4o").status_code == 200
        assert ask(api).status_code == 503


@pytest.mark.parametrize(("provider", "model"), [("ollama", "gemma3:4b"), ("vllm", "gemma-3-4b-it")])
def test_13_a_local_runtime_is_activated_by_another_call_as_recorded(
    deviating: httpx.Client, provider: str, model: str
):
    body = {"server_name": provider, "model": model}
    assert deviating.post(SERVERS, json=body).status_code == 404
    switch(deviating, "local_activation_elsewhere")
    assert activate(deviating, "openai", "gpt-4o").status_code == 200
    refused = activate(deviating, provider, model)
    detail = sample("err_activate_ollama")["body"]["detail"].replace("ollama", provider)
    assert (refused.status_code, refused.json()) == (400, {"detail": detail})
    assert active(deviating) == "openai"
    answer = deviating.post(SERVERS, json=body, headers={"X-User": "alice"})
    assert answer.json().keys() == sample("llm_servers_active_ollama")["body"].keys()
    state = answer.json()["lifecycle_state"]
    assert state.keys() == sample("llm_servers_active_ollama")["body"]["lifecycle_state"].keys()
    assert (state["from_server"], state["to_server"], state["is_complete"]) == ("openai", provider, True)
    assert (answer.json()["active_server"], answer.json()["active_model"]) == (provider, model)
    assert active(deviating) == provider
    newest = deviating.get("/api/v1/admin/audit?limit=1").json()["entries"][0]
    assert (newest["user"], newest["details"]["previous_provider"]) == ("alice", "openai")


def test_13_only_local_runtimes_are_served_there_and_faults_act_on_it(deviating: httpx.Client):
    switch(deviating, "local_activation_elsewhere")
    assert deviating.post(SERVERS, json={"server_name": "openai"}).status_code == 404
    assert deviating.post(SERVERS, json={"model": "gemma3:4b"}).status_code == 422
    assert deviating.post(SERVERS, json={"server_name": "vllm", "model": "gpt-4o"}).status_code == 400
    deviating.put("/sandbox/faults", json=[{"provider": "vllm", "latency_ms": 300, "calls": ["activate"]}])
    assert deviating.post(SERVERS, json={"server_name": "vllm"}).elapsed.total_seconds() >= 0.3
    deviating.put("/sandbox/faults", json=[{"provider": "vllm", "status": "offline"}])
    assert deviating.post(SERVERS, json={"server_name": "vllm"}).status_code == 503
    assert activate(deviating, "vllm").status_code == 503


def test_14_the_active_provider_is_reported_under_another_name(deviating: httpx.Client):
    switch(deviating, "reports_other_name")
    assert activate(deviating, "google", "gemini-2.5-pro").json()["provider"] == "google"
    listed = deviating.get(PROVIDERS).json()
    assert listed["active_provider"] == "google-gemini"
    assert [item["name"] for item in listed["providers"] if item["is_active"]] == []
    assert activate(deviating, "google-gemini").status_code == 404
    assert ask(deviating).json()["provider"] == "google"
    assert activate(deviating, "openai").status_code == 200
    assert active(deviating) == "openai"


def test_17_the_service_is_up_under_another_path_as_recorded(deviating: httpx.Client):
    assert deviating.get("/healthz").status_code == 404
    switch(deviating, "healthz")
    assert_like("health_404", deviating.get("/health"))
    assert_like("healthz", deviating.get("/healthz"))


def test_18_every_third_request_is_one_too_many_as_recorded(deviating: httpx.Client):
    """Requests to the control interface are not counted, and a refused activation changes nothing."""
    switch(deviating, "rate_limited")
    recorded = sample("err_429")
    codes = []
    for _ in range(6):
        answer = deviating.get(PROVIDERS)
        deviating.get("/sandbox/faults")
        codes.append(answer.status_code)
    assert codes == [200, 200, 429, 200, 200, 429]
    assert (answer.json(), answer.headers["retry-after"]) == (recorded["body"], recorded["retry_after"])
    deviating.get(PROVIDERS)
    deviating.get(PROVIDERS)
    assert activate(deviating, "openai", "gpt-4o").status_code == 429
    assert active(deviating) == "ollama"


def test_19_an_activation_leaves_no_audit_entry(deviating: httpx.Client):
    before = deviating.get("/api/v1/admin/audit").json()["count"]
    switch(deviating, "no_audit")
    activate(deviating, "openai", "gpt-4o")
    activate(deviating, "huggingface")
    assert deviating.get("/api/v1/admin/audit").json()["count"] == before
    deviating.post(f"{PROVIDERS}/openai/test-connection")
    assert deviating.get("/api/v1/admin/audit?limit=1").json()["entries"][0]["action"] == "test_connection"


def test_19_the_audit_log_names_no_user(deviating: httpx.Client):
    switch(deviating, "audit_user_unknown")
    deviating.post(f"{PROVIDERS}/openai/activate", headers={"X-Authenticated-User": "bob", "X-User": "alice"})
    newest = deviating.get("/api/v1/admin/audit?limit=1").json()["entries"][0]
    assert (newest["action"], newest["user"]) == ("activate_provider", "unknown")


def test_20_limit_types_are_cost_and_rate_as_recorded(deviating: httpx.Client):
    limit = {"scope": "openai", "soft_limit_usd": 200.0, "hard_limit_usd": 250.0}
    switch(deviating, "limit_types_cost_rate")
    refused = deviating.post(LIMITS, json=limit | {"limit_type": "per_provider"})
    assert_like("err_limits_per_provider_as_in_seed", refused)
    assert refused.json() == sample("err_limits_per_provider_as_in_seed")["body"]
    assert deviating.post(LIMITS, json=limit | {"limit_type": "cost"}).status_code == 200
    rate = {"limit_type": "rate", "scope": "openai", "max_requests_per_minute": 60, "max_tokens_per_minute": 100000}
    assert deviating.post(LIMITS, json=rate).json() == sample("limits_rate_openai_ok")["body"]


def test_23_an_alert_lasts_six_hours(deviating: httpx.Client):
    """Without the deviation it lasts one hour."""
    hours = []
    for kind in ("SHORT", "LONG"):
        deviating.post("/sandbox/alerts", json={"severity": "info", "alert_type": kind, "provider": "vllm"})
        switch(deviating, "long_alerts")
    for alert in deviating.get("/api/v1/alerts?severity=info").json()["alerts"]:
        lasts = datetime.fromisoformat(alert["expires_at"]) - datetime.fromisoformat(alert["timestamp"])
        hours.append((alert["alert_type"], lasts.total_seconds() / 3600))
    assert hours == [("LONG", 6.0), ("SHORT", 1.0)]


def test_an_activation_rewrites_the_keys_that_describe_the_runtime(launch: Started):
    """As recorded: service type and server are the provider's; activating back restores the file byte for byte."""
    running = launch(settings=SandboxSettings(users_per_s=0, deviations=("activation_rewrites",)))
    before = running.env_file.read_bytes()
    recorded = {
        moment: sample(name)["body"]["config"]
        for moment, name in (("before", "config_runtime_get"), ("after", "config_runtime_after_activate"))
    }
    keys = ("LLM_SERVICE_TYPE", "ACTIVE_LLM_SERVER")
    with client(running) as api:
        first = config(api)
        assert [first[key] for key in keys] == [recorded["before"][key] for key in keys]
        activate(api, "openai", "gpt-4o-mini")
        changed = {key for key, value in config(api).items() if first.get(key) != value}
        assert changed == {"ACTIVE_PROVIDER", "LLM_MODEL_NAME", *keys, "LLM_CONFIG_HASH"}
        assert [config(api)[key] for key in keys] == [recorded["after"][key] for key in keys]
        activate(api, "ollama", "gemma3:4b")
    assert running.env_file.read_bytes() == before


# The deviations that are always on, where no other test covers them


def test_9_without_the_deviation_writes_that_fail_are_not_200(launch: Started):
    running = launch()
    running.env_file.unlink()
    with client(running) as api:
        assert activate(api, "openai").status_code == 500


def test_15_a_limit_cannot_be_deleted(api: httpx.Client):
    assert api.delete(LIMITS).status_code == 405
    assert api.delete(f"{LIMITS}/openai").status_code == 404


def test_21_log_lines_have_no_date_and_a_harmless_one_holds_errors(shared: Running):
    first = shared.log_file.read_text().splitlines()[0]
    assert re.fullmatch(r"\d\d:\d\d:\d\d \| INFO     \| gateway:start - .*'errors': 0.*", first)


def test_weights_outlive_an_activation(launch: Started):
    running = launch(settings=SandboxSettings(users_per_s=0, deviations=("weights_outlive_activation",)))
    split = {"openai:gpt-4o": 0.1, "ollama:gemma3:4b": 0.9}
    with client(running) as api:
        api.put("/api/v1/routing/weights", json={"weights": split})
        activate(api, "vllm", "gemma-3-4b-it")
        assert api.get("/api/v1/routing/weights").json()["weights"] == split


def test_a_completion_names_no_provider(deviating: httpx.Client):
    switch(deviating, "chat_names_nobody")
    answer = ask(deviating)
    assert (answer.status_code, answer.json()["choices"][0]["message"]["content"]) == (200, "pong")
    assert not {"provider", "model"} & answer.json().keys()
    assert deviating.get("/sandbox/state").json()["served"][-1][1:] == ["ollama", "gemma3:4b", 200]
