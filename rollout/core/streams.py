"""Output whose reader is gone does not end a rollout: `pytest | head -1`, a terminal that was closed."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO, cast
from weakref import WeakSet

_SILENT: WeakSet[TextIO] = WeakSet()
"""Streams whose reader is gone: pytest's capturing restores the broken file, whatever `_fall_silent` does to it."""


def quiet(stream: TextIO, through: Callable[[str], str] = str) -> TextIO:
    """Return a stream over `stream` that never raises because its reader is gone.

    Args:
        stream: where the text goes.
        through: applied to the text before it is written, such as a redaction.
    """
    return cast("TextIO", _Quiet(stream, through))


class _Quiet:
    """A stream that falls silent for good at its first error."""

    def __init__(self, stream: TextIO, through: Callable[[str], str]) -> None:
        """Write to `stream` as long as it takes it."""
        self._stream, self._through = stream, through

    def write(self, text: str) -> int:
        """Write, or do nothing."""
        try:
            return len(text) if self._stream in _SILENT else self._stream.write(self._through(text))
        except (OSError, ValueError):
            self._fall_silent()
            return len(text)

    def flush(self) -> None:
        """Flush, or do nothing."""
        try:
            if self._stream not in _SILENT:
                self._stream.flush()
        except (OSError, ValueError):
            self._fall_silent()

    def _fall_silent(self) -> None:
        _SILENT.add(self._stream)
        # What Python's own buffers hold would fail once more at exit, and set the exit code: empty them elsewhere.
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        """Return any other attribute of the stream itself."""
        return getattr(self._stream, name)
