"""Commands run by a user who is held to the modes of files, as root is not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_WITHOUT = "-dac_override,-dac_read_search"
_HELD = ("setpriv", f"--bounding-set={_WITHOUT}", f"--inh-caps={_WITHOUT}")
"""Where tests run as root: the same user, without the right to pass over modes."""


def run(module: str, args: Sequence[str], folder: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """Run ``python -m MODULE ARGS`` to its end, and return its exit code and both streams.

    Args:
        module: ``pytest`` or ``rollout``.
        args: its arguments.
        folder: where it runs.
        env: its environment beside ``PATH``.
    """
    prefix = _HELD if os.geteuid() == 0 else ()
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
