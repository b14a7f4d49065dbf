"""``rollout completion``: print the script that completes commands, options, files and directories in a shell."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import shtab

from rollout.cli.main import build_parser, emergency_command
from rollout.core.visible import beneath

_COMPLETERS: Mapping[str, Any] = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY, "SCENARIO|ROLLOUT-ID": shtab.FILE}
"""The name of a value in the help -> what a shell completes it with."""


def run(args: argparse.Namespace) -> int:
    """Print the script for the shell, and return 0."""
    parser = build_parser(emergency_command())
    for action in _actions(parser):
        completer = _COMPLETERS.get(str(action.metavar))
        if completer is not None:
            # The attribute that shtab reads; argparse has none for it.
            action.complete = completer  # type: ignore[attr-defined]
    # The script has no text from outside, and a shell must read it as it is.
    print(shtab.complete(parser, args.shell), file=beneath(sys.stdout))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of a parser and of the commands below it."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to them
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - likewise
            for command in action.choices.values():
                yield from _actions(command)
