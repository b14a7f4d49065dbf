"""Follow a log through a command that prints it, such as ``ssh HOST tail -n 0 -F FILE``, for as long as a window lasts.

The command is an argument list, never a line for a shell. It leads a process group of its own, and is ended by that
number. While it is gone the log is dark, and says why in the command's own last words.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO

from rollout.core.clock import Clock, SystemClock
from rollout.core.errors import RolloutError
from rollout.core.units import truncate
from rollout.core.visible import on_one_line
from rollout.gateway.host.log_file import LogLine, bounded, parse

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
# A command that ran for so long was well; its next end is a first one again.
WELL_AFTER_S = 60.0
# A breach waits for this before it rolls back; what has not ended by then is killed.
ENDS_WITHIN_S = 1.0
# What a window cannot read fast enough is dropped, the oldest lines first, and that is a failed look.
MOST_LINES = 100_000
SHOWN_CHARACTERS = 300


class LogCommandError(RolloutError):
    """The command does not run, so that nobody reads the log."""


class CommandFollower:
    """Reads what a command prints; starts it again when it has ended, after a pause that doubles each time."""

    def __init__(self, command: Sequence[str], clock: Clock, redact: Callable[[str], str]) -> None:
        """Start the command.

        Raises:
            LogCommandError: it cannot be started.
        """
        self._command, self._clock, self._redact = tuple(command), clock, redact
        self._pause_s = FIRST_PAUSE_S
        self._run = _Run(self._command)
        self._started_s = clock.monotonic()
        self._again_s: float | None = None

    def read(self) -> tuple[LogLine, ...]:
        """Return the lines that were printed since the last call.

        Raises:
            LogCommandError: the command has ended; it is started again by a later call.
        """
        if self._again_s is not None:
            self._start_again(self._again_s)
        lines = self._run.take()
        # Lines first, so that the last ones of a command that dies are not lost: its end is told by the next look.
        if lines or self._run.alive:
            return tuple(parse(line.decode(errors="replace")) for line in lines)
        now_s = self._clock.monotonic()
        if now_s - self._started_s >= WELL_AFTER_S:
            self._pause_s = FIRST_PAUSE_S
        self._again_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        raise self._ended()

    def position(self) -> None:
        """Return None: a command cannot be told where to go on, so what is logged between two calls is not seen."""

    def close(self) -> None:
        """End the command and whatever it started."""
        self._run.end()

    def _start_again(self, at_s: float) -> None:
        if self._clock.monotonic() < at_s:
            raise self._ended()
        self._run.end()
        self._run = _Run(self._command)
        self._started_s, self._again_s = self._clock.monotonic(), None

    def _ended(self) -> LogCommandError:
        # Redacted first, cut then: half a secret would not be recognised.
        how, words = self._run.how, self._redact(self._run.last_words)[-SHOWN_CHARACTERS:]
        said = f" ({words})" if words else " without a word"
        name = shlex.join(self._command)
        return LogCommandError(
            self._redact(
                f"the log command `{truncate(name, SHOWN_CHARACTERS)}` has ended: {how}{said}; it is started again"
            )
        )


class _Run:
    """One life of the command; two threads empty its pipes, so that it never waits for a reader."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start it. Raises LogCommandError."""
        try:
            self._child = subprocess.Popen(  # noqa: S603 - an argument list, from the target's file
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as problem:
            why = getattr(problem, "strerror", None) or str(problem)
            raise LogCommandError(
                f"the log command {command[0]!r} cannot be started ({why}); correct the target's log_command"
            ) from None
        self._lines: deque[bytes] = deque()
        self._lost = 0
        self._words = b""
        self._lock = threading.Lock()
        self._threads = [self._reading(self._child.stdout, self._keep), self._reading(self._child.stderr, self._hear)]

    @property
    def alive(self) -> bool:
        """Tell whether it runs, or what it printed last is still being read."""
        return self._end() is None or any(thread.is_alive() for thread in self._threads)

    @property
    def how(self) -> str:
        """Say how it ended."""
        end = self._end()
        if end is None:
            return "its output was closed"
        return f"exit code {end.si_status}" if end.si_code == os.CLD_EXITED else f"signal {end.si_status}"

    @property
    def last_words(self) -> str:
        """Return the last line of its standard error."""
        return on_one_line(" ".join(self._words.decode(errors="replace").split()))

    def take(self) -> list[bytes]:
        """Return the lines that came since the last call.

        Raises:
            LogCommandError: there were so many that some were dropped.
        """
        with self._lock:
            lines, lost = list(self._lines), self._lost
            self._lines.clear()
            self._lost = 0
        if lost:
            raise LogCommandError(f"the log command printed {lost} lines more than can be kept; filter what it prints")
        return lines

    def end(self) -> None:
        """End its process group; a second time does nothing."""
        if self._child.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        clock = SystemClock()
        until_s = clock.monotonic() + ENDS_WITHIN_S
        for thread in self._threads:
            # Its pipes are closed when all that wrote to them have ended.
            thread.join(max(0.0, until_s - clock.monotonic()))
        self._signal(signal.SIGKILL)
        self._child.wait()

    def _end(self) -> os.waitid_result | None:
        """Look how it ended, None while it runs, and leave it unreaped: so its group's number stays its own."""
        return os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    def _keep(self, line: bytes) -> None:
        with self._lock:
            if len(self._lines) == MOST_LINES:
                self._lines.popleft()
                self._lost += 1
            self._lines.append(line)

    def _hear(self, line: bytes) -> None:
        self._words = line

    def _reading(self, pipe: IO[bytes] | None, take: Callable[[bytes], None]) -> threading.Thread:
        def read() -> None:
            if pipe is None:
                return
            with pipe:
                for line in bounded(pipe.readline):
                    if line.strip():
                        take(line)

        thread = threading.Thread(target=read, name="rollout-log-command", daemon=True)
        thread.start()
        return thread
