"""Commands and their options as data, and the options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path
from typing import Any

from rollout.core.command_line import Parser

Option = Callable[[Any], object]
"""Adds an option, or several, to a parser or a group of one."""


def option(*names: str, **settings: Any) -> Option:
    """Return an option with the arguments of `argparse.ArgumentParser.add_argument`."""
    return methodcaller("add_argument", *names, **settings)


def one_of(*options: Option, required: bool = False) -> Option:
    """Return options that exclude each other."""

    def add(parser: Any) -> None:
        group = parser.add_mutually_exclusive_group(required=required)
        for each in options:
            each(group)

    return add


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        name: as it is typed.
        module: the module whose function `run` gets the arguments and returns the exit code.
        text: what it does, for the list of the commands.
        options: its options, in the order of its help.
        description: a text for its own help; empty for the sentence that `text` makes.
    """

    name: str
    module: str
    text: str
    options: tuple[Option, ...]
    description: str = ""

    def add_to(self, commands: argparse._SubParsersAction[Parser]) -> None:
        """Add its parser to those of the other commands."""
        sentence = f"{self.text[0].upper()}{self.text[1:]}."
        parser = commands.add_parser(self.name, help=self.text, description=self.description or sentence)
        for add in self.options:
            add(parser)
        parser.set_defaults(module=self.module)


OPEN = "open"
"""The value of ``--decision`` besides the decisions: a rollout that has none yet."""

JOURNAL = (
    option("--reports", metavar="DIR", type=Path, help="where evidence is (default: reports)"),
    option("--journal", metavar="URL", help="where the state lives (default: REPORTS/journal.sqlite)"),
)
ROLLOUT_ID = option("id", nargs="?", help="the rollout's id (default: the only one in flight)")
ACTIVATE = option("--activate", metavar="PROVIDER:MODEL", help="a scenario from the command line")
WHERE = (
    option("--target", metavar="NAME", help="where; overrides the scenario's"),
    option("--gateway", metavar="URL", help="a base URL in place of the target's"),
    option("--policy", metavar="FILE", type=Path, help="default: policy.yaml beside the scenario"),
)
SCENARIO = (
    option("--scenario", metavar="FILE", type=Path, help="default: scenarios/quickstart.yaml"),
    ACTIVATE,
    *WHERE,
)
"""The options that name a scenario, its target and its policy."""
