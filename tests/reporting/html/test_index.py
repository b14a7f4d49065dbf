"""The page over all rollouts shows every one of them, and executes no text of others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rollout.approvals.obligations import ObligationKind, open_obligation
from rollout.core.scenario import Scenario
from rollout.journal.record import Decision, Entry, Kind, RolloutRecord
from rollout.journal.replay import REPLAYED, replay
from rollout.reporting.change_record import write_change_record
from rollout.reporting.html import index
from tests.support.journaled import BREACH, JournaledRollout, kept, rolled_back
from tests.support.reads import counted_reads
from tests.support.rollouts import NEW

EVIL = '<script>alert("x")</script><img src=x onerror=alert(1)>&amp;'


def read(journaled: JournaledRollout) -> str:
    return index.write(journaled.rollout.journal, journaled.rollout.folder.parent).read_text(encoding="utf-8")


def line(journaled: JournaledRollout) -> index.Line:
    journal = journaled.rollout.journal
    return index.line("r-1", journal.entries("r-1"), journal.now())


def test_a_rollout_that_was_rolled_back_has_its_trigger_and_how_soon_it_was_back(tmp_path: Path) -> None:
    with rolled_back(tmp_path) as journaled:
        seen = line(journaled)
    assert (seen.state, seen.word, seen.trigger, seen.why) == (
        "back",
        "ROLLED BACK, verified",
        "MON-2",
        f"MON-2: {BREACH}",
    )
    assert (seen.change, seen.target) == ("ollama:gemma3:4b → openai:gpt-4o", "t (http://127.0.0.1:1)")
    assert seen.who == ("alice", "approved by bob", "ticket T-1")
    assert seen.back_after == "7.4 s"


def test_a_kept_one_was_not_rolled_back(tmp_path: Path) -> None:
    with kept(tmp_path) as journaled:
        seen = line(journaled)
    assert (seen.state, seen.word, seen.trigger, seen.back_after) == ("kept", "KEPT", "", "")
    assert re.fullmatch(r"\d+ s", seen.took)


def test_one_that_is_not_closed_has_no_verdict(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1")
        assert (line(journaled).state, line(journaled).word, line(journaled).took) == ("open", "OPEN", "")
        journaled.writes("APP-1.2", "forward", "openai:gpt-4o", None)
        assert (line(journaled).state, line(journaled).word) == ("open", "IN FLIGHT")


def test_a_rollback_without_an_answer_has_no_time(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.writes("APP-1.2", "forward", "openai:gpt-4o")
        journaled.rollout.append(Kind.ROLLBACK, reason="MON-2: bad")
        journaled.writes("RBK-2.1", "back", "ollama:gemma3:4b", "unknown")
        journaled.closes(Decision.ROLLBACK_FAILED, "ROLLBACK FAILED", "MON-2: bad")
        seen = line(journaled)
    assert (seen.state, seen.back_after) == ("failed", "")


def test_a_rollout_of_another_version_is_named_beside_the_others(tmp_path: Path) -> None:
    with kept(tmp_path) as journaled:
        journaled.rollout.journal.append("r-0", Kind.OPENED, {"from": "the future"})
        text = read(journaled)
    assert "CANNOT BE READ" in text
    assert "r-0" in text
    assert "KEPT" in text


def test_what_is_owed_is_shown_and_counted(tmp_path: Path) -> None:
    with kept(tmp_path) as journaled:
        open_obligation(journaled.rollout, ObligationKind.APPROVAL, timedelta(days=1).total_seconds())
        text = read(journaled)
    assert "1 owed by people" in text
    assert "retrospective approval due by 2026-" in text


def test_only_documents_that_are_there_are_linked(tmp_path: Path) -> None:
    with kept(tmp_path) as journaled:
        assert "nothing of it is on this disk" in read(journaled)
        write_change_record(journaled.rollout, journaled.rollout.record(), journaled.rollout.record().closed or {})
        text = read(journaled)
    assert 'href="r-1/change-record.md"' in text
    assert "report.html" not in text


def test_a_folder_that_the_journal_does_not_know_is_named(tmp_path: Path) -> None:
    with kept(tmp_path) as journaled:
        stray = journaled.rollout.folder.parent / "r-stray"
        stray.mkdir(parents=True)
        (stray / "change-record.json").touch()
        assert "Folders that the journal does not know" in (text := read(journaled))
    assert 'href="r-stray/change-record.md"' in text


def test_text_of_others_is_text(tmp_path: Path) -> None:
    scenario = Scenario("s", "s.yaml", EVIL, (NEW,), author=EVIL, ticket=EVIL, approved_by=(f"bob {EVIL}",))
    with JournaledRollout(tmp_path, scenario=scenario) as journaled:
        journaled.closes(Decision.NOTHING_APPLIED, EVIL, EVIL)
        text = read(journaled)
    assert text.count("<script>") == 1  # its own
    assert "<img" not in text
    assert text.count("&lt;script&gt;alert") == 11


def test_the_class_and_the_approvers_are_shown(tmp_path: Path) -> None:
    with kept(tmp_path) as journaled:
        opened = journaled.rollout.record().opened
        for role, signature in (("reviewer", "-----BEGIN"), ("retrospective", None), ("waiver", None)):
            journaled.rollout.append(Kind.APPROVAL, role=role, approver=f"{role}-rita", signature=signature)
        seen = line(journaled)
    assert seen.class_ == opened.get("class", "normal") == "normal"
    assert seen.who[1] == "approved by bob, reviewer-rita (signed), retrospective-rita afterwards"


def test_a_release_readiness_check_is_linked(tmp_path: Path) -> None:
    with kept(tmp_path) as journaled:
        folder = journaled.rollout.folder.parent / "release-20261124-120000-t-1234"
        folder.mkdir(parents=True)
        (folder / "report.html").touch()
        text = read(journaled)
    assert f'href="{folder.name}/report.html"' in text


def test_an_empty_journal_makes_a_page_that_says_so(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        text = index.page([], tmp_path, journaled.clock.now())
    assert "0 in the journal" in text
    assert "<table" not in text


def test_the_kinds_that_are_not_read_change_nothing_on_the_page(tmp_path: Path) -> None:
    for name, make in (("kept", kept), ("back", rolled_back)):
        with make(tmp_path / name) as journaled:
            journal = journaled.rollout.journal
            whole = [entry for entry in journal.entries("r-1") if entry.kind in REPLAYED]
            assert index._UNUSED & {entry.kind for entry in whole}
            used = [entry for entry in whole if entry.kind not in index._UNUSED]
            assert index.line("r-1", used, journal.now()) == index.line("r-1", whole, journal.now())


UNREAD = (
    "abort",
    "armed",
    "audit",
    "baseline",
    "counters",
    "diagnosis",
    "extension",
    "handover",
    "holds",
    "notified",
    "pauses",
    "phases",
    "startup_s",
    "traces",
)
"""What only entries of these kinds tell of a rollout."""


class Guarded(RolloutRecord):
    """A record that refuses to tell what these kinds tell."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        """Return it; AssertionError for what only these kinds tell."""
        assert name not in UNREAD, name
        return super().__getattribute__(name)


def test_nothing_asks_for_what_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def guarded(rollout: str, entries: Sequence[Entry]) -> RolloutRecord:
        record = replay(rollout, entries)
        record.__class__ = Guarded
        return record

    monkeypatch.setattr(index, "replay", guarded)
    for name, make in (("kept", kept), ("back", rolled_back)):
        with make(tmp_path / name) as journaled:
            assert line(journaled).state in ("excepted", "kept", "back")


def test_of_a_closed_rollout_the_page_reads_nothing_that_it_does_not_show(tmp_path: Path) -> None:
    with kept(tmp_path) as journaled:
        journal, folder = journaled.rollout.journal, tmp_path
        used = [kind for kind in REPLAYED if kind not in index._UNUSED]
        reads = counted_reads(journal, lambda read: index.write(read, folder))
        assert reads.entries == len(journal.entries("r-1", *used)) < len(journal.entries("r-1", *REPLAYED))
