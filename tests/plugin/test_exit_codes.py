"""How a run ends: its code is true of the gateway, whatever failed on the way there (`RolloutRun`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollout.context import RolloutContext
from rollout.core.clauses import CLAUSES, PHASES
from rollout.core.errors import ExitCode, GatewayError, JournalError, NotCleared, TryLater
from rollout.core.policy import Policy
from rollout.engine import closure as closing
from rollout.engine import decision as deciding
from rollout.engine import rollback_closure
from rollout.journal.leases import LEASE_S
from rollout.journal.record import Decision, Kind
from rollout.plugin import rollout_run as running
from rollout.plugin.rollout_run import RolloutRun
from rollout.plugin.session_end import SessionEnd
from tests.support.decisions import Faulty, applied, apply, begun, live, passed, session_of, successor
from tests.support.rollouts import NEW, OLD

BOOM = RuntimeError("boom")
WAITING = Policy("sandbox", review="named", operator_ack_max_age_s=None)


class Guard:
    """A watchdog that notes what it is asked."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def dismiss(self) -> None:
        """Note it."""
        self.words.append("dismissed")

    def hand_over(self, deadline: Any) -> None:
        """Note it."""
        self.words.append(f"handed over until {deadline}")


def at_work(rollout: RolloutContext, *phases: str, **parts: Any) -> tuple[RolloutRun, Guard]:
    """Return a run of these phases whose watchdog is armed."""
    run, guard = RolloutRun(session_of(rollout, *phases, **parts), {}), Guard()
    run._watchdog = guard  # type: ignore[assignment]
    return run, guard


def failed(run: RolloutRun, clause: str, error: Exception) -> None:
    """Let a check fail."""
    run.record_outcome(CLAUSES[clause], "failed", str(error), took_s=0.0, error=error)


def exit_code(run: RolloutRun, status: int) -> int:
    """Return what the process exits with, where pytest's own exit code is `status`."""
    return SessionEnd(run).decide_exit_code(status)


def raising(error: Exception) -> Any:
    def raises(*_: Any, **__: Any) -> Any:
        raise error

    return raises


def endings(rollout: RolloutContext) -> list[str]:
    return [entry.body["decision"] for entry in rollout.journal.entries(rollout.id, Kind.CLOSED)]


# The codes


@pytest.mark.parametrize("status", range(6))
def test_a_change_that_this_run_kept_is_zero_whatever_pytest_says(tmp_path: Path, status: int):
    rollout = applied(tmp_path)
    passed(rollout, *PHASES)
    run, guard = at_work(rollout)
    assert exit_code(run, status) == ExitCode.KEPT
    assert (endings(rollout), guard.words) == (["kept"], ["dismissed"])


@pytest.mark.parametrize("status", range(6))
def test_a_change_whose_evidence_is_not_on_disk_is_twelve_and_open_where_the_policy_waits(tmp_path: Path, status: int):
    """No check of this run has left an Allure result: the watchdog gets it, and nothing is closed."""
    rollout = applied(tmp_path, policy=WAITING)
    passed(rollout, *PHASES)
    run, guard = at_work(rollout)
    assert exit_code(run, status) == ExitCode.IN_PROGRESS
    assert run.closure().word == "KEPT, EVIDENCE OWED"
    assert endings(rollout) == []
    assert rollout.record().awaits_evidence
    (word,) = guard.words
    assert word.startswith("handed over until ")


@pytest.mark.parametrize("status", range(6))
def test_a_change_that_was_rolled_back_is_ten(tmp_path: Path, status: int):
    rollout = applied(tmp_path)
    passed(rollout, *PHASES, but={"VER-1": "disconnected"})
    run, guard = at_work(rollout)
    assert exit_code(run, status) == ExitCode.ROLLED_BACK
    assert guard.words == ["dismissed"]


def test_a_rollback_that_is_not_proven_is_eleven(tmp_path: Path):
    rollout = applied(tmp_path)
    passed(rollout, *PHASES, but={"VER-1": "disconnected"})
    live(rollout).without_effect.add("activate")
    run, guard = at_work(rollout)
    assert exit_code(run, 1) == ExitCode.ROLLBACK_FAILED
    assert guard.words == ["dismissed"], "it was tried: a second try of the watchdog would be no other one"


@pytest.mark.parametrize(
    ("decision", "code"),
    [
        (None, ExitCode.IN_PROGRESS),
        (Decision.KEPT, ExitCode.KEPT),
        (Decision.ROLLED_BACK, ExitCode.ROLLED_BACK),
        (Decision.ROLLBACK_FAILED, ExitCode.ROLLBACK_FAILED),
    ],
)
def test_a_run_that_was_taken_over_answers_what_its_successor_did(tmp_path: Path, decision: Any, code: ExitCode):
    """Whatever its own checks saw: they failed because it was taken over."""
    rollout = applied(tmp_path)
    run, guard = at_work(rollout)
    newer = successor(rollout)
    if decision is not None:
        newer.end(spools=False, decision=decision, why="recover")
    failed(run, "VER-1", GatewayError("GET x", "gone"))
    assert exit_code(run, 1) == code
    assert live(rollout).writes == []
    assert guard.words == ["dismissed"]


def test_a_phase_that_is_called_again_after_kept_answers_what_it_saw(tmp_path: Path):
    rollout = applied(tmp_path)
    passed(rollout, *PHASES)
    rollout.end(spools=False, **closing.Closure(Decision.KEPT, "KEPT", "all passed").facts())
    assert exit_code(at_work(rollout, "verify")[0], 0) == 0
    run, _ = at_work(rollout, "verify")
    failed(run, "VER-1", GatewayError("GET x", "gone"))
    assert exit_code(run, 1) == ExitCode.CHECK_FAILED
    assert live(rollout).state.place == str(NEW)


def test_before_any_write_a_failed_check_is_one(tmp_path: Path):
    rollout = begun(tmp_path)
    passed(rollout, "precheck", but={"PRE-2.1": "no ticket"})
    assert exit_code(at_work(rollout, "precheck")[0], 1) == ExitCode.CHECK_FAILED


def test_before_any_write_what_was_never_reached_is_one_though_pytest_says_zero(tmp_path: Path):
    assert exit_code(at_work(begun(tmp_path), "precheck")[0], 0) == ExitCode.CHECK_FAILED


def test_a_precheck_that_passed_is_zero(tmp_path: Path):
    rollout = begun(tmp_path)
    passed(rollout, "precheck")
    assert exit_code(at_work(rollout, "precheck")[0], 0) == 0


def test_a_precheck_whose_journal_is_gone_at_the_end_is_not_zero(tmp_path: Path):
    rollout = begun(tmp_path)
    passed(rollout, "precheck")
    Faulty(rollout)
    assert exit_code(at_work(rollout, "precheck")[0], 0) == ExitCode.CHECK_FAILED


def test_before_any_write_a_stop_is_an_interruption(tmp_path: Path):
    rollout = begun(tmp_path)
    rollout.stop.set("SIGINT asked the run to stop")
    assert exit_code(at_work(rollout, "precheck")[0], 0) == ExitCode.INTERRUPTED


def test_after_a_handover_a_signal_does_not_make_the_phase_fail(tmp_path: Path):
    rollout = applied(tmp_path)
    passed(rollout, "precheck", "apply")
    run, _ = at_work(rollout, "precheck", "apply")
    assert run.closure().word == "IN FLIGHT"
    rollout.stop.set("SIGTERM asked the run to stop")
    assert exit_code(run, 2) == 0


def test_a_rest_of_the_window_for_a_later_call_is_twelve(tmp_path: Path):
    rollout = applied(tmp_path)
    rollout.append(Kind.PAUSE, left_s=30, watched_s=30, standing={}, memory={})
    passed(rollout, *PHASES, but={"MON-2": "IN PROGRESS: 30 s left"})
    run, guard = at_work(rollout)
    failed(run, "MON-2", AssertionError("IN PROGRESS: 30 s left"))
    assert exit_code(run, 1) == ExitCode.IN_PROGRESS
    assert guard.words[0].startswith("handed over until ")
    assert rollout.record().handover is not None


def test_what_has_to_wait_is_thirteen(tmp_path: Path):
    rollout = begun(tmp_path)
    run, _ = at_work(rollout, "precheck")
    failed(run, "PRE-4.1", TryLater("the window is closed"))
    assert exit_code(run, 1) == ExitCode.TRY_LATER
    assert endings(rollout) == []


def test_what_has_to_wait_and_a_failed_check_are_one(tmp_path: Path):
    rollout = begun(tmp_path)
    run, _ = at_work(rollout, "precheck")
    failed(run, "PRE-4.1", TryLater("the window is closed"))
    failed(run, "PRE-2.1", AssertionError("no ticket"))
    assert exit_code(run, 1) == ExitCode.CHECK_FAILED


def test_the_gate_that_fails_with_them_is_no_reason_of_its_own(tmp_path: Path):
    run, _ = at_work(begun(tmp_path), "precheck")
    failed(run, "PRE-4.1", TryLater("the window is closed"))
    failed(run, "PRE-3.3", NotCleared("PRE-4.1 is missing"))
    assert exit_code(run, 1) == ExitCode.TRY_LATER


def test_once_a_write_was_sent_waiting_is_no_answer(tmp_path: Path):
    rollout = applied(tmp_path)
    run, _ = at_work(rollout)
    failed(run, "VER-1", TryLater("later"))
    assert exit_code(run, 1) == ExitCode.ROLLED_BACK


def test_a_check_that_failed_while_another_rollout_changed_the_target_is_thirteen(tmp_path: Path):
    rollout = begun(tmp_path)
    rollout.journal.append("r-2", Kind.OPENED, {"url": rollout.lease_target, "change": "vllm:gemma", "digest": "e"})
    rollout.journal.append("r-2", Kind.INTENT, {"step": "APP-1.2", "direction": "forward", "to": "vllm:gemma"})
    run, _ = at_work(rollout, "precheck")
    failed(run, "PRE-5.2", AssertionError("vllm is active"))
    assert exit_code(run, 1) == ExitCode.TRY_LATER
    assert "rollout r-2 (vllm:gemma) changed this target meanwhile" in run.closure().why


def test_a_bystander_decides_nothing(tmp_path: Path):
    """Another run of this very rollout is changing the target: this one holds no lease."""
    rollout = applied(tmp_path)
    rollout.lease = None
    run, guard = at_work(rollout, "precheck")
    run.start_phase(CLAUSES["PRE-1.1"])
    failed(run, "PRE-1.1", AssertionError("no"))
    assert exit_code(run, 1) == ExitCode.CHECK_FAILED
    assert run.closure().word == "REFUSED"
    assert (live(rollout).writes, endings(rollout)) == ([], [])
    assert rollout.journal.entries(rollout.id, Kind.CLAUSE, Kind.PHASE) == ()
    assert guard.words == ["dismissed"]


# Refused


@pytest.mark.parametrize("resumed", [True, False])
def test_a_refused_run_leaves_an_earlier_rollout_as_it_is(tmp_path: Path, resumed: bool):
    rollout = begun(tmp_path)
    refusal = NotCleared("apply needs a passed precheck")
    run, _ = at_work(rollout, "apply", refusal=refusal, resumed=resumed)
    assert exit_code(run, 1) == ExitCode.CHECK_FAILED
    assert endings(rollout) == ([] if resumed else ["nothing_applied"])


def test_a_phase_that_is_called_after_a_rollback_is_ten(tmp_path: Path):
    rollout = applied(tmp_path)
    rollout.end(spools=False, **closing.Closure(Decision.ROLLED_BACK, "ROLLED BACK", "MON-2").facts())
    run, _ = at_work(rollout, "verify", refusal=NotCleared("r-1 ended"), resumed=True)
    assert exit_code(run, 1) == ExitCode.ROLLED_BACK


def test_a_run_that_has_to_wait_for_a_rival_is_thirteen_and_opens_nothing(tmp_path: Path):
    rollout = begun(tmp_path)
    run, _ = at_work(rollout, "precheck", refusal=TryLater("r-2 is in flight"))
    assert exit_code(run, 1) == ExitCode.TRY_LATER
    assert endings(rollout) == []


# A closure that fails


def test_a_closure_that_fails_rolls_back_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rollout = applied(tmp_path)
    passed(rollout, *PHASES)
    monkeypatch.setattr(deciding, "close", raising(BOOM))
    run, guard = at_work(rollout)
    assert exit_code(run, 0) == ExitCode.ROLLED_BACK
    assert live(rollout).state.place == str(OLD)
    assert run.closure().why == "the closure itself failed: RuntimeError: boom"
    assert guard.words == ["dismissed"]


@pytest.mark.parametrize("status", [0, 1, 2, 3])
def test_a_closure_that_fails_after_kept_was_written_rolls_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
):
    rollout = applied(tmp_path)
    passed(rollout, *PHASES)
    monkeypatch.setattr(deciding, "publish", raising(BOOM))
    run, guard = at_work(rollout)
    assert exit_code(run, status) == ExitCode.KEPT
    assert (endings(rollout), live(rollout).writes, guard.words) == (["kept"], [], ["dismissed"])


def test_a_closure_that_fails_before_any_write_applied_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rollout = begun(tmp_path)
    monkeypatch.setattr(deciding, "close", raising(BOOM))
    run, guard = at_work(rollout, "precheck")
    assert exit_code(run, 0) == ExitCode.CHECK_FAILED
    assert run.closure().decision is Decision.NOTHING_APPLIED
    assert (live(rollout).writes, guard.words) == ([], ["dismissed"])


def test_a_rollback_that_fails_too_is_left_to_the_watchdog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without a word: it acts as soon as this process ends."""
    rollout = applied(tmp_path)
    passed(rollout, *PHASES)
    monkeypatch.setattr(deciding, "close", raising(BOOM))
    monkeypatch.setattr(rollback_closure, "roll_back_and_close", raising(KeyError("x")))
    run, guard = at_work(rollout)
    assert exit_code(run, 0) == ExitCode.ROLLBACK_FAILED
    assert run.closure().decision is Decision.ROLLBACK_FAILED
    assert (guard.words, run._watchdog) == ([], guard)
    assert "KeyError" in str(run.error)


def test_a_run_without_journal_and_lease_leaves_it_to_the_watchdog(tmp_path: Path):
    rollout = applied(tmp_path)
    Faulty(rollout)
    rollout.clock.wait(2 * LEASE_S)
    run, guard = at_work(rollout)
    assert exit_code(run, 0) == ExitCode.ROLLBACK_FAILED
    assert (guard.words, live(rollout).writes) == ([], [])


def test_a_defect_in_the_code_itself_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run, _ = at_work(applied(tmp_path))
    monkeypatch.setattr(RolloutRun, "decide_exit_code", raising(BOOM))
    assert exit_code(run, 0) == ExitCode.ROLLBACK_FAILED


def test_it_is_decided_once(tmp_path: Path):
    rollout = applied(tmp_path)
    passed(rollout, *PHASES)
    run, _ = at_work(rollout)
    first = run.closure()
    failed(run, "MON-2", AssertionError("too late"))
    assert run.closure() is first
    assert exit_code(run, 1) == 0


# The handover


def handing_over(tmp_path: Path) -> tuple[RolloutContext, RolloutRun, Guard]:
    """Return a run whose phases have passed, and that leaves the change to the next one."""
    rollout = applied(tmp_path)
    passed(rollout, "precheck", "apply")
    return rollout, *at_work(rollout, "precheck", "apply")


def test_a_handover_is_recorded_and_holds_the_target_until_its_deadline(tmp_path: Path):
    rollout, run, guard = handing_over(tmp_path)
    closed = run.closure()
    held = rollout.journal.holder(rollout.lease_target)
    assert held is not None
    assert held.until >= closed.due  # type: ignore[operator]
    assert rollout.record().handover["fence"] == held.token  # type: ignore[index]
    assert guard.words == [f"handed over until {closed.due}"]


@pytest.mark.parametrize("call", ["renew", "append_held"])
def test_a_handover_that_cannot_be_recorded_is_rolled_back(tmp_path: Path, call: str):
    """No later phase would find it in the journal."""
    rollout, run, guard = handing_over(tmp_path)
    faulty = Faulty(rollout, call)
    live(rollout).on_write = lambda _: faulty.broken.clear()
    rollout.clock.wait(1)
    assert exit_code(run, 0) == ExitCode.ROLLED_BACK
    assert run.closure().why.startswith("the handover could not be recorded: ")
    assert live(rollout).state.place == str(OLD)
    assert guard.words == ["dismissed"]


def test_a_handover_of_a_run_that_is_taken_over_rolls_nothing_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rollout, run, guard = handing_over(tmp_path)
    original = deciding.close

    def meanwhile(*args: Any) -> closing.Closure:
        closure = original(*args)
        successor(rollout)
        return closure

    monkeypatch.setattr(deciding, "close", meanwhile)
    assert exit_code(run, 0) == ExitCode.IN_PROGRESS
    assert (live(rollout).writes, guard.words) == ([], ["dismissed"])


def test_where_neither_handover_nor_rollback_succeeds_the_watchdog_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    _, run, guard = handing_over(tmp_path)
    monkeypatch.setattr(RolloutContext, "hold_lease", raising(JournalError("gone")))
    monkeypatch.setattr(rollback_closure, "roll_back_and_close", raising(KeyError("x")))
    assert exit_code(run, 0) == ExitCode.ROLLBACK_FAILED
    assert (guard.words, run._watchdog) == ([], guard)


def test_a_change_that_was_in_effect_without_a_write_has_nothing_to_watch(tmp_path: Path):
    rollout = begun(tmp_path)
    passed(rollout, "precheck", "apply")
    run, guard = at_work(rollout, "precheck", "apply")
    assert run.closure().word == "IN FLIGHT"
    assert guard.words == ["dismissed"]
    assert rollout.record().handover is None


# What may run


def test_from_the_first_write_on_the_first_failure_ends_the_run(tmp_path: Path):
    run, _ = at_work(applied(tmp_path))
    failed(run, "VER-1", AssertionError("disconnected"))
    assert run.skip_reason(CLAUSES["VER-2"]) == "NOT RUN: VER-1 did not pass"
    assert run.skip_reason(CLAUSES["MON-1"]) == "NOT RUN: VER-1 did not pass"
    assert run.skip_reason(None) is None


def test_a_precheck_shows_everything_at_once_and_lets_nothing_be_applied(tmp_path: Path):
    run, _ = at_work(begun(tmp_path))
    failed(run, "PRE-2.1", AssertionError("no ticket"))
    assert run.skip_reason(CLAUSES["PRE-2.2"]) is None
    assert run.skip_reason(CLAUSES["APP-0.1"]) == "NOT RUN: PRE-2.1 did not pass"


def test_the_clauses_of_one_window_each_say_what_they_saw(tmp_path: Path):
    run, _ = at_work(applied(tmp_path))
    failed(run, "MON-1", AssertionError("disconnected"))
    assert run.skip_reason(CLAUSES["MON-2"]) is None


def test_a_run_that_is_asked_to_stop_runs_no_further_check(tmp_path: Path):
    rollout = applied(tmp_path)
    run, _ = at_work(rollout)
    rollout.stop.set("SIGTERM asked the run to stop")
    assert run.skip_reason(CLAUSES["VER-1"]) == "NOT RUN: SIGTERM asked the run to stop"
    assert run.skip_reason(CLAUSES["MON-7"]) is not None
    run._interrupted = True
    assert run.skip_reason(CLAUSES["MON-7"]) is None


def test_a_precheck_claims_nothing_and_the_first_check_of_apply_claims_and_arms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rollout = begun(tmp_path)
    rollout.release_lease()
    armed: list[Any] = []
    monkeypatch.setattr(running, "arm", armed.append)
    passed(rollout, "precheck")
    run, _ = at_work(rollout)
    run.check_admission(CLAUSES["PRE-1.1"])
    assert (rollout.lease, armed) == (None, [])
    run.check_admission(CLAUSES["APP-0.1"])
    assert rollout.lease is not None
    run.check_admission(CLAUSES["APP-0.1"])
    assert armed == [run.session]


@pytest.mark.parametrize("how", ["refused", "no precheck", "step left out"])
def test_no_check_runs_past_its_gate(tmp_path: Path, how: str):
    rollout = begun(tmp_path)
    if how != "no precheck":
        passed(rollout, "precheck")
    refusal = NotCleared("no") if how == "refused" else None
    run, _ = at_work(rollout, refusal=refusal)
    with pytest.raises(NotCleared):
        run.check_admission(CLAUSES["APP-1.2" if how == "step left out" else "APP-0.1"])


def test_an_outcome_that_cannot_be_recorded_is_no_pass(tmp_path: Path):
    rollout = begun(tmp_path)
    run, _ = at_work(rollout)
    apply(rollout)
    Faulty(rollout, "append")
    run.record_outcome(CLAUSES["VER-1"], "passed", "", took_s=0.0, error=None)
    assert "its outcome could not be recorded" in str(run.skip_reason(CLAUSES["VER-2"]) and run._failed["VER-1"])
    assert exit_code(run, 0) == ExitCode.ROLLED_BACK
