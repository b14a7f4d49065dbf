"""`rollout recover`: a change left in flight is rolled back, once, by the first caller, and nothing else is changed."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rollout.context import RolloutContext
from rollout.core.clock import format_utc
from rollout.core.errors import JournalError
from rollout.core.scenario import EMERGENCY_SOURCE
from rollout.engine import cases, recovery
from rollout.engine.cases import _lives, in_flight
from rollout.engine.closure import Closure
from rollout.engine.recovery import recover
from rollout.journal.record import Decision, Kind
from rollout.journal.spool import SPOOL, reconcile
from tests.support.forks import Child
from tests.support.liar import passed_on
from tests.support.rollouts import rollout_in
from tests.support.runs import eventually
from tests.torture.kill import APPLIED
from tests.torture.support import Bench, held, settled

pytest_plugins = ["tests.torture.fixtures"]

NOBODY = 2**22 - 1
"""A process id that no process has: the largest on 64 bits, given out last."""


def stranded(bench: Bench) -> None:
    """Leave a change in effect whose runner and watchdog are dead."""
    bench.begin(entry=APPLIED[bench.shape], do="both").wait(60)
    bench.settle()
    assert bench.look().active == "openai:gpt-4o"


# End to end


def test_a_change_whose_processes_are_dead_is_rolled_back_at_once(bench: Bench):
    """It does not wait for the end of the lease where the processes are known to be dead."""
    stranded(bench)
    assert bench.recover() == 10
    assert "rolling it back: its runner and its watchdog on this host are gone" in bench.output
    assert "ROLLED BACK, verified" in bench.output
    settled(bench, None)


def test_again_there_is_nothing_to_do(bench: Bench):
    stranded(bench)
    assert bench.recover() == 10
    writes = len(bench.liar.seen("POST", "/activate$"))
    assert bench.recover() == 0
    assert "no rollout is in flight" in bench.output
    assert len(bench.liar.seen("POST", "/activate$")) == writes


def test_a_new_run_refuses_until_it_is_reconciled(bench: Bench):
    stranded(bench)
    assert bench.begin().wait(60) == 13
    bench.scenario["ticket"] = "LAB-2"
    assert bench.begin().wait(60) == 13, "another content is refused as well"
    assert "is in flight" in bench.output
    assert bench.recover() == 10
    assert bench.begin().wait(60) == 0, bench.output
    settled(bench, 0)


def test_a_run_that_lives_is_left_alone(bench: Bench):
    """It is waited for where that is asked for."""
    codes: list[int] = []
    waiting: list[Child] = []

    def call() -> None:
        codes.append(bench.recover())
        waiting.append(bench.command("recover", "--wait=1m"))
        eventually(lambda: "waiting for it, for at most 1m: " in waiting[0].text, "it waits", 20)

    bench.liar.rule("/admin/audit", held(call, passed_on()), nth=1)
    bench.target["timeouts"]["read"] = "20s"
    assert bench.begin().wait(60) == 0, bench.output
    assert codes == [0]
    assert "left alone: " in bench.output
    assert waiting[0].wait(30) == 0
    assert ": KEPT, by the process that had it: every clause" in waiting[0].text
    assert "rolling it back" not in bench.output


def test_a_handover_is_left_alone_until_its_deadline(bench: Bench):
    bench.policy["sandbox"]["confirm_within"] = "60s"
    assert bench.begin("-m", "precheck or apply").wait(60) == 0, bench.output
    bench.kill_watchdogs()
    assert bench.recover() == 0
    assert "left alone: its next phase has until" in bench.output
    assert bench.begin("-m", "verify or monitor").wait(60) == 0, bench.output
    settled(bench, 0)


def test_a_gateway_that_is_gone_is_reported_and_tried_again_later(bench: Bench):
    stranded(bench)
    port = bench.kill_gateway()
    assert bench.recover() == 11
    assert "ROLLBACK FAILED: openai:gpt-4o on lab" in (bench.reports / "operations.log").read_text(encoding="utf-8")
    bench.start_gateway(port)
    rollback = bench.command("rollback", _newest(bench))
    assert rollback.wait(60) == 10, bench.output
    settled(bench, None)


def _newest(bench: Bench) -> str:
    record = bench.record()
    assert record is not None
    return record.id


# Which processes are dead


def left_in_flight(
    tmp_path: Path, *, runner: int = NOBODY, watchdog: int = NOBODY, host: str | None = None
) -> RolloutContext:
    """Return a rollout that wrote and whose processes are these."""
    rollout = rollout_in(tmp_path, run=f"20261123-120000-apply-{runner}")
    rollout.append(Kind.OPENED, url=rollout.target.url, digest="d", change="openai:gpt-4o")
    rollout.take_lease()
    rollout.append(Kind.ARMED, pid=watchdog, runner=runner, host=host or rollout.journal.host)
    rollout.append(Kind.INTENT, step="APP-1.2", direction="forward", to="openai:gpt-4o")
    return rollout


def test_dead_processes_on_this_host_strand_a_rollout(tmp_path: Path):
    (case,) = in_flight(left_in_flight(tmp_path).journal)
    assert case.stranded


def test_processes_on_another_host_are_not_known_to_be_dead(tmp_path: Path):
    rollout = left_in_flight(tmp_path, host="elsewhere")
    (case,) = in_flight(rollout.journal)
    assert not case.stranded
    rollout.clock.wait(61)
    (case,) = in_flight(rollout.journal)
    assert case.stranded
    assert case.why.startswith("its lease has run out")


def own_name() -> str:
    """Return the first word of this process's command line; a worker of pytest-xdist has a title there."""
    return Path("/proc/self/cmdline").read_text(encoding="utf-8").replace("\0", " ").split()[0]


def test_a_rollback_that_holds_the_lease_is_not_disturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The runner is dead, and a `rollout rollback` or `recover`, which is alive, has a newer token."""
    monkeypatch.setattr("rollout.engine.cases.OUR_PROCESSES", (own_name(),))
    rollout = left_in_flight(tmp_path)
    holder = f"20261123-120100-rollback-{os.getpid()}@{rollout.journal.host}"
    rollout.journal.acquire(rollout.lease_target, rollout.id, holder, 60)
    (case,) = in_flight(rollout.journal)
    assert not case.stranded
    assert holder in case.why


def test_a_pid_that_has_passed_to_another_program_is_dead():
    assert _lives(os.getpid(), own_name())
    assert not _lives(os.getpid(), "rollout.engine.watchdog")
    assert not _lives(NOBODY, "pytest")


def test_a_zombie_is_dead():
    pid = os.fork()
    if not pid:
        os._exit(0)
    eventually(lambda: Path(f"/proc/{pid}/cmdline").read_bytes() == b"", "it has ended")
    try:
        assert not _lives(pid, "pytest")
    finally:
        os.waitpid(pid, 0)


def test_what_wrote_nothing_is_not_in_flight(tmp_path: Path):
    rollout = rollout_in(tmp_path)
    rollout.append(Kind.OPENED, url=rollout.target.url, digest="d", change="openai:gpt-4o")
    rollout.take_lease()
    assert in_flight(rollout.journal) == []


@pytest.mark.parametrize("alive", ["runner", "watchdog"])
def test_one_of_the_two_that_lives_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alive: str):
    monkeypatch.setattr(cases, "_lives", lambda pid, _what: pid == 1)
    monkeypatch.setattr(cases, "_is_dead", lambda _journal, _lease: True)
    (case,) = in_flight(left_in_flight(tmp_path, **{alive: 1}).journal)
    assert not case.stranded


def test_a_holder_of_the_lease_on_another_host_is_not_known_to_be_dead(tmp_path: Path):
    rollout = left_in_flight(tmp_path)
    rollout.journal.acquire(rollout.lease_target, rollout.id, f"20261123-120100-rollback-{NOBODY}@elsewhere", 60)
    (case,) = in_flight(rollout.journal)
    assert not case.stranded


@pytest.mark.parametrize("holder", ["no-process", "eve@{host}", "20261123-120100-recover-x@{host}"])
def test_a_holder_whose_process_is_not_named_is_not_known_to_be_dead(tmp_path: Path, holder: str):
    rollout = left_in_flight(tmp_path)
    rollout.journal.acquire(rollout.lease_target, rollout.id, holder.format(host=rollout.journal.host), 60)
    (case,) = in_flight(rollout.journal)
    assert not case.stranded


def test_a_lease_of_another_rollout_is_no_sign_that_this_one_is_stranded(tmp_path: Path):
    rollout = left_in_flight(tmp_path)
    rollout.journal.acquire(
        rollout.lease_target, "r-2", f"20261123-120100-apply-{NOBODY}@{rollout.journal.host}", 60, preempts=True
    )
    (case,) = in_flight(rollout.journal)
    assert not case.stranded


def test_a_rollout_without_a_watchdog_is_stranded_when_its_lease_has_run_out(tmp_path: Path):
    rollout = rollout_in(tmp_path, run=f"20261123-120000-apply-{NOBODY}")
    rollout.append(Kind.OPENED, url=rollout.target.url, digest="d", change="openai:gpt-4o")
    rollout.take_lease()
    rollout.append(Kind.INTENT, step="APP-1.2", direction="forward", to="openai:gpt-4o")
    assert [case.stranded for case in in_flight(rollout.journal)] == [False]
    rollout.clock.wait(61)
    assert [case.stranded for case in in_flight(rollout.journal)] == [True]


def handed_over(tmp_path: Path) -> RolloutContext:
    """Return a rollout whose run has ended in order, with an hour for the next one."""
    rollout = left_in_flight(tmp_path)
    rollout.hold_lease(3600)
    rollout.append(Kind.HANDOVER, deadline=format_utc(rollout.clock.now() + timedelta(hours=1)))
    return rollout


def test_a_handover_holds_until_its_deadline_and_not_longer(tmp_path: Path):
    rollout = handed_over(tmp_path)
    (case,) = in_flight(rollout.journal)
    assert not case.stranded
    assert case.why.startswith("its next phase has until 2026-11-23T13:00:00")
    rollout.clock.wait(3600)
    (case,) = in_flight(rollout.journal)
    assert case.stranded


def test_a_handover_that_was_taken_up_does_not_count_any_more(tmp_path: Path):
    """The next phase has taken the lease, and died."""
    rollout = handed_over(tmp_path)
    rollout.journal.acquire(
        rollout.lease_target, rollout.id, f"20261123-120100-verify-{NOBODY}@{rollout.journal.host}", 60
    )
    (case,) = in_flight(rollout.journal)
    assert case.stranded


def test_an_emergency_is_given_a_minute(tmp_path: Path):
    rollout = rollout_in(tmp_path)
    opened = {"url": rollout.target.url, "digest": "e", "change": "EMERGENCY", "scenario": {"source": EMERGENCY_SOURCE}}
    rollout.append(Kind.OPENED, **opened)
    rollout.append(Kind.INTENT, step="EMG-1", direction="forward", to="vllm:x")
    assert [case.stranded for case in in_flight(rollout.journal)] == [False]
    rollout.clock.wait(59)
    assert [case.stranded for case in in_flight(rollout.journal)] == [False]
    rollout.clock.wait(1)
    assert [case.stranded for case in in_flight(rollout.journal)] == [True]


# Once


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a rollout in flight, and the reasons of its rollbacks, through the command's own `reopened`."""
    rollout = left_in_flight(tmp_path)
    reasons: list[str] = []

    @contextmanager
    def again(*_: object) -> Any:
        yield rollout_in(tmp_path, journal=rollout.journal, clock=rollout.clock, run="recover-1")

    def roll_back(which: RolloutContext, why: str, *_: object) -> Closure:
        reasons.append(why)
        which.append(Kind.CLOSED, decision=Decision.ROLLED_BACK, why=why)
        return Closure(Decision.ROLLED_BACK, "ROLLED BACK, verified", why)

    monkeypatch.setattr(recovery, "reopened", again)
    monkeypatch.setattr(recovery, "roll_back_and_close", roll_back)
    monkeypatch.setattr(recovery, "end_embedded", lambda _rollout: None)
    return rollout, reasons


def test_of_two_that_saw_the_same_one_rolls_it_back(opened: Any, tmp_path: Path):
    rollout, reasons = opened
    (first,), (second,) = in_flight(rollout.journal), in_flight(rollout.journal)
    assert recover(rollout.journal, first, tmp_path, {}).decision is Decision.ROLLED_BACK
    late = recover(rollout.journal, second, tmp_path, {})
    assert late.decision is None
    assert late.word == "LEFT ALONE"
    assert len(reasons) == 1


def test_a_rollout_that_another_process_has_just_begun_to_roll_back_is_left_alone(opened: Any, tmp_path: Path):
    """It is not closed yet, and its lease is this very rollout's."""
    rollout, reasons = opened
    (case,) = in_flight(rollout.journal)
    rollout.journal.acquire(rollout.lease_target, rollout.id, "recover-2@elsewhere", 60)
    closure = recover(rollout.journal, case, tmp_path, {})
    assert (closure.word, closure.decision, reasons) == ("LEFT ALONE", None, [])
    assert "another process has just begun" in closure.why


def test_an_emergency_is_closed_and_not_rolled_back(opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rollout, reasons = opened
    (case,) = in_flight(rollout.journal)
    monkeypatch.setattr(recovery, "is_emergency", lambda record: record is case.record)
    monkeypatch.setattr(
        recovery, "close_emergency", lambda _rollout, why, _env: Closure(Decision.KEPT, "EMERGENCY DONE", why)
    )
    closure = recover(rollout.journal, case, tmp_path, {})
    assert (closure.word, closure.why) == ("EMERGENCY DONE", f"recover: {case.why}")
    assert reasons == []


def test_what_was_spooled_is_reconciled_first(opened: Any, tmp_path: Path):
    """It may be the ending of the very rollout that seems stranded."""
    rollout, reasons = opened
    (case,) = in_flight(rollout.journal)
    rollout._spool(Kind.CLOSED, {"decision": "rolled_back", "why": "because"}, JournalError("away"))
    assert recover(rollout.journal, case, tmp_path, {}).word == "LEFT ALONE"
    assert reasons == []


def test_what_was_closed_meanwhile_is_left_alone(opened: Any, tmp_path: Path):
    rollout, reasons = opened
    (case,) = in_flight(rollout.journal)
    rollout.append(Kind.CLOSED, decision=Decision.KEPT, why="")
    assert recover(rollout.journal, case, tmp_path, {}).word == "LEFT ALONE"
    assert reasons == []


def test_the_lease_is_released_afterwards(opened: Any, tmp_path: Path):
    rollout, _ = opened
    (case,) = in_flight(rollout.journal)
    recover(rollout.journal, case, tmp_path, {})
    assert rollout.journal.holder(rollout.lease_target) is None


def test_one_that_cannot_be_rolled_back_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fails(*_: object) -> Any:
        raise JournalError("it does not start")

    rollout = left_in_flight(tmp_path)
    (case,) = in_flight(rollout.journal)
    monkeypatch.setattr(recovery, "reopened", fails)
    closure = recover(rollout.journal, case, tmp_path, {})
    assert closure.decision is Decision.ROLLBACK_FAILED
    assert "it does not start" in closure.why


# What could not be written


def spooled(tmp_path: Path) -> RolloutContext:
    """Return a rollout whose rollback could not write its journal."""
    rollout = left_in_flight(tmp_path)
    error = JournalError("the disk is full")
    back = {"step": "RBK-2.1", "direction": "back", "to": "ollama:gemma3:4b"}
    intent = rollout._spool(Kind.INTENT, back, error).body["spool"]
    rollout._spool(Kind.OUTCOME, {"intent": intent, "result": "done", "detail": ""}, error)
    rollout._spool(Kind.CLOSED, {"decision": "rolled_back", "why": "because"}, error)
    return rollout


def test_the_spool_is_reconciled_in_order_and_once(tmp_path: Path):
    rollout = spooled(tmp_path)
    assert reconcile(rollout.journal, tmp_path) == ["r-1"]
    record = rollout.record()
    assert record.decision is Decision.ROLLED_BACK
    assert [(write.direction, write.result) for write in record.writes] == [("forward", None), ("back", "done")]
    count = len(rollout.journal.raw_entries())
    assert reconcile(rollout.journal, tmp_path) == []
    assert len(rollout.journal.raw_entries()) == count
    assert not (rollout.folder / SPOOL).exists()


def test_a_reconciliation_that_was_cut_goes_on_where_it_was(tmp_path: Path):
    """Half of the spool is in the journal, and the file is still there."""
    rollout = spooled(tmp_path)
    path = rollout.folder / SPOOL
    spool = path.read_text(encoding="utf-8")
    path.write_text("\n".join(spool.splitlines()[:1]) + "\n", encoding="utf-8")
    reconcile(rollout.journal, tmp_path)
    path.write_text(spool, encoding="utf-8")
    reconcile(rollout.journal, tmp_path)
    assert [(write.direction, write.result) for write in rollout.record().writes][1:] == [("back", "done")]


def test_a_spooled_entry_keeps_its_time(tmp_path: Path):
    rollout = spooled(tmp_path)
    before = format_utc(rollout.clock.now())
    rollout.clock.wait(3600)
    reconcile(rollout.journal, tmp_path)
    assert rollout.record().closed_at == before


def test_a_journal_that_still_fails_keeps_the_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rollout = spooled(tmp_path)

    def fails(*_: object, **__: object) -> Any:
        raise JournalError("the disk is full")

    monkeypatch.setattr(rollout.journal, "append", fails)
    with pytest.raises(JournalError):
        reconcile(rollout.journal, tmp_path)
    assert (rollout.folder / SPOOL).exists()


def test_a_disk_without_any_space_stops_no_rollback(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Neither the journal nor the spool can be written: stderr names it, and the rollback goes on."""
    rollout = left_in_flight(tmp_path)
    rollout.folder.parent.mkdir(exist_ok=True)
    rollout.folder.write_text("a file is where the folder should be", encoding="utf-8")
    rollout._spool(Kind.STEP, {"clause": "RBK-1.1"}, JournalError("the disk is full"))
    assert "neither the journal nor" in capsys.readouterr().err
