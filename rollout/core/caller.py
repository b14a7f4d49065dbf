"""The name of the user of this process, also where the system has none, as in a container with a uid of its own."""

from __future__ import annotations

import getpass
import os


def caller() -> str:
    """Return the name that the environment or the system has for this process's user; ``uid 1000`` where none has."""
    return login() or f"uid {os.getuid()}"


def login() -> str | None:
    """Return the user's name; None where neither the environment (``LOGNAME``, ``USER``) nor the system has one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None
