"""The end of the service's log, kept before a restart: a service may truncate its log at start (deviation 21)."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from rollout.core.clock import Clock, format_utc
from rollout.core.errors import RolloutError
from rollout.core.target import Target
from rollout.core.visible import show_controls
from rollout.gateway.host.log_command import CommandFollower, LogCommandError

NAME = "log-before-restart-{}.log"
MOST_LINES = 200
MOST_BYTES = 64 * 1024
# More is read than kept, so that a secret of several lines is recognised although its beginning is cut off.
READ_BYTES = 2 * MOST_BYTES
# With one second for the command's end, three at most: the restart waits meanwhile.
PRINTS_WITHIN_S = 2.0
# A command that follows the log has printed its end when it prints nothing for so long.
QUIET_S = 0.5
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class LogTail:
    """Where the log's last lines are kept, or why they are not.

    Attributes:
        path: the file that holds them; None where none was written.
        reason: why no file was written; empty where one was.
    """

    path: Path | None
    reason: str = ""

    def __str__(self) -> str:
        """Return one sentence for a message."""
        if self.path is None:
            return f"the end of the service's log is not kept: {self.reason}"
        return f"the end of the service's log, as it was before the restart, is kept in {self.path}"


def keep_log_tail(target: Target, folder: Path, *, clock: Clock, redact: Callable[[str], str]) -> LogTail:
    """Write the last lines of the target's log into a new file of mode 0600 below `folder`.

    At most 200 lines and 64 KiB of the file on this host, or of what the log command prints within two seconds;
    redacted, and with control characters escaped. Nothing is overwritten: ``log-before-restart-1.log``, ``-2.log``…
    Nothing is raised: a log that cannot be read does not delay a restart.

    Args:
        target: names `log_file` or `log_command`.
        folder: the rollout's folder; created where it is missing.
        clock: times the command, and dates the file.
        redact: takes secrets out of a text.
    """
    try:
        text = _printed(target, clock, redact) if target.log_command else _written(target)
        lines = _last(redact(text).rstrip("\n").split("\n"))
        if lines in ([], [""]):
            return LogTail(None, "it is empty")
        source = "the log command" if target.log_command else str(target.log_file)
        head = redact(f"# the last {len(lines)} lines of {source} at {format_utc(clock.now())}")
        return LogTail(_kept(folder, [show_controls(head, keep=""), *lines]))
    except (OSError, ValueError, RolloutError) as problem:
        why = getattr(problem, "strerror", None) or str(problem)
        return LogTail(None, redact(why))


def _written(target: Target) -> str:
    if target.log_file is None:
        raise RolloutError(f"target {target.name} names no log; set its log_file, or log_command")
    # O_NONBLOCK: opening a FIFO in the file's place must not wait for a writer.
    handle = os.open(target.log_file, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise RolloutError(f"{target.log_file} is no regular file; correct the target's log_file")
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - READ_BYTES))
        content = file.read(READ_BYTES)
    # A line whose beginning is missing may hold half a secret.
    complete = content if size <= READ_BYTES else content.partition(b"\n")[2]
    return complete.decode(errors="replace")


def _printed(target: Target, clock: Clock, redact: Callable[[str], str]) -> str:
    with closing(CommandFollower(target.log_command, clock, redact)) as follower:
        lines = list(_until_quiet(follower, clock))
    if not lines:
        raise RolloutError(f"the log command printed nothing within {PRINTS_WITHIN_S:g} s")
    return "\n".join(lines)


def _until_quiet(follower: CommandFollower, clock: Clock) -> Iterator[str]:
    end = clock.monotonic() + PRINTS_WITHIN_S
    quiet_from: float | None = None
    while (now := clock.monotonic()) < end and (quiet_from is None or now - quiet_from < QUIET_S):
        try:
            lines = follower.read()
        except LogCommandError:
            if quiet_from is None:
                raise
            return  # the command has printed the log's end, and ended
        yield from (line.text for line in lines)
        quiet_from = clock.monotonic() if lines else quiet_from
        clock.wait(POLL_S)


def _last(lines: Iterable[str]) -> list[str]:
    """Return the last lines, escaped: at most `MOST_LINES`, and at most `MOST_BYTES`."""
    kept = [show_controls(line.rstrip("\r"), keep="") for line in list(lines)[-MOST_LINES:]]
    while sum(len(line.encode()) + 1 for line in kept) > MOST_BYTES:
        del kept[0]
    return kept


def _kept(folder: Path, lines: Iterable[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        path = folder / NAME.format(number)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        return path
    raise AssertionError  # for the type checker: `count` has no end
