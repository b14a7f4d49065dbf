"""The command ``rollout sandbox``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rollout.core.clock import Clock, SystemClock
from rollout.core.errors import ExitCode
from rollout.sandbox.arguments import DIRECTORY
from rollout.sandbox.files import SETTINGS
from rollout.sandbox.process import find, refuse_second, remembered, start, stop
from rollout.sandbox.settings import InvalidSettings, SandboxSettings
from rollout.sandbox.state import SandboxFailed


def run(args: argparse.Namespace) -> int:
    """Run the gateway in the foreground until it is stopped, or do the action.

    Returns:
        The exit code: 0, or 4 if it cannot be started or stopped.
    """
    try:
        _refuse_impossible(args.port)
        if args.action:
            _print(_act(args, args.dir or DIRECTORY, SystemClock()) + "\n")
        else:
            _serve(args)
    except SandboxFailed as error:
        sys.stderr.write(f"rollout sandbox: {error}\n")
        return ExitCode.USAGE
    except OSError as error:
        sys.stderr.write(f"rollout sandbox: {error}; name another folder with --dir, or another port with --port\n")
        return ExitCode.USAGE
    return ExitCode.KEPT


def _act(args: argparse.Namespace, directory: Path, clock: Clock) -> str:
    """Do one of `ACTIONS`, wait until it is done, and return one line for the operator.

    Starting a running gateway and stopping a stopped one are no errors, as with other services.
    Raises SandboxFailed and OSError.
    """
    began = clock.monotonic()
    results = [] if args.action == "start" else [_stop(directory, clock)]
    results += [] if args.action == "stop" else [_start(args, directory, clock)]
    return f"{' and '.join(results)} in {clock.monotonic() - began:.2f} s"


def _stop(directory: Path, clock: Clock) -> str:
    last = remembered(directory).running
    if last is not None and stop(last, clock=clock):
        return f"stopped {last.url}"
    return f"nothing runs in {directory}"


def _start(args: argparse.Namespace, directory: Path, clock: Clock) -> str:
    """Start it; an option that is not given has the value of the last start in the same directory."""
    running = find(directory)
    options = (args.port, args.settings, args.users_per_s, args.idle_s, args.token_env)
    if running is not None and all(option is None for option in options):
        return f"{running.url} runs already"
    last = remembered(directory)
    kept = directory / SETTINGS
    started = start(
        directory,
        port=last.port if args.port is None else args.port,
        settings=_read_settings(args.settings or (kept if kept.exists() else None), args.users_per_s),
        idle_s=last.idle_s if args.idle_s is None else args.idle_s,
        token_env=args.token_env or last.token_env,
        clock=clock,
    )
    return f"started {started.url}"


def _read_settings(file: Path | None, users_per_s: float | None) -> SandboxSettings:
    """Read settings from a file, the defaults without one, with another rate of background users if one is given.

    Raises SandboxFailed and OSError.
    """
    try:
        settings = SandboxSettings.from_mapping(json.loads(file.read_bytes()) if file else {})
        if users_per_s is None:
            return settings
        # Read again, so that an invalid rate is refused like one in a file.
        return SandboxSettings.from_mapping(asdict(replace(settings, users_per_s=users_per_s)))
    except InvalidSettings as error:
        raise SandboxFailed(f"settings: {error}") from error
    except ValueError as error:
        raise SandboxFailed(f"{file} is no JSON: {error}") from error


def _serve(args: argparse.Namespace) -> None:
    # Loaded here, so that a scenario's settings are read without the server's libraries.
    from rollout.sandbox.server import Options, serve  # noqa: PLC0415

    directory = args.dir or Path(tempfile.mkdtemp(prefix="rollout-sandbox-"))
    refuse_second(directory)
    options = Options(
        directory=directory.absolute(),
        port=args.port or 0,
        settings=_read_settings(args.settings, args.users_per_s),
        idle_s=args.idle_s,
        token=_token(args.token_env),
        token_env=args.token_env,
        instance=args.instance,
    )
    with contextlib.suppress(KeyboardInterrupt):
        serve(options, _announce)


def _refuse_impossible(port: int | None) -> None:
    most = 65535
    if port is not None and not 0 <= port <= most:
        raise SandboxFailed(f"--port is {port}; it must be between 0 (a free one) and {most}.")


def _token(name: str | None) -> str | None:
    if name is None:
        return None
    token = os.environ.get(name)
    if not token:
        raise SandboxFailed(f"--token-env names {name}, which is not set. Export it, or leave the option out.")
    return token


def _announce(about: dict[str, Any]) -> None:
    url = about["url"]
    _print(
        f"gateway  {url}\n"
        f"staging  {about['twin_url']}\n"
        f"state    {about['dir']}\n"
        f"stop     Ctrl-C\n"
        f'faults   curl -X PUT {url}/sandbox/faults -d \'[{{"provider": "openai", "latency_ms": 400}}]\'\n'
        f"         curl -X DELETE {url}/sandbox/faults\n"
    )


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
