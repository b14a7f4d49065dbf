"""Whether the evidence of a run is on disk or can be written, checked before its change is kept (DOC-1, DOC-2)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rollout.approvals.ssh_signatures import sign
from rollout.audit import seal
from rollout.context import RolloutContext
from rollout.core.clauses import Clause
from rollout.core.errors import RolloutError
from rollout.reporting.documents import OPERATIONS_LOG

ROOM_BYTES = 16 * 2**20
"""The bytes that a report needs: one of the embedded gateway has 4 MB, and is written while the old one exists."""

_TRIAL = b"a trial, for no rollout"


def missing_evidence(rollout: RolloutContext, plan: Sequence[Clause], results: Path) -> tuple[str, ...]:
    """Return what of this run's evidence is not on disk, or could not be written now, and why; empty if nothing.

    Args:
        rollout: the rollout.
        plan: the clauses that passed in this run.
        results: the folder of this run's Allure results.
    """
    parts: dict[str, Callable[[], str | None]] = {
        "Allure results": lambda: _without_result(plan, results),
        "files of the rollout": lambda: _write_trial(rollout.folder),
        OPERATIONS_LOG: lambda: (rollout.folder.parent / OPERATIONS_LOG).open("ab").close(),
        seal.FILE: lambda: _sign_trial(rollout.env.get(seal.KEY)),
    }
    return tuple(rollout.redactor.text(f"{name}: {why}") for name, part in parts.items() if (why := _attempt(part)))


def _attempt(part: Callable[[], str | None]) -> str | None:
    try:
        return part()
    except (OSError, RolloutError) as error:
        return str(error)


def _without_result(plan: Sequence[Clause], results: Path) -> str:
    written = set(_stories(results))
    lacking = [clause.id for clause in plan if str(clause) not in written]
    return f"none of {', '.join(lacking)} in {results}" if lacking else ""


def _stories(results: Path) -> Iterator[str]:
    """Yield the stories of the results that are complete."""
    for path in results.glob("*-result.json"):
        try:
            labels = json.loads(path.read_text(encoding="utf-8"))["labels"]
        except (ValueError, KeyError):
            continue  # cut off by a full disk
        yield from (label["value"] for label in labels if label["name"] == "story")


def _write_trial(folder: Path) -> None:
    """Write and delete a file of the size that the documents and the report need.

    Raises:
        OSError: the file system has no such space, or does not allow writing.
    """
    path = folder / f".{os.getpid()}-room"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("wb") as file:
            # Random bytes: a file system that compresses or allocates late would accept zeros without space for them.
            file.write(os.urandom(ROOM_BYTES))
            file.flush()
            os.fsync(file.fileno())
    finally:
        path.unlink(missing_ok=True)


def _sign_trial(key: str | None) -> None:
    """Raises SigningError: the key is named, and does not sign."""
    if key:
        sign(_TRIAL, Path(key), f"{seal.NAMESPACE}-trial")
