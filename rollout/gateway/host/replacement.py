"""Files with configuration on this host: read whole, and replaced atomically, keeping owner, mode and attributes."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path


class NoRegularFile(OSError):
    """A directory, device, socket or FIFO stands where a file should."""

    def __init__(self) -> None:
        """Say what it is not."""
        super().__init__(None, "it is no regular file")


def read_file(path: Path, at_most: int) -> bytes:
    """Return a file's bytes, the first `at_most` ones of a longer file; a symbolic link is followed.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    # O_NONBLOCK: opening a FIFO in the file's place must not wait for a writer.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NoRegularFile
    with os.fdopen(handle, "rb") as file:
        return file.read(at_most)


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file: a reader sees the old content or the new one, after a crash too.

    Owner, mode and extended attributes are kept; a symbolic link is followed. A file that was not there has mode 0600.

    Raises:
        OSError: it cannot be replaced, or is no regular file; it is as it was.
        RuntimeError: a loop of symbolic links, before Python 3.13.
    """
    actual = path.resolve()
    before = actual.stat() if actual.exists() else None
    if before is not None and not stat.S_ISREG(before.st_mode):
        raise NoRegularFile
    _replace_atomically(actual, content, before)


def _replace_atomically(actual: Path, content: bytes, before: os.stat_result | None) -> None:
    handle, name = tempfile.mkstemp(dir=actual.parent, prefix=f".{actual.name}.")
    scratch = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if before is not None:
                _copy_attributes(file.fileno(), actual, scratch, before)
            os.fsync(file.fileno())
        scratch.replace(actual)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    folder = os.open(actual.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _copy_attributes(handle: int, actual: Path, scratch: Path, before: os.stat_result) -> None:
    now = os.fstat(handle)
    # The owner first: in the other order the previous mode would let the wrong owner read the content.
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        os.fchown(handle, before.st_uid, before.st_gid)
    shutil.copystat(actual, scratch)
    os.utime(scratch)
