"""Carries out an edit of a file with settings on this host: read, edit, replace atomically, read back (APP-2.1)."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from rollout.core.clock import NEVER, StopFlag
from rollout.core.errors import Interrupted, Problem
from rollout.core.writes import FileEdit
from rollout.gateway.host.codecs import edit as edit_content
from rollout.gateway.host.replacement import NoRegularFile, read_file, replace_file
from rollout.gateway.host.settings_document import LARGEST_BYTES, SettingsError, refuse_file


def apply_file_edit(edit: FileEdit, *, secrets: Mapping[str, str], stop: StopFlag = NEVER) -> bytes:
    """Edit a file, and return its new content; nothing is written where it has its values already.

    Args:
        edit: its path is on this host.
        secrets: key -> the value of each of `edit.secrets`.
        stop: prevents the write, and never interrupts it.

    Raises:
        SettingsError: the file cannot be read, edited or written, is changed meanwhile, or does not read back equal.
        Interrupted: `stop` was set; nothing was written.
    """
    path = _path_of(edit)
    before = read_settings_file(path)
    content = compose_content(edit, before, secrets)
    if content != before:
        write_settings_file(path, content, before=before, stop=stop)
    return content


def preview_file_edit(edit: FileEdit, secrets: Mapping[str, str]) -> bytes:
    """Return what `apply_file_edit` would leave in the file now; nothing is written. Raises SettingsError likewise."""
    return compose_content(edit, read_settings_file(_path_of(edit)), secrets)


def compose_content(edit: FileEdit, before: bytes, secrets: Mapping[str, str]) -> bytes:
    """Return what a file of these bytes holds after an edit; nothing is read or written.

    Raises:
        SettingsError: the file cannot be edited so, or a secret is not given.
    """
    file = str(_path_of(edit))
    absent = [key for key in edit.secrets if not secrets.get(key)]
    if absent:
        raise SettingsError(
            Problem(file, None, key, f"the environment variable {edit.secrets[key]} is not set; it holds the new value")
            for key in absent
        )
    values = {**edit.values, **{key: secrets[key] for key in edit.secrets}}
    return edit_content(edit.codec, before, values, edit.remove, file=file)


def read_settings_file(path: Path) -> bytes:
    """Return a file's bytes; of a larger one than 10 MB, one byte more than that, which the codecs refuse.

    Raises:
        SettingsError: it cannot be read, or is no regular file.
    """
    try:
        return read_file(path, LARGEST_BYTES + 1)
    except NoRegularFile:
        raise refuse_file(str(path), "is no regular file; correct its path in the target") from None
    except OSError as problem:
        remedy = "correct its path in the target, or run as a user who may read it"
        raise refuse_file(str(path), f"cannot be read ({problem.strerror}); {remedy}") from None


def write_settings_file(path: Path, content: bytes, *, before: bytes | None, stop: StopFlag = NEVER) -> None:
    """Replace a file atomically, and read it back; owner, mode and extended attributes stay, and a link is followed.

    Args:
        path: the file; one that is not there is made with mode 0600.
        content: its new bytes.
        before: the bytes that it must still have; None replaces whatever is there.
        stop: prevents the write, and never interrupts it.

    Raises:
        SettingsError: it has other bytes than `before`, cannot be written, or does not read back equal.
        Interrupted: `stop` was set; nothing was written.
    """
    if stop:
        raise Interrupted(f"{path}: not written, {stop.reason}")
    if before is not None and read_settings_file(path) != before:
        raise refuse_file(str(path), "was changed since it was read, and is not overwritten; start again")
    try:
        replace_file(path, content)
    except NoRegularFile:
        raise refuse_file(str(path), "is no regular file; correct its path in the target") from None
    except (OSError, RuntimeError) as problem:  # a loop of symbolic links is a RuntimeError before Python 3.13
        why = getattr(problem, "strerror", None) or str(problem)
        raise refuse_file(str(path), f"cannot be written ({why}); {_remedy(problem)}") from None
    if read_settings_file(path) != content:
        raise refuse_file(str(path), "does not read back equal; find the process that writes it too, and stop that")


def _path_of(edit: FileEdit) -> Path:
    if edit.path is None:
        raise ValueError("an edit without a path is of the target's .env file, which EnvFile reads and writes")
    return edit.path


def _remedy(problem: Exception) -> str:
    match problem:
        case OSError(errno=errno.EPERM | errno.EACCES):
            return "its owner must be kept: run as its owner, who may write to its directory"
        case OSError(errno=errno.EBUSY):
            return "it is mounted by itself, and cannot be replaced: mount its directory instead"
        case OSError(errno=errno.EROFS):
            return "it is mounted read-only; correct its path in the target, or mount it for writing"
    return "nothing was changed"
