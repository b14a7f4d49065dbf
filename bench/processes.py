"""Processes that are measured, on the compiled code that a user's machine keeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LONGEST_RUN_S = 60.0
_SPAWN = Path(__file__).with_name("spawn.py")


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended, and what it cost.

    Attributes:
        code: its exit code; negative where a signal ended it, as after the longest time that it may take.
        output: what it printed, both streams.
        wall_s: seconds from its start to its end.
        cpu_s: CPU seconds, of user and system, of the process and of those below it that it waited for.
        peak_mb: peak resident memory of the largest of these processes, in 10^6 bytes.
    """

    code: int
    output: str
    wall_s: float
    cpu_s: float
    peak_mb: float


def compiled_in(folder: Path) -> dict[str, str]:
    """Return the environment in which Python keeps compiled code there, as it does beside the sources by default."""
    return {"PYTHONPYCACHEPREFIX": str(folder / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}


def attempt(command: Sequence[str], where: Path, folder: Path, *, longest_s: float = LONGEST_RUN_S) -> Ended:
    """Run a command to its end, whatever its exit code.

    Args:
        command: an argument list.
        where: the working directory.
        folder: the bench's, for compiled code and the output.
        longest_s: after how many seconds it is killed.
    """
    output = folder / "output.txt"
    done = subprocess.run(  # noqa: S603 - an argument list of our own making
        [sys.executable, "-I", "-S", str(_SPAWN), str(output), str(longest_s), *command],
        cwd=where,
        env=os.environ | compiled_in(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{json.dumps(command)} was not started:\n{done.stderr}")
    code, wall_s, cpu_s, peak_kib = done.stdout.split()
    text = output.read_text(encoding="utf-8", errors="replace")
    return Ended(int(code), text, float(wall_s), float(cpu_s), int(peak_kib) * 1024 / 1e6)


def run(command: Sequence[str], where: Path, folder: Path, *, longest_s: float = LONGEST_RUN_S) -> Ended:
    """Run a command as `attempt` does; RuntimeError with its output where it does not end with 0."""
    ended = attempt(command, where, folder, longest_s=longest_s)
    if ended.code:
        raise RuntimeError(f"{json.dumps(command)} ended with {ended.code}:\n{ended.output}")
    return ended
