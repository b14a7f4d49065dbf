"""Commands of the service: argument lists, never a shell, each with an outer deadline (APP-2.2, RBK-3.2)."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

from rollout.core.clock import NEVER, SLICE_S, Clock, StopFlag
from rollout.core.errors import Interrupted, RolloutError
from rollout.core.target import Service
from rollout.core.visible import on_one_line
from rollout.core.writes import Command

TAIL_CHARACTERS = 4096
_TAIL_BYTES = 16 * TAIL_CHARACTERS
_SHOWN_CHARACTERS = 300
_FIRST_PAUSE_S = 0.005
_KILLED_WITHIN_S = 1.0
_SERVICE = "the target's service"

_Streams = tuple[IO[bytes] | int, IO[bytes], IO[bytes]]
"""Standard input, output and error of a command."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that was run.

    Attributes:
        command: its arguments, redacted.
        exit_code: negative for the signal that ended it.
        output: the last 4,096 characters of its stdout and stderr, redacted.
        took_s: seconds from its start to its end.
    """

    command: tuple[str, ...]
    exit_code: int
    output: str
    took_s: float


class ServiceError(RolloutError):
    """A command of the service failed, or the service did not become healthy.

    Attributes:
        ran: the command that failed; None where none was started.
    """

    def __init__(self, message: str, ran: Ran | None = None) -> None:
        """Keep the command and its output, for the report."""
        self.ran = ran
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class _Terms:
    """The terms of a command.

    Attributes:
        timeout_s: seconds after which it is killed, with its process group.
        clock: measures the timeout and the duration.
        stop: ends it at once.
        redact: takes secrets out of command and output.
        setting: what the operator corrects where it is not the command to run.
    """

    timeout_s: float
    clock: Clock
    stop: StopFlag
    redact: Callable[[str], str]
    setting: str = _SERVICE


def restart(service: Service, *, clock: Clock, stop: StopFlag = NEVER, redact: Callable[[str], str]) -> tuple[Ran, Ran]:
    """Stop the service and start it, and return what both commands printed.

    A process that a command leaves in the background is not waited for, and not ended. The output goes to a file
    without a name, so a daemon should have a log of its own.

    It is started also where the stop failed: a service that is down already often answers a stop with an error. So an
    exit code of `stop` other than 0 is returned, not raised; health and the read-back show whether it matters.

    Raises:
        ServiceError: the service could not be started, or the stop command cannot be run or did not end in time.
        Interrupted: `stop` was set.
    """
    terms = _Terms(service.timeout_s, clock, stop, redact)
    try:
        stopped = _ran(service.stop, terms)
    except ServiceError:
        _judged(_ran(service.start, terms), terms.setting)
        raise
    return stopped, _judged(_ran(service.start, terms), terms.setting)


def run_command(
    command: Command, *, clock: Clock, stop: StopFlag = NEVER, redact: Callable[[str], str], setting: str
) -> Ran:
    """Run a command that a driver describes, and return what it printed.

    Args:
        command: its arguments and its deadline.
        clock: times it.
        stop: ends it at once.
        redact: takes secrets out of its arguments and its output.
        setting: where the command stands, for messages: ``the target's reload``; its deadline is the `timeout` there.

    Raises:
        ServiceError: it cannot be started, did not end in time, or its exit code is not 0.
        Interrupted: `stop` was set.
    """
    terms = _Terms(command.timeout_s, clock, stop, redact, setting)
    return _judged(_ran(command.arguments, terms), setting)


def exchange(
    command: Sequence[str],
    content: bytes = b"",
    *,
    timeout_s: float,
    clock: Clock,
    stop: StopFlag = NEVER,
    redact: Callable[[str], str],
    setting: str = _SERVICE,
    longest: int | None = None,
) -> bytes:
    """Run a command with `content` as its standard input, and return its standard output, complete and not redacted.

    Args:
        command: the program and its arguments.
        content: its standard input.
        timeout_s: its deadline, in seconds.
        clock: times it.
        stop: ends it at once.
        redact: takes secrets out of its arguments and its standard error.
        setting: where the command stands, for messages.
        longest: the most bytes that it may print; None sets no limit.

    Raises:
        ServiceError: the command cannot be started, did not end in time, printed too much, or its exit code is not 0;
            the error shows the command's standard error only.
        Interrupted: `stop` was set.
    """
    terms = _Terms(timeout_s, clock, stop, redact, setting)
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        source.write(content)
        source.seek(0)
        ran = _judged(_run(command, (source, output, errors), terms), terms.setting)
        if longest is not None and output.seek(0, os.SEEK_END) > longest:
            raise ServiceError(f"{_named(ran.command)}: printed more than {longest:,} bytes; correct {setting}", ran)
        output.seek(0)
        return output.read()


def _ran(command: Sequence[str], terms: _Terms) -> Ran:
    # A file, not a pipe: a daemon that inherits a pipe would delay the end of reading.
    with tempfile.TemporaryFile() as output:
        return _run(command, (subprocess.DEVNULL, output, output), terms)


def _judged(ran: Ran, setting: str) -> Ran:
    if ran.exit_code == 0:
        return ran
    how = f"exit code {ran.exit_code}" if ran.exit_code > 0 else f"ended by signal {-ran.exit_code}"
    raise ServiceError(
        f"{_named(ran.command)}: {how} after {ran.took_s:.1f} s{_output_end(ran)}; try it by hand, and correct "
        f"{setting} if it is not the command you mean",
        ran,
    )


def _run(command: Sequence[str], streams: _Streams, terms: _Terms) -> Ran:
    """Run a command until it ends, with any exit code, or is killed; its standard error is what it printed."""
    clock, stop, shown = terms.clock, terms.stop, tuple(map(terms.redact, command))
    name = _named(shown)
    if stop:
        raise Interrupted(f"{name}: not run, {stop.reason}")
    began = clock.monotonic()
    child = _started(command, name, streams, terms.setting)
    in_time = False
    try:
        in_time = _ended_by(child, began + terms.timeout_s, clock, stop)
    finally:
        if not in_time:
            _kill(child)
    if stop and not in_time:
        raise Interrupted(f"{name}: killed while it ran, {stop.reason}")
    code, took_s = child.poll(), clock.monotonic() - began
    ran = Ran(shown, -signal.SIGKILL if code is None else code, _tail(streams[2], terms.redact), took_s)
    if not in_time:
        outcome = "cannot be killed" if code is None else "was killed"
        raise ServiceError(
            f"{name}: did not end within {terms.timeout_s:g} s, and {outcome}{_output_end(ran)}; does it "
            f"stay in the foreground, or ask for a password? Otherwise raise {terms.setting}.timeout",
            ran,
        )
    return ran


def _started(command: Sequence[str], name: str, streams: _Streams, setting: str) -> subprocess.Popen[bytes]:
    remedy = f"correct {setting}"
    if not command:
        raise ServiceError(f"there is no command to run; {remedy}")
    source, output, errors = streams
    # GitHub's runner ends every process with this variable when a job ends: the service would be one.
    environment = {key: value for key, value in os.environ.items() if key != "RUNNER_TRACKING_ID"}
    try:
        return subprocess.Popen(  # noqa: S603 - an argument list, from the target's file
            list(command), stdin=source, stdout=output, stderr=errors, start_new_session=True, env=environment
        )
    except FileNotFoundError:
        raise ServiceError(f"{name}: there is no such command on this host; {remedy}") from None
    except PermissionError:
        raise ServiceError(f"{name}: it may not be executed here; make it executable, or {remedy}") from None
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or str(problem)
        raise ServiceError(f"{name}: it cannot be started ({why}); {remedy}") from None


def _ended_by(child: subprocess.Popen[bytes], end: float, clock: Clock, stop: StopFlag) -> bool:
    pause_s = _FIRST_PAUSE_S
    while child.poll() is None:
        left_s = end - clock.monotonic()
        if left_s <= 0 or not clock.wait(min(pause_s, left_s), stop):
            return child.poll() is not None
        pause_s = min(2 * pause_s, SLICE_S)
    return True


def _kill(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    # The child leads a group of its own, and is not reaped yet: no other process can have its number.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_KILLED_WITHIN_S)


def _tail(output: IO[bytes], redact: Callable[[str], str]) -> str:
    """Return the end of the output, redacted first, cut then: half a secret would not be recognised."""
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _TAIL_BYTES))
    content = output.read()
    if size > _TAIL_BYTES:
        # A first part may be half a secret, and redaction shortens the rest: then the first part would be shown.
        ends = [at for at in map(content[: _TAIL_BYTES // 2].find, (b"\n", b" ")) if at >= 0]
        content = content[ends[0] if ends else TAIL_CHARACTERS :]
    text = redact(content.decode(errors="replace").strip())
    return text if len(text) <= TAIL_CHARACTERS else f"…{text[1 - TAIL_CHARACTERS :]}"


def _output_end(ran: Ran) -> str:
    """Return the end of its output in parentheses, for one line; empty where it printed nothing."""
    line = _one_line(ran.output)
    shown = line if len(line) <= _SHOWN_CHARACTERS else f"…{line[-_SHOWN_CHARACTERS:]}"
    return f" ({shown})" if shown else ""


def _named(command: Sequence[str]) -> str:
    """Return the command for a message: one line, quoted for a shell, truncated."""
    line = _one_line(shlex.join(command))
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}…"


def _one_line(text: str) -> str:
    return on_one_line(" ".join(text.split()))
