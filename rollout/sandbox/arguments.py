"""The options of ``rollout sandbox``; what the command loads waits until it is called."""

from __future__ import annotations

import argparse
from pathlib import Path

ACTIONS = ("start", "stop", "restart")
DIRECTORY = Path("reports") / "sandbox" / "service"
"""Where the state of a service is by default."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser, that of `rollout sandbox` or of ``python -m rollout.sandbox``."""
    parser.add_argument(
        "action",
        nargs="?",
        choices=ACTIONS,
        help="run it in the background, with what it was started with before (default: in the foreground)",
    )
    parser.add_argument("--port", type=int, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument(
        "--dir",
        metavar="DIR",
        type=Path,
        help=f"directory of its state, kept (default: a temporary one; of a service {DIRECTORY})",
    )
    parser.add_argument("--users-per-s", type=float, help="requests of background users per second (default: 20)")
    parser.add_argument("--token-env", metavar="NAME", help="environment variable with a bearer token to ask for")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="settings as JSON, for programs")
    parser.add_argument("--idle-s", type=float, help="end after so many seconds without an API request")
    parser.add_argument("--instance", default="", help=argparse.SUPPRESS)
