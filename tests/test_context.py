"""Which process may write: one run at a time, also of one rollout; and the known record when its journal is gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rollout.context import RolloutContext
from rollout.core.errors import GatewayError, JournalError, Refused
from rollout.journal.chain import Entry
from rollout.journal.endings import AlreadyEnded
from rollout.journal.leases import LEASE_S, LeaseHeld, LeaseLost
from rollout.journal.record import Decision, Kind, What
from rollout.journal.seen import JournalBehind
from rollout.journal.spool import SPOOL, reconcile
from tests.support.rollouts import NEW, OLD, rollout_in
from tests.support.undoing import ScriptedJournal, Undoing

Begin = Callable[..., Undoing]


def another_run(rollout: RolloutContext, tmp_path: Path, **parts: Any) -> RolloutContext:
    """Return another process's part of the same rollout, on the same journal."""
    return rollout_in(tmp_path, journal=rollout.journal, clock=rollout.clock, **{"run": "run-2", **parts})


def test_two_runs_of_one_rollout_do_not_write_side_by_side(tmp_path: Path):
    """Of two runs of the same content at once, one is refused."""
    first = rollout_in(tmp_path)
    first.acquire_lease()
    second = another_run(first, tmp_path)
    with pytest.raises(LeaseHeld, match="is being changed by rollout r-1"):
        second.acquire_lease()
    assert not first.superseded()


def test_the_next_run_takes_over_what_was_handed_over_to_it(tmp_path: Path):
    first = rollout_in(tmp_path)
    first.acquire_lease()
    first.append(Kind.HANDOVER, deadline="2026-11-23T13:00:00.000Z")
    second = another_run(first, tmp_path)
    second.acquire_lease()
    assert first.superseded()
    with pytest.raises(LeaseHeld):
        another_run(first, tmp_path, run="run-3").acquire_lease()


def test_a_run_takes_the_lease_that_has_run_out(tmp_path: Path):
    first = rollout_in(tmp_path)
    first.acquire_lease()
    first.clock.wait(LEASE_S + 1)
    another_run(first, tmp_path).acquire_lease()
    assert first.superseded()


def test_a_lease_of_a_closed_rollout_whose_process_died_delays_no_run(tmp_path: Path):
    """The process was killed between the verdict and giving the lease back."""
    closed = rollout_in(tmp_path)
    closed.acquire_lease()
    closed.append(Kind.CLOSED, decision=Decision.KEPT)
    another_run(closed, tmp_path, id="r-2").acquire_lease()
    assert closed.superseded()


def test_a_closed_rollout_that_is_rolled_back_keeps_rivals_from_its_target(tmp_path: Path):
    """`rollout rollback` of a kept change writes under a newer token than the one it was closed under."""
    closed = rollout_in(tmp_path)
    closed.acquire_lease()
    closed.append(Kind.CLOSED, decision=Decision.KEPT)
    closed.release_lease()
    closed.take_lease()
    with pytest.raises(LeaseHeld):
        another_run(closed, tmp_path, id="r-2").acquire_lease()


def test_a_run_that_was_taken_over_announces_no_write(tmp_path: Path):
    """Not even while its own lease would last."""
    first = rollout_in(tmp_path)
    first.acquire_lease()
    another_run(first, tmp_path).take_lease()
    with pytest.raises(LeaseLost), first.journaled_write("APP-1.2", "forward", str(NEW), what=What.PROVIDER):
        pytest.fail("the write must not be sent")
    assert not first.record().writes


def test_a_run_that_is_taken_over_right_after_it_announced_a_write_does_not_send_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Most pauses follow the entry, which waits for the disk. The intent has no outcome then, and counts as lost."""
    first = rollout_in(tmp_path)
    first.acquire_lease()
    append = first.journal.append_held

    def and_then(*args: Any) -> Any:
        entry = append(*args)
        another_run(first, tmp_path).take_lease()
        return entry

    monkeypatch.setattr(first.journal, "append_held", and_then)
    write = first.journaled_write("APP-1.2", "back", str(NEW), what=What.PROVIDER)
    with pytest.raises(LeaseLost, match="sent nothing"), write:
        pytest.fail("the write must not be sent")
    (announced,) = first.record().writes
    assert announced.result is None


def test_a_backup_that_was_taken_after_a_write_does_not_count(tmp_path: Path):
    """It would show the change as the state before it."""
    rollout = rollout_in(tmp_path)
    rollout.append(Kind.BACKUP, previous=str(OLD))
    rollout.append(Kind.INTENT, step="APP-1.2", direction="forward", to=str(NEW))
    rollout.append(Kind.BACKUP, previous=str(NEW))
    assert rollout.record().backup["previous"] == str(OLD)  # type: ignore[index]


def test_a_rollout_knows_what_it_wrote_when_its_journal_is_gone(tmp_path: Path):
    rollout = rollout_in(tmp_path)
    rollout.record()
    rollout.append(Kind.BACKUP, previous=str(OLD))
    rollout.append(Kind.INTENT, step="APP-1.2", direction="forward", to=str(NEW))
    (tmp_path / "journal.sqlite").unlink()
    with pytest.raises(JournalError):
        rollout.record()
    known = rollout.last_known_record()
    assert known.wrote
    assert known.backup is not None
    rollout.append_or_spool(Kind.CLOSED, decision=Decision.ROLLED_BACK)
    assert rollout.last_known_record().decision is Decision.ROLLED_BACK


# A write is announced before it happens, and its outcome recorded (safety rules 3 and 8)


def announce(rollout: RolloutContext, direction: str = "forward", raises: Exception | None = None) -> None:
    with rollout.journaled_write("APP-1.2", direction, str(NEW), what=What.PROVIDER):
        if raises is not None:
            raise raises


@pytest.mark.parametrize(
    ("raises", "result"),
    [(None, "done"), (Refused("POST x", "no", status=400), "refused"), (GatewayError("POST x", "late"), "unknown")],
)
def test_a_write_that_was_refused_is_distinguished_from_one_that_may_have_landed(
    undoing: Begin, raises: Exception | None, result: str
):
    lab = undoing()
    if raises is None:
        announce(lab.rollout)
    else:
        with pytest.raises(type(raises)):
            announce(lab.rollout, raises=raises)
    assert lab.sent() == [("APP-1.2", "forward", str(NEW), result)]
    assert [entry.body["fence"] for entry in lab.entries(Kind.INTENT)] == [1]


def test_the_intent_is_on_disk_before_the_write(undoing: Begin):
    lab = undoing()
    with lab.rollout.journaled_write("APP-1.2", "forward", str(NEW), what=What.PROVIDER):
        assert [entry.body["to"] for entry in lab.entries(Kind.INTENT)] == [str(NEW)]
        assert lab.rollout.last_known_record().writes[0].result is None


def test_without_a_lease_nothing_is_written_but_by_an_emergency(undoing: Begin):
    lab = undoing()
    lab.rollout.release_lease()
    with pytest.raises(LeaseLost, match="holds no lease"):
        announce(lab.rollout)
    assert lab.sent() == []
    lab.rollout.is_emergency = True
    announce(lab.rollout)
    assert len(lab.sent()) == 1


def test_a_write_holds_the_lease_for_twice_as_long_as_an_activation_may_take(undoing: Begin):
    """What is sent must have ended before another may start."""
    lab = undoing()
    lab.clock.advance(50.0)
    announce(lab.rollout)
    assert lab.rollout.lease is not None
    assert (lab.rollout.lease.until - lab.clock.now()).total_seconds() >= 60.0


def test_a_journal_that_fails_stops_a_forward_write_and_a_rollbacks_intent_is_spooled(undoing: Begin):
    lab = undoing()
    lab.journal.is_down = True
    with pytest.raises(JournalError):
        announce(lab.rollout, "forward")
    with pytest.raises(JournalError):
        announce(lab.rollout, "proof")
    assert lab.sent() == []
    announce(lab.rollout, "back")
    assert lab.sent() == [("APP-1.2", "back", str(NEW), "done")]
    assert lab.rollout.unwritten == [Kind.INTENT, Kind.OUTCOME]


def test_once_the_lease_has_run_out_not_even_an_undo_is_spooled(undoing: Begin):
    lab = undoing()
    lab.journal.is_down = True
    lab.clock.advance(LEASE_S)
    with pytest.raises(JournalError):
        announce(lab.rollout, "back")
    assert lab.sent() == []
    assert lab.rollout.unwritten == []


def test_an_emergency_spools_without_a_lease(undoing: Begin):
    """The named exception of safety rule 8."""
    lab = undoing()
    lab.rollout.is_emergency = True
    lab.rollout.release_lease()
    lab.journal.is_down = True
    announce(lab.rollout, "back")
    assert lab.rollout.unwritten == [Kind.INTENT, Kind.OUTCOME]


def test_a_process_that_was_paused_between_announcement_and_write_sends_nothing(undoing: Begin):
    """Its lease ended meanwhile: another process may hold the target."""
    lab = undoing()

    def paused(name: str) -> None:
        if name == "append_held":
            lab.clock.advance(61.0)

    lab.journal.on_call = paused
    with pytest.raises(LeaseLost, match="its lease ended between the announcement and the write"):
        announce(lab.rollout, "back")
    assert lab.sent() == [("APP-1.2", "back", str(NEW), "refused")]


@pytest.mark.parametrize("direction", ["forward", "back"])
def test_a_superseded_process_announces_nothing_with_or_without_its_journal(undoing: Begin, direction: str):
    lab = undoing()
    lab.another_takes_over()
    with pytest.raises(LeaseLost):
        announce(lab.rollout, direction)
    assert lab.rollout.successor is not None
    lab.journal.is_down = True
    with pytest.raises(LeaseLost):
        announce(lab.rollout, direction)
    assert lab.sent() == []
    assert not (lab.rollout.folder / SPOOL).exists()


@pytest.mark.parametrize("kind", [Kind.INTENT, Kind.HANDOVER, Kind.ROLLBACK, Kind.STEP])
def test_what_announces_is_written_under_the_comparison_of_the_token(undoing: Begin, kind: Kind):
    """The entry and the comparison are one transaction: a newer token in between is found."""
    lab = undoing()
    lab.another_takes_over()
    with pytest.raises(LeaseLost):
        lab.rollout.append(kind, step="APP-1.2", direction="forward", to=str(NEW), clause="RBK-2.1")
    assert not lab.entries(kind)
    assert lab.rollout.successor is not None, "known from now on"


def test_other_entries_of_a_superseded_process_are_written_until_it_finds_out(undoing: Begin):
    lab = undoing()
    lab.another_takes_over()
    lab.rollout.append(Kind.FINDING, clause="VER-3", text="x")
    assert lab.rollout.superseded()
    with pytest.raises(LeaseLost):
        lab.rollout.append(Kind.FINDING, clause="VER-3", text="y")
    with pytest.raises(LeaseLost):
        lab.rollout.append_all([(Kind.FINDING, {"clause": "VER-3", "text": "z"})])
    lab.rollout.append_or_spool(Kind.FINDING, clause="VER-3", text="not even spooled")
    assert [entry.body["text"] for entry in lab.entries(Kind.FINDING)] == ["x"]
    assert not (lab.rollout.folder / SPOOL).exists()


# Endings


def test_an_ending_carries_the_token_and_is_written_once(undoing: Begin):
    lab = undoing()
    lab.rollout.end(spools=False, decision=Decision.KEPT)
    assert [entry.body["fence"] for entry in lab.entries(Kind.CLOSED)] == [1]
    with pytest.raises(AlreadyEnded):
        lab.rollout.end(spools=True, decision=Decision.ROLLED_BACK)
    assert lab.rollout.last_known_record().decision is Decision.KEPT


def test_a_superseded_process_ends_nothing_and_knows_it_then(undoing: Begin):
    lab = undoing()
    lab.another_takes_over()
    with pytest.raises(LeaseLost):
        lab.rollout.end(spools=True, decision=Decision.KEPT)
    assert lab.rollout.successor is not None
    lab.journal.is_down = True
    with pytest.raises(LeaseLost):
        lab.rollout.end(spools=True, decision=Decision.KEPT)
    assert lab.rollout.last_known_record().decision is None
    assert not (lab.rollout.folder / SPOOL).exists()


def test_kept_is_never_spooled_and_the_end_of_an_undo_is(undoing: Begin):
    lab = undoing()
    lab.journal.is_down = True
    with pytest.raises(JournalError):
        lab.rollout.end(spools=False, decision=Decision.KEPT)
    assert lab.rollout.last_known_record().decision is None
    lab.rollout.end(spools=True, decision=Decision.ROLLED_BACK)
    assert lab.rollout.last_known_record().decision is Decision.ROLLED_BACK


# The lease, by both clocks


def test_a_lease_runs_until_it_ends_and_not_a_moment_longer(undoing: Begin):
    lab = undoing()
    lab.clock.advance(LEASE_S - 0.1)
    assert lab.rollout.lease_runs()
    lab.clock.advance(0.1)
    assert not lab.rollout.lease_runs()


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
def test_a_wall_clock_that_jumps_prolongs_no_lease(undoing: Begin, jump_s: float):
    """The monotonic one ends it too; a jump ahead ends it at once, because other processes go by the wall clock."""
    lab = undoing()
    lab.clock._start += timedelta(seconds=jump_s)
    assert lab.rollout.lease_runs() is (jump_s < 0)
    lab.clock.advance(LEASE_S)
    assert not lab.rollout.lease_runs()


def test_without_a_lease_none_runs(undoing: Begin):
    lab = undoing()
    lab.rollout.release_lease()
    assert not lab.rollout.lease_runs()
    assert not lab.rollout.superseded()


def test_an_adopted_lease_counts_from_its_request(undoing: Begin):
    """The journal's time to answer is no part of the lease."""
    lab = undoing()
    assert lab.rollout.lease is not None
    lab.rollout.adopt(lab.rollout.lease, asked_s=lab.clock.monotonic() - 20.0)
    lab.clock._start -= timedelta(hours=1)
    lab.clock.advance(41.0)
    assert not lab.rollout.lease_runs()


# The spool file


def spooled(lab: Undoing) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (lab.rollout.folder / SPOOL).read_text(encoding="utf-8").splitlines()]


def test_spooled_intents_have_numbers_of_their_own_and_each_outcome_finds_its_own(undoing: Begin):
    """BROKEN_PROMISES 18: one outcome overwrites no other."""
    lab = undoing()
    lab.journal.is_down = True
    announce(lab.rollout, "back")
    with pytest.raises(Refused):
        announce(lab.rollout, "back", Refused("POST x", "no", status=400))
    with pytest.raises(GatewayError):
        announce(lab.rollout, "back", GatewayError("POST x", "late"))
    writes = lab.rollout.last_known_record().writes
    assert [write.result for write in writes] == ["done", "refused", "unknown"]
    assert len({write.seq for write in writes}) == 3
    lines = spooled(lab)
    assert [line["body"]["spool"] for line in lines] == [f"run-1/{number}" for number in range(1, 7)]
    assert [line["body"]["intent"] for line in lines[1::2]] == [line["body"]["spool"] for line in lines[::2]]
    assert {line["body"]["fence"] for line in lines} == {1}
    assert {line["because"] for line in lines} == {"the journal cannot be reached"}


def test_what_was_spooled_is_appended_as_what_it_is_once(undoing: Begin):
    """Kind reconciled, with its time, token and number; again is harmless (safety rule 8)."""
    lab = undoing()
    lab.journal.is_down = True
    announced_at = lab.now()
    announce(lab.rollout, "back")
    with pytest.raises(Refused):
        announce(lab.rollout, "back", Refused("POST x", "no", status=400))
    lab.journal.is_down = False
    lab.clock.advance(600.0)
    reports = lab.rollout.folder.parent
    copy = (lab.rollout.folder / SPOOL).read_bytes()
    assert reconcile(lab.journal, reports) == ["r-1"]  # type: ignore[arg-type]
    assert not (lab.rollout.folder / SPOOL).exists()
    (lab.rollout.folder / SPOOL).write_bytes(copy)
    reconcile(lab.journal, reports)  # type: ignore[arg-type]
    raw = [entry for entry in lab.journal.raw_entries() if entry.kind == Kind.RECONCILED]
    assert len(raw) == 4
    assert not [entry for entry in lab.journal.raw_entries() if entry.kind == Kind.INTENT]
    assert [(write.result, write.at) for write in lab.rollout.record().writes] == [
        ("done", announced_at),
        ("refused", announced_at),
    ]
    assert {entry.body["fence"] for entry in lab.entries(Kind.INTENT)} == {1}
    assert reconcile(lab.journal, reports) == []  # type: ignore[arg-type]


def test_a_spool_of_version_0_1_gives_each_outcome_the_intent_before_it(undoing: Begin):
    """All its intents had number 0."""
    lab = undoing()
    intent = {"step": "RBK-2.1", "direction": "back", "to": str(OLD)}
    lines = [
        ("intent", intent),
        ("outcome", {"intent": 0, "result": "refused", "detail": ""}),
        ("intent", {**intent, "to": "vllm:m"}),
        ("outcome", {"intent": 0, "result": "done", "detail": ""}),
    ]
    lab.rollout.folder.mkdir(parents=True, exist_ok=True)
    text = [json.dumps({"at": lab.now(), "rollout": "r-1", "kind": kind, "body": body}) for kind, body in lines]
    (lab.rollout.folder / SPOOL).write_text("\n".join(text) + "\n", encoding="utf-8")
    reconcile(lab.journal, lab.rollout.folder.parent)  # type: ignore[arg-type]
    assert [(write.to, write.result) for write in lab.rollout.record().writes] == [
        (str(OLD), "refused"),
        ("vllm:m", "done"),
    ]


def test_a_line_that_its_writer_did_not_end_does_not_keep_the_others_out(undoing: Begin):
    """The process was killed while it wrote; the file is kept beside."""
    lab = undoing()
    lab.journal.is_down = True
    announce(lab.rollout, "back")
    lab.journal.is_down = False
    with (lab.rollout.folder / SPOOL).open("a", encoding="utf-8") as spool:
        spool.write('{"at": "2026-11-23T12:0')
    assert reconcile(lab.journal, lab.rollout.folder.parent) == ["r-1"]  # type: ignore[arg-type]
    assert [write.result for write in lab.rollout.record().writes] == ["done"]
    assert len(list(lab.rollout.folder.glob("reconciled-*.jsonl"))) == 1


def test_a_journal_that_still_fails_leaves_the_spool_file_as_it_is(undoing: Begin):
    lab = undoing()
    lab.journal.is_down = True
    announce(lab.rollout, "back")
    with pytest.raises(JournalError):
        reconcile(lab.journal, lab.rollout.folder.parent)  # type: ignore[arg-type]
    assert len(spooled(lab)) == 2


def test_a_disk_that_takes_nothing_does_not_stop_an_undo(undoing: Begin, capsys: pytest.CaptureFixture[str]):
    """The entry goes to standard error."""
    lab = undoing()
    lab.rollout.folder = Path("/proc/nowhere")
    lab.journal.is_down = True
    announce(lab.rollout, "back")
    assert lab.sent() == [("APP-1.2", "back", str(NEW), "done")]
    assert "neither the journal nor" in capsys.readouterr().err


def test_secrets_stay_out_of_the_spool_file(undoing: Begin):
    lab = undoing()
    lab.rollout.redactor.add("s3cret-value-1234")
    lab.journal.is_down = True
    lab.rollout.append_or_spool(Kind.FINDING, clause="VER-3", text="s3cret-value-1234")
    assert "s3cret" not in (lab.rollout.folder / SPOOL).read_text(encoding="utf-8")


# What another process of the rollout has written


def test_what_another_process_has_written_is_known_when_the_journal_has_lost_it(undoing: Begin, tmp_path: Path):
    """BROKEN_PROMISES 5: a journal that does not hold it fails."""
    lab = undoing()
    lab.rollout.record()
    far = rollout_in(tmp_path)
    for _ in range(9):
        far.append(Kind.FINDING, clause="VER-3", text="x")
    entry = far.append(Kind.INTENT, step="APP-1.2", direction="forward", to=str(NEW), what=What.PROVIDER)
    far.journal.close()
    lab.rollout.learn(entry)
    with pytest.raises(JournalBehind):
        lab.rollout.record()
    assert [write.to for write in lab.rollout.last_known_record().writes] == [str(NEW)]


def test_what_another_process_has_spooled_is_known_and_not_expected_of_the_journal(undoing: Begin):
    lab = undoing()
    lab.rollout.record()
    body = {"step": "RBK-2.1", "direction": "back", "to": str(OLD), "what": "provider", "fence": 1, "spool": "run-9/1"}
    lab.rollout.learn(Entry(0, "r-1", lab.now(), Kind.INTENT, body, "", ""))
    assert [write.seq for write in lab.rollout._known.writes] == ["run-9/1"]  # type: ignore[union-attr]
    lab.rollout.record()


def test_intents_and_outcomes_are_handed_on_and_nothing_else(undoing: Begin):
    """The watchdog keeps them for a journal that loses its tail."""
    lab = undoing()
    handed: list[str] = []
    lab.rollout.on_write = lambda entry: handed.append(entry.kind)
    announce(lab.rollout)
    lab.rollout.append_or_spool(Kind.FINDING, clause="VER-3", text="x")
    lab.journal.is_down = True
    announce(lab.rollout, "back")
    assert handed == ["intent", "outcome"] * 2


def test_a_scripted_journal_fails_while_it_is_down(tmp_path: Path):
    """The tests above rely on it."""
    rollout = rollout_in(tmp_path)
    journal = ScriptedJournal(rollout.journal)
    calls: list[str] = []
    journal.on_call = calls.append
    assert (journal.head(), journal.host) == (None, rollout.journal.host)
    journal.is_down = True
    with pytest.raises(JournalError):
        journal.head()
    assert calls == ["head", "head"]
