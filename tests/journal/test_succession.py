"""An entry that follows only what its writer has read."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.core.clock import SystemClock
from rollout.journal.journal import Journal
from rollout.journal.succession import Overtaken


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "journal.sqlite")


def test_an_entry_follows_the_newest_of_its_rollout_whatever_others_write(place: str) -> None:
    with Journal.open(place, clock=SystemClock()) as journal, Journal.open(place, clock=SystemClock()) as other:
        last = journal.append("r-1", "closed", {}).seq
        other.append("r-2", "opened", {})
        assert journal.append_next(last, "r-1", "pruned", {}).kind == "pruned"


def test_an_entry_that_another_process_overtook_is_not_written(place: str) -> None:
    with Journal.open(place, clock=SystemClock()) as journal, Journal.open(place, clock=SystemClock()) as other:
        last = journal.append("r-1", "closed", {}).seq
        other.append("r-1", "legal_hold", {})
        with pytest.raises(Overtaken, match=rf"has entry 2 \(legal_hold\) of .*read up to entry {last}; nothing was"):
            journal.append_next(last, "r-1", "pruned", {})
        assert [entry.kind for entry in journal.entries("r-1")] == ["closed", "legal_hold"]
