"""What the README says about the end of each shipped scenario."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

_ROW = re.compile(r"^\|(?P<files> `[^|]+)\|[^|]+\|(?P<trigger>[^|]*)\| (?P<code>\d+) \|$", re.MULTILINE)
_FILE = re.compile(r"`(?:scenarios/)?([\w-]+\.yaml)`")
_CLAUSE = re.compile(r"MON-\d")


@dataclass(frozen=True, slots=True)
class Promise:
    """How a scenario ends.

    Attributes:
        file: the scenario.
        trigger: the clause whose breach rolls it back; empty where it is kept.
        code: the exit code.
    """

    file: Path
    trigger: str
    code: int

    @property
    def name(self) -> str:
        """The scenario's name: ``quickstart``."""
        return self.file.stem

    def describe(self) -> str:
        """Return such as ``10, MON-2``."""
        return f"{self.code}, {self.trigger}" if self.trigger else str(self.code)


def read_promises(readme: str, folder: Path) -> list[Promise]:
    """Return the promises of the README's table of scenarios, in its order.

    Args:
        readme: the README.
        folder: where the scenarios are.

    Raises:
        ValueError: the table lacks a scenario of the folder, or names one that is not there.
    """
    promises = list(_promises(readme, folder))
    named = {promise.file for promise in promises}
    shipped = {file for file in folder.glob("*.yaml") if "change" in yaml.safe_load(file.read_text(encoding="utf-8"))}
    lacking, unknown = sorted(shipped - named), sorted(named - shipped)
    if lacking or unknown:
        problems = [f"the README's table does not name {file.name}" for file in lacking]
        problems += [f"the README's table names {file.name}, which {folder} does not hold" for file in unknown]
        raise ValueError("; ".join(problems))
    return promises


def _promises(readme: str, folder: Path) -> Iterator[Promise]:
    for row in _ROW.finditer(readme):
        clause = _CLAUSE.search(row["trigger"])
        for name in _FILE.findall(row["files"]):
            yield Promise(folder / name, clause[0] if clause else "", int(row["code"]))
