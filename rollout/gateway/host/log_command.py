"""Follows a log through a command that prints it, such as ``ssh HOST tail -n 0 -F FILE``, during a window.

The command is an argument list, never a line for a shell. It leads a process group of its own, and is ended by that
group's number. While the command does not run the log is unavailable; the error quotes the command's last line.
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
# After a run of so many seconds the pause before the next start is the first one again.
RESET_AFTER_S = 60.0
# A rollback waits for this end; a process that has not ended by then is killed.
ENDS_WITHIN_S = 1.0
# Lines that are not polled in time are dropped, the oldest first, and the next poll fails.
MOST_LINES = 100_000
SHOWN_CHARACTERS = 300


class LogCommandError(RolloutError):
    """The command does not run, or lines of it were dropped."""


class CommandFollower:
    """Reads the lines that a command prints, and starts an ended command again after a pause that doubles each time."""

    def __init__(self, command: Sequence[str], clock: Clock, redact: Callable[[str], str]) -> None:
        """Start the command.

        Raises:
            LogCommandError: the command cannot be started.
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
        # Lines first, so that the last ones of an ended command are not lost: the next poll raises the error.
        if lines or self._run.alive:
            return tuple(parse(line.decode(errors="replace")) for line in lines)
        now_s = self._clock.monotonic()
        if now_s - self._started_s >= RESET_AFTER_S:
            self._pause_s = FIRST_PAUSE_S
        self._again_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        raise self._ended()

    def position(self) -> None:
        """Return None: a command cannot continue at a position, so lines that are logged between two calls are lost."""

    def close(self) -> None:
        """End the command and every process of its group."""
        self._run.end()

    def _start_again(self, at_s: float) -> None:
        if self._clock.monotonic() < at_s:
            raise self._ended()
        self._run.end()
        self._run = _Run(self._command)
        self._started_s, self._again_s = self._clock.monotonic(), None

    def _ended(self) -> LogCommandError:
        # Redacted first, cut then: half a secret would not be recognised.
        how, line = self._run.end_reason, self._redact(self._run.last_error_line)[-SHOWN_CHARACTERS:]
        shown = f" ({line})" if line else " without an error message"
        name = truncate(shlex.join(self._command), SHOWN_CHARACTERS)
        return LogCommandError(self._redact(f"the log command `{name}` has ended: {how}{shown}; it is started again"))


class _Run:
    """One run of the command; two threads empty its pipes, so that it never waits for a reader."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start the command. Raises LogCommandError."""
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
        self._lines: deque[bytes] = deque(maxlen=MOST_LINES)
        self._lost = 0
        self._last_error: deque[bytes] = deque(maxlen=1)
        self._lock = threading.Lock()
        self._threads = [
            self._reading(self._child.stdout, self._keep),
            self._reading(self._child.stderr, self._last_error.append),
        ]

    @property
    def alive(self) -> bool:
        """Whether the command runs, or its last output is still being read."""
        return self._end() is None or any(thread.is_alive() for thread in self._threads)

    @property
    def end_reason(self) -> str:
        """The exit code or the signal of the command, for a message."""
        end = self._end()
        if end is None:
            return "its output was closed"
        return f"exit code {end.si_status}" if end.si_code == os.CLD_EXITED else f"signal {end.si_status}"

    @property
    def last_error_line(self) -> str:
        """The last line of its standard error."""
        return on_one_line(" ".join(b"".join(self._last_error).decode(errors="replace").split()))

    def take(self) -> list[bytes]:
        """Return the lines that came since the last call.

        Raises:
            LogCommandError: more than `MOST_LINES` came, and the oldest were dropped.
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
            # Its pipes are closed when every process that writes to them has ended.
            thread.join(max(0.0, until_s - clock.monotonic()))
        self._signal(signal.SIGKILL)
        self._child.wait()

    def _end(self) -> os.waitid_result | None:
        """Return how it ended, None while it runs; it is not reaped, so that its group's number is not used again."""
        return os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    def _keep(self, line: bytes) -> None:
        with self._lock:
            if len(self._lines) == MOST_LINES:
                self._lost += 1  # the oldest line is dropped
            self._lines.append(line)

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
