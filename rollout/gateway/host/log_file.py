"""Follows a log file of the service on this host, through truncation and rotation; lines have a level and a text.

Lines look like ``12:34:56 | ERROR    | module:function - message`` or ``ERROR:    message`` (deviation 21). The level
is read at its place, never searched for: ``'errors': 0`` is no error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

SEVERE = frozenset({"ERROR", "CRITICAL", "FATAL"})
# One poll reads no more than this; the rest is read by the next one.
MOST_BYTES = 8 * 1024 * 1024
LONGEST_LINE = 64 * 1024
# The first bytes distinguish a rewritten file from one that has grown, even if it is longer than before.
HEAD = 256

_LEVEL = "TRACE|DEBUG|INFO|SUCCESS|NOTICE|WARNING|WARN|ERROR|CRITICAL|FATAL"
_STAMP = r"[\d:.,TZ+/ -]*"
_LINE = re.compile(rf"(?:{_STAMP}\|\s*(?P<bar>{_LEVEL})\s*\||(?P<colon>{_LEVEL}):\s|{_STAMP} \[?(?P<word>{_LEVEL})\b)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def bounded(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield lines of at most `LONGEST_LINE` bytes; a longer one is cut between two words, and its end is dropped.

    A line without an end must not fill the memory, and half a secret would not be recognised.

    Args:
        read: reads a line of at most so many bytes, empty at the end.
    """
    while line := read(LONGEST_LINE):
        if len(line) < LONGEST_LINE or line.endswith(b"\n"):
            yield line
            continue
        yield line.rpartition(b" ")[0]
        while (more := read(LONGEST_LINE)) and not more.endswith(b"\n"):
            pass


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log.

    Attributes:
        level: the level's name in capitals; None where the line has none, as in a traceback.
        text: the line without colours and line end.
    """

    level: str | None
    text: str

    @property
    def is_severe(self) -> bool:
        """Whether the level is ERROR or worse."""
        return self.level in SEVERE


def parse(line: str) -> LogLine:
    """Read one line."""
    text = _COLOUR.sub("", line).rstrip()
    found = _LINE.match(text)
    return LogLine(None if found is None else found[found.lastgroup or 0], text)


def matching(lines: Iterable[LogLine], pattern: str | None) -> tuple[str, ...]:
    """Return the text of the severe lines that match the regular expression `pattern`; None matches none."""
    if pattern is None:
        return ()
    wanted = re.compile(pattern)
    return tuple(line.text for line in lines if line.is_severe and wanted.search(line.text))


class LogFollower:
    """Reads the lines that are added to a file after the follower was made."""

    def __init__(self, path: Path, after: Sequence[int] | None = None) -> None:
        """Begin at the file's present end, or at `after`, the `position` of an earlier follower of the file.

        A file that was replaced or truncated since that position is read from its beginning: what was added to the old
        one after the position is lost.

        Raises:
            OSError: the file cannot be read.
        """
        self.path = path
        self._file: BinaryIO = path.open("rb")
        end = self._file.seek(0, os.SEEK_END)
        if after is not None:
            here = os.fstat(self._file.fileno())
            same = (here.st_dev, here.st_ino) == tuple(after[:2]) and end >= after[2]
            self._file.seek(after[2] if same else 0)
        self._head = self._first_bytes()
        self._rest = b""

    def position(self) -> list[int]:
        """Return device, inode and offset up to which complete lines were read."""
        here = os.fstat(self._file.fileno())
        return [here.st_dev, here.st_ino, self._file.tell() - len(self._rest)]

    def read(self) -> tuple[LogLine, ...]:
        """Return the lines that were completed since the last call; an incomplete line is returned by a later one.

        Raises:
            OSError: the file cannot be read, or is gone without a new one.
        """
        # Checked before anything is read: if the file is gone, no line is read and lost.
        replaced = self._was_replaced()
        if self._was_rewritten():
            self._file.seek(0)
            self._rest = b""
        chunk = self._file.read(MOST_BYTES)
        lines = self._lines(chunk)
        if replaced and len(chunk) < MOST_BYTES:
            lines += self._read_new_file()
        self._head = self._first_bytes()
        return tuple(parse(line.decode(errors="replace")) for line in lines)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read_new_file(self) -> list[bytes]:
        new = self.path.open("rb")
        self._file.close()
        self._file = new
        # The last line of the old file is never completed; it is read as it is.
        return self._lines(b"\n" + new.read(MOST_BYTES))

    def _lines(self, chunk: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            # Cut between two words: half a secret would not be recognised.
            self._rest = self._rest[-LONGEST_LINE:].partition(b" ")[2]
        return [line for line in lines if line.strip()]

    def _was_rewritten(self) -> bool:
        shorter = os.fstat(self._file.fileno()).st_size < self._file.tell()
        return shorter or self._first_bytes(len(self._head)) != self._head

    def _was_replaced(self) -> bool:
        return not os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))

    def _first_bytes(self, count: int = HEAD) -> bytes:
        position = self._file.tell()
        self._file.seek(0)
        head = self._file.read(count)
        self._file.seek(position)
        return head
