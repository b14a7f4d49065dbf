"""Signals to the service's process, found by its pid file."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rollout.core.clock import NEVER, StopFlag
from rollout.core.errors import Interrupted
from rollout.core.writes import Signal
from rollout.gateway.host.commands import ServiceError
from rollout.gateway.host.replacement import read_file

_MOST_BYTES = 64
_PID = re.compile(rb"\s*([0-9]{1,10})\s*")
# A pid file is written after its process starts. The clocks of process and file differ by less.
_SLACK_S = 2.0
_START_FIELD = 19
"""The start in ``/proc/PID/stat``, counted behind the process's name, in clock ticks since the machine's start."""


@dataclass(frozen=True, slots=True)
class _PidFile:
    """A pid file as it is read.

    Attributes:
        pid: the process id that it holds.
        owner: its owner's user id.
        written_at: its modification, in seconds since the epoch.
    """

    pid: int
    owner: int
    written_at: float


def send_signal(write: Signal, *, stop: StopFlag = NEVER) -> int:
    """Send a signal to the process of a pid file, and return the process's id.

    Where the system shows it (Linux), the process must have started before its pid file was written: another one may
    have the number of one that has ended. The pid file must belong to the process's user or to root.

    Raises:
        ServiceError: the signal has no such name; the pid file is not there, cannot be read or holds no process id;
            no such process runs, or another one; it is this process or the machine's first; or it may not be signalled.
        Interrupted: `stop` was set; nothing was sent.
    """
    number = _number(write.name)
    pid_file = _read_pid_file(write)
    if stop:
        raise Interrupted(f"{write.name}: not sent, {stop.reason}")
    try:
        with _opened(pid_file.pid) as handle:
            _refuse_other_process(write, pid_file)
            if handle is None:
                os.kill(pid_file.pid, number)
            else:
                signal.pidfd_send_signal(handle, number)
    except (ProcessLookupError, OverflowError):
        raise _stale(write, f"no process {pid_file.pid} runs") from None
    except PermissionError:
        raise ServiceError(
            f"{write.name}: process {pid_file.pid} of {write.pid_file} may not be signalled by this user; run as its "
            "user, or as root"
        ) from None
    except OSError as problem:  # a thread's number, for one
        raise _stale(write, f"{pid_file.pid} is no process to be signalled ({problem.strerror})") from None
    return pid_file.pid


def _number(name: str) -> signal.Signals:
    try:
        return signal.Signals[name]
    except KeyError:
        raise ServiceError(f"{name!r} is no signal of this system; name one such as SIGHUP") from None


def _read_pid_file(write: Signal) -> _PidFile:
    try:
        state = write.pid_file.stat()
        content = read_file(write.pid_file, _MOST_BYTES)
    except FileNotFoundError:
        raise ServiceError(
            f"{write.name}: there is no pid file {write.pid_file}; does the service run? Otherwise correct its path in "
            "the target"
        ) from None
    except (OSError, RuntimeError) as problem:
        why = getattr(problem, "strerror", None) or str(problem)
        raise ServiceError(
            f"{write.name}: the pid file {write.pid_file} cannot be read ({why}); correct its path in the target, or "
            "run as a user who may read it"
        ) from None
    found = _PID.fullmatch(content)
    if found is None:
        raise ServiceError(
            f"{write.name}: {write.pid_file} holds no process id; correct the path of the pid file in the target"
        )
    pid = int(found[1])
    if pid <= 1 or pid == os.getpid():
        which = "this process" if pid == os.getpid() else "no process of a service"
        raise ServiceError(
            f"{write.name}: {write.pid_file} holds {pid}, which is {which}; correct the path of the pid file"
        )
    return _PidFile(pid, state.st_uid, state.st_mtime)


@contextlib.contextmanager
def _opened(pid: int) -> Iterator[int | None]:
    """Yield a handle of the process, so that no other one can take its number; None where the system has none."""
    if not hasattr(os, "pidfd_open"):
        yield None
        return
    handle = os.pidfd_open(pid)
    try:
        yield handle
    finally:
        os.close(handle)


def _refuse_other_process(write: Signal, pid_file: _PidFile) -> None:
    folder = Path("/proc") / str(pid_file.pid)
    try:
        fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        users = re.search(r"^Uid:\s+(\d+)\s+(\d+)", (folder / "status").read_text(errors="replace"), re.MULTILINE)
    except FileNotFoundError:
        return  # no /proc, or the process has just ended: sending says so
    if fields[0] in ("Z", "X"):
        raise _stale(write, f"process {pid_file.pid} has ended")
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[_START_FIELD]) / os.sysconf("SC_CLK_TCK")
    if time.time() - age_s > pid_file.written_at + _SLACK_S:
        raise _stale(write, f"process {pid_file.pid} started after the file was written, and is another one")
    if users is not None and str(pid_file.owner) not in (users[1], users[2], "0"):
        raise ServiceError(
            f"{write.name}: {write.pid_file} belongs to user {pid_file.owner}, and process {pid_file.pid} to user "
            f"{users[2]}; a pid file belongs to its process's user or to root: correct its owner, or its path"
        )


def _stale(write: Signal, why: str) -> ServiceError:
    return ServiceError(
        f"{write.name}: the pid file {write.pid_file} is stale: {why}; start the service, or correct the path of its "
        "pid file in the target"
    )
