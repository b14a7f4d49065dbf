"""The embedded gateway as a background process: started, found again by any other process, and stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rollout.core.clock import Clock, SystemClock
from rollout.sandbox import own_http
from rollout.sandbox.files import OWNER_ONLY, RECORD, SETTINGS, write_private
from rollout.sandbox.settings import SandboxSettings
from rollout.sandbox.state import SandboxFailed

_POLL_S = 0.02
_ENDS_WITHIN_S = 5.0
_PROGRAM = (sys.executable, "-m", "rollout.sandbox")
_OUTPUT = "sandbox.out"

# An ended child stays a zombie until its parent polls it; the kept handle also prevents a ResourceWarning.
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class Running:
    """A running sandbox.

    Attributes:
        url: base URL of the gateway's API, without a trailing slash.
        pid: its process.
        instance: the id of this process; another process may get its pid or port later.
        directory: where its state is.
    """

    url: str
    pid: int
    instance: str
    directory: Path

    @property
    def staging_url(self) -> str:
        """Return the base URL of the staging gateway's API."""
        return f"{self.url}/twin"

    @property
    def env_file(self) -> Path:
        """Return the gateway's `.env` file."""
        return self.directory / ".env"

    @property
    def log_file(self) -> Path:
        """Return the gateway's log."""
        return self.directory / "logs" / "backend.log"


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a directory holds about the sandbox that ran there last.

    Attributes:
        running: its URL and process, which may have ended; None where none ran, or its record cannot be read.
        idle_s: the idle seconds after which it ends.
        token_env: the environment variable with its token.
        in_flight: whether a change was in flight.
    """

    running: Running | None = None
    idle_s: float | None = None
    token_env: str | None = None
    in_flight: bool = False

    @property
    def port(self) -> int:
        """Return its port; 0, a free one, where none ran."""
        return urlsplit(self.running.url).port or 0 if self.running else 0


def remembered(directory: Path) -> Remembered:
    """Return what the directory holds about the last sandbox."""
    try:
        record = json.loads((directory / RECORD).read_bytes())
        running = Running(str(record["url"]), int(record["pid"]), str(record["instance"]), directory.absolute())
        return Remembered(running, record.get("idle_s"), record.get("token_env"), bool(record.get("in_flight")))
    except (OSError, ValueError, TypeError, KeyError):
        return Remembered()


def service_command(action: str, directory: Path) -> list[str]:
    """Return the command that does ``start``, ``stop`` or ``restart`` in a directory, as an argument list."""
    return [*_PROGRAM, action, "--dir", str(directory)]


def start(
    directory: Path,
    *,
    port: int = 0,
    settings: SandboxSettings | None = None,
    idle_s: float | None = None,
    token_env: str | None = None,
    timeout_s: float = 20.0,
    clock: Clock | None = None,
) -> Running:
    """Start a sandbox that continues after this process ends, and return it when it answers.

    State in `directory` is used; `token_env` names the environment variable with the bearer token.
    Raises SandboxFailed with the reason where it does not start, or where one runs in this directory already.
    """
    clock = clock or SystemClock()
    directory = directory.absolute()
    refuse_second(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=OWNER_ONLY)
    except OSError as error:
        raise SandboxFailed(f"{directory} cannot be made ({error.strerror}). Name another folder.") from None
    instance = uuid.uuid4().hex
    write_private(directory / SETTINGS, json.dumps(asdict(settings or SandboxSettings()), indent=1).encode())
    with (directory / _OUTPUT).open("wb") as output:
        # A file, not this process's output: a reader of that must not wait for the sandbox to end.
        child = subprocess.Popen(  # noqa: S603 - an argument list that is built here
            _command(directory, port, instance, idle_s, token_env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _CHILDREN[child.pid] = child
    until = clock.monotonic() + timeout_s
    while clock.monotonic() < until and child.poll() is None:
        running = find(directory)
        if running and running.instance == instance:
            return running
        clock.wait(_POLL_S)
    return _not_started(child, directory, timeout_s)


def find(directory: Path) -> Running | None:
    """Return the sandbox that runs in this directory and answers, None if there is none."""
    last = remembered(directory).running
    return last if last and _about(last) else None


def refuse_second(directory: Path) -> None:
    """Raise SandboxFailed if a sandbox runs in this directory already: two would overwrite each other's state."""
    already = find(directory)
    if already:
        raise SandboxFailed(f"a sandbox runs in {directory} already, at {already.url}. Stop it, or use another --dir.")


def stop(running: Running, *, clock: Clock | None = None) -> bool:
    """Stop a sandbox and wait for its end; return False where it had ended already.

    It sends a stop request first, then signals, and only to this instance. Raises SandboxFailed if it does not end.
    """
    clock = clock or SystemClock()
    if not _is_running_instance(running):
        return False
    if _about(running) is not None and own_http.call(running.url, "POST", "/sandbox/stop") and _ended(running, clock):
        return True
    for number in (signal.SIGTERM, signal.SIGKILL):
        if _is_running_instance(running):
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.pid, number)
        if _ended(running, clock):
            return True
    raise SandboxFailed(f"the sandbox at {running.url} (process {running.pid}) does not end; end it by hand.")


def _command(directory: Path, port: int, instance: str, idle_s: float | None, token_env: str | None) -> list[str]:
    return [
        *(*_PROGRAM, "--dir", str(directory), "--port", str(port)),
        *("--settings", str(directory / SETTINGS), "--instance", instance),
        *([] if idle_s is None else ["--idle-s", str(idle_s)]),
        *(["--token-env", token_env] if token_env else []),
    ]


def _not_started(child: subprocess.Popen[bytes], directory: Path, timeout_s: float) -> Running:
    if child.poll() is None:
        child.kill()
        child.wait()
        raise SandboxFailed(f"the sandbox in {directory} does not answer within {timeout_s:g} s; see {_OUTPUT} there.")
    lines = (directory / _OUTPUT).read_text(errors="replace").strip().splitlines()
    raise SandboxFailed(
        lines[-1].removeprefix("rollout sandbox: ")
        if lines
        else f"the sandbox in {directory} ended at once, with {child.returncode}."
    )


def _about(running: Running) -> dict[str, Any] | None:
    about = own_http.call(running.url, "GET", "/sandbox/about")
    return about if about and about.get("instance") == running.instance else None


def _ended(running: Running, clock: Clock) -> bool:
    until = clock.monotonic() + _ENDS_WITHIN_S
    while clock.monotonic() < until:
        if not _is_running_instance(running):
            return True
        clock.wait(_POLL_S)
    return False


def _is_running_instance(running: Running) -> bool:
    """Return whether the process is alive and is this sandbox: its pid may belong to another process by now."""
    child = _CHILDREN.get(running.pid)
    if child is not None:
        return child.poll() is None
    # Another parent's zombie has no arguments. A sandbox that an operator started has no instance in them, but answers.
    return running.instance in _arguments(running.pid) or _about(running) is not None


def _arguments(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        pass
    if Path("/proc/self").exists():
        return ""
    return subprocess.run(  # noqa: S603 - an argument list that is built here
        ["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
