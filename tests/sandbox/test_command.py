"""``rollout sandbox`` in a shell: it prints its address, and ends cleanly."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

COMMAND = [sys.executable, "-m", "rollout.sandbox"]


def refused(*arguments: str) -> str:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_address_and_usage_and_ends_at_a_signal(tmp_path: Path, number: signal.Signals):
    with subprocess.Popen(
        [*COMMAND, "--dir", str(tmp_path), "--users-per-s", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as shell:
        assert shell.stdout is not None
        lines = [shell.stdout.readline() for _ in range(6)]
        url = re.search(r"http://127\.0\.0\.1:\d+", lines[0])
        assert url is not None
        assert httpx.get(f"{url[0]}/health", trust_env=False).status_code == 200
        assert httpx.get(f"{url[0]}/sandbox/traffic", trust_env=False).json() == {"users_per_s": 1}
        text = "".join(lines)
        assert f"{url[0]}/twin" in text
        assert str(tmp_path) in text
        assert "Ctrl-C" in text
        assert "/sandbox/faults" in text
        shell.send_signal(number)
        _, errors = shell.communicate(timeout=10)
    assert (shell.returncode, errors) == (0, "")


def test_a_taken_port_is_one_line_and_exit_4(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port} cannot be used" in refused("--dir", str(tmp_path), "--port", port)


def test_impossible_options_are_one_line_and_exit_4(tmp_path: Path):
    assert "users_per_s" in refused("--dir", str(tmp_path), "--users-per-s", "-3")
    assert "--port is 70000" in refused("--dir", str(tmp_path), "--port", "70000")
    assert "not set" in refused("--dir", str(tmp_path), "--token-env", "NO_SUCH_VARIABLE_HERE")
    (tmp_path / "broken.json").write_text("{")
    assert "is no JSON" in refused("--dir", str(tmp_path), "--settings", str(tmp_path / "broken.json"))
    assert "No such file" in refused("--dir", str(tmp_path), "--settings", str(tmp_path / "absent.json"))
    (tmp_path / "file").write_text("")
    assert refused("--dir", str(tmp_path / "file"))
