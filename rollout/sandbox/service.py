"""The embedded gateway as a service: ``rollout sandbox start|stop|restart``."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from rollout.core.clock import Clock
from rollout.sandbox.files import SETTINGS
from rollout.sandbox.process import find, remembered, start, stop
from rollout.sandbox.settings import InvalidSettings, SandboxSettings
from rollout.sandbox.state import SandboxFailed

ACTIONS = ("start", "stop", "restart")
DIRECTORY = Path("reports") / "sandbox" / "service"
"""Where its state is by default."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of a start; None takes the value of the last start in the same directory.

    Attributes:
        port: the port on 127.0.0.1; 0 takes a free one.
        settings: the file with its settings.
        users_per_s: requests of background users per second, in place of the settings'.
        idle_s: seconds without a request after which it ends.
        token_env: the environment variable with its token.
    """

    port: int | None = None
    settings: Path | None = None
    users_per_s: float | None = None
    idle_s: float | None = None
    token_env: str | None = None


def act(action: str, directory: Path, wanted: Wanted, clock: Clock) -> str:
    """Do one of `ACTIONS`, wait until it is done, and return one line for the operator.

    Starting a running gateway and stopping a stopped one are no errors, as with other services.
    Raises SandboxFailed and OSError.
    """
    began = clock.monotonic()
    results = [] if action == "start" else [_stop(directory, clock)]
    results += [] if action == "stop" else [_start(directory, wanted, clock)]
    return f"{' and '.join(results)} in {clock.monotonic() - began:.2f} s"


def settings_in(file: Path) -> SandboxSettings:
    """Read settings from a file. Raises SandboxFailed and OSError."""
    try:
        return SandboxSettings.from_mapping(json.loads(file.read_bytes()))
    except InvalidSettings as error:
        raise SandboxFailed(f"settings: {error}") from error
    except ValueError as error:
        raise SandboxFailed(f"{file} is no JSON: {error}") from error


def with_users(settings: SandboxSettings, users_per_s: float | None) -> SandboxSettings:
    """Return the settings with another rate of background users. Raises SandboxFailed."""
    if users_per_s is None:
        return settings
    try:
        # Read again, so that an invalid rate is refused like one in a file.
        return SandboxSettings.from_mapping(replace(settings, users_per_s=users_per_s).to_mapping())
    except InvalidSettings as error:
        raise SandboxFailed(f"settings: {error}") from error


def _stop(directory: Path, clock: Clock) -> str:
    last = remembered(directory).running
    if last is not None and stop(last, clock=clock):
        return f"stopped {last.url}"
    return f"nothing runs in {directory}"


def _start(directory: Path, wanted: Wanted, clock: Clock) -> str:
    running = find(directory)
    if running is not None and wanted == Wanted():
        return f"{running.url} runs already"
    last = remembered(directory)
    kept = directory / SETTINGS
    file = wanted.settings or (kept if kept.exists() else None)
    started = start(
        directory,
        port=last.port if wanted.port is None else wanted.port,
        settings=with_users(settings_in(file) if file else SandboxSettings(), wanted.users_per_s),
        idle_s=last.idle_s if wanted.idle_s is None else wanted.idle_s,
        token_env=wanted.token_env or last.token_env,
        clock=clock,
    )
    return f"started {started.url}"
