"""A deliberate defect, and where it belongs in the source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class Misplaced(Exception):
    """A mutant's fragment is not exactly once in its module, or its replacement is no defect."""


@dataclass(frozen=True)
class Mutant:
    """One line made wrong.

    Attributes:
        module: the file's path in the repository.
        line: an exact fragment of one source line, unique in the file.
        defect: what stands there instead.
        decision: which decision is broken, in one sentence.
        tests: paths or node ids of the tests that must fail for it, within 30 s together.
    """

    module: str
    line: str
    defect: str
    decision: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """Module and fragment, for people."""
        return f"{self.module}: {self.line.strip()} -> {self.defect.strip()}"

    def applied(self, root: Path) -> str:
        """Return the module's source with the defect in it.

        Args:
            root: the repository, or a copy of it.

        Raises:
            Misplaced: the fragment is not there, or not unique, or the defect changes nothing.
        """
        path = root / self.module
        if not path.is_file():
            raise Misplaced(f"{self.module} does not exist; the mutant is: {self.name}")
        source = path.read_text(encoding="utf-8")
        found = source.count(self.line)
        if found != 1 or "\n" in self.line:
            raise Misplaced(f"{self.module} holds {found} times, not once in one line: {self.line!r}")
        if self.line == self.defect:
            raise Misplaced(f"{self.module}: the defect of {self.line!r} changes nothing")
        return source.replace(self.line, self.defect)

    def unknown_tests(self, root: Path) -> list[str]:
        """Return the listed tests that do not exist: no such file, or no such function in it."""
        return [test for test in self.tests if not _exists(root, test)]


def of(module: str, *tests: str, rows: tuple[tuple[str, str, str], ...]) -> tuple[Mutant, ...]:
    """Return the mutants of one module that the same tests kill, from rows of line, defect and decision."""
    return tuple(Mutant(module, line, defect, decision, tests) for line, defect, decision in rows)


def _exists(root: Path, test: str) -> bool:
    file, *names = test.partition("[")[0].split("::")
    path = root / file
    if not names:
        return path.exists()
    return path.is_file() and f"def {names[-1]}(" in path.read_text(encoding="utf-8")
