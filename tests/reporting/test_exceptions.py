"""What makes a kept change no plain one, in report and index alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollout.journal.record import Decision, Kind
from rollout.reporting.exceptions import describe_exceptions
from rollout.reporting.html.index import line
from tests.support.journaled import JournaledRollout, kept, rolled_back

DUE = "2026-11-30T12:00:00.000Z"


def shown(journaled: JournaledRollout) -> tuple[tuple[str, ...], str]:
    """Return the exceptions of the rollout, and its state in the index."""
    rollout = journaled.rollout
    found = line(rollout.id, rollout.journal.entries(rollout.id), journaled.clock.now())
    assert found.exceptions == describe_exceptions(rollout.record())
    return found.exceptions, found.state


def test_a_plain_one_has_none_although_its_review_is_owed(in_memory: Path) -> None:
    with kept(in_memory) as journaled:
        journaled.rollout.append(Kind.OWED, what="review", due=DUE)
        assert shown(journaled) == ((), "kept")


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        (Kind.OWED, {"what": "retrospective approval", "due": DUE}, "owed retrospective approval"),
        (Kind.EVIDENCE, {"missing": ["report.html: the disk is full"], "due": None}, "evidence missing: report.html"),
        (Kind.CLAUSE, {"clause": "PRE-4.4", "outcome": "waived", "message": "WAIVED: x"}, "waived PRE-4.4"),
        (Kind.CLAUSE, {"clause": "VER-3", "outcome": "not applicable", "message": "none"}, "not applicable VER-3"),
        (Kind.STEP, {"clause": "DOC-1", "outcome": "failed", "message": "no space"}, "not documented: "),
    ],
)
def test_what_is_missing_is_named(in_memory: Path, kind: Kind, body: dict[str, Any], says: str) -> None:
    with kept(in_memory) as journaled:
        journaled.rollout.append(kind, **body, **({"run": "run-1"} if kind == Kind.CLAUSE else {}))
        exceptions, state = shown(journaled)
    assert state == "excepted"
    assert len(exceptions) == 1
    assert exceptions[0].startswith(says)


def test_what_was_rolled_back_has_none(in_memory: Path) -> None:
    with rolled_back(in_memory) as journaled:
        journaled.rollout.append(Kind.OWED, what="retrospective approval", due=DUE)
        assert journaled.rollout.record().decision is Decision.ROLLED_BACK
        assert shown(journaled) == ((), "back")
