"""``rollout sandbox start|stop|restart``: in the background, with the options of the last start."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest

from rollout.sandbox.faults import Fault
from rollout.sandbox.process import find, stop
from rollout.sandbox.settings import SandboxSettings

from .conftest import Started, client, eventually

COMMAND = [sys.executable, "-m", "rollout.sandbox"]


def run(*arguments: object, code: int = 0, **env: str) -> str:
    """Run the command, and return the one line that it prints."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env=os.environ | env,
    )
    assert done.returncode == code, done.stdout + done.stderr
    used, unused = (done.stderr, done.stdout) if code else (done.stdout, done.stderr)
    assert (used.count("\n"), unused) == (1, "")
    return used.strip()


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A directory whose gateway is stopped at the end."""
    yield tmp_path
    running = find(tmp_path)
    if running:
        stop(running)


def http(directory: Path, **headers: str) -> httpx.Client:
    running = find(directory)
    assert running is not None
    return client(running, **headers)


def test_it_is_started_stopped_and_restarted_on_the_same_port(directory: Path):
    """One line each, with the time it took; the caller does not wait for its end."""
    started = re.fullmatch(r"started (http://127\.0\.0\.1:\d+) in \d+\.\d\d s", run("start", "--dir", directory))
    assert started is not None
    url = started[1]
    assert httpx.get(f"{url}/health", trust_env=False).status_code == 200
    assert re.fullmatch(rf"stopped {url} and started {url} in \d+\.\d\d s", run("restart", "--dir", directory))
    assert re.fullmatch(rf"stopped {url} in \d+\.\d\d s", run("stop", "--dir", directory))
    assert find(directory) is None
    assert f"started {url}" in run("start", "--dir", directory)


def test_starting_a_running_gateway_and_stopping_a_stopped_one_are_no_errors(directory: Path):
    assert f"nothing runs in {directory}" in run("stop", "--dir", directory)
    assert "started" in run("restart", "--dir", directory)
    assert "runs already" in run("start", "--dir", directory)


def test_a_start_with_other_options_than_the_running_gateway_is_refused(directory: Path):
    run("start", "--dir", directory)
    assert "already, at http" in run("start", "--dir", directory, "--users-per-s", "3", code=4)


def test_a_start_keeps_port_settings_token_and_idle_time(directory: Path):
    """Faults of the settings too; the token itself is in no file."""
    settings = SandboxSettings(users_per_s=0, faults=(Fault("vllm", status="offline"),), seed=3)
    env = {"SANDBOX_TOKEN": "s3cret-of-the-test"}
    file = directory / "mine.json"
    file.write_text(json.dumps(asdict(settings)))
    options = ("--settings", file, "--token-env", "SANDBOX_TOKEN", "--idle-s", "300")
    run("start", "--dir", directory, *options, **env)
    first = find(directory)
    file.unlink()
    run("restart", "--dir", directory, **env)
    second = find(directory)
    assert first is not None
    assert second is not None
    assert (first.url, first.instance == second.instance) == (second.url, False)
    with http(directory) as api:
        assert api.get("/api/v1/providers").status_code == 401
        assert api.get("/sandbox/faults").json()[0]["provider"] == "vllm"
        assert api.get("/sandbox/traffic").json() == {"users_per_s": 0}
    assert json.loads((directory / "sandbox.json").read_text())["idle_s"] == 300
    assert json.loads((directory / "settings.json").read_text())["seed"] == 3
    assert not any(b"s3cret" in path.read_bytes() for path in directory.rglob("*") if path.is_file())
    assert "SANDBOX_TOKEN, which is not set" in run("restart", "--dir", directory, code=4)


def test_a_sandbox_answers_the_commands_that_stop_and_start_it(launch: Started):
    """So that the suite can fill in the target's service; they stop and start a sandbox that the suite started, too."""
    running = launch(settings=SandboxSettings(users_per_s=7), idle_s=200)
    with client(running) as api:
        about = api.get("/sandbox/about").json()
    assert about["stop"] == [*COMMAND, "stop", "--dir", str(running.directory)]
    assert about["start"] == [*COMMAND, "start", "--dir", str(running.directory)]
    run(*about["stop"][3:])
    assert find(running.directory) is None
    run(*about["start"][3:])
    again = find(running.directory)
    assert again is not None
    assert again.url == running.url
    with client(again) as api:
        assert api.get("/sandbox/traffic").json() == {"users_per_s": 7}
    stop(again)


def edit(directory: Path, old: str, new: str) -> None:
    text = (directory / ".env").read_text()
    assert old in text
    (directory / ".env").write_text(text.replace(old, new))


def test_a_restart_reads_the_env_file_anew(directory: Path):
    """A new key, another active provider and model, and a key that the provider does not accept."""
    run("start", "--dir", directory, "--users-per-s", "0")
    edit(
        directory,
        "ACTIVE_PROVIDER=ollama\nLLM_MODEL_NAME=gemma3:4b",
        "ACTIVE_PROVIDER=google\nLLM_MODEL_NAME=gemini-2.5-pro",
    )
    edit(directory, "sk-demo-made-up-for-the-sandbox-cdef", "revoked")
    with (directory / ".env").open("a") as file:
        file.write("MY_NEW_SETTING=8000\n")
    run("restart", "--dir", directory)
    with http(directory) as api:
        assert api.get("/api/v1/providers").json()["active_provider"] == "google"
        config = api.get("/api/v1/config/runtime").json()
        assert (config["config"]["MY_NEW_SETTING"], config["config_sources"]["MY_NEW_SETTING"]) == ("8000", "env")
        assert config["config"]["LLM_MODEL_NAME"] == "gemini-2.5-pro"
        preflight = api.post("/api/v1/providers/openai/preflight").json()
        assert preflight["checks"]["credentials"] == {
            "status": "invalid",
            "passed": False,
            "message": "OPENAI_API_KEY is not accepted",
        }
        assert preflight["checks"]["connection"]["reason_code"] == "invalid_api_key"
        assert api.post("/api/v1/providers/openai/test-connection").json()["error_info"]["severity"] == "warning"


def test_an_invalid_env_file_prevents_the_start_until_it_is_restored(directory: Path):
    run("start", "--dir", directory)
    running = find(directory)
    assert running is not None
    edit(directory, "ACTIVE_PROVIDER=ollama", "ACTIVE_PROVIDER=banana")
    assert "banana is not a known provider" in run("restart", "--dir", directory, code=4)
    assert find(directory) is None
    edit(directory, "ACTIVE_PROVIDER=banana", "ACTIVE_PROVIDER=ollama")
    assert f"started {running.url}" in run("start", "--dir", directory)


def test_a_gateway_that_no_longer_answers_is_stopped_all_the_same(directory: Path):
    run("start", "--dir", directory)
    running = find(directory)
    assert running is not None
    os.kill(running.pid, signal.SIGSTOP)
    assert "stopped" in run("stop", "--dir", directory)
    eventually(lambda: not Path(f"/proc/{running.pid}/cmdline").exists())


def test_a_restart_during_a_change_keeps_the_requests_and_the_in_flight_mark(directory: Path):
    """The times of activations are kept as well, because faults count from them."""
    run("start", "--dir", directory, "--users-per-s", "0")
    settings = SandboxSettings(users_per_s=0, faults=(Fault("openai", since="activation", status="offline"),))
    (directory / "mine.json").write_text(json.dumps(asdict(settings)))
    run("restart", "--dir", directory, "--settings", directory / "mine.json")
    with http(directory, **{"X-User": "alice"}) as api:
        assert api.post("/api/v1/providers/openai/activate", json={"model": "gpt-4o"}).status_code == 200
        api.put("/sandbox/in-flight", json={"in_flight": True})
    run("restart", "--dir", directory)
    with http(directory) as api:
        assert api.get("/sandbox/about").json()["in_flight"] is True
        status = api.get("/api/v1/providers/openai/status").json()
        assert status["connection_status"]["status"] == "offline"
        first, second = api.get("/sandbox/requests").json()
    assert (first["path"], first["user"]) == ("/api/v1/providers/openai/activate", "alice")
    assert second["path"] == "/api/v1/providers/openai/status"


def test_impossible_options_are_one_line_and_exit_4(directory: Path):
    assert "--port is -1" in run("start", "--dir", directory, "--port", "-1", code=4)
    assert "users_per_s" in run("start", "--dir", directory, "--users-per-s", "-3", code=4)
    (directory / "settings.json").write_text("{")
    assert "settings.json is no JSON" in run("start", "--dir", directory, code=4)
