"""Configuration and limits survive a restart; metrics and audit do not, as in real gateways."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from rollout.sandbox.process import stop
from rollout.sandbox.settings import SandboxSettings
from rollout.sandbox.state import SandboxFailed

from .conftest import CALM, Started, ask, client


def test_activating_there_and_back_restores_the_env_file_byte_for_byte(launch: Started):
    """Comments, order and unrelated keys are in it, and it stays readable by its owner alone."""
    running = launch()
    before = running.env_file.read_bytes()
    assert b"#" in before
    with client(running) as http:
        http.post("/api/v1/providers/OPENAI/activate", json={"model": "gpt-4.1"})
        changed = running.env_file.read_text().splitlines()
        assert set(changed) - set(before.decode().splitlines()) == {"ACTIVE_PROVIDER=openai", "LLM_MODEL_NAME=gpt-4.1"}
        assert len(changed) == len(before.splitlines())
        http.post("/api/v1/providers/ollama/activate", json={"model": "gemma3:4b"})
    assert running.env_file.read_bytes() == before
    assert stat.S_IMODE(running.env_file.stat().st_mode) == 0o600


def test_activating_what_is_active_does_not_touch_the_env_file(launch: Started):
    running = launch()
    before = running.env_file.stat().st_ino
    with client(running) as http:
        assert http.post("/api/v1/providers/ollama/activate", json={"model": "gemma3:4b"}).status_code == 200
    assert running.env_file.stat().st_ino == before


def test_a_restart_on_the_same_port_keeps_what_is_on_disk_and_loses_what_is_in_memory(launch: Started):
    running = launch()
    with client(running) as http:
        http.post("/api/v1/providers/openai/activate", json={"model": "gpt-4o-mini"})
        limit = {"limit_type": "per_provider", "scope": "openai", "soft_limit_usd": 1, "hard_limit_usd": 2}
        http.post("/api/v1/governance/limits", json=limit)
        ask(http)
        config = http.get("/api/v1/config/runtime").json()
        boot_id = http.get("/api/v1/system/status").json()["boot_id"]
    assert "/api/v1/chat/completions" in running.log_file.read_text()
    stop(running)
    again = launch(running.directory, port=int(running.url.rpartition(":")[2]))
    assert again.url == running.url
    assert again.instance != running.instance
    assert "/api/v1/chat/completions" not in again.log_file.read_text()
    with client(again) as http:
        assert http.get("/api/v1/providers").json()["active_provider"] == "openai"
        assert http.get("/api/v1/config/runtime").json() == config
        assert ask(http).json()["model"] == "gpt-4o-mini-2024-07-18"
        assert http.get("/api/v1/governance/status").json()["cost_limits"]["provider:openai"]["hard_limit_usd"] == 2
        assert http.get("/api/v1/admin/audit").json()["count"] == 0
        assert http.get("/api/v1/providers/openai/metrics").json()["metrics"]["total_requests"] == 1
        assert http.get("/api/v1/system/status").json()["boot_id"] != boot_id


def test_a_change_of_the_env_file_by_hand_is_in_effect_after_a_restart(launch: Started):
    """An activation in between does not change it."""
    running = launch()
    running.env_file.write_text(
        running.env_file.read_text().replace("MAX_CONTEXT_TOKENS=4000", "MAX_CONTEXT_TOKENS=8000")
    )
    with client(running) as http:
        http.post("/api/v1/providers/vllm/activate")
        assert http.get("/api/v1/config/runtime").json()["config"]["MAX_CONTEXT_TOKENS"] == "4000"
    stop(running)
    with client(launch(running.directory)) as http:
        config = http.get("/api/v1/config/runtime").json()["config"]
        assert (config["MAX_CONTEXT_TOKENS"], config["ACTIVE_PROVIDER"]) == ("8000", "vllm")


def test_a_cloud_provider_without_its_key_is_offline(launch: Started, tmp_path: Path):
    """As recorded: the reason is the key, not the network."""
    (tmp_path / ".env").write_text("ACTIVE_PROVIDER=ollama\nLLM_MODEL_NAME=gemma3:4b\n")
    with client(launch(tmp_path)) as http:
        answer = http.post("/api/v1/providers/openai/test-connection").json()
        assert answer["error_info"]["reason_code"] == "missing_api_key"
        assert answer["message"] == "OPENAI_API_KEY not configured"
        checks = http.post("/api/v1/providers/openai/preflight").json()["checks"]
        assert checks["credentials"] == {"status": "missing", "passed": False, "message": "Missing OPENAI_API_KEY"}


@pytest.mark.parametrize("provider", ["banana", "huggingface", ""])
def test_an_env_file_that_names_no_usable_provider_is_refused_at_the_start(
    launch: Started, tmp_path: Path, provider: str
):
    (tmp_path / ".env").write_text(f"ACTIVE_PROVIDER={provider}\nLLM_MODEL_NAME=gemma3:4b\n")
    with pytest.raises(SandboxFailed, match=r"\.env: ACTIVE_PROVIDER and LLM_MODEL_NAME: .*Mend the file"):
        launch(tmp_path)


def test_an_activation_that_cannot_be_written_is_an_error(launch: Started):
    """Unlike some real ones (deviation 6)."""
    running = launch()
    running.env_file.unlink()
    with client(running) as http:
        answer = http.post("/api/v1/providers/openai/activate")
        assert (answer.status_code, "cannot be written" in answer.json()["detail"]) == (500, True)
        assert http.get("/api/v1/providers").json()["active_provider"] == "ollama"


def test_the_initial_provider_and_limits_come_from_the_settings(launch: Started):
    settings = SandboxSettings(
        users_per_s=0,
        initial="google:gemini-2.5-pro",
        limits={"provider:google": {"soft_limit_usd": 1.0, "hard_limit_usd": 3.0}},
    )
    with client(launch(settings=settings)) as http:
        assert http.get("/api/v1/providers").json()["active_provider"] == "google"
        limits = http.get("/api/v1/governance/status").json()["cost_limits"]
        assert (set(limits), limits["provider:google"]["hard_limit_usd"]) == ({"global", "provider:google"}, 3.0)


def test_everything_with_configuration_is_readable_by_its_owner_alone(launch: Started):
    running = launch(settings=CALM)
    with client(running) as http:
        http.post("/api/v1/governance/limits", json={"limit_type": "cost", "scope": "global", "hard_limit_usd": 60})
    for name in (".env", "sandbox.json", "settings.json", "limits.json", "logs/backend.log"):
        assert stat.S_IMODE((running.directory / name).stat().st_mode) == 0o600, name
