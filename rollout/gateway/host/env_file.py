"""The service's `.env` file where it is: on this host, or behind the target's commands (APP-2.1, RBK-3.1)."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from rollout.core.clock import NEVER, Clock, StopFlag
from rollout.core.errors import Interrupted
from rollout.core.target import Target
from rollout.gateway.host.commands import ServiceError, exchange
from rollout.gateway.host.env_text import EnvFileError
from rollout.gateway.host.replacement import NoRegularFile, replace_file


class EnvFile:
    """Reads and replaces the complete file. Its content passes through files and pipes, never through arguments."""

    def __init__(self, target: Target, *, clock: Clock, stop: StopFlag = NEVER, redact: Callable[[str], str]) -> None:
        """Prepare; nothing is read yet.

        Args:
            target: its `service.read` and `service.write`, else its `env_file`.
            clock: times the commands.
            stop: ends a read at once; it prevents a write, and never interrupts one.
            redact: takes secrets out of a failing command's output.
        """
        service = target.service
        self._reading, self._writing = (service.read, service.write) if service else ((), ())
        self._timeout_s = service.timeout_s if service else 0.0
        self._where = f"target {target.name}" if self._reading else str(target.env_file)
        self._target = target
        self._clock = clock
        self._stop = stop
        self._redact = redact

    @property
    def path(self) -> Path | None:
        """Where the file is on this host; None where it is behind commands."""
        return None if self._reading else self._target.env_file

    def read(self) -> bytes:
        """Return the file's bytes.

        Raises:
            EnvFileError: the target names no place of the file, or the file cannot be read.
            Interrupted: `stop` was set.
        """
        return self._read(self._stop)

    def write(self, content: bytes) -> None:
        """Replace the file, and read it back.

        On this host it is atomic, and keeps mode, owner and extended attributes; a symbolic link is followed.

        Raises:
            EnvFileError: the file cannot be written, or does not read back equal.
            Interrupted: `stop` was set before anything was written.
        """
        if self._stop:
            raise Interrupted(f"the .env file was not written, {self._stop.reason}")
        if bool(self._reading) != bool(self._writing):
            raise EnvFileError(
                f"target {self._target.name}: service.read and service.write belong together, and only one is given; "
                "nothing was written"
            )
        if self._writing:
            # Not interrupted: half a file is worse than the old or the new one.
            self._exchanged("written", self._writing, content, NEVER)
        else:
            _replace(self._local(), content)
        if self._read(NEVER) != content:
            raise EnvFileError(
                f"{self._where}: the .env file does not read back equal; is another process writing it, or "
                "do service.read and service.write mean different files?"
            )

    def _local(self) -> Path:
        if self._target.env_file is None:
            raise EnvFileError(
                f"target {self._target.name} does not say where the .env file is; set its env_file, or service.read "
                "and service.write"
            )
        return self._target.env_file

    def _read(self, stop: StopFlag) -> bytes:
        if self._reading:
            return self._exchanged("read", self._reading, b"", stop)
        path = self._local()
        try:
            return path.read_bytes()
        except OSError as problem:
            raise EnvFileError(
                f"{path}: the .env file cannot be read ({problem.strerror}); correct the target's env_file, or run as "
                "a user who may read it"
            ) from None

    def _exchanged(self, doing: str, command: tuple[str, ...], content: bytes, stop: StopFlag) -> bytes:
        try:
            return exchange(
                command, content, timeout_s=self._timeout_s, clock=self._clock, stop=stop, redact=self._redact
            )
        except ServiceError as problem:
            raise EnvFileError(f"the .env file could not be {doing}: {problem}") from problem


def _replace(path: Path, content: bytes) -> None:
    try:
        replace_file(path, content)
    except NoRegularFile:
        raise EnvFileError(f"{path}: it is no regular file; correct the target's env_file") from None
    except (OSError, RuntimeError) as problem:  # a loop of symbolic links is a RuntimeError before Python 3.13
        why = getattr(problem, "strerror", None) or str(problem)
        raise EnvFileError(f"{path}: the .env file cannot be written ({why}); {_remedy(problem)}") from None


def _remedy(problem: Exception) -> str:
    match problem:
        case OSError(errno=errno.EPERM | errno.EACCES):
            return "its owner must be kept: run as its owner, or set the target's service.read and service.write"
        case OSError(errno=errno.EBUSY):
            return "it is mounted by itself, and cannot be replaced: set the target's service.read and service.write"
    return "nothing was changed"
