"""Commands run by a user who may read everything, and write only below the folders that it owns."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

UID = 54_321
"""No system has a user of this number; where tests do not run as root, commands run as whoever runs the tests."""

_READS_ALL = "+dac_read_search"  # The interpreter may lie in a folder of root's.
_DROPPED = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
_KEPT = (f"--inh-caps={_READS_ALL}", f"--ambient-caps={_READS_ALL}")


def run(module: str, args: Sequence[str], folder: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """Run ``python -m MODULE ARGS`` to its end, and return its exit code and both streams.

    Args:
        module: ``pytest`` or ``rollout``.
        args: its arguments.
        folder: where it runs.
        env: its environment beside ``PATH``.
    """
    prefix = (*_DROPPED, *_KEPT) if os.geteuid() == 0 else ()
    ended = subprocess.run(
        [*prefix, sys.executable, "-m", module, *args],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
        check=False,
    )
    return ended.returncode, ended.stdout


def owned(folder: Path) -> Path:
    """Make a folder that this user may write, and return it."""
    folder.mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(folder, UID, UID)
    return folder
