"""The command lines of Allure 3 and Allure 2, as people and CI servers run them over raw results.

Allure 3 is the one that builds the report. Allure 2 is a package of npm, which is installed into the user's cache once,
and needs Java.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rollout.reporting.html import allure_generator

VERSION = "2.46.1"
REQUIRED = "ROLLOUT_REQUIRE_JAVA"
"""With this variable a Java or an Allure 2 that cannot be had is a failure, and no skip."""

ENDS_WITHIN_S = 120


def allure3(folder: Path, results: Path, history: Path) -> Path:
    """Generate a report of Allure 3 over raw results, append to the history, and return the report's folder."""
    out = folder / f"allure3-{results.parent.parent.name}"
    config = folder / "allurerc.json"
    config.write_text(json.dumps({"name": "raw", "historyPath": str(history), "plugins": {"awesome": {}}}))
    cli = allure_generator.installed(os.environ) / "node_modules" / "allure" / "cli.js"
    node = allure_generator._node()
    _run(str(node), str(cli), "generate", "--config", str(config), "--output", str(out), str(results))
    return out


def allure2(folder: Path, results: Path) -> Path:
    """Generate a report of Allure 2 over raw results, and return its folder; skips where it cannot be had."""
    out = folder / f"allure2-{results.parent.parent.name}"
    _run(str(_allure2()), "generate", "--clean", "--output", str(out), str(results))
    return out


def read(path: Path) -> Any:
    """Return the JSON of a report's file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _allure2() -> Path:
    why = "" if shutil.which("java") else "there is no java, which Allure 2 needs; run .ci/install"
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rollout-allure2"
    folder = base / VERSION
    base.mkdir(parents=True, exist_ok=True)
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not why and not (folder / "complete").exists():
            why = _install(folder)
    if why and os.environ.get(REQUIRED):
        pytest.fail(f"{REQUIRED} is set, but {why}")
    if why:
        pytest.skip(why)
    return folder / "node_modules" / "allure-commandline" / "dist" / "bin" / "allure"


def _install(folder: Path) -> str:
    """Install from npm's registry into a fresh folder, and return why that failed; empty where it did not."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    node = allure_generator._node()
    npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    package = f"allure-commandline@{VERSION}"
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder))
    command = (str(node), str(npm), "install", *options, package)
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if ran.returncode:
        return f"{package} cannot be installed: {' '.join(ran.stderr.split())[:300]}"
    (folder / "complete").touch()
    return ""


def _run(*command: str, env: Mapping[str, str] | None = None) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=ENDS_WITHIN_S, check=False, env=env)
    assert ran.returncode == 0, f"{command[0]} ended with {ran.returncode}: {ran.stdout}{ran.stderr}"
