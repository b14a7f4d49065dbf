"""A sandbox starts, is found again, stays while a change is in flight, and ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from rollout.sandbox.process import Running, find, start, stop
from rollout.sandbox.state import SandboxFailed

from .conftest import CALM, Started, ask, client, eventually


def alive(running: Running) -> bool:
    return find(running.directory) is not None


def test_a_sandbox_is_found_by_its_directory_until_it_is_stopped(launch: Started):
    running = launch()
    assert find(running.directory) == running
    with client(running) as http:
        about = http.get("/sandbox/about").json()
    assert about["kind"] == "rollout-sandbox"
    assert (about["url"], about["pid"], about["instance"]) == (running.url, running.pid, running.instance)
    assert (about["twin_url"], about["env_file"]) == (running.staging_url, str(running.env_file))
    assert (about["log_file"], about["token_required"]) == (str(running.log_file), False)
    stop(running)
    assert find(running.directory) is None
    with pytest.raises(ProcessLookupError):
        os.kill(running.pid, 0)


def test_stopping_twice_is_fine(launch: Started):
    running = launch()
    stop(running)
    stop(running)


def test_another_process_with_the_pid_is_never_ended():
    """The process runs, but is another instance: `stop` returns, and the process stays."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        stop(Running("http://127.0.0.1:9", other.pid, "0123456789abcdef", Path("/nowhere")))
        assert other.poll() is None
        other.communicate(b"\n")


def test_a_sandbox_that_no_longer_answers_is_ended_by_signal(launch: Started):
    running = launch()
    os.kill(running.pid, signal.SIGSTOP)
    stop(running)
    assert eventually(lambda: not alive(running))


def test_a_record_of_another_instance_is_not_used(launch: Started, tmp_path: Path):
    """A port may pass to another sandbox."""
    running = launch()
    record = (running.directory / "sandbox.json").read_text()
    (tmp_path / "sandbox.json").write_text(record.replace(running.instance, "another"))
    assert find(tmp_path) is None
    assert find(tmp_path / "nothing") is None


def test_two_sandboxes_share_no_state(launch: Started):
    first, second = launch(), launch()
    with client(first) as one, client(second) as two:
        one.post("/api/v1/providers/openai/activate")
        one.put("/sandbox/faults", json=[{"provider": "ollama", "status": "offline"}])
        assert two.get("/api/v1/providers").json()["active_provider"] == "ollama"
        assert ask(two).status_code == 200


def test_a_second_sandbox_in_the_same_directory_is_refused(launch: Started):
    running = launch()
    with pytest.raises(SandboxFailed, match=f"already, at {running.url}"):
        launch(running.directory)


def test_a_port_that_is_taken_is_named_in_one_line(launch: Started, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SandboxFailed, match=rf"^port {port} cannot be used .* choose another --port\.$"):
            launch(tmp_path, port=port)


def test_the_staging_gateway_is_independent(launch: Started):
    """Its own state, metrics, faults and audit log."""
    with client(launch()) as http:
        http.post("/twin/api/v1/providers/openai/activate", json={"model": "gpt-4.1"})
        http.put("/twin/sandbox/faults", json=[{"provider": "google", "status": "offline"}])
        listed, staging = http.get("/api/v1/providers").json(), http.get("/twin/api/v1/providers").json()
        assert (listed["active_provider"], staging["active_provider"]) == ("ollama", "openai")
        connections = {item["name"]: item["connection_status"]["status"] for item in listed["providers"]}
        in_staging = {item["name"]: item["connection_status"]["status"] for item in staging["providers"]}
        assert (connections["google"], in_staging["google"]) == ("connected", "offline")
        assert http.get("/api/v1/admin/audit").json()["count"] == 0
        assert http.get("/twin/api/v1/admin/audit").json()["count"] == 1
        assert http.get("/sandbox/faults").json() == []
        paths = [request["path"] for request in http.get("/twin/sandbox/requests").json()]
        assert paths[0] == "/api/v1/providers/openai/activate"
        assert http.get("/twin/health").status_code == 200
        assert http.get("/twin/sandbox/about").status_code == 404


def test_the_api_requires_the_token_and_the_control_interface_does_not(
    launch: Started, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SANDBOX_TOKEN", "s3cret-of-the-test")
    running = launch(token_env="SANDBOX_TOKEN")
    with client(running) as http:
        for path in ("/api/v1/providers", "/twin/api/v1/providers"):
            refused = http.get(path)
            assert (refused.status_code, list(refused.json())) == (401, ["detail"])
            assert http.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401
            assert http.get(path, headers={"Authorization": "Bearer s3cret-of-the-test"}).status_code == 200
        assert http.get("/health").status_code == 200
        assert http.get("/sandbox/about").json()["token_required"] is True
    for file in running.directory.rglob("*"):
        assert not file.is_file() or b"s3cret-of-the-test" not in file.read_bytes(), file


def test_a_token_variable_that_is_unset_is_named(launch: Started, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SANDBOX_TOKEN", raising=False)
    with pytest.raises(SandboxFailed, match="--token-env names SANDBOX_TOKEN, which is not set"):
        launch(token_env="SANDBOX_TOKEN")


def test_an_idle_sandbox_ends_itself_in_spite_of_background_users(launch: Started):
    running = launch(idle_s=0.5, settings=replace(CALM, users_per_s=50))
    eventually(lambda: not alive(running))


def test_requests_keep_a_sandbox_from_ending_and_a_change_in_flight_holds_it(launch: Started):
    """``/sandbox/about`` does not count as a request, so that polling it does not keep the process alive."""
    running = launch(idle_s=0.6)
    with client(running) as http:
        started = http.get("/api/v1/system/status")
        elapsed_s = 0.0
        while elapsed_s < 1.2:
            elapsed_s += http.post(
                "/api/v1/chat/completions", json={"messages": [{"content": "hi"}]}
            ).elapsed.total_seconds()
        assert http.put("/sandbox/in-flight", json={"in_flight": True}).json() == {"in_flight": True}
        with pytest.raises(AssertionError):
            eventually(lambda: not alive(running), within_s=1.5)
        assert http.get("/sandbox/about").json()["in_flight"] is True
        assert http.get("/api/v1/system/status").json()["boot_id"] == started.json()["boot_id"]
        http.put("/sandbox/in-flight", json={"in_flight": False})
    eventually(lambda: not alive(running))


@pytest.mark.parametrize("body", [b"{}", b'{"in_flight": "yes"}', b"[]", b""])
def test_an_invalid_in_flight_mark_is_refused(shared: Running, body: bytes):
    with client(shared) as http:
        assert http.put("/sandbox/in-flight", content=body).status_code == 422


def test_a_caller_that_is_piped_does_not_wait_for_the_sandbox(tmp_path: Path):
    """A child that inherits stdout would delay the reader of a pipe."""
    code = "import sys, pathlib\nfrom rollout.sandbox.process import start\nprint(start(pathlib.Path(sys.argv[1])).url)"
    output = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=20, check=True
    )
    running = find(tmp_path)
    assert running is not None
    assert output.stdout.strip() == running.url
    stop(running)


def test_a_server_that_does_not_get_ready_in_time_is_given_up(tmp_path: Path):
    with pytest.raises(SandboxFailed, match="does not answer within 0 s"):
        start(tmp_path, settings=CALM, timeout_s=0)
    assert find(tmp_path) is None


def test_a_running_sandbox_needs_no_proxy(launch: Started, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    running = launch()
    assert alive(running)
    with pytest.raises(httpx.ConnectError), httpx.Client(proxy="http://127.0.0.1:9") as http:
        http.get(running.url)
