"""The `rollout` command: everything that is not a check. Heavy imports wait until a command needs them."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.cli.options import JOURNAL, Command
from rollout.config.project import Project, default_project, read_project
from rollout.core.command_line import Parser
from rollout.core.errors import ExitCode, InvalidInput, RolloutError
from rollout.core.visible import beneath, seen_through

if TYPE_CHECKING:
    from rollout.core.redaction import Redactor

EMERGENCY = Command(
    "emergency", "rollout.cli.emergency", "go to the target's safe provider at once, without prechecks (EMG)", JOURNAL
)


COLLECT_AFTER = 20_000
"""How many new objects the garbage collector waits for.

With 700, Python's default, it begins 90 times while `rollout status` loads, and finds nothing.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; a user's mistake is one line, never a traceback.

    Args:
        argv: the arguments; the process's own by default, and then the process is this command's alone.
    """
    if argv is None:
        # What a command imports stays: an eighth of `rollout status` is a search for garbage among it.
        gc.set_threshold(COLLECT_AFTER)
    words = sys.argv[1:] if argv is None else list(argv)
    is_emergency = words[:1] == [EMERGENCY.name]
    # An emergency does not wait for what the other commands load.
    args = (_emergency_parser() if is_emergency else build_parser()).parse_args(words)
    # The output holds text of gateways, services and people: no control sequence of it reaches the terminal.
    through = str if is_emergency else _hiding()
    sys.stdout, sys.stderr = seen_through(sys.stdout, through), seen_through(sys.stderr, through)
    try:
        if hasattr(args, "reports"):
            _fill_places(args, _project(is_emergency=is_emergency))
        return int(import_module(args.module).run(args))
    except RolloutError as error:
        print(f"rollout: {_without_secrets(str(error))}", file=sys.stderr)
        return ExitCode.USAGE
    except BrokenPipeError:
        # The reader has closed the pipe (`| head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        sys.stdout, sys.stderr = beneath(sys.stdout), beneath(sys.stderr)


def _project(*, is_emergency: bool) -> Project:
    """Return the project of the current directory. Raises InvalidInput; an emergency goes on without its file."""
    here = Path.cwd()
    try:
        return read_project(here)
    except InvalidInput as error:
        if not is_emergency:
            raise
        print(f"rollout: {error}; the default places are used", file=sys.stderr)
        return default_project(here)


def _fill_places(args: argparse.Namespace, project: Project) -> None:
    """Add where things are: what an option names, otherwise what the project says."""
    args.reports = (args.reports or project.reports).absolute()
    args.journal = args.journal or project.journal
    args.scenarios = project.scenarios
    args.targets = getattr(args, "targets", None) or project.targets
    args.policy = getattr(args, "policy", None) or project.policy


def _without_secrets(text: str) -> str:
    from rollout.core.redaction import knowing  # noqa: PLC0415 - an emergency does without

    return knowing(os.environ).text(text)


def _hiding() -> Callable[[str], str]:
    """Return the filter that removes the environment's secrets from a command's output, loaded at the first print.

    Their values only: what is printed may be JSON, in which the number of a token is one.
    """

    @cache
    def redactor() -> Redactor:
        from rollout.core.redaction import knowing  # noqa: PLC0415 - an emergency does without

        return knowing(os.environ)

    def through(text: str) -> str:
        return redactor().known(text)

    return through


class _ShowVersion(argparse.Action):
    """Print the installed version; reading it is left to the call, for every other command would wait for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print, and exit with 0."""
        from importlib.metadata import version  # noqa: PLC0415 - see above

        print(f"rollout {version('rollout')}")
        parser.exit()


def build_parser(emergency: Command = EMERGENCY) -> Parser:
    """Return the parser of every command; the modules of the commands are imported when they are called.

    Args:
        emergency: the command ``emergency``; its own options are left out by default, for an emergency has a parser of
            its own.
    """
    from rollout.cli.commands import COMMANDS  # noqa: PLC0415 - an emergency does without

    parser = Parser(
        prog="rollout",
        description="Show, stop or roll back a rollout, or run the embedded gateway. A rollout itself is `pytest`.",
        epilog="exit codes: 0 done, 4 usage or input, 10 rolled back and verified, 11 a person is needed",
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (emergency, *COMMANDS):
        command.add_to(commands)
    return parser


def _emergency_parser() -> Parser:
    parser = Parser(prog="rollout", description="In an emergency.")
    emergency_command().add_to(parser.add_subparsers(required=True))
    return parser


def emergency_command() -> Command:
    """Return the command ``emergency`` with all of its options."""
    from rollout.engine.emergency_order import add_arguments  # noqa: PLC0415 - this command's own

    return replace(EMERGENCY, options=(*JOURNAL, add_arguments))
