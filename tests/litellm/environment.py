"""A LiteLLM from PyPI in an environment of its own: installed once on a machine, and kept in the user's cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

REQUIREMENTS = ("litellm[proxy]==1.108.*", "prometheus_client==0.26.*")
REQUIRED = "ROLLOUT_REQUIRE_LITELLM"
"""With this variable a LiteLLM that cannot be had is a failure, and no skip."""

INSTALLS_WITHIN_S = 900
_COMPLETE = "complete"


def litellm_python() -> Path:
    """Return the interpreter of an environment with LiteLLM; the test is skipped, with the reason, where there is none.

    One process installs, and the others wait for it.
    """
    folder, why = _installed()
    if why and os.environ.get(REQUIRED):
        pytest.fail(f"{REQUIRED} is set, but LiteLLM cannot be installed: {why}")
    if why:
        pytest.skip(f"LiteLLM cannot be installed: {why}")
    return folder / "bin" / "python"


@cache
def _installed() -> tuple[Path, str]:
    """Return the environment's folder, and why there is none; a process tries once."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rollout-litellm"
    base.mkdir(parents=True, exist_ok=True)
    folder = base / f"1.108-py{sys.version_info.major}{sys.version_info.minor}"
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return folder, "" if (folder / _COMPLETE).exists() else _install(folder)


def _install(folder: Path) -> str:
    """Install into a fresh folder, and return why it failed; empty where it did not."""
    shutil.rmtree(folder, ignore_errors=True)
    python = folder / "bin" / "python"
    for command in (
        (sys.executable, "-m", "venv", str(folder)),
        (str(python), "-m", "pip", "install", "--quiet", "--retries=1", *REQUIREMENTS),
    ):
        ran = subprocess.run(command, capture_output=True, text=True, timeout=INSTALLS_WITHIN_S, check=False)
        if ran.returncode:
            said = [line for line in (ran.stderr or ran.stdout).splitlines() if not line.startswith("WARNING")]
            return said[-1] if said else f"{command[0]} ended with {ran.returncode}"
    (folder / _COMPLETE).touch()
    return ""
