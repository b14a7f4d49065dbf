"""A file or an option with the line of every value, so that every message names its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rollout.core.errors import Problem
from rollout.core.units import shown

T = TypeVar("T")
Place = tuple[str | int, ...]
"""Keys and list positions from the top of a document down: ``("change", "model")``."""

_LONGEST_KEY = 40


@dataclass(slots=True)
class Source:
    """A file or an option; it collects the problems found in it.

    Attributes:
        name: the file as the user wrote it, or the option (``--activate``).
        data: the document; empty for an option, and where the file cannot be read.
        lines: place -> line, 1-based; empty for an option.
        written: place -> a number or a yes or no as the file spells it: ``0.50``, ``True``.
        problems: what was refused so far.
        former_places: place -> the place as the file writes it, with a former key.
    """

    name: str
    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Place, int] = field(default_factory=dict)
    written: dict[Place, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    former_places: dict[Place, Place] = field(default_factory=dict)

    def refuse(self, place: Place, message: str, *, line: int | None = None) -> None:
        """Add a problem at `place`, on `line`, its own line, or the line of the innermost mapping or list around it."""
        place = self.former_places.get(place, place)
        self.problems.append(Problem(self.name, line or self.line_of(place), dotted(place), message))

    def accept(self, place: Place, read: Callable[[Any], T], value: Any) -> T | None:
        """Return what a validator reads from the value at `place`; None where it refuses, which becomes a problem."""
        try:
            return read(value)
        except ValueError as error:
            self.refuse(place, str(error))
            return None

    def in_order(self) -> list[Problem]:
        """Return the problems from the top of the file down."""
        return sorted(self.problems, key=lambda problem: problem.line or 0)

    def line_of(self, place: Place) -> int | None:
        """Return the line of what stands at `place`, or of the innermost mapping or list around it."""
        return next(
            (self.lines[part] for end in range(len(place), -1, -1) if (part := place[:end]) in self.lines), None
        )


def dotted(place: Place) -> str:
    """Return the place as one writes it: ``windows[0].from``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_printable(part)}" for part in place)
    return text.removeprefix(".")


def _printable(key: str) -> str:
    return key if key.isprintable() and 0 < len(key) <= _LONGEST_KEY else shown(key)
