"""The generator is installed once, by one process, without scripts and secrets, and within a time limit."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rollout.cli.main import main
from rollout.core.errors import RolloutError
from rollout.reporting.html import allure_generator
from rollout.reporting.html.allure_config import report_config
from rollout.reporting.html.assembly import built
from tests.support.journaled import JournaledRollout

NOWHERE = "http://127.0.0.1:9/"


def env(cache: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(cache), "XDG_CACHE_HOME": str(cache), **more}


def children(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def installs(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace npm by a slow fake, and list the folders where it ran."""
    ran: list[Path] = []

    def fake(_command: Any, folder: Path, *_: Any) -> None:
        ran.append(folder)
        time.sleep(0.2)
        (folder / "node_modules").mkdir()

    monkeypatch.setattr(allure_generator, "_run", fake)
    return ran


def test_a_registry_that_does_not_answer_is_one_line_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(allure_generator.GeneratorMissing) as caught:
        allure_generator.installed(env(tmp_path, npm_config_registry=NOWHERE))
    assert "\n" not in str(caught.value)
    assert "cannot be fetched" in str(caught.value)
    assert [name for name in children(tmp_path / "rollout") if not name.endswith(".lock")] == []


def test_the_first_fetch_is_announced_and_a_later_report_is_not(tmp_path: Path, installs: list[Path]) -> None:
    notice = allure_generator.fetch_notice(env(tmp_path))
    assert notice == "report: fetching Allure from the npm registry, once for this machine (90 s at most)"
    assert installs == []
    allure_generator.installed(env(tmp_path))
    assert allure_generator.fetch_notice(env(tmp_path)) == ""


def test_a_command_announces_it_on_stderr_before_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in env(tmp_path, npm_config_registry=NOWHERE).items():
        monkeypatch.setenv(name, value)
    fetched: list[str] = []
    monkeypatch.setattr(allure_generator, "installed", lambda _: fetched.append(capsys.readouterr().err) or tmp_path)
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck")
        journaled.phase("run-1", "precheck")
    assert main(["report", f"--reports={journaled.rollout.folder.parent}"]) == 4
    assert fetched == ["report: fetching Allure from the npm registry, once for this machine (90 s at most)\n"]
    assert capsys.readouterr().out == "", "stdout holds the report's path alone"


def test_first_uses_at_once_install_it_once(tmp_path: Path, installs: list[Path]) -> None:
    places: list[Path] = []
    users = [
        threading.Thread(target=lambda: places.append(allure_generator.installed(env(tmp_path)))) for _ in range(4)
    ]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert len(installs) == 1
    assert len(set(places)) == 1
    assert (places[0] / "node_modules").is_dir()


def test_what_a_killed_installation_left_is_cleared_away(tmp_path: Path, installs: list[Path]) -> None:
    place = allure_generator.installed(env(tmp_path))
    left = place.with_name(f"{place.name}-new-left")
    left.mkdir()
    shutil.rmtree(place)
    allure_generator.installed(env(tmp_path))
    assert len(installs) == 2
    assert not left.exists()


def test_a_half_installation_is_never_taken_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(_command: Any, folder: Path, *_: Any) -> None:
        (folder / "node_modules").mkdir()
        raise RolloutError("killed")

    monkeypatch.setattr(allure_generator, "_run", die)
    with pytest.raises(allure_generator.GeneratorMissing):
        allure_generator.installed(env(tmp_path))
    assert not allure_generator.is_installed(env(tmp_path))


def test_the_lock_file_decides_which_installation_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "generator"
    shutil.copytree(allure_generator.GENERATOR, other)
    before = allure_generator._place(env(tmp_path))
    with (other / "package-lock.json").open("a") as lock:
        lock.write("\n")
    monkeypatch.setattr(allure_generator, "GENERATOR", other)
    assert allure_generator._place(env(tmp_path)) != before


def test_a_relative_cache_folder_is_not_followed(tmp_path: Path) -> None:
    """The XDG specification says that a relative path is to be ignored; the cache would be in the repository."""
    place = allure_generator._place({"XDG_CACHE_HOME": "cache", "HOME": str(tmp_path)})
    assert place.parent == tmp_path / ".cache" / "rollout"


def test_tokens_and_node_options_never_reach_the_generator() -> None:
    theirs = {"PATH": "/bin", "GATEWAY_TOKEN": "s", "NODE_OPTIONS": "--require x", "CI": "1", "https_proxy": "http://p"}
    theirs |= {"npm_config_registry": "r", "ALLURE_TOKEN": "s", "GITHUB_ACTIONS": "true"}
    assert allure_generator._environment(theirs) == {"PATH": "/bin"}
    assert allure_generator._environment(theirs, for_npm=True) == {
        "PATH": "/bin",
        "https_proxy": "http://p",
        "npm_config_registry": "r",
    }


def test_npm_runs_no_script_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(allure_generator, "_run", lambda command, *_: commands.append(list(command)))
    allure_generator.installed(env(tmp_path))
    (command,) = commands
    assert "ci" in command
    assert "--ignore-scripts" in command


def test_a_generator_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    child = "import subprocess, sys, time; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'"
    child += f"]).pid, file=open({str(tmp_path / 'pid')!r}, 'w'), flush=True); time.sleep(60)"
    began = time.monotonic()
    with pytest.raises(RolloutError, match="took more than 3 s"):
        allure_generator._run((sys.executable, "-c", child), tmp_path, {}, 3.0, "it")
    assert time.monotonic() - began < 20
    grandchild = int((tmp_path / "pid").read_text(encoding="utf-8"))
    deadline = time.monotonic() + 10
    while _is_alive(grandchild):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def test_a_generator_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    code = "import sys; print('no\\nspace left'); sys.exit(7)"
    with pytest.raises(RolloutError, match=r"^it failed with exit code 7: no space left$"):
        allure_generator._run((sys.executable, "-c", code), tmp_path, {}, 30.0, "it")


def test_its_input_may_be_written_while_it_loads(tmp_path: Path) -> None:
    config, results = tmp_path / "allurerc.json", tmp_path / "results"
    with allure_generator.loading(config, results, os.environ) as generate:
        results.mkdir()
        row = {"uuid": "1", "name": "a check that is written late", "status": "passed", "start": 1, "stop": 2}
        (results / "1-result.json").write_text(json.dumps(row), encoding="utf-8")
        config.write_text(json.dumps(report_config("A title that is written late")), encoding="utf-8")
        page = generate().read_text(encoding="utf-8")
    embedded = [base64.b64decode(text) for text in re.findall(r'"([A-Za-z0-9+/]{40,}={0,2})"', page)]
    assert "A title that is written late" in page
    assert any(b"a check that is written late" in part for part in embedded)


def test_a_block_that_fails_ends_the_generator(tmp_path: Path) -> None:
    config = tmp_path / "allurerc.json"

    def fail() -> None:
        with allure_generator.loading(config, tmp_path, os.environ):
            assert len(_with_argument(str(config))) == 1
            raise RolloutError("the rows cannot be written")

    with pytest.raises(RolloutError, match="the rows"):
        fail()
    assert _with_argument(str(config)) == []


def _with_argument(argument: str) -> list[str]:
    """Return the processes that have this argument."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if argument in (process / "cmdline").read_text(encoding="utf-8", errors="replace").split("\0"):
                found.append(process.name)
    return found


def test_a_generator_whose_caller_died_generates_nothing(tmp_path: Path) -> None:
    config, out = tmp_path / "allurerc.json", tmp_path / "out"
    config.write_text(json.dumps(report_config("half a report")), encoding="utf-8")
    cli = allure_generator.installed(os.environ) / "node_modules" / "allure" / "cli.js"
    program = (allure_generator._node(), "--import", allure_generator._PRELOAD.as_uri(), cli)
    command = (*program, "generate", "--config", config, "--output", out, tmp_path)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, cwd=tmp_path, check=False, capture_output=True)
    assert done.returncode == 1
    assert not out.exists()


def test_the_chart_is_drawn_where_there_is_no_generator(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1")
        journaled.backup()
        journaled.baseline()
        journaled.window(breach=False)
        folder = journaled.rollout.folder
        nowhere = env(tmp_path / "cache", npm_config_registry=NOWHERE)
        built_ = built(journaled.rollout.journal, "r-1", folder, nowhere)
    assert "cannot be fetched" in built_.line
    assert built_.problem == ""
    assert {"bake.svg", "bake.png"} <= set(children(folder))


def test_generating_uses_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Node runs in a network namespace without an active interface."""
    if subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True).returncode != 0:  # noqa: S607
        pytest.skip("this machine does not allow a network namespace")
    real = allure_generator._node()
    allure_generator.installed(os.environ)
    alone = tmp_path / "node"
    alone.write_text(f'#!/bin/sh\nexec unshare -rn {real} "$@"\n', encoding="utf-8")
    alone.chmod(0o755)
    monkeypatch.setattr(allure_generator, "_node", lambda: alone)
    with JournaledRollout(tmp_path) as journaled:
        from rollout.reporting.html.assembly import build

        journaled.begins("run-1", "precheck")
        journaled.phase("run-1", "precheck")
        page = build(journaled.rollout.journal, "r-1", journaled.rollout.folder, os.environ)
    assert page.stat().st_size > 1_000_000
