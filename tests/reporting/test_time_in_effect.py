"""How long a change was in effect: until an entry shows it gone, not until the decision to roll back."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.context import RolloutContext
from rollout.journal.record import Kind, RolloutRecord, What
from rollout.reporting.time_in_effect import Effect, effect_of, seconds
from rollout.reporting.timings import written
from tests.support.journals import Book, Pen
from tests.support.rollouts import NEW, OLD, rollout_in
from tests.support.tales import Tale, tell
from tests.support.telling import documents, rollout_of

STILL = "still in effect as far as is known"


@pytest.fixture
def rollout(tmp_path: Path) -> RolloutContext:
    return rollout_in(tmp_path)


def sends(rollout: RolloutContext, step: str, direction: str, to: object, result: str | None = "done") -> None:
    """Announce a write, and journal its outcome ten seconds later."""
    intent = rollout.append(Kind.INTENT, step=step, direction=direction, to=str(to), what=What.PROVIDER)
    rollout.clock.wait(10)
    if result is not None:
        rollout.append(Kind.OUTCOME, intent=intent.seq, result=result, detail="")


def shows(rollout: RolloutContext, clause: str, outcome: str = "passed") -> None:
    rollout.clock.wait(20)
    rollout.append(Kind.STEP, clause=clause, outcome=outcome, message="")


def test_a_rollback_that_was_answered_and_not_seen_leaves_the_change_in_effect(rollout: RolloutContext):
    """BROKEN_PROMISES 20: "in effect for 40 s", though it still was."""
    sends(rollout, "APP-1.2", "forward", NEW)
    sends(rollout, "RBK-2.1", "back", OLD)
    shows(rollout, "RBK-2.2", "failed")
    assert str(effect_of(rollout.record())) == f"since 2026-11-23 12:00:00Z, {STILL}"


def test_it_ends_at_the_entry_that_shows_it_gone(rollout: RolloutContext):
    sends(rollout, "APP-1.2", "forward", NEW)
    sends(rollout, "RBK-2.1", "back", OLD)
    shows(rollout, "RBK-2.2")
    shows(rollout, "RBK-4.3")
    effect = effect_of(rollout.record())
    assert (effect.lasted_s, effect.seen_gone) == (40.0, "2026-11-23T12:00:40.000Z")
    assert str(effect) == "for 40 s, until it was seen gone at 2026-11-23 12:00:40Z"


def test_the_undo_of_a_single_request_is_no_rollback(rollout: RolloutContext):
    """BROKEN_PROMISES 20: a canary "in effect for minus 1 h 59 min 44 s"; what it shifts later is in effect."""
    sends(rollout, "CAN-1", "forward", NEW)
    sends(rollout, "CAN-1", "back", OLD)
    assert str(effect_of(rollout.record())) == f"since 2026-11-23 12:00:00Z, {STILL}"
    rollout.append(Kind.CLAUSE, run="r", clause="CAN-1", outcome="passed", message="")
    assert effect_of(rollout.record()).lasted_s == 20.0
    rollout.clock.wait(7200)
    sends(rollout, "CAN-2.4", "forward", NEW)
    assert str(effect_of(rollout.record())) == f"since 2026-11-23 14:00:20Z, {STILL}"


def test_what_a_file_and_limits_changed_is_gone_when_they_equal_the_backup(rollout: RolloutContext):
    intent = rollout.append(Kind.INTENT, step="APP-3.1", direction="forward", to="cost limits of x", what=What.LIMITS)
    rollout.append(Kind.OUTCOME, intent=intent.seq, result="done", detail="")
    shows(rollout, "RBK-2.2")
    assert not effect_of(rollout.record()).seen_gone
    shows(rollout, "RBK-4.3")
    assert effect_of(rollout.record()).seen_gone == "2026-11-23T12:00:40.000Z"


def test_every_attempt_of_a_rollback_is_judged_by_its_own_steps(rollout: RolloutContext):
    intent = rollout.append(Kind.INTENT, step="APP-3.1", direction="forward", to="cost limits of x", what=What.LIMITS)
    rollout.append(Kind.OUTCOME, intent=intent.seq, result="done", detail="")
    shows(rollout, "RBK-2.2")
    shows(rollout, "RBK-1.1")
    shows(rollout, "RBK-4.3")
    assert not effect_of(rollout.record()).seen_gone


@pytest.mark.parametrize("result", ["unknown", None])
def test_a_write_that_may_have_landed_is_described_with_its_condition(rollout: RolloutContext, result: str | None):
    sends(rollout, "APP-1.2", "forward", NEW, result)
    assert str(effect_of(rollout.record())) == f"if its write landed: since 2026-11-23 12:00:00Z, {STILL}"


def test_what_was_refused_or_never_written_is_no_effect(rollout: RolloutContext):
    sends(rollout, "APP-0.2", "proof", OLD)
    sends(rollout, "APP-1.2", "forward", NEW, "refused")
    assert effect_of(rollout.record()) == Effect()
    assert str(Effect()) == ""
    assert effect_of(RolloutRecord("r")) == Effect()


def test_a_clock_that_was_set_back_gives_no_duration():
    effect = Effect("2026-11-23T12:00:00.000Z", "2026-11-23T10:00:16.000Z", landed=True)
    assert (effect.lasted_s, seconds("", "2026-11-23T10:00:16.000Z")) == (None, None)
    assert str(effect) == (
        "until it was seen gone at 2026-11-23 10:00:16Z; the clock was set back in between, so how long is not known"
    )


def test_a_rollout_that_an_emergency_ended_is_gone_at_its_ending():
    """The emergency has the proof; this rollout's entries hold only the closing entry that it wrote."""
    pen = tell(Tale("taken over"))
    record = rollout_of(pen.entries, Path("/nowhere")).record()
    assert effect_of(record).seen_gone == record.closed_at


def test_a_step_that_was_spooled_does_not_replace_a_later_one(rollout: RolloutContext):
    """It is entered late, and the record and the timeline place it at its own time."""
    shows(rollout, "RBK-4.3")
    body = {"clause": "RBK-4.3", "outcome": "failed", "message": "at first"}
    facts = {"kind": "step", "at": "2026-11-23T12:00:01.000Z", "fence": 0, "spool": "r/1"}
    rollout.journal.append(rollout.id, Kind.RECONCILED, {**facts, "spooled": "0" * 64, "body": body})
    record = rollout.record()
    assert record.steps["RBK-4.3"]["outcome"] == "passed"
    assert [step["outcome"] for step in record.trail] == ["failed", "passed"]


def test_an_emergency_is_of_its_class_and_its_writes_are_counted(tmp_path: Path):
    """BROKEN_PROMISES 20: its record said "nothing was written", class normal, and "SHA-256" of its id."""
    found = documents(tell(Tale("emergency")).entries, tmp_path)
    assert (found.record["class"], found.record["digest"]) == ("emergency", None)
    assert "| Content | none was approved: an emergency |" in found.page
    assert "there is no backup to compare with; writes announced: 1 (1 done)" in found.page
    assert f"| In effect | since 2026-11-23 12:00:00Z, {STILL} |" in found.page
    assert (found.line.class_, found.answers["Class"]) == ("emergency", "emergency")


def test_generated_journals_are_read_as_the_real_journal_reads_them(tmp_path: Path):
    """`Book` gives the same kinds, times and bodies as the journal, spooled entries among them."""
    for number, tale in enumerate((Tale("back", changes="all", spooled=True), Tale("emergency"), Tale("canary back"))):
        rollout = rollout_in(tmp_path / str(number))
        pen: Pen = tell(tale)
        for entry in pen.entries:
            rollout.journal.append(rollout.id, entry.kind, entry.body)
        real, book = rollout.journal.entries(rollout.id), Book(pen.entries).entries()
        assert [(entry.seq, entry.kind, entry.body) for entry in real] == [(e.seq, e.kind, e.body) for e in book]
        spooled = [entry for entry in book if "spool" in entry.body]
        assert [entry.at for entry in real if "spool" in entry.body] == [entry.at for entry in spooled]
        rollout.journal.close()


@pytest.mark.parametrize(
    ("results", "text"),
    [
        ([], "nothing was written"),
        (["refused"], "writes announced: 1 (1 refused)"),
        (["done", "done", None], "writes announced: 3 (2 done, 1 without an outcome)"),
    ],
)
def test_writes_are_counted_by_their_results(rollout: RolloutContext, results: list[str | None], text: str):
    """A write that was refused counts, although it changed nothing."""
    for result in results:
        sends(rollout, "APP-1.2", "forward", NEW, result)
    assert written(rollout.record()) == text
