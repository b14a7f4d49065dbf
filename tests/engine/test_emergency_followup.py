"""An emergency: what it takes over, when it is proven, and how it and the others end (EMG-1 to EMG-3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout.context import RolloutContext
from rollout.core.canonical_json import to_json
from rollout.core.errors import ExitCode
from rollout.core.scenario import EMERGENCY_SOURCE, LimitChange, ProviderChange
from rollout.core.target import ProviderRestart, Service
from rollout.engine import emergency_proof
from rollout.engine.emergency_followup import DONE, NOT_VERIFIED, _close, close_emergency
from rollout.engine.emergency_order import Order
from rollout.engine.emergency_proof import _await_late_writes, prove
from rollout.engine.emergency_rollout import EmergencyRun, close_taken_over, find_previous, take_over
from rollout.journal.record import Decision, Kind, What
from rollout.reporting.time_in_effect import effect_of
from tests.support.decisions import Faulty, applied, apply, begun, live
from tests.support.gateways import State, down
from tests.support.rollouts import NEW, OLD, rollout_in

SAFE = ProviderChange("vllm", "gemma-3-4b-it")


@pytest.fixture
def other(tmp_path: Path) -> RolloutContext:
    """A rollout whose change is in effect when the emergency comes."""
    return applied(tmp_path)


def emergency(other: RolloutContext, **parts: Any) -> EmergencyRun:
    """Return an emergency on the same gateway, which its activation has reached."""
    rollout = rollout_in(
        other.folder.parent,
        other.gateway,
        journal=other.journal,
        clock=other.clock,
        id="e-1",
        run="e-1-1",
        scenario=replace(other.scenario, changes=(SAFE,), source=EMERGENCY_SOURCE),
        is_emergency=True,
        **parts,
    )
    opened = {"scenario": to_json(rollout.scenario), "target": to_json(rollout.target), "url": rollout.lease_target}
    rollout.append(
        Kind.OPENED, digest="e-1", change=f"EMERGENCY {SAFE}", author="eve", policy={}, before=None, **opened
    )
    intent = rollout.append(Kind.INTENT, step="EMG-1", direction="forward", to=str(SAFE), what=What.PROVIDER)
    rollout.append(Kind.OUTCOME, intent=intent.seq, result="done", detail="")
    rollout.record()
    live(rollout).state = State(SAFE.provider, SAFE.model)
    order = Order(
        id="e-1",
        at="2026-11-23T12:00:00.000Z",
        by="eve",
        reason="fire",
        target={"name": "t"},
        channels=(),
        provider=SAFE.provider,
        model=SAFE.model,
        before=str(NEW),
        reports=rollout.folder.parent,
        targets=Path("targets.yaml"),
        wanted=("t", None),
        restart=False,
        journal="",
    )
    return EmergencyRun(rollout, order, SAFE, lambda _line: None)


def paused_before_its_write(work: EmergencyRun, other: RolloutContext, *, result: str | None = None) -> None:
    """Let the other rollout have journaled one more intent, whose result is not known."""
    intent = other.journal.append(
        other.id, Kind.INTENT, {"step": "RBK-2.1", "direction": "back", "to": str(OLD), "fence": 1}
    )
    if result:
        other.journal.append(other.id, Kind.OUTCOME, {"intent": intent.seq, "result": result, "detail": ""})
    take_over(work)


def land(other: RolloutContext, after_s: float) -> None:
    """Let the write arrive `after_s` seconds later."""
    gateway = live(other)
    other.clock.later(after_s, lambda: setattr(gateway, "state", State(OLD.provider, OLD.model)))  # type: ignore[attr-defined]


# Taking over


def test_it_gets_the_newest_token_although_another_run_holds_the_target(other: RolloutContext):
    work = emergency(other)
    take_over(work)
    assert work.rollout.lease is not None
    assert work.rollout.lease.token == 2
    assert other.superseded()
    assert [record.id for record in work.taken] == [other.id]


def test_without_a_journal_it_takes_no_rollout_over_and_goes_on(other: RolloutContext):
    work = emergency(other)
    lines: list[str] = []
    work.say = lines.append
    Faulty(work.rollout)
    take_over(work)
    assert (work.rollout.lease, work.taken) == (None, ())
    assert "a rollout under way is not stopped; stop it by hand" in lines[0]


@pytest.mark.parametrize("how", ["closed", "elsewhere"])
def test_what_is_not_in_flight_there_is_not_taken_over(other: RolloutContext, how: str):
    if how == "closed":
        other.end(spools=False, decision=Decision.KEPT, why="all passed")
        work = emergency(other)
    else:
        work = emergency(other)
        work.rollout.target = replace(work.rollout.target, url="http://127.0.0.1:2")
    take_over(work)
    assert work.taken == ()


# What may still land (safety rule 9)


def test_a_write_that_lands_late_is_read_and_corrected(other: RolloutContext):
    work = emergency(other)
    paused_before_its_write(work, other)
    longest_s = work.rollout.target.timeouts.activate_s
    land(other, longest_s - 1)
    began_s = other.clock.monotonic()
    assert _await_late_writes(work) == ""
    assert other.clock.monotonic() - began_s >= longest_s
    assert live(other).state.place == str(SAFE)
    assert live(other).writes == [f"activate {SAFE}"]


def test_where_it_lands_for_good_it_is_not_verified(other: RolloutContext):
    work = emergency(other)
    paused_before_its_write(work, other)
    land(other, 1)
    live(other).without_effect.add("activate")
    assert f"the gateway reports {OLD} active instead of {SAFE}" in _await_late_writes(work)


@pytest.mark.parametrize("result", ["done", "refused"])
def test_a_write_whose_answer_is_known_is_not_waited_for(other: RolloutContext, result: str):
    work = emergency(other)
    paused_before_its_write(work, other, result=result)
    began_s = other.clock.monotonic()
    assert _await_late_writes(work) == ""
    assert other.clock.monotonic() == began_s
    assert live(other).writes == []


def test_a_write_whose_answer_was_lost_may_land_too(other: RolloutContext):
    """The activation of a process that lives may have reached the gateway, which still processes it."""
    work = emergency(other)
    paused_before_its_write(work, other, result="unknown")
    land(other, work.rollout.target.timeouts.activate_s - 1)
    assert _await_late_writes(work) == ""
    other.clock.wait(work.rollout.target.timeouts.activate_s)
    assert live(other).state.place == str(SAFE)


def test_a_write_that_was_announced_long_ago_is_not_waited_for(other: RolloutContext):
    work = emergency(other)
    paused_before_its_write(work, other)
    other.clock.wait(work.rollout.target.timeouts.activate_s)
    began_s = other.clock.monotonic()
    assert _await_late_writes(work) == ""
    assert other.clock.monotonic() == began_s


# The proof


def proven(
    other: RolloutContext, prepare: Callable[[EmergencyRun], object] = lambda _work: None, *, refused: bool = False
) -> EmergencyRun:
    """Return the emergency after its proof."""
    work = emergency(other)
    prepare(work)
    take_over(work)
    prove(work, refused=refused)
    return work


def test_it_is_proven_by_a_read_and_an_answer(other: RolloutContext):
    work = proven(other)
    assert work.problem == ""
    assert live(other).served == [str(SAFE)]
    assert live(other).writes == []
    steps = work.rollout.record().steps
    assert {clause: steps[clause]["outcome"] for clause in ("EMG-1", "EMG-2")} == {"EMG-1": "passed", "EMG-2": "passed"}


def test_an_activation_that_shows_no_effect_is_sent_once_more(other: RolloutContext):
    work = proven(other, lambda _: setattr(live(other), "state", State(NEW.provider, NEW.model)))
    assert work.problem == ""
    assert live(other).writes == [f"activate {SAFE}"]


def test_the_proof_outlasts_what_may_still_land(other: RolloutContext):
    def prepare(work: EmergencyRun) -> None:
        paused_before_its_write(work, other)
        land(other, 1)

    work = proven(other, prepare)
    other.clock.wait(2 * work.rollout.target.timeouts.activate_s)
    assert (work.problem, live(other).state.place) == ("", str(SAFE))


def test_a_gateway_that_moves_after_its_answer_is_not_verified(other: RolloutContext, monkeypatch: pytest.MonkeyPatch):
    answers = live(other).chat

    def chat(*args: Any) -> Any:
        answer = answers(*args)
        live(other).state = State(NEW.provider, NEW.model)
        return answer

    monkeypatch.setattr(live(other), "chat", chat)
    assert f"{NEW} active instead of {SAFE}" in proven(other).problem


def test_a_refused_activation_is_not_sent_again(other: RolloutContext):
    work = proven(other, lambda _: setattr(live(other), "state", State(NEW.provider, NEW.model)), refused=True)
    assert f"{NEW} active instead of {SAFE}" in work.problem
    assert live(other).writes == []


def test_a_provider_that_waits_for_a_restart_gets_it_and_no_second_activation(
    other: RolloutContext, monkeypatch: pytest.MonkeyPatch
):
    def prepare(work: EmergencyRun) -> None:
        service = Service(stop=("true",), start=("true",))
        restarts = {SAFE.provider: ProviderRestart(restart=True)}
        work.rollout.target = replace(work.rollout.target, service=service, providers=restarts)
        live(other).state = State(NEW.provider, NEW.model)

    done: list[str] = []

    def restart(_work: EmergencyRun) -> str:
        done.append("restart")
        live(other).state = State(SAFE.provider, SAFE.model)
        return "restarted"

    monkeypatch.setattr(emergency_proof, "_restart", restart)
    work = proven(other, prepare)
    assert (work.problem, done, live(other).writes) == ("", ["restart"], [])


@pytest.mark.parametrize("how", ["moved meanwhile", "another answers", "no answer", "cannot be read"])
def test_what_is_not_seen_is_not_verified(other: RolloutContext, how: str):
    def prepare(_work: EmergencyRun) -> None:
        gateway = live(other)
        if how == "moved meanwhile":
            gateway.fails["chat"] = lambda: setattr(gateway, "state", State(NEW.provider, NEW.model))
        elif how == "another answers":
            gateway.fails["chat"] = lambda: setattr(gateway, "state", State(NEW.provider, "gpt-5"))
        elif how == "no answer":
            gateway.fails["chat"] = down()
        else:
            gateway.fails["providers"] = down()

    work = proven(other, prepare)
    assert work.problem
    assert work.rollout.record().steps["EMG-1"]["outcome"] == "failed"


# How it ends


@pytest.mark.parametrize(("problem", "decision"), [("", Decision.ROLLED_BACK), ("not seen", Decision.ROLLBACK_FAILED)])
def test_what_was_taken_over_ends_as_the_emergency_does(other: RolloutContext, problem: str, decision: Decision):
    work = emergency(other)
    take_over(work)
    work.problem = problem
    close_taken_over(work)
    record = other.record()
    assert record.decision is decision
    assert record.closed is not None
    assert record.closed["fence"] == 2
    assert "taken over by emergency e-1 (eve: fire), which went to vllm:gemma-3-4b-it" in record.closed["why"]


def test_its_changes_besides_the_provider_are_not_rolled_back(tmp_path: Path):
    other = begun(tmp_path)
    limits = LimitChange("cost", "openai", {"hard_limit_usd": 1.0})
    other.append(
        Kind.OPENED,
        **{**other.record().opened, "scenario": to_json(replace(other.scenario, changes=(NEW, limits)))},
    )
    apply(other)
    work = emergency(other)
    take_over(work)
    close_taken_over(work)
    record = other.record()
    assert record.decision is Decision.ROLLBACK_FAILED
    assert "`rollout rollback r-1` does that" in str(record.closed)


def test_an_emergency_to_the_provider_of_a_rollout_does_not_roll_it_back(other: RolloutContext):
    """Its change is still in effect: it is neither kept nor rolled back, and an operator must decide."""
    work = emergency(other)
    take_over(work)
    work.to = NEW
    close_taken_over(work)
    record = other.record()
    assert record.decision is Decision.ROLLBACK_FAILED
    assert "that is what this rollout activates, so its change is not rolled back" in str(record.closed)
    assert effect_of(record).seen_gone == ""


def test_what_could_not_be_read_in_time_comes_from_the_journal(other: RolloutContext):
    """BROKEN_PROMISES 20: an emergency on a busy machine "could not read" what the journal held."""
    work, lines = emergency(other), []
    work.order, work.say = replace(work.order, before=None), lines.append
    find_previous(work)
    assert (work.before, work.rollout.record().previous) == (str(NEW), str(NEW))
    assert lines == [f"what was active could not be read in time; the entries of rollout {other.id} say {NEW}"]
    assert work.rollout.record().findings == {"EMG-1": lines[0]}


def test_what_no_rollout_has_written_is_what_the_latest_backup_found(tmp_path: Path):
    work = emergency(begun(tmp_path))
    work.order = replace(work.order, before=None)
    find_previous(work)
    assert work.before == str(OLD)


def test_what_was_read_in_time_is_not_asked_of_the_journal(other: RolloutContext):
    work = emergency(other)
    work.order = replace(work.order, before="groq:x")
    Faulty(work.rollout)
    find_previous(work)
    assert work.before == "groq:x"


def test_without_a_journal_what_was_active_is_not_known(other: RolloutContext):
    work = emergency(other)
    work.order = replace(work.order, before=None)
    Faulty(work.rollout)
    find_previous(work)
    assert work.before is None


def test_an_emergency_without_a_lease_ends_no_other_rollout(other: RolloutContext):
    work = emergency(other)
    work.taken = (other.record(),)
    close_taken_over(work)
    assert other.record().closed is None


@pytest.mark.parametrize(
    ("problem", "decision", "word", "code"),
    [
        ("", Decision.KEPT, DONE, ExitCode.KEPT),
        ("not seen", Decision.ROLLBACK_FAILED, NOT_VERIFIED, ExitCode.ROLLBACK_FAILED),
    ],
)
def test_its_exit_code_depends_on_the_verification(
    other: RolloutContext, problem: str, decision: Decision, word: str, code: ExitCode
):
    work = emergency(other)
    lines: list[str] = []
    work.say = lines.append
    take_over(work)
    work.problem = problem
    assert _close(work, {}) == code
    record = work.rollout.record()
    assert record.decision is decision
    assert any(line.startswith(word) for line in lines)
    assert any("A PERSON IS NEEDED" in line for line in lines) is bool(problem)


@pytest.mark.parametrize("newer", [True, False])
def test_an_emergency_that_another_process_has_ended_has_one_ending(other: RolloutContext, newer: bool):
    work = emergency(other)
    take_over(work)
    lease = other.journal.acquire(other.lease_target, "e-2", "max", 60, preempts=True) if newer else work.rollout.lease
    other.journal.append_ending(lease, "e-1", {"decision": "rollback_failed", "why": "e-2"})
    _close(work, {})
    endings = work.rollout.journal.entries("e-1", Kind.CLOSED)
    assert [entry.body["why"] for entry in endings] == ["e-2"]


# One that died


@pytest.mark.parametrize(("place", "decision"), [(SAFE, Decision.KEPT), (NEW, Decision.ROLLBACK_FAILED)])
def test_one_that_died_is_closed_by_what_is_active_and_nothing_is_sent(
    other: RolloutContext, place: ProviderChange, decision: Decision
):
    work = emergency(other)
    live(other).state = State(place.provider, place.model)
    take_over(work)
    closure = close_emergency(work.rollout, "recover: it died", {})
    assert closure.decision is decision
    assert work.rollout.record().decision is decision
    assert live(other).writes == []
    assert bool(closure.commands) is (decision is Decision.ROLLBACK_FAILED)


def test_one_that_another_process_has_ended_is_left_alone(other: RolloutContext):
    """Its own ending stands."""
    work = emergency(other)
    take_over(work)
    work.rollout.journal.append_ending(work.rollout.lease, "e-1", {"decision": "rollback_failed", "why": "e-2"})
    closure = close_emergency(work.rollout, "recover: it died", {})
    assert (closure.decision, closure.word) == (None, "LEFT ALONE")
