"""Environments with packages from PyPI: installed once on a machine, and kept in the user's cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

INSTALLS_WITHIN_S = 900
_COMPLETE = "complete"


def cached(name: str) -> Path:
    """Return the folder of that name in the user's cache, for what takes long to install."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / name


def python_of(folder: Path) -> Path:
    """Return the interpreter of an environment."""
    return folder / "bin" / "python"


def install(folder: Path, requirements: Sequence[str]) -> str:
    """Install the requirements into an environment, unless it is there; return why that failed, empty if not.

    One process installs, and the others wait for it. An environment is used again as it is: a folder belongs to one
    list of requirements and one Python.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return "" if (folder / _COMPLETE).exists() else _install_afresh(folder, requirements)


def _install_afresh(folder: Path, requirements: Sequence[str]) -> str:
    shutil.rmtree(folder, ignore_errors=True)
    for command in (
        (sys.executable, "-m", "venv", str(folder)),
        (str(python_of(folder)), "-m", "pip", "install", "--quiet", "--retries=1", *requirements),
    ):
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=INSTALLS_WITHIN_S, check=False)
        except subprocess.TimeoutExpired as late:
            return f"{command[0]} took longer than {late.timeout:g} s"
        if ran.returncode:
            # pip ends with an empty line after some errors, and an empty reason would be a success.
            lines = (ran.stderr or ran.stdout).splitlines()
            said = [line for line in lines if line.strip() and not line.startswith("WARNING")]
            return said[-1] if said else f"{command[0]} ended with {ran.returncode}"
    (folder / _COMPLETE).touch()
    return ""
