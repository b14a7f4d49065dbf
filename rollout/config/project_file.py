"""The file that adopts the suite for a folder: which one it is, and its table.

The entry point searches it in every pytest session of the environment, so this module imports what pytest has loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

OWN_FILE, SHARED_FILE = "rollout.toml", "pyproject.toml"
CLOSURE = Path("closure") / "test_closure.py"
"""The file of the check that ends a rollout, below the folder of the checks."""

_REPOSITORY = ".git"
HEADER = re.compile(rb"^\s*\[\s*tool\s*\.\s*[\"']?rollout[\"']?\s*\]", re.MULTILINE)


def find_project_file(*starts: Path) -> Path | None:
    """Return the file that adopts the suite for a folder: in it or above it, up to the root of its repository.

    Args:
        starts: the folders to start from, the first that has one wins.
    """
    return next((found for start in starts for found in _files_above(start)), None)


def is_procedure(folder: Path) -> bool:
    """Return whether the folder holds the checks of a rollout."""
    return folder.name == "checks" and (folder / CLOSURE).is_file()


def _files_above(start: Path) -> Iterable[Path]:
    for folder in (start.absolute(), *start.absolute().parents):
        if (folder / OWN_FILE).is_file():
            yield folder / OWN_FILE
        elif has_table(folder / SHARED_FILE):
            yield folder / SHARED_FILE
        if (folder / _REPOSITORY).exists():
            return


def has_table(file: Path) -> bool:
    """Return whether a shared file has the project's table, be its TOML valid or not."""
    content = _content(file)
    # Most projects end here: reading TOML costs more than all the rest.
    if b"rollout" not in content:
        return False
    try:
        return isinstance(read_table(file, content), dict)
    except ValueError:
        return HEADER.search(content) is not None


def read_table(file: Path, content: bytes) -> Any:
    """Return the project's table; None where the file has none. Raises ValueError where it is no TOML."""
    import tomllib  # noqa: PLC0415 - most sessions end before it

    document = tomllib.loads(content.decode("utf-8-sig"))
    if file.name == OWN_FILE:
        return document
    tool = document.get("tool")
    return tool.get("rollout") if isinstance(tool, dict) else None


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
