"""The page over all rollouts tells every one of them, hides none, and runs nothing of what it shows."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from rollout.approvals.obligations import ObligationKind, owe
from rollout.core.scenario import Scenario
from rollout.journal.record import Decision, Kind
from rollout.reporting.change_record import write_change_record
from rollout.reporting.html import index
from tests.support.rollouts import NEW
from tests.support.told import BREACH, Told, kept, rolled_back

EVIL = '<script>alert("x")</script><img src=x onerror=alert(1)>&amp;'


def read(told: Told) -> str:
    return index.write(told.rollout.journal, told.rollout.folder.parent).read_text(encoding="utf-8")


def line(told: Told) -> index.Line:
    journal = told.rollout.journal
    return index.line("r-1", journal.entries("r-1"), journal.now())


def test_a_rollout_that_was_rolled_back_is_told_with_its_trigger_and_how_soon_it_was_back(tmp_path: Path) -> None:
    with rolled_back(tmp_path) as told:
        seen = line(told)
    assert (seen.state, seen.word, seen.trigger, seen.why) == (
        "back",
        "ROLLED BACK, verified",
        "MON-2",
        f"MON-2: {BREACH}",
    )
    assert (seen.change, seen.target) == ("ollama:gemma3:4b → openai:gpt-4o", "t (http://127.0.0.1:1)")
    assert seen.who == ("alice", "approved by bob", "ticket T-1")
    assert seen.back_after == "7.4 s"


def test_a_kept_one_was_not_taken_back(tmp_path: Path) -> None:
    with kept(tmp_path) as told:
        seen = line(told)
    assert (seen.state, seen.word, seen.trigger, seen.back_after) == ("kept", "KEPT", "", "")
    assert re.fullmatch(r"\d+ s", seen.took)


def test_one_that_is_not_closed_has_no_verdict(tmp_path: Path) -> None:
    with Told(tmp_path) as told:
        told.begins("run-1")
        assert (line(told).state, line(told).word, line(told).took) == ("open", "OPEN", "")
        told.writes("APP-1.2", "forward", "openai:gpt-4o", None)
        assert (line(told).state, line(told).word) == ("open", "IN FLIGHT")


def test_a_way_back_that_never_arrived_has_no_time(tmp_path: Path) -> None:
    with Told(tmp_path) as told:
        told.writes("APP-1.2", "forward", "openai:gpt-4o")
        told.rollout.write(Kind.ROLLBACK, reason="MON-2: bad")
        told.writes("RBK-2.1", "back", "ollama:gemma3:4b", "unknown")
        told.closes(Decision.ROLLBACK_FAILED, "ROLLBACK FAILED", "MON-2: bad")
        seen = line(told)
    assert (seen.state, seen.back_after) == ("failed", "")


def test_what_another_version_wrote_is_named_and_spoils_nothing(tmp_path: Path) -> None:
    with kept(tmp_path) as told:
        told.rollout.journal.append("r-0", Kind.OPENED, {"from": "the future"})
        text = read(told)
    assert "CANNOT BE READ" in text
    assert "r-0" in text
    assert "KEPT" in text


def test_what_is_owed_is_shown_and_counted(tmp_path: Path) -> None:
    with kept(tmp_path) as told:
        owe(told.rollout, ObligationKind.APPROVAL, timedelta(days=1).total_seconds())
        text = read(told)
    assert "1 owed by people" in text
    assert "retrospective approval due by 2026-" in text


def test_only_documents_that_are_there_are_linked(tmp_path: Path) -> None:
    with kept(tmp_path) as told:
        assert "nothing of it is on this disk" in read(told)
        write_change_record(told.rollout, told.rollout.record(), told.rollout.record().closed or {})
        text = read(told)
    assert 'href="r-1/change-record.md"' in text
    assert "report.html" not in text


def test_a_folder_that_the_journal_does_not_know_is_named(tmp_path: Path) -> None:
    with kept(tmp_path) as told:
        stray = told.rollout.folder.parent / "r-stray"
        stray.mkdir(parents=True)
        (stray / "change-record.json").touch()
        assert "Folders that the journal does not know" in (text := read(told))
    assert 'href="r-stray/change-record.md"' in text


def test_whatever_somebody_wrote_is_text(tmp_path: Path) -> None:
    scenario = Scenario("s", "s.yaml", EVIL, (NEW,), author=EVIL, ticket=EVIL, approved_by=(EVIL,))
    with Told(tmp_path, scenario=scenario) as told:
        told.closes(Decision.NOTHING_APPLIED, EVIL, EVIL)
        text = read(told)
    assert text.count("<script>") == 1  # its own
    assert "<img" not in text
    assert text.count("&lt;script&gt;alert") == 5


def test_the_class_and_whoever_approved_are_told(tmp_path: Path) -> None:
    with kept(tmp_path) as told:
        opened = told.rollout.record().opened
        for role, signature in (("reviewer", "-----BEGIN"), ("retrospective", None), ("waiver", None)):
            told.rollout.write(Kind.APPROVAL, role=role, approver=f"{role}-rita", signature=signature)
        seen = line(told)
    assert seen.class_ == opened.get("class", "normal") == "normal"
    assert seen.who[1] == "approved by bob, reviewer-rita (signed), retrospective-rita afterwards"


def test_a_look_before_a_release_is_linked(tmp_path: Path) -> None:
    with kept(tmp_path) as told:
        look = told.rollout.folder.parent / "release-20261124-120000-t-1234"
        look.mkdir(parents=True)
        (look / "report.html").touch()
        text = read(told)
    assert f'href="{look.name}/report.html"' in text


def test_an_empty_journal_makes_a_page_that_says_so(tmp_path: Path) -> None:
    with Told(tmp_path) as told:
        text = index.page([], tmp_path, told.clock.now())
    assert "0 in the journal" in text
    assert "<table" not in text
