"""What a command that takes a while is doing, on stderr: stdout holds the result alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self, TextIO

from rollout.core.clock import Clock, SystemClock
from rollout.core.streams import quiet
from rollout.core.visible import beneath, on_one_line

if TYPE_CHECKING:
    from rich.live import Live

LINE_EVERY_S = 10.0


class Progress:
    """Shows the current step: beside a spinner on a terminal, as a line in a log, at most every `LINE_EVERY_S` s."""

    def __init__(self, stream: TextIO | None = None, clock: Clock | None = None) -> None:
        """Show nothing yet.

        Args:
            stream: where the steps go; stderr by default.
            clock: the time.
        """
        self._stream = quiet(beneath(stream or sys.stderr))
        self._is_terminal = self._stream.isatty()
        self._clock = clock or SystemClock()
        self._line_s = self._clock.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the step from the terminal."""
        self.pause()

    def step(self, text: str) -> None:
        """Show the step that begins; the text must hold no secret."""
        if self._is_terminal:
            self._show(text)
        elif self._clock.monotonic() - self._line_s >= LINE_EVERY_S:
            self._line_s = self._clock.monotonic()
            self._stream.write(f"{on_one_line(text)}\n")
            self._stream.flush()

    def pause(self) -> None:
        """Remove the step from the terminal, so that a result can be printed."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _show(self, text: str) -> None:
        # Imported here, because only a terminal needs it.
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415
        from rich.spinner import Spinner  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        spinner = Spinner("line", Text(on_one_line(text), no_wrap=True, overflow="ellipsis"))
        if self._live is not None:
            self._live.update(spinner, refresh=True)
            return
        self._live = Live(
            spinner, console=Console(file=self._stream), transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start(refresh=True)
