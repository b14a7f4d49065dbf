"""The kinds of errors in a log, so that new kinds can be distinguished from old ones (REV-2).

Two errors are of one kind if they differ in numbers and ids only. An HTTP status is no such number: a 401 is another
kind than a 502.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rollout.core.errors import RolloutError
from rollout.gateway.host.log_file import HEAD, MOST_BYTES, LogLine, bounded, parse

LONGEST_KIND = 200
_STATUS = re.compile(r"\b(HTTP|http|status|code)([\s_:=/(\[\"']*)([1-5]\d\d)\b")
_IDS = (
    re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"),
    re.compile(r"(?<![A-Za-z0-9])(?=[a-fA-F]*\d)[0-9a-fA-F]{8,}(?![A-Za-z0-9])"),
    re.compile(r"\b(?=[A-Za-z_]*\d)(?=[\d_]*[A-Za-z])\w{16,}\b"),
    re.compile(r"\d+(?:[.,:]\d+)*"),
)
# Written without digits while the other numbers are removed.
_DIGITS = str.maketrans("0123456789", "\ue000\ue001\ue002\ue003\ue004\ue005\ue006\ue007\ue008\ue009")
_BACK = str.maketrans("\ue000\ue001\ue002\ue003\ue004\ue005\ue006\ue007\ue008\ue009", "0123456789")


class LogLost(RolloutError):
    """The lines since a mark are gone, or a part of them."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a log file.

    Attributes:
        device: the file's device.
        inode: its number on the device.
        offset: how many bytes of it lie before the place.
        head: the number of first bytes that `digest` covers.
        digest: SHA-256 of those bytes; a file that was written anew has another one.
    """

    device: int
    inode: int
    offset: int
    head: int
    digest: str


def mark(path: Path) -> Mark:
    """Return the present end of a log file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as log:
        head = log.read(HEAD)
        found = os.fstat(log.fileno())
    return Mark(found.st_dev, found.st_ino, found.st_size, len(head), hashlib.sha256(head).hexdigest())


def kind(text: str) -> str:
    """Return the kind of a line: its text without numbers and ids."""
    found = _STATUS.sub(lambda match: f"{match[1]}{match[2]}{match[3].translate(_DIGITS)}", text)
    for pattern in _IDS:
        found = pattern.sub("#", found)
    return " ".join(found.translate(_BACK).split())[:LONGEST_KIND]


def kinds(lines: Iterable[LogLine], redact: Callable[[str], str]) -> Counter[str]:
    """Return kind -> number of severe lines; a line is redacted first, because a secret is no number."""
    return Counter(kind(redact(line.text)) for line in lines if line.is_severe)


def before(path: Path, at: Mark) -> Iterator[LogLine]:
    """Yield the lines before a mark, the last 8 MiB of them.

    Raises:
        OSError: the file cannot be read.
    """
    return _lines(path, max(0, at.offset - MOST_BYTES), at.offset)


def since(path: Path, at: Mark) -> Iterator[LogLine]:
    """Yield the lines since a mark, also from the files that the log was rotated to since.

    Raises:
        LogLost: the log was truncated or written anew, or the file that it was rotated to is gone or compressed.
        OSError: a file cannot be read.
    """
    # A rotated log begins with the log's name: gateway.log, gateway.log.1, gateway.log-20261124.
    files = {found: found.stat() for found in (path, *path.parent.glob(f"{path.name}?*")) if found.is_file()}
    if path not in files:
        raise LogLost(f"the log {path} is gone")
    old = next((f for f, stat in files.items() if (stat.st_dev, stat.st_ino) == (at.device, at.inode)), None)
    if old is None:
        raise LogLost(f"the log {path} was rotated since, and the file that it was then is gone or compressed")
    if files[old].st_size < at.offset or _digest(old, at.head) != at.digest:
        raise LogLost(f"the log {old} was truncated or written anew since, and what it held before that is gone")
    yield from _lines(old, at.offset)
    if old == path:
        return
    for found, stat in files.items():
        if found != old and stat.st_mtime >= files[old].st_mtime:
            if found.suffix in {".gz", ".xz", ".bz2", ".zst"}:
                raise LogLost(f"the log {path} was rotated since, and a part of it is compressed: {found.name}")
            yield from _lines(found, 0)


def _lines(path: Path, start: int, end: int | None = None) -> Iterator[LogLine]:
    with path.open("rb") as log:
        log.seek(start)
        for line in bounded(log.readline):
            yield parse(line.decode(errors="replace"))
            if end is not None and log.tell() >= end:
                return


def _digest(path: Path, length: int) -> str:
    with path.open("rb") as log:
        return hashlib.sha256(log.read(length)).hexdigest()
