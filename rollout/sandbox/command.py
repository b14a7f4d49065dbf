"""The command ``rollout sandbox``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from rollout.errors import ExitCode
from rollout.sandbox.process import refuse_second
from rollout.sandbox.settings import InvalidSettings, SandboxSettings
from rollout.sandbox.state import SandboxFailed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser, that of `rollout sandbox` or of ``python -m rollout.sandbox``."""
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--dir", type=Path, help="directory of its state, kept (default: a fresh temporary one)")
    parser.add_argument("--users-per-s", type=float, help="requests of background users per second (default: 20)")
    parser.add_argument("--token-env", metavar="NAME", help="environment variable with a bearer token to ask for")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="settings as JSON, for programs")
    parser.add_argument("--idle-s", type=float, help="end after so many seconds without an API request")
    parser.add_argument("--instance", default="", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Run the gateway in the foreground until it is stopped, and return the exit code: 0, or 4 if it cannot start."""
    # Loaded here: a scenario's settings are read without the server's libraries.
    from rollout.sandbox.server import Options, serve  # noqa: PLC0415

    try:
        directory = args.dir or Path(tempfile.mkdtemp(prefix="rollout-sandbox-"))
        refuse_second(directory)
        options = Options(
            directory=directory.absolute(),
            port=_port(args.port),
            settings=_settings(args.settings, args.users_per_s),
            idle_s=args.idle_s,
            token=_token(args.token_env),
            instance=args.instance,
        )
        with contextlib.suppress(KeyboardInterrupt):
            serve(options, _announce)
    except (SandboxFailed, OSError) as error:
        sys.stderr.write(f"rollout sandbox: {error}\n")
        return ExitCode.USAGE
    return ExitCode.KEPT


def _port(port: int) -> int:
    most = 65535
    if 0 <= port <= most:
        return port
    raise SandboxFailed(f"--port is {port}; it must be between 0 (a free one) and {most}.")


def _settings(file: Path | None, users_per_s: float | None) -> SandboxSettings:
    try:
        settings = SandboxSettings.from_mapping(json.loads(file.read_bytes()) if file else {})
        if users_per_s is None:
            return settings
        # Read back, so that an impossible rate is refused like one in a file.
        return SandboxSettings.from_mapping(replace(settings, users_per_s=users_per_s).to_mapping())
    except InvalidSettings as error:
        raise SandboxFailed(f"settings: {error}") from error
    except ValueError as error:
        raise SandboxFailed(f"{file} is no JSON: {error}") from error


def _token(name: str | None) -> str | None:
    if name is None:
        return None
    token = os.environ.get(name)
    if not token:
        raise SandboxFailed(f"--token-env names {name}, which is not set. Export it, or leave the option out.")
    return token


def _announce(about: dict[str, Any]) -> None:
    url = about["url"]
    sys.stdout.write(
        f"gateway  {url}\n"
        f"twin     {about['twin_url']}  (non-production)\n"
        f"state    {about['dir']}\n"
        f"stop     Ctrl-C\n"
        f'faults   curl -X PUT {url}/sandbox/faults -d \'[{{"provider": "openai", "latency_ms": 400}}]\'\n'
        f"         curl -X DELETE {url}/sandbox/faults\n"
    )
    sys.stdout.flush()
