"""The project: the folder whose ``rollout.toml``, or ``[tool.rollout]`` in ``pyproject.toml``, adopts the suite.

`rollout emergency` reads it before its request, so it imports the standard library and the errors only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rollout.config.project_file import HEADER, OWN_FILE, SHARED_FILE, find_project_file, has_table, read_table
from rollout.core.errors import InvalidInput, Problem

_EXAMPLES = {
    "scenarios": "scenarios",
    "targets": "scenarios/targets.yaml",
    "policy": "scenarios/policy.yaml",
    "reports": "reports",
    "journal": "postgresql://journal.example.com/rollouts",
}
KEYS = tuple(_EXAMPLES)
TARGETS, DEFAULT_SCENARIO, JOURNAL = "targets.yaml", "quickstart.yaml", "journal.sqlite"

SQLITE = "sqlite:///"
"""What the URL of a journal's file begins with."""


@dataclass(frozen=True, slots=True)
class Project:
    """Where a project keeps what a rollout reads and writes; every path is absolute.

    Attributes:
        root: its folder.
        scenarios: the folder of its scenarios.
        targets: the file in the place of ``targets.yaml`` in that folder; None uses that one.
        policy: the file in the place of ``policy.yaml``, which a file beside a scenario does not replace; None uses the
            first that is beside the scenario or in that folder.
        reports: the folder that evidence goes to.
        journal: the journal's URL; None keeps it beside the evidence.
    """

    root: Path
    scenarios: Path
    targets: Path | None
    policy: Path | None
    reports: Path
    journal: str | None

    @property
    def targets_file(self) -> Path:
        """The targets' file, which need not exist."""
        return self.targets or self.scenarios / TARGETS

    @property
    def default_scenario(self) -> Path:
        """The scenario of a run that names none; it need not exist."""
        return self.scenarios / DEFAULT_SCENARIO


def read_project(*starts: Path) -> Project:
    """Return the project that the folders belong to; without one, the last folder with the default places.

    Raises:
        InvalidInput: its file is wrong; it lists everything.
    """
    file = find_project_file(*starts)
    return default_project(starts[-1]) if file is None else _read(file)


def default_project(root: Path) -> Project:
    """Return the project of a folder whose file says nothing."""
    return _placed(root.absolute(), {})


def journal_in(reports: Path) -> str:
    """Return the URL of the journal that is kept beside the evidence."""
    return f"{SQLITE}{reports / JOURNAL}"


def packaged_checks() -> Path:
    """Return the folder of the checks: in the package where it is installed, beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "checks"
    return inside if inside.is_dir() else package.with_name("checks")


def _read(file: Path) -> Project:
    root = file.parent
    try:
        content = file.read_bytes()
        table = read_table(file, content)
    except OSError as error:
        # A file that is taken for an empty one would lead to another journal, with leases of its own.
        why = f"cannot be read ({error.strerror}); mend its permissions"
        raise InvalidInput([Problem(str(file), None, "", why)]) from None
    except ValueError as error:
        raise InvalidInput([Problem(str(file), _line_in(str(error)), "", f"is not valid TOML: {error}")]) from None
    problems = [
        Problem(str(file), _line_of(key, content, file), key, message)
        for key, value in table.items()
        if (message := _refusal(key, value))
    ]
    if file.name == OWN_FILE and has_table(root / SHARED_FILE):
        problems.append(
            Problem(str(root / SHARED_FILE), None, "tool.rollout", f"stands beside {OWN_FILE}; keep one of the two")
        )
    if problems:
        raise InvalidInput(problems)
    return _placed(root, table)


def _placed(root: Path, table: Mapping[str, str]) -> Project:
    paths = {key: _path(root, value) for key, value in table.items() if key != "journal"}
    return Project(
        root=root,
        scenarios=paths.get("scenarios", root / "scenarios"),
        targets=paths.get("targets"),
        policy=paths.get("policy"),
        reports=paths.get("reports", root / "reports"),
        journal=_journal(root, table["journal"]) if "journal" in table else None,
    )


def _journal(root: Path, value: str) -> str:
    """Return a journal's URL; a file that is given without one, or relatively, counts from the project's folder."""
    if "://" not in value:
        return f"{SQLITE}{_path(root, value)}"
    path = value.removeprefix(SQLITE)
    return value if path == value or path.startswith("/") else f"{SQLITE}{_path(root, path)}"


def _path(root: Path, value: str) -> Path:
    """Return a path of the file, which counts from the project's folder, without any ``..``."""
    return Path(os.path.normpath(root / Path(value).expanduser()))


def _refusal(key: str, value: Any) -> str | None:
    if key not in KEYS:
        return f"there is no such key; {_meant(key)}"
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        return f'must be text, such as {key} = "{_EXAMPLES[key]}"'
    if value.startswith("~") and not _has_home(value):
        return f"{value!r} names a home folder that is not known here; write the path in full"
    if key == "journal" and _has_password(value):
        return "holds a password, which does not belong into a file; leave it out, and set PGPASSWORD or a .pgpass file"
    return None


def _meant(key: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - of a mistake alone

    close = get_close_matches(key, KEYS, 1)
    return f"did you mean {close[0]!r}?" if close else f"the keys are {', '.join(KEYS)}"


def _has_home(value: str) -> bool:
    try:
        Path(value).expanduser()
    except RuntimeError:
        return False
    return True


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.password is not None or "password" in parse_qs(parts.query)


def _line_of(key: str, content: bytes, file: Path) -> int | None:
    """Return the line of a key: below its table's header in a shared file."""
    header = None if file.name == OWN_FILE else HEADER.search(content)
    start = header.end() if header else 0
    found = re.compile(rb"^\s*[\"']?" + re.escape(key.encode()) + rb"[\"']?\s*[.=]", re.MULTILINE).search(
        content, start
    )
    return content.count(b"\n", 0, found.end()) + 1 if found else None


def _line_in(message: str) -> int | None:
    found = re.search(r"line (\d+)", message)
    return int(found[1]) if found else None
