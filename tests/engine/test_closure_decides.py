"""How a rollout ends: kept only by its holder and once, rolled back otherwise, never ended by a superseded run."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.cli.status_facts import collect_facts
from rollout.core.clauses import PHASES, planned
from rollout.core.errors import ExitCode, GatewayError
from rollout.engine import closure as closing
from rollout.engine import decision as deciding
from rollout.engine.closing_records import publish_late
from rollout.engine.decision import close
from rollout.engine.rollback_closure import roll_back_and_close
from rollout.journal import schema
from rollout.journal.leases import LEASE_S
from rollout.journal.record import Decision, Kind
from rollout.journal.spool import SPOOL
from rollout.monitoring.window_outcome import IN_PROGRESS
from tests.support.clocks import SimulatedClock
from tests.support.decisions import GONE, Faulty, applied, apply, begun, live, passed, said, successor
from tests.support.gateways import LiveGateway, State, down, refused
from tests.support.rollouts import NEW, OLD

WHY = "MON-2: error rate 8.8 % is above 5 %"


def endings(rollout):
    return [entry.body["decision"] for entry in rollout.journal.entries(rollout.id, Kind.CLOSED)]


# Kept (safety rule 1)


def test_it_is_kept_when_every_clause_of_the_plan_passed_in_this_run(tmp_path: Path):
    rollout = applied(tmp_path)
    closure = close(rollout, PHASES, passed(rollout, *PHASES), {})
    assert (closure.decision, closure.word, closure.why) == (Decision.KEPT, "KEPT", "every clause of the plan passed")
    assert endings(rollout) == ["kept"]
    assert live(rollout).writes == []
    assert closure.next_step == "to undo: rollout rollback r-1"


@pytest.mark.parametrize("clause", ["PRE-1.1", "APP-0.1", "VER-4", "MON-7"])
def test_one_clause_without_a_pass_rolls_it_back(tmp_path: Path, clause: str):
    rollout = applied(tmp_path)
    closure = close(rollout, PHASES, passed(rollout, *PHASES, but={clause: "it is wrong"}), {})
    assert closure.decision is Decision.ROLLED_BACK
    assert closure.why == f"{clause}: it is wrong"
    assert live(rollout).state.place == str(OLD)


def test_a_clause_that_was_never_reached_rolls_it_back(tmp_path: Path):
    rollout = applied(tmp_path)
    passed(rollout, "precheck", "apply", "verify")
    rollout.append(Kind.PHASE, phase="monitor", passed=True, problems=[], run=rollout.run)
    closure = close(rollout, PHASES, planned(PHASES), {})
    assert closure.decision is Decision.ROLLED_BACK
    assert closure.not_passed["MON-7"] == "NOT RUN: it was never reached"


def test_a_pass_of_another_run_is_no_pass_of_this_one(tmp_path: Path):
    rollout = applied(tmp_path, run="run-0")
    passed(rollout, *PHASES)
    rollout.run = "run-1"
    assert close(rollout, PHASES, planned(PHASES), {}).decision is Decision.ROLLED_BACK


def test_a_stop_rolls_back_what_passed(tmp_path: Path):
    rollout = applied(tmp_path)
    plan = passed(rollout, *PHASES)
    rollout.stop.set("SIGTERM asked the run to stop")
    closure = close(rollout, PHASES, plan, {})
    assert closure.decision is Decision.ROLLED_BACK
    assert closure.why == "MON-7: SIGTERM asked the run to stop"


@pytest.mark.parametrize("phases", [PHASES[:1], PHASES], ids=["precheck", "all"])
def test_a_stop_before_any_write_is_named_as_such(tmp_path: Path, phases: tuple[str, ...]):
    rollout = begun(tmp_path)
    rollout.stop.set("SIGINT asked the run to stop")
    closure = close(rollout, phases, passed(rollout, "precheck", but={"PRE-2.1": "NOT RUN: stopped"}), {})
    assert (closure.decision, closure.next_step) == (Decision.NOTHING_APPLIED, "run it again")
    assert closure.why == (
        "interrupted before anything was written, so there is nothing to undo: SIGINT asked the run to stop"
    )


@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_whose_pass_is_not_in_the_journal_is_not_kept(tmp_path: Path, phase: str):
    """Its verdict was spooled while the journal was unreachable, and the next process reads this journal."""
    rollout = applied(tmp_path)
    plan = passed(rollout, *PHASES)
    rollout.append(Kind.PHASE, phase=phase, passed=False, problems=["x"], run="run-0")
    closure = close(rollout, PHASES, plan, {})
    assert closure.decision is Decision.ROLLED_BACK
    assert closure.why == f"the journal holds no pass of {phase}"


def test_a_concurrent_change_is_not_kept(tmp_path: Path):
    rollout = applied(tmp_path)
    plan = passed(rollout, *PHASES)
    live(rollout).set_limit("cost", "global", {"hard_limit_usd": 1.0})
    closure = close(rollout, PHASES, plan, {})
    assert closure.decision is not Decision.KEPT
    assert "VER-4, once more before the change is kept" in closure.why


def test_a_gateway_that_does_not_answer_at_the_end_is_not_kept(tmp_path: Path):
    rollout = applied(tmp_path)
    plan = passed(rollout, *PHASES)
    live(rollout).fails["providers"] = down()
    closure = close(rollout, PHASES, plan, {})
    assert closure.decision is Decision.ROLLBACK_FAILED
    assert "KEPT" not in said(rollout)


# Between phases


@pytest.mark.parametrize(("phases", "nxt"), [(("apply",), "verify"), (("precheck", "apply", "verify"), "monitor")])
def test_a_phase_that_passed_hands_over_to_the_next_one(tmp_path: Path, phases: tuple[str, ...], nxt: str):
    rollout = applied(tmp_path)
    closure = close(rollout, phases, passed(rollout, *phases), {})
    assert (closure.decision, closure.word) == (None, "IN FLIGHT")
    assert closure.next_step.startswith(f"pytest -m {nxt}, within ")
    assert closure.due is not None
    assert (closure.due - rollout.clock.now()).total_seconds() == rollout.policy.confirm_within_s
    assert endings(rollout) == []


def paused(rollout) -> None:
    rollout.append(Kind.PAUSE, left_s=30, watched_s=30, standing={"MON-2": "holding"}, memory={})


def test_a_window_that_is_not_over_goes_on_in_a_later_call(tmp_path: Path):
    rollout = applied(tmp_path)
    paused(rollout)
    plan = passed(rollout, *PHASES, but={"MON-2": f"{IN_PROGRESS}30 s left"})
    closure = close(rollout, PHASES, plan, {})
    assert (closure.decision, closure.word, closure.code) == (None, "IN PROGRESS", ExitCode.IN_PROGRESS)
    assert closure.due is not None
    assert live(rollout).writes == []


def test_a_window_that_goes_on_is_said_until_the_next_call(tmp_path: Path):
    rollout = applied(tmp_path)
    rollout.append(Kind.EXTENDED, at_s=30, until_s=35, at_most_s=60, extended_s=5, why="MON-2 is inconclusive: 4 %")
    paused(rollout)
    closure = close(rollout, PHASES, passed(rollout, *PHASES, but={"MON-2": f"{IN_PROGRESS}30 s left"}), {})
    words = (
        "the window goes on: it is judged again at 35 s of the window, and ends at 1 min at the latest, because MON-2"
    )
    assert words in closure.why
    assert str(collect_facts(rollout.record(), None)["window"]).startswith(words), "rollout status says it too"


@pytest.mark.parametrize("how", ["another clause failed", "stopped", "no pause"])
def test_only_a_window_that_is_not_over_goes_on(tmp_path: Path, how: str):
    rollout = applied(tmp_path)
    but = {"MON-2": f"{IN_PROGRESS}30 s left"}
    if how != "no pause":
        paused(rollout)
    if how == "another clause failed":
        but["VER-1"] = "disconnected"
    plan = passed(rollout, *PHASES, but=but)
    if how == "stopped":
        rollout.stop.set("SIGINT asked the run to stop")
    assert close(rollout, PHASES, plan, {}).decision is Decision.ROLLED_BACK


# Nothing applied


def test_a_precheck_that_passed_clears(tmp_path: Path):
    rollout = begun(tmp_path)
    closure = close(rollout, ("precheck",), passed(rollout, "precheck"), {})
    assert (closure.decision, closure.word, closure.next_step) == (None, "CLEARED", "pytest -m apply")


def test_a_precheck_that_failed_leaves_the_rollout_open_for_the_next_try(tmp_path: Path):
    rollout = begun(tmp_path)
    closure = close(rollout, ("precheck",), passed(rollout, "precheck", but={"PRE-2.1": "no ticket"}), {})
    assert (closure.decision, closure.why) == (Decision.NOTHING_APPLIED, "PRE-2.1: no ticket")
    assert endings(rollout) == []


def test_an_apply_that_wrote_nothing_ends_the_rollout(tmp_path: Path):
    rollout = begun(tmp_path)
    closure = close(rollout, ("apply",), passed(rollout, "apply", but={"APP-0.1": "not there"}), {})
    assert closure.decision is Decision.NOTHING_APPLIED
    assert endings(rollout) == ["nothing_applied"]
    assert live(rollout).writes == []


def test_a_run_that_never_got_its_lease_ends_a_rollout_that_wrote_nothing(tmp_path: Path):
    rollout = begun(tmp_path)
    rollout.release_lease()
    closure = close(rollout, ("apply",), passed(rollout, "apply", but={"APP-0.1": "another process holds it"}), {})
    assert closure.decision is Decision.NOTHING_APPLIED
    assert [entry.body["fence"] for entry in rollout.journal.entries(rollout.id, Kind.CLOSED)] == [0]


def test_a_run_without_a_lease_does_not_end_what_another_run_has_begun_to_write(tmp_path: Path, monkeypatch):
    """The write comes between its last read and its ending: NOTHING APPLIED would be wrong."""
    rollout = begun(tmp_path)
    rollout.release_lease()
    plan = passed(rollout, "apply", but={"APP-0.1": "another process holds it"})
    original = deciding.why_not

    def meanwhile(*args):
        apply(successor(rollout))
        return original(*args)

    monkeypatch.setattr(deciding, "why_not", meanwhile)
    closure = close(rollout, ("apply",), plan, {})
    assert (closure.decision, closure.word, closure.code) == (None, "TAKEN OVER", ExitCode.IN_PROGRESS)
    assert endings(rollout) == []


def test_a_change_that_was_in_effect_already_goes_on_without_a_write(tmp_path: Path):
    clock = SimulatedClock()
    rollout = begun(tmp_path, clock=clock, gateway=LiveGateway(clock, State(NEW.provider, NEW.model)))
    assert close(rollout, ("apply",), passed(rollout, "precheck", "apply"), {}).word == "IN FLIGHT"
    passed(rollout, "verify")
    closure = close(rollout, ("monitor",), passed(rollout, "monitor"), {})
    assert closure.decision is Decision.KEPT


def test_a_write_whose_answer_was_lost_is_rolled_back(tmp_path: Path):
    """It may land yet: that a read shows no effect is no proof that nothing was applied."""
    rollout = begun(tmp_path)
    live(rollout).fails["activate"] = down()
    with pytest.raises(GatewayError):
        apply(rollout)
    live(rollout).fails.clear()
    live(rollout).writes.clear()
    plan = passed(rollout, "apply", but={"APP-1.2": "no answer"})
    assert close(rollout, ("apply",), plan, {}).decision is Decision.ROLLED_BACK
    assert live(rollout).writes == [f"activate {OLD}"]


def test_a_write_that_was_refused_applied_nothing(tmp_path: Path):
    rollout = begun(tmp_path)
    live(rollout).fails["activate"] = refused()
    with pytest.raises(GatewayError):
        apply(rollout)
    live(rollout).writes.clear()
    plan = passed(rollout, "apply", but={"APP-1.2": "refused"})
    assert close(rollout, ("apply",), plan, {}).decision is Decision.NOTHING_APPLIED
    assert live(rollout).writes == []


# Superseded (broken promise 3)


def test_a_run_that_was_taken_over_keeps_nothing_and_sends_nothing(tmp_path: Path):
    rollout = applied(tmp_path)
    plan = passed(rollout, *PHASES)
    successor(rollout)
    closure = close(rollout, PHASES, plan, {})
    assert (closure.decision, closure.word, closure.code) == (None, "TAKEN OVER", ExitCode.IN_PROGRESS)
    assert "another process has taken this rollout over" in closure.why
    assert (endings(rollout), live(rollout).writes) == ([], [])


@pytest.mark.parametrize(
    ("decision", "code"),
    [
        (Decision.KEPT, ExitCode.KEPT),
        (Decision.ROLLED_BACK, ExitCode.ROLLED_BACK),
        (Decision.ROLLBACK_FAILED, ExitCode.ROLLBACK_FAILED),
    ],
)
def test_its_code_is_how_the_successor_ended_it(tmp_path: Path, decision: Decision, code: ExitCode):
    rollout = applied(tmp_path)
    plan = passed(rollout, *PHASES)
    successor(rollout).end(spools=False, decision=decision, why="recover: as it was seen")
    closure = close(rollout, PHASES, plan, {})
    assert (closure.decision, closure.word, closure.code) == (decision, "TAKEN OVER", code)
    assert closure.why == "recover: as it was seen"
    assert endings(rollout) == [decision]


def test_a_run_that_is_taken_over_while_it_keeps_leaves_the_ending_to_its_successor(tmp_path: Path, monkeypatch):
    """An emergency comes between the last read and the entry: KEPT is not recorded."""
    rollout = applied(tmp_path)
    plan = passed(rollout, *PHASES)
    original = deciding._find_deviations

    def meanwhile(*args):
        moved = original(*args)
        rollout.journal.acquire(rollout.lease_target, "e-1", "eve", 60, preempts=True)
        return moved

    monkeypatch.setattr(deciding, "_find_deviations", meanwhile)
    closure = close(rollout, PHASES, plan, {})
    assert (closure.word, closure.code) == ("TAKEN OVER", ExitCode.IN_PROGRESS)
    assert (endings(rollout), live(rollout).writes, said(rollout)) == ([], [], "")


def test_a_superseded_run_rolls_nothing_back(tmp_path: Path):
    rollout = applied(tmp_path)
    successor(rollout)
    closure = roll_back_and_close(rollout, WHY, {}, {})
    assert (closure.word, closure.code) == ("TAKEN OVER", ExitCode.IN_PROGRESS)
    assert (endings(rollout), live(rollout).writes, said(rollout)) == ([], [], "")


def test_a_rollback_that_is_taken_over_before_its_write_leaves_everything_to_the_successor(tmp_path: Path):
    rollout = applied(tmp_path)

    def preempt(*_):
        rollout.journal.acquire(rollout.lease_target, "e-1", "eve", 60, preempts=True)

    live(rollout).fails["alerts"] = preempt
    closure = roll_back_and_close(rollout, WHY, {}, {})
    assert (closure.word, closure.code) == ("TAKEN OVER", ExitCode.IN_PROGRESS)
    assert (endings(rollout), live(rollout).writes) == ([], [])
    assert not (rollout.folder / "post-mortem.md").exists(), "its successor writes the documents"


def test_a_rollback_that_is_taken_over_at_its_ending_writes_no_second_one(tmp_path: Path):
    rollout = applied(tmp_path)

    def recovered(*_):
        successor(rollout).end(spools=False, decision=Decision.ROLLED_BACK, why="recover")

    live(rollout).fails["governance"] = recovered
    closure = roll_back_and_close(rollout, WHY, {}, {})
    assert (closure.word, closure.decision, closure.why) == ("TAKEN OVER", Decision.ROLLED_BACK, "recover")
    assert endings(rollout) == ["rolled_back"]


def test_a_rollout_that_has_ended_is_not_kept_again(tmp_path: Path):
    rollout = applied(tmp_path)
    plan = passed(rollout, *PHASES)
    rollout.end(spools=False, decision=Decision.ROLLED_BACK, why=WHY, rollback=[])
    closure = close(rollout, PHASES, plan, {})
    assert closure.decision is Decision.ROLLED_BACK
    assert closure.word.startswith("ROLLED BACK, verified at 2026-")
    assert endings(rollout) == ["rolled_back"]


def test_a_verdict_that_another_process_wrote_under_this_token_stands(tmp_path: Path, monkeypatch):
    rollout = applied(tmp_path)
    plan = passed(rollout, *PHASES)
    original = deciding._find_deviations

    def meanwhile(*args):
        moved = original(*args)
        rollout.journal.append_ending(rollout.lease, rollout.id, {"decision": "rolled_back", "why": "watchdog"})
        return moved

    monkeypatch.setattr(deciding, "_find_deviations", meanwhile)
    closure = close(rollout, PHASES, plan, {})
    assert (closure.word, closure.decision) == ("TAKEN OVER", Decision.ROLLED_BACK)
    assert endings(rollout) == ["rolled_back"]


# A journal that fails (broken promises 4 and 5)


def test_kept_that_cannot_be_recorded_is_rolled_back(tmp_path: Path):
    rollout = applied(tmp_path)
    plan = passed(rollout, *PHASES)
    Faulty(rollout, "append_ending")
    closure = close(rollout, PHASES, plan, {})
    assert closure.decision is Decision.ROLLED_BACK
    assert closure.why == f"that the change is kept could not be recorded: {GONE}"
    assert live(rollout).state.place == str(OLD)
    assert (rollout.folder / SPOOL).exists()


def test_kept_that_is_on_disk_although_the_call_failed_stays_kept(tmp_path: Path):
    """A connection that breaks during the commit raises although the commit succeeded."""
    rollout = applied(tmp_path)
    plan = passed(rollout, *PHASES)
    Faulty(rollout, "append_ending after")
    closure = close(rollout, PHASES, plan, {})
    assert (closure.decision, closure.word) == (Decision.KEPT, "KEPT")
    assert (endings(rollout), live(rollout).writes) == (["kept"], [])


def test_kept_that_is_found_on_disk_after_the_rollback_is_ended_anew(tmp_path: Path, monkeypatch):
    """The journal must not hold KEPT of a change that this very run has rolled back."""
    rollout = applied(tmp_path)
    plan = passed(rollout, *PHASES)
    faulty = Faulty(rollout, "append_ending after")
    original = rollout.end

    def kept_and_gone(**parts):
        try:
            original(**parts)
        finally:
            faulty.broken = {"*"}

    monkeypatch.setattr(type(rollout), "end", lambda _self, **parts: kept_and_gone(**parts))

    def back(_words):
        faulty.broken = {"nothing"}
        monkeypatch.undo()

    live(rollout).on_write = back
    closure = close(rollout, PHASES, plan, {})
    assert closure.decision is Decision.ROLLED_BACK
    assert endings(rollout) == ["kept", "rolled_back"]
    assert rollout.record().decision is Decision.ROLLED_BACK


def test_without_a_journal_what_was_written_is_rolled_back_from_memory(tmp_path: Path):
    rollout = applied(tmp_path)
    plan = passed(rollout, *PHASES)
    Faulty(rollout)
    closure = close(rollout, PHASES, plan, {})
    assert closure.decision is Decision.ROLLED_BACK
    assert closure.why == f"without its journal nothing is kept: {GONE}"
    assert live(rollout).writes == [f"activate {OLD}"]


@pytest.mark.parametrize("clock", ["monotonic", "wall"])
def test_without_a_journal_and_without_a_lease_nothing_is_sent(tmp_path: Path, clock: str):
    rollout = applied(tmp_path)
    plan = passed(rollout, *PHASES)
    Faulty(rollout)
    rollout.clock.wait(2 * LEASE_S)
    if clock == "monotonic":  # the wall clock was set back: it still shows time left
        rollout.clock._start -= rollout.clock.now() - rollout.clock._start  # type: ignore[attr-defined]
    closure = close(rollout, PHASES, plan, {})
    assert closure.decision is Decision.ROLLBACK_FAILED
    assert closure.why.endswith("the lease has run out: another process may own the target, so an operator must decide")
    assert (closure.next_step, closure.rollback) == ("A PERSON IS NEEDED", ())
    assert live(rollout).writes == []


def test_without_a_journal_nothing_was_applied_only_if_memory_holds_no_write(tmp_path: Path):
    rollout = begun(tmp_path)
    plan = passed(rollout, "precheck")
    Faulty(rollout)
    closure = close(rollout, ("precheck",), plan, {})
    assert closure.decision is Decision.NOTHING_APPLIED
    assert closure.not_passed, "a phase whose verdict is on no disk has not passed"


def test_a_journal_that_lost_its_tail_is_no_proof_that_nothing_was_applied(tmp_path: Path):
    """It failed over to a replica that lags: it holds no write, and this process remembers one."""
    rollout = begun(tmp_path)
    before = rollout.journal.head()[0]  # type: ignore[index]
    apply(rollout)
    live(rollout).writes.clear()
    with rollout.journal._store.write() as connection:
        connection.execute(schema.entry.delete().where(schema.entry.c.seq > before))
    closure = close(rollout, ("apply",), planned(("apply",)), {})
    assert closure.decision is Decision.ROLLED_BACK
    assert live(rollout).state.place == str(OLD)


def test_a_run_without_a_journal_that_has_ended_returns_its_ending(tmp_path: Path):
    rollout = applied(tmp_path)
    rollout.end(spools=False, decision=Decision.KEPT, why="all passed")
    Faulty(rollout)
    closure = close(rollout, PHASES, planned(PHASES), {})
    assert closure.decision is Decision.KEPT
    assert live(rollout).writes == []


# What a run that died had no time to publish


def test_an_unpublished_ending_is_published_late_and_once(tmp_path: Path):
    rollout = applied(tmp_path)
    rollout.end(spools=False, **closing.Closure(Decision.KEPT, "KEPT", "every clause of the plan passed").facts())
    assert publish_late(rollout, {})
    assert "KEPT: openai:gpt-4o on t: every clause of the plan passed" in said(rollout)
    assert not publish_late(rollout, {})
    assert said(rollout).count("KEPT") == 1


@pytest.mark.parametrize("how", ["another token", "nothing written", "open"])
def test_an_ending_of_another_process_is_not_published_late(tmp_path: Path, how: str):
    rollout = begun(tmp_path) if how == "nothing written" else applied(tmp_path)
    facts = closing.Closure(Decision.KEPT, "KEPT", "all").facts()
    if how == "another token":
        successor(rollout).end(spools=False, **facts)
    elif how == "nothing written":
        rollout.end(spools=False, **facts)
    assert not publish_late(rollout, {})
    assert said(rollout) == ""
