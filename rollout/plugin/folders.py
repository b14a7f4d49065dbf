"""The folders that a run writes to, proven before anything else is done."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest


def prove_folders(option: Any, here: Path, reports: Path) -> None:
    """Refuse a run whose evidence could not be written, before anything is sent or written elsewhere.

    Args:
        option: pytest's options.
        here: where relative paths count from.
        reports: the reports' folder.

    Raises:
        pytest.UsageError: a folder cannot be written; names each with its option.
    """
    folders = {"--reports": reports}
    if option.allure_report_dir:
        folders["--alluredir"] = here / option.allure_report_dir
    if getattr(option, "xmlpath", None):
        # As pytest reads the option.
        folders["--junitxml"] = (here / os.path.expanduser(os.path.expandvars(option.xmlpath))).parent  # noqa: PTH111
    problems = unwritable(folders)
    if problems:
        raise pytest.UsageError("\n".join(problems))


def unwritable(folders: Mapping[str, Path]) -> list[str]:
    """Make each folder and a file in it, remove what was made, and return a sentence for each that takes none.

    Args:
        folders: the option that names a folder (``--reports``) -> the folder.
    """
    found = [(option, folder, _why_unwritable(folder)) for option, folder in folders.items()]
    return [
        f"{option}: {folder} cannot be written ({why}); name a place that can be with {option}"
        for option, folder, why in found
        if why is not None
    ]


def _why_unwritable(folder: Path) -> str | None:
    """Return why no file can be made in a folder; None if one can."""
    missing = [each for each in (folder, *folder.parents) if not _is_there(each)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)
    finally:
        for each in missing:
            # One that holds something by now is in use.
            with suppress(OSError):
                each.rmdir()


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True
