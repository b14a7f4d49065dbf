"""Reads mappings of an operator, and collects every mistake instead of the first one."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any

Problems = list[tuple[str, str]]
"""Pairs of a dotted path and a message: what, why, the remedy."""


def describe_problems(problems: Iterable[tuple[str, str]]) -> str:
    """Return the problems in one line, each after its path."""
    return "; ".join(f"{path}: {message}" if path else message for path, message in problems)


class Reader:
    """Reads one mapping key by key; a key that is wrong yields its default and one problem.

    Attributes:
        path: the dotted path of the mapping; empty for the document itself.
        problems: every problem found so far, shared with readers of nested mappings.
    """

    def __init__(self, raw: object, path: str, problems: Problems, known: Iterable[str]) -> None:
        """Note a problem where `raw` is no mapping, and for each key that is not in `known`."""
        self.path = path
        self.problems = problems
        self._raw: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
        if self._raw is not raw:
            self.problem("", f"must be a mapping, not {_shown(raw)}")
        words = sorted(known)
        for key in self._raw:
            if key not in words:
                self.problem(str(key), f"is not a known key{meant(key, words)}; known: {', '.join(words)}")

    def problem(self, key: str, message: str) -> None:
        """Note a problem with the key, or with the mapping itself where `key` is empty."""
        self.problems.append((self.at(key), message))

    def require(self, key: str, message: str) -> None:
        """Note a problem with a key that is missing."""
        if self.raw(key) is None:
            self.problem(key, message)

    def at(self, key: str) -> str:
        """Return the dotted path of a key."""
        return ".".join(part for part in (self.path, key) if part)

    def raw(self, key: str, default: object = None) -> Any:
        """Return the value as it was written."""
        value = self._raw.get(key)
        return default if value is None else value

    def number(self, key: str, default: float, *, above: float | None = None, at_most: float | None = None) -> float:
        """Return a finite number: at least 0, or above `above`; at most `at_most`."""
        value = self.raw(key, default)
        if not is_number(value):
            self.problem(key, f"must be a number, not {_shown(value)}")
        elif above is not None and value <= above:
            self.problem(key, f"is {value:g}; it must be greater than {above:g}")
        elif above is None and value < 0:
            self.problem(key, f"is {value:g}; it must not be negative")
        elif at_most is not None and value > at_most:
            self.problem(key, f"is {value:g}; it must be at most {at_most:g}")
        else:
            return float(value)
        return default

    def whole_number(self, key: str, default: int, *, at_least: int = 0, at_most: int) -> int:
        """Return a whole number within the bounds."""
        value = self.raw(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and at_least <= value <= at_most:
            return value
        self.problem(key, f"must be a whole number from {at_least} to {at_most}, not {_shown(value)}")
        return default

    def choice(self, key: str, default: str | None, allowed: Iterable[str]) -> str | None:
        """Return one of the allowed words, compared without regard to case."""
        value, words = self.raw(key, default), tuple(allowed)
        if value is None:
            return None
        word = value.casefold() if isinstance(value, str) else value
        if word in words:
            return str(word)
        self.problem(key, f"is {_shown(value)}; it must be one of {', '.join(words)}{meant(value, words)}")
        return default

    def flag(self, key: str) -> bool:
        """Return true or false, false where the key is missing."""
        value = self.raw(key, default=False)
        if isinstance(value, bool):
            return value
        self.problem(key, f"must be true or false, not {_shown(value)}")
        return False


def is_number(value: object) -> bool:
    """Return whether the value is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def meant(value: object, words: Iterable[str]) -> str:
    """Return a hint at the most similar word, empty where none is similar."""
    close = difflib.get_close_matches(str(value).casefold(), list(words), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _shown(value: object) -> str:
    return f"{value!r} ({type(value).__name__})" if isinstance(value, str | int | float) else type(value).__name__
