"""Output that nobody reads any more does not end a rollout: `pytest | head -1`, a terminal that was closed."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, TextIO, cast


def quiet(stream: TextIO) -> TextIO:
    """Return a stream over `stream` that never raises for what becomes of its readers."""
    return cast("TextIO", _Quiet(stream))


class _Quiet:
    """A stream that falls silent for good at its first error."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream` as long as it takes it."""
        self._stream = stream
        self._is_silent = False

    def write(self, text: str) -> int:
        """Write, or do nothing."""
        try:
            return len(text) if self._is_silent else self._stream.write(text)
        except (OSError, ValueError):
            self._fall_silent()
            return len(text)

    def flush(self) -> None:
        """Flush, or do nothing."""
        try:
            if not self._is_silent:
                self._stream.flush()
        except (OSError, ValueError):
            self._fall_silent()

    def _fall_silent(self) -> None:
        self._is_silent = True
        # What Python's own buffers hold would fail once more at exit, and set the exit code: empty them elsewhere.
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        """Return whatever else is asked of the stream itself."""
        return getattr(self._stream, name)
