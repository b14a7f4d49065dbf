"""A repository of one's own: the commands that ``rollout init`` names end with a kept change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rollout.sandbox.process import start, stop
from rollout.sandbox.settings import SandboxSettings
from tests.support.runs import inherited_environment, on_demand

# Both providers are slow, so that a busy machine is not mistaken for a slow provider.
SLOW = [{"provider": name, "latency_ms": 200} for name in ("ollama", "openai", "vllm")]


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line as a person does, in a shell of that folder."""
    env = inherited_environment() | {"USER": "tester", "COLUMNS": "200"}
    # A person has none of the plugins of the suite's own tests.
    env["PYTEST_ADDOPTS"] = "-p no:hypothesispytest -p no:anyio -p no:pytest_cov"
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.mark.parametrize("is_running", [False, True], ids=["on demand", "running"])
def test_the_commands_that_init_names_end_with_kept(is_running: bool, tmp_path: Path) -> None:
    """Plan, precheck and the four phases, pasted into a shell; nothing is written outside of the repository."""
    gateway = (
        start(tmp_path / "gateway", settings=SandboxSettings.from_mapping({"faults": SLOW})) if is_running else None
    )
    demo = tmp_path / "work" / "demo"
    demo.parent.mkdir()
    try:
        option = f" --gateway={gateway.url}" if gateway else ""
        made = run(f"{sys.executable} -m rollout init demo{option}", demo.parent)
        assert made.returncode == 0, made.stdout
        cd, *commands = [line.strip() for line in made.stdout.partition("next:\n")[2].splitlines()]
        ended = [run(f"{cd} && {command}", demo.parent) for command in commands]
    finally:
        for running in [*on_demand(demo / "reports"), *([gateway] if gateway else [])]:
            stop(running)
    assert [each.returncode for each in ended] == [0, 0, 0], "\n".join(each.stdout for each in ended)
    plan, precheck, whole = (each.stdout for each in ended)
    assert "pytest -m apply would execute" in plan
    assert "1 precheck" in precheck
    assert "= KEPT: " in whole
    [folder] = demo.glob("reports/*-first-change-*")
    assert {"junit.xml", "change-record.md", "summary.md"} <= {path.name for path in folder.iterdir()}
    assert (demo / "reports" / "journal.sqlite").is_file()
    assert [path.name for path in demo.parent.iterdir()] == ["demo"]
