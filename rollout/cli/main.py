"""The `rollout` command: everything that is not a check. Heavy imports wait until a command needs them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rollout.cli import emergency, journal_options
from rollout.core.command_line import Parser
from rollout.core.errors import ExitCode, RolloutError
from rollout.core.visible import beneath, seen_through

if TYPE_CHECKING:
    from rollout.core.redaction import Redactor
    from rollout.journal.journal import Journal

    Commands = argparse._SubParsersAction[Parser]  # noqa: SLF001 - argparse gives it no other name

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; a user's mistake is one line, never a traceback.

    Args:
        argv: the arguments; the process's own by default.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    # An emergency does not wait for what the other commands load.
    args = (_emergency_parser() if words[:1] == ["emergency"] else _parser()).parse_args(words)
    command: Command = args.command
    # The output holds text of gateways, services and people: no control sequence of it reaches the terminal.
    through = str if words[:1] == ["emergency"] else _hiding()
    sys.stdout, sys.stderr = seen_through(sys.stdout, through), seen_through(sys.stderr, through)
    try:
        return command(args)
    except RolloutError as error:
        print(f"rollout: {_without_secrets(str(error))}", file=sys.stderr)
        return ExitCode.USAGE
    except BrokenPipeError:
        # The reader has closed the pipe (`| head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        sys.stdout, sys.stderr = beneath(sys.stdout), beneath(sys.stderr)


def _without_secrets(text: str) -> str:
    from rollout.core.redaction import knowing  # noqa: PLC0415 - an emergency does without

    return knowing(os.environ).text(text)


def _hiding() -> Callable[[str], str]:
    """Return the filter that removes the environment's secrets from a command's output, loaded at the first print.

    Their values only: what is printed may be JSON, in which the number of a token is one.
    """
    known: list[Redactor] = []

    def through(text: str) -> str:
        from rollout.core.redaction import knowing  # noqa: PLC0415 - an emergency does without

        if not known:
            known.append(knowing(os.environ))
        return known[0].known(text)

    return through


class _ShowVersion(argparse.Action):
    """Print the installed version; reading it is left to the call, for every other command would wait for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print, and exit with 0."""
        from importlib.metadata import version  # noqa: PLC0415 - see above

        print(f"rollout {version('rollout')}")
        parser.exit()


def _parser() -> Parser:
    parser = Parser(
        prog="rollout",
        description="Show, stop or roll back a rollout, or run the embedded gateway. A rollout itself is `pytest`.",
        epilog="exit codes: 0 done, 4 usage or input, 10 rolled back and verified, 11 a person is needed",
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_rollout_commands(commands)
    _add_record_commands(commands)
    return parser


def _add_rollout_commands(commands: Commands) -> None:
    """Add the commands that prepare a rollout, show what is in flight, or end it."""
    from rollout.cli import recover, rollback, status  # noqa: PLC0415 - an emergency does without
    from rollout.cli import scenario_options as scenario  # noqa: PLC0415
    from rollout.cli.doctor import command as doctor  # noqa: PLC0415
    from rollout.cli.drill import command as drill  # noqa: PLC0415
    from rollout.sandbox import command as sandbox  # noqa: PLC0415

    _add(commands, "emergency", emergency.run, emergency.HELP)
    gateway = commands.add_parser("sandbox", help="run the embedded gateway", description=sandbox.__doc__)
    sandbox.add_arguments(gateway)
    gateway.set_defaults(command=sandbox.run)
    status.add_arguments(
        _add(commands, "status", status.run, "show the rollouts in flight, and what is owed to closed ones")
    )
    rollback.add_arguments(_add(commands, "rollback", rollback.run, "roll a rollout back, kept or in flight"))
    _add(commands, "recover", recover.run, "roll back what was left in flight by runs that are gone")
    scenario.add_arguments(
        _add(commands, "plan", _plan, "show what apply would execute, and what the rollback would; nothing is done")
    )
    drill.add_arguments(
        _add(commands, "drill", drill.run, "inject each trigger's breach, and show whether it fires and how soon")
    )
    doctor.add_arguments(
        _add(commands, "doctor", doctor.run, "examine a gateway, reading only, and write a target file to start from")
    )


def _add_record_commands(commands: Commands) -> None:
    """Add the commands that read or extend the record of a rollout."""
    from rollout.audit import command as audit  # noqa: PLC0415 - an emergency does without
    from rollout.cli import abort, approve, hold, prune, report  # noqa: PLC0415

    report.add_arguments(_add(commands, "report", report.run, "build report.html, also of a run that was killed"))
    approve.add_arguments(_add(commands, "approve", approve.run, "approve a scenario, or a rollout after the fact"))
    audit.add_arguments(
        _add(
            commands,
            "verify-journal",
            _with_journal(audit.run),
            "check that the record is as it was written, and that it follows",
        )
    )
    prune.add_arguments(
        _add(
            commands,
            "prune",
            _with_journal(prune.run),
            "archive the folders of old rollouts, and remove them; the journal stays",
        )
    )
    abort.add_arguments(_add(commands, "abort", abort.run, "ask a rollout that is being watched to roll back (MON-5)"))
    hold.add_arguments(
        _add(
            commands, "hold", hold.run, "hold the automatic rollback of a rollout that is being watched, or release it"
        )
    )


def _emergency_parser() -> Parser:
    from rollout.engine.emergency_order import add_arguments  # noqa: PLC0415 - this command's own

    parser = Parser(prog="rollout", description="In an emergency.")
    add_arguments(_add(parser.add_subparsers(required=True), "emergency", emergency.run, emergency.HELP))
    return parser


def _add(commands: Commands, name: str, command: Command, text: str) -> Parser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    journal_options.add_arguments(parser)
    parser.set_defaults(command=command)
    return parser


def _with_journal(command: Callable[[argparse.Namespace, Journal], int]) -> Command:
    def run(args: argparse.Namespace) -> int:
        with journal_options.open_journal(args) as journal:
            return command(args, journal)

    return run


def _plan(args: argparse.Namespace) -> int:
    from rollout.cli import plan  # noqa: PLC0415 - heavy

    return plan.run(args)
