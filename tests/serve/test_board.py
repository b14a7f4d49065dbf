"""The state of the page: from the journal alone, what is in flight, what ended meanwhile, and what is owed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rollout.core.clock import format_utc
from rollout.journal.record import Decision, Kind
from rollout.serve.board import EVENTS, Board
from tests.support.journaled import JournaledRollout, kept
from tests.support.rollouts import rollout_in
from tests.support.windows import BACKUP


@pytest.fixture
def journaled(in_memory: Path) -> Iterator[JournaledRollout]:
    """A rollout whose change is applied, before its window."""
    with JournaledRollout(in_memory) as journaled:
        journaled.begins("run-1")
        journaled.rollout.append(Kind.BACKUP, **BACKUP.record())
        journaled.baseline()
        journaled.rollout.take_lease()
        journaled.writes("APP-1.2", "forward", "openai:gpt-4o")
        yield journaled


def begin_window(journaled: JournaledRollout) -> None:
    rollout = journaled.rollout
    rollout.append(Kind.WINDOW, began_at=format_utc(journaled.clock.now()), judge=2, window_s=1800.0, extends=True)
    journaled.sample("status", 0.0, status="connected", message="ok")
    journaled.sample("metrics", 0.0, total=100, failed=0, p95_ms=60.0, samples=100)


def only(state: dict[str, Any]) -> dict[str, Any]:
    (card,) = state["rollouts"]
    return dict(card)


def test_a_window_is_shown_with_what_its_triggers_say(journaled: JournaledRollout) -> None:
    begin_window(journaled)
    journaled.clock.wait(10)
    journaled.sample("metrics", 10.0, total=300, failed=2, p95_ms=60.0, samples=300)
    card = only(Board(journaled.rollout.journal).refresh())
    assert (card["state"], card["word"], card["stop"]) == ("watched", "BEING WATCHED", "rollout abort r-1")
    assert (card["change"], card["target"], card["ticket"]) == ("ollama:llama3 → openai:gpt-4o", "t", "T-1")
    assert card["who"] == "alice, approved by bob"
    triggers = {each["clause"]: each for each in card["window"]["triggers"]}
    assert triggers["MON-1"]["state"] == "holding"
    assert (triggers["MON-2"]["value"], triggers["MON-2"]["samples"]) == ("1.0 %", 200)
    assert card["window"]["left"] == "29 min 50 s left of 30 min"
    assert card["window"]["curves"][0]["points"][-1][:2] == [10.0, 1.0]
    assert card["events"][-1].endswith("APP-1.2 activate openai:gpt-4o: done")


def test_time_passes_without_an_entry(journaled: JournaledRollout) -> None:
    begin_window(journaled)
    board = Board(journaled.rollout.journal)
    assert only(board.refresh())["window"]["left"] == "30 min left of 30 min"
    journaled.clock.wait(20)
    assert only(board.refresh())["window"]["left"] == "29 min 40 s left of 30 min"


def test_each_sample_is_read_once(journaled: JournaledRollout) -> None:
    begin_window(journaled)
    board = Board(journaled.rollout.journal)
    board.refresh()
    journaled.sample("status", 5.0, status="connected", message="ok")
    board.refresh()
    triggers = {each["clause"]: each for each in only(board.refresh())["window"]["triggers"]}
    assert triggers["MON-1"]["samples"] == 2


def test_what_is_written_while_the_journal_is_read_first_is_read_once(
    journaled: JournaledRollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample of the first rollout comes after its entries are read, and before those of the second are."""
    begin_window(journaled)
    journal = journaled.rollout.journal
    journal.append("r-2", Kind.RUN, {"run": "run-1"})
    entries = journal.entries

    def meanwhile(*args: Any, **how: Any) -> Any:
        found = entries(*args, **how)
        if args == ("r-1",):
            journaled.sample("status", 5.0, status="connected", message="ok")
            journal.append("r-2", Kind.RUN, {"run": "run-2"})
        return found

    monkeypatch.setattr(journal, "entries", meanwhile)
    board = Board(journal)
    board.refresh()
    (card,) = (each for each in board.refresh()["rollouts"] if each["id"] == "r-1")
    triggers = {each["clause"]: each for each in card["window"]["triggers"]}
    assert triggers["MON-1"]["samples"] == 2


def test_the_samples_of_what_is_closed_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with kept(tmp_path) as journaled:
        journal = journaled.rollout.journal
        read, entries_of = [], journal.entries_of
        assert any(entry.kind == Kind.SAMPLE for entry in journal.entries())

        def entries(*_: object, **__: object) -> None:
            raise AssertionError("every entry is read")

        def of(*args: Any) -> Any:
            read.extend(entries_of(*args))
            return tuple(read)

        monkeypatch.setattr(journal, "entries", entries)
        monkeypatch.setattr(journal, "entries_of", of)
        state = Board(journal).refresh()
    assert (state["closed"], state["rollouts"]) == (1, [])
    assert read
    assert not [entry for entry in read if entry.kind == Kind.SAMPLE]


def test_a_rollback_and_its_end_are_shown_with_the_window_that_led_to_it(journaled: JournaledRollout) -> None:
    begin_window(journaled)
    board = Board(journaled.rollout.journal)
    board.refresh()
    journaled.verdict("MON-2", decided=True, value=0.2, limit=0.05, message="too many")
    assert only(board.refresh())["state"] == "back"
    journaled.rollout.append(Kind.ROLLBACK, reason="MON-2: too many")
    journaled.step("RBK-2.2", "the gateway reports ollama:llama3 active")
    card = only(board.refresh())
    assert (card["word"], card["why"]) == ("ROLLING BACK", "too many")
    journaled.closes(Decision.ROLLED_BACK, "ROLLED BACK, verified", "MON-2: too many")
    card = only(board.refresh())
    assert (card["state"], card["word"], card["stop"]) == ("rolled_back", "ROLLED BACK, verified", "")
    assert {each["clause"]: each["state"] for each in card["window"]["triggers"]}["MON-2"] == "breached"


def test_a_rollout_that_no_process_has_in_its_hands_is_not_shown_as_watched(journaled: JournaledRollout) -> None:
    begin_window(journaled)
    board = Board(journaled.rollout.journal)
    assert only(board.refresh())["state"] == "watched"
    journaled.clock.wait(timedelta(hours=1).total_seconds())
    card = only(board.refresh())
    assert (card["state"], card["word"]) == ("stranded", "LEFT IN FLIGHT")
    assert card["why"].endswith("roll it back: rollout recover")


def test_before_the_first_write_nothing_is_in_flight(in_memory: Path) -> None:
    with JournaledRollout(in_memory) as journaled:
        card = only(Board(journaled.rollout.journal).refresh())
    assert (card["state"], card["window"], card["why"]) == ("open", None, "nothing is written to the gateway yet")


def test_what_was_closed_before_is_counted_and_what_it_owes_is_listed(in_memory: Path) -> None:
    with kept(in_memory) as journaled:
        due = format_utc(journaled.clock.now() + timedelta(days=1))
        journaled.rollout.append(Kind.OWED, what="review", due=due)
        board = Board(journaled.rollout.journal)
        state = board.refresh()
        assert (state["rollouts"], state["closed"]) == ([], 1)
        (owed,) = state["owed"]
        assert (owed["rollout"], owed["overdue"]) == ("r-1", False)
        assert owed["text"].startswith(f"review due by {due}: pytest -m review --rollout=r-1")
        journaled.rollout.append(Kind.SETTLED, what="review", by="carol")
        assert board.refresh()["owed"] == []


def test_events_are_the_latest(journaled: JournaledRollout) -> None:
    for number in range(2 * EVENTS):
        journaled.rollout.append(Kind.ABORT, by="bob", reason=f"reason {number}")
    events = only(Board(journaled.rollout.journal).refresh())["events"]
    assert len(events) == EVENTS
    assert events[-1].endswith(f"abort asked for by bob: reason {2 * EVENTS - 1}")


def test_entries_of_another_version_make_their_card_unreadable_and_no_other(journaled: JournaledRollout) -> None:
    other = rollout_in(journaled.rollout.folder.parent, id="r-2", clock=journaled.clock)
    other.append(Kind.OPENED, something="else")
    other.append(Kind.WINDOW, began_at="yesterday")
    other.journal.close()
    cards = {card["id"]: card for card in Board(journaled.rollout.journal).refresh()["rollouts"]}
    assert "it cannot be read, because another version of the suite wrote it" in cards["r-2"]["trouble"]
    assert "trouble" not in cards["r-1"]
