"""Usage errors of the command line: exit code 4, as pytest's, and the word that was probably meant."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from rollout.core.errors import ExitCode

_CREDENTIALS = re.compile(r"//[^/\s]*@")


class Parser(argparse.ArgumentParser):
    """A parser whose refusals exit with `ExitCode.USAGE`: argparse's own 2 is that of an interrupted run."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, without a URL's credentials, and exit with 4."""
        self.print_usage(sys.stderr)
        self.exit(ExitCode.USAGE, f"{self.prog}: error: {_CREDENTIALS.sub('//***@', message)}\n")

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:  # type: ignore[override]
        """Return the arguments, none of which is left over: a command refuses what it does not know by itself."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            # The name alone: a value may be a secret.
            word = rest[0].partition("=")[0]
            options = [option for action in self._actions for option in action.option_strings]
            self.error(f"unrecognized argument {word}{_meant(word, options)}; see {self.prog} --help")
        return found, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = list(map(str, action.choices))
            raise argparse.ArgumentError(
                action, f"there is no {value!r}{_meant(str(value), choices)}; choose from {', '.join(choices)}"
            )


def _meant(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - an emergency does without

    close = get_close_matches(word, list(known), 1)
    return f" (did you mean {close[0]}?)" if close else ""
