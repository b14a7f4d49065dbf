"""Background users move the metrics, and alerts follow from them."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from rollout.sandbox.gateway import Gateway
from rollout.sandbox.metrics import Request
from rollout.sandbox.process import Running
from rollout.sandbox.settings import SandboxSettings

from .conftest import FakeClock, Started, ask, client, eventually


def total(http: httpx.Client, provider: str = "ollama", base: str = "") -> int:
    return int(http.get(f"{base}/api/v1/providers/{provider}/metrics").json()["metrics"]["total_requests"])


def critical(http: httpx.Client) -> list[str]:
    return [alert["alert_type"] for alert in http.get("/api/v1/alerts?severity=critical").json()["alerts"]]


def test_users_move_the_metrics_of_the_active_provider_until_the_rate_is_0(api: httpx.Client):
    """200 requests a second are concurrent: one after the other, 60 ms each, would be 17."""
    before = total(api)
    api.put("/sandbox/traffic", json={"users_per_s": 200})
    eventually(lambda: total(api) >= before + 60, within_s=3)
    latency = api.get("/api/v1/providers/ollama/metrics").json()["metrics"]["latency"]
    assert 40 <= latency["p50_ms"] <= 200
    api.put("/sandbox/traffic", json={"users_per_s": 0})
    settled = [total(api)]
    eventually(lambda: settled.append(total(api)) or (len(settled) > 30 and len(set(settled[-30:])) == 1))


def test_users_follow_an_activation(api: httpx.Client):
    api.put("/sandbox/traffic", json={"users_per_s": 100})
    before = total(api, "vllm")
    api.post("/api/v1/providers/vllm/activate")
    eventually(lambda: total(api, "vllm") >= before + 20)
    api.put("/sandbox/traffic", json={"users_per_s": 0})


def test_the_requests_of_users_are_not_among_those_received(api: httpx.Client):
    before = len(api.get("/sandbox/requests").json())
    api.put("/sandbox/traffic", json={"users_per_s": 100})
    start = total(api)
    eventually(lambda: total(api) >= start + 20)
    paths = {request["path"] for request in api.get("/sandbox/requests").json()[before:]}
    assert paths == {"/api/v1/providers/ollama/metrics"}


def test_the_settings_have_the_rate_of_users_and_the_staging_gateway_has_none(launch: Started):
    with client(launch(settings=SandboxSettings(users_per_s=50))) as http:
        eventually(lambda: total(http) >= 20)
        assert http.get("/sandbox/traffic").json() == {"users_per_s": 50}
        assert total(http, base="/twin") == 0


def test_an_error_spike_becomes_a_critical_alert_and_log_lines(launch: Started):
    running = launch(settings=SandboxSettings(users_per_s=100))
    with client(running) as http:
        eventually(lambda: total(http) >= 20)
        assert critical(http) == []
        http.put("/sandbox/faults", json=[{"provider": "ollama", "error_share": 1}])
        eventually(lambda: "ERROR_SPIKE" in critical(http))
    text = running.log_file.read_text()
    assert re.search(r"^\d\d:\d\d:\d\d \| ERROR    \| gateway:complete - ollama failed: ", text, re.MULTILINE)
    assert re.search(
        r'^INFO:     127\.0\.0\.1:\d+ - "GET /api/v1/alerts\?severity=critical HTTP/1\.1" 200 OK$', text, re.MULTILINE
    )


def test_the_requests_of_half_a_second_are_watched_at_once(tmp_path: Path, fake_clock: FakeClock):
    """Each watch reads all requests of a minute: hundreds a second would make it lag."""
    gateway = Gateway(tmp_path, SandboxSettings(users_per_s=0), fake_clock)
    gateway.watch_if_due()
    for _ in range(30):
        gateway.metrics["ollama"].count(Request(fake_clock.monotonic(), 50.0, "http_502"))
    gateway.watch_if_due()
    assert gateway.alerts.active() == []
    fake_clock.elapsed_s = 0.5
    gateway.watch_if_due()
    assert "ERROR_SPIKE" in {alert.finding.alert_type for alert in gateway.alerts.active()}


def test_an_active_provider_that_goes_offline_becomes_a_critical_alert(launch: Started):
    with client(launch(settings=SandboxSettings(users_per_s=100))) as http:
        http.put("/sandbox/faults", json=[{"provider": "ollama", "status": "offline"}])
        eventually(lambda: "PROVIDER_OFFLINE" in critical(http))


def test_cost_is_counted_and_a_hard_limit_that_is_exceeded_becomes_a_critical_alert(launch: Started):
    settings = SandboxSettings(
        users_per_s=0,
        initial="openai:gpt-4o",
        usd_per_1k_tokens={"openai": 100.0},
        limits={"provider:openai": {"soft_limit_usd": 0.5, "hard_limit_usd": 1.0}},
    )
    with client(launch(settings=settings)) as http:
        assert critical(http) == []
        ask(http)
        limit = http.get("/api/v1/governance/status").json()["cost_limits"]["provider:openai"]
        usd = http.get("/api/v1/providers/openai/metrics").json()["metrics"]["cost"]["total_usd"]
        assert limit["current_usage_usd"] == usd == 1.8
        assert limit["usage_percentage"] == 180.0
        assert critical(http) == ["BUDGET_EXCEEDED"]


def test_an_alert_expires_by_the_settings(launch: Started):
    with client(launch(settings=SandboxSettings(users_per_s=0, alert_ttl_s=0.3))) as http:
        http.post("/sandbox/alerts", json={"severity": "critical", "alert_type": "DISK", "message": "full"})
        assert critical(http) == ["DISK"]
        eventually(lambda: critical(http) == [])


def test_received_requests_are_remembered_with_their_user(api: httpx.Client, shared: Running):
    ask(api)
    with client(shared, **{"X-User": "alice"}) as http:
        http.post("/api/v1/providers/openai/activate", json={"model": "gpt-4o"})
        received = http.get("/sandbox/requests").json()[-2:]
    assert [(one["method"], one["path"], one["user"], one["status"], one["body_keys"]) for one in received] == [
        ("POST", "/api/v1/chat/completions", "unknown", 200, ["messages"]),
        ("POST", "/api/v1/providers/openai/activate", "alice", 200, ["model"]),
    ]
