"""Writes files that hold configuration: completely or not at all, and readable by their owner alone."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

OWNER_ONLY = 0o700
"""The mode of a directory that holds configuration."""

RECORD = "sandbox.json"
"""The file in a sandbox's directory with its address and the options of its start: ``url``, ``pid``, ``instance``,
``idle_s``, ``token_env`` (the variable's name, never the token) and ``in_flight``."""

SETTINGS = "settings.json"
"""The file beside it with the settings of the start."""

KIND = "rollout-sandbox"
"""The `kind` in a sandbox's answer, which distinguishes it from any other server."""


def write_private(path: Path, content: bytes) -> None:
    """Atomically replace the file, mode 0600, flushed to disk. Raises OSError."""
    # mkstemp creates with mode 0600, and beside the file because only a rename within one file system is atomic.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
