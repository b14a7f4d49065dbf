"""The previous provider: when it is due, where it may be overwritten, and what helps where it does not show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rollout.changes import executor
from rollout.changes.rollback_provider import (
    Reached,
    activate_again,
    activate_previous,
    assess,
    await_service,
    candidates,
    known_place,
    note_edited,
    restart_service,
)
from rollout.core.errors import ConcurrentChange, GatewayError, Refused
from rollout.core.scenario import ProviderChange
from rollout.core.target import ProviderRestart
from rollout.journal.leases import LeaseLost
from rollout.journal.record import Kind, What
from tests.support.gateways import State, down, garbage, refused
from tests.support.undoing import NEW, OLD, RESTARTABLE, ROUTED, TARGET, Undoing

Begin = Callable[..., Undoing]
SAFE = ProviderChange("vllm", "gemma-3-4b-it")
BACK = f"activate {OLD}"
NOBODYS = State("vllm", "m")


def at(lab: Undoing, place: ProviderChange) -> None:
    """Move the gateway without a write of this rollout."""
    lab.gateway.state = replace(lab.gateway.state, active=place.provider, model=place.model)


# Where it leads


def test_the_scenarios_way_comes_first_then_the_previous_provider_then_the_safe_one(undoing: Begin):
    other = ProviderChange("vllm", "other")
    lab = undoing(target=replace(TARGET, safe=SAFE), rollback_to=other)
    assert candidates(lab.rollout, lab.backup) == (other, OLD, SAFE)


def test_nobody_is_a_candidate_twice(undoing: Begin):
    lab = undoing(target=replace(TARGET, safe=OLD))
    assert candidates(lab.rollout, lab.backup) == (OLD,)


# Whose the gateway is


@pytest.mark.parametrize(
    "place",
    [
        OLD,
        NEW,
        ProviderChange("OpenAI", "gpt-4o"),
        ProviderChange("openai", OLD.model),
        ProviderChange("ollama", NEW.model),
    ],
)
def test_the_previous_place_the_new_one_and_what_is_between_them_are_this_rollouts(
    undoing: Begin, place: ProviderChange
):
    """One's provider with the other's model: an activation that waits for a restart."""
    lab = undoing()
    lab.write(str(NEW))
    at(lab, place)
    assert str(known_place(lab.run())) == str(place)


@pytest.mark.parametrize("place", [ProviderChange("vllm", "m"), ProviderChange("openai", "gpt-5"), SAFE])
def test_any_other_provider_is_a_concurrent_change(undoing: Begin, place: ProviderChange):
    """The target's safe provider too: only the journal says what is this rollout's (BROKEN_PROMISES 8)."""
    lab = undoing(target=replace(TARGET, safe=SAFE))
    lab.write(str(NEW))
    at(lab, place)
    with pytest.raises(ConcurrentChange, match=f"{place} is active, which is neither the previous {OLD}"):
        known_place(lab.run())


def test_the_scenarios_change_is_an_outside_one_while_this_rollout_has_not_announced_it(undoing: Begin):
    lab = undoing()
    at(lab, NEW)
    with pytest.raises(ConcurrentChange):
        known_place(lab.run())


@pytest.mark.parametrize(("result", "ours"), [("done", True), ("unknown", True), (None, True), ("refused", False)])
def test_a_place_is_this_rollouts_unless_the_gateway_refused_it(undoing: Begin, result: str | None, ours: bool):
    lab = undoing()
    lab.write(str(SAFE), step="RBK-2.1", direction="back", result=result)
    at(lab, SAFE)
    if ours:
        assert known_place(lab.run()) == SAFE
    else:
        with pytest.raises(ConcurrentChange):
            known_place(lab.run())


def test_writes_of_other_kinds_make_no_place_this_rollouts(undoing: Begin):
    lab = undoing()
    lab.write("vllm:m", what=What.WEIGHTS)
    at(lab, ProviderChange("vllm", "m"))
    with pytest.raises(ConcurrentChange):
        known_place(lab.run())


@pytest.mark.parametrize(
    ("stale_for_s", "back_after_s", "ours"), [(0, 1, True), (0, 1.5, False), (5, 5, True), (5, 5.5, False)]
)
def test_a_third_value_counts_only_when_it_outlasts_the_staleness_of_reads(
    undoing: Begin, stale_for_s: float, back_after_s: float, ours: bool
):
    """Provider and model are two reads, so there is a second of patience at the least."""
    lab = undoing(target=replace(TARGET, stale_for_s=stale_for_s))
    lab.gateway.state = NOBODYS
    lab.clock.later(back_after_s, lambda: at(lab, OLD))
    if ours:
        assert known_place(lab.run()) == OLD
    else:
        with pytest.raises(ConcurrentChange):
            known_place(lab.run())


def test_the_first_poll_compares_the_weights_too_where_the_target_splits_requests(undoing: Begin):
    lab = undoing(target=ROUTED)
    lab.gateway.state = replace(lab.gateway.state, weights={"vllm:m": 1.0})
    with pytest.raises(ConcurrentChange):
        assess(lab.run())
    plain = undoing()
    plain.gateway.fails["weights"] = garbage()
    assert assess(plain.run()) == f"{OLD} is active"


# Getting there


def reach(lab: Undoing, to: ProviderChange = OLD) -> Reached:
    return activate_previous(lab.run(), to, lab.clock.monotonic() + 30.0)


def test_without_a_write_to_undo_and_at_the_place_nothing_is_sent(undoing: Begin):
    lab = undoing()
    assert reach(lab) == Reached()
    assert lab.gateway.writes == []


def test_at_another_place_it_is_sent_though_nothing_is_owed(undoing: Begin):
    """The rollback was done before, and the gateway is where this rollout has put it again."""
    lab = undoing()
    lab.write(str(NEW))
    lab.write(str(OLD), step="RBK-2.1", direction="back")
    at(lab, NEW)
    assert reach(lab) == Reached()
    assert lab.gateway.writes == [BACK]
    assert lab.clock.monotonic() == 0.0, "at once, not as a remedy"


def test_nothing_is_written_where_nothing_was_and_nothing_can_be_read(undoing: Begin):
    """Whether anything has to be undone is unknown then."""
    lab = undoing()
    lab.gateway.fails["providers"] = garbage()
    reached = reach(lab)
    assert lab.gateway.writes == []
    assert (bool(reached.problem), reached.is_seen) == (True, False)


def test_what_is_owed_is_sent_though_nothing_can_be_read(undoing: Begin):
    lab = undoing()
    lab.write(str(NEW))
    lab.gateway.fails["providers"] = garbage()
    reached = reach(lab)
    assert lab.gateway.writes == [BACK]
    assert reached.problem.startswith("its activation was sent, and cannot be read back: ")
    assert not reached.is_seen


def test_reads_that_recover_within_five_seconds_show_the_undo(undoing: Begin):
    lab = undoing()
    lab.write(str(NEW))
    lab.gateway.fails["providers"] = garbage()
    lab.clock.later(4.0, lab.gateway.fails.clear)
    assert reach(lab) == Reached()
    assert lab.gateway.writes == [BACK]


@pytest.mark.parametrize(("fault", "sent"), [(refused(), 3), (GatewayError("POST x", "503", status=503), 3)])
def test_an_answer_that_says_no_is_asked_for_three_times(undoing: Begin, fault: GatewayError, sent: int):
    lab = undoing()
    lab.write(str(NEW))
    at(lab, NEW)
    lab.gateway.fails["activate"] = fault
    assert reach(lab).problem
    assert lab.gateway.writes == [BACK] * sent
    assert lab.clock.monotonic() == 2.0


def test_a_gateway_that_does_not_answer_is_asked_as_long_as_an_activation_may_take(undoing: Begin):
    """It may be restarting."""
    lab = undoing()
    lab.write(str(NEW))
    at(lab, NEW)
    lab.gateway._up_at_s = 25.0
    assert reach(lab) == Reached()
    assert lab.gateway.state.place == str(OLD)
    late = undoing()
    late.write(str(NEW))
    late.gateway._up_at_s = 60.0
    assert not reach(late).is_seen
    assert late.clock.monotonic() == pytest.approx(30.0, abs=1.0)


def test_an_activation_whose_answers_are_all_lost_is_active_where_a_read_shows_it(undoing: Begin):
    """The safe provider on top would move users away from it for nothing."""
    lab = undoing(target=replace(TARGET, safe=SAFE))
    lab.write(str(NEW))
    at(lab, NEW)
    lab.gateway.lost["activate"] = 0.0
    assert activate_again(lab.run()) == f"{OLD} is active"
    assert set(lab.gateway.writes) == {BACK}


def test_a_gateway_that_refuses_to_activate_what_is_active_already_is_there(undoing: Begin):
    lab = undoing(target=replace(TARGET, safe=SAFE))
    lab.write(str(NEW), result="unknown")
    lab.gateway.fails["activate"] = lambda place: refused() if place == str(OLD) else None
    assert activate_again(lab.run()) == f"{OLD} is active"
    assert lab.gateway.state.place == str(OLD)


def test_whether_a_refused_activation_is_in_effect_is_read_when_reads_no_longer_lag(undoing: Begin):
    lab = undoing(target=replace(TARGET, safe=SAFE, stale_for_s=10.0))
    lab.gateway.stale_s = 10.0
    lab.write(str(NEW))
    at(lab, NEW)
    lab.gateway.fails["activate"] = lambda place: refused() if place == str(OLD) else None
    activate_again(lab.run())
    assert lab.gateway.state.place == str(SAFE)


def test_the_safe_provider_comes_next_only_where_a_read_shows_that_the_previous_one_is_not_active(undoing: Begin):
    lab = undoing(target=replace(TARGET, safe=SAFE))
    lab.write(str(NEW))
    at(lab, NEW)
    lab.gateway.fails["activate"] = lambda place: refused() if place == str(OLD) else None
    told = activate_again(lab.run())
    assert lab.gateway.state.place == str(SAFE)
    assert told.startswith(f"{SAFE} is active (instead of: {OLD}: ")
    blind = undoing(target=replace(TARGET, safe=SAFE))
    blind.write(str(NEW))
    blind.gateway.fails.update(activate=down(), providers=garbage())
    with pytest.raises(GatewayError):
        activate_again(blind.run())
    assert set(blind.gateway.writes) == {BACK}


def test_where_no_candidate_is_active_every_one_is_named(undoing: Begin):
    lab = undoing(target=replace(TARGET, safe=SAFE))
    lab.write(str(NEW))
    at(lab, NEW)
    lab.gateway.fails["activate"] = refused()
    with pytest.raises(GatewayError, match=f"{OLD}: .*; {SAFE}: "):
        activate_again(lab.run())


def test_a_change_between_two_tries_is_not_overwritten(undoing: Begin):
    lab = undoing()
    lab.write(str(NEW))
    at(lab, NEW)
    lab.gateway.fails["activate"] = down()
    lab.clock.later(0.5, lambda: setattr(lab.gateway, "state", NOBODYS))
    with pytest.raises(ConcurrentChange):
        reach(lab)
    assert lab.gateway.writes == [BACK]


def test_a_process_that_is_superseded_between_two_tries_tries_no_more(undoing: Begin):
    lab = undoing()
    lab.write(str(NEW))
    lab.gateway.fails["activate"] = down()
    lab.clock.later(0.5, lab.another_takes_over)
    with pytest.raises(LeaseLost):
        reach(lab)
    assert lab.gateway.writes == [BACK]


# What helps where it does not show (BROKEN_PROMISES 6)

RESTARTS = replace(RESTARTABLE, providers={"Ollama": ProviderRestart(restart=True)})


@pytest.mark.parametrize(
    ("target", "writes", "restarts", "took_s"),
    [
        (RESTARTABLE, [BACK, BACK], 1, 10.0),
        (RESTARTS, [BACK], 1, 0.0),
        (replace(RESTARTS, stale_for_s=3.0), [BACK], 1, 3.0),
    ],
)
def test_a_provider_known_to_restart_is_restarted_at_once_any_other_after_another_try(
    undoing: Begin, target: Any, writes: list[str], restarts: int, took_s: float
):
    """Reads that lag are waited for first: what is right already is not restarted."""
    lab = undoing(target=target)
    lab.gateway.restart_providers = {OLD.provider}
    lab.write(str(NEW))
    at(lab, NEW)
    assert reach(lab) == Reached()
    assert (lab.gateway.writes, lab.gateway.restarts) == (writes, restarts)
    assert lab.clock.monotonic() == took_s
    assert lab.gateway.state.place == str(OLD)


def test_a_scenario_that_says_restart_restarts_on_the_rollback_too(undoing: Begin):
    lab = undoing(replace(NEW, restart=True), target=RESTARTABLE)
    lab.gateway.restart_providers = {OLD.provider}
    lab.write(str(NEW))
    at(lab, NEW)
    reach(lab)
    assert (lab.gateway.writes, lab.gateway.restarts) == ([BACK], 1)


def test_reads_that_catch_up_within_five_seconds_need_no_remedy(undoing: Begin):
    lab = undoing(target=RESTARTABLE)
    lab.gateway.stale_s = 4.0
    lab.write(str(NEW))
    at(lab, NEW)
    lab.clock.advance(5.0)
    assert reach(lab) == Reached()
    assert (lab.gateway.writes, lab.gateway.restarts) == ([BACK], 0)


def test_without_a_service_only_another_try_is_left(undoing: Begin):
    lab = undoing()
    lab.gateway.restart_providers = {OLD.provider}
    lab.write(str(NEW))
    at(lab, NEW)
    reached = reach(lab)
    assert reached == Reached(f"the gateway answered success, and reports {NEW.provider}:{OLD.model} active")
    assert lab.gateway.writes == [BACK, BACK]


def test_a_restart_waits_for_the_service_and_says_how_long_that_took(undoing: Begin):
    lab = undoing(target=RESTARTABLE)
    lab.gateway.startup_s = 10.0
    assert restart_service(lab.run()) == "healthy after 10.0 s"
    assert lab.sent() == [("RBK-3.2", "back", "restart", "done")]


def test_limits_that_differed_before_the_restart_were_not_lost_by_it(undoing: Begin):
    """Only where apply had passed is it known that they differ because somebody has changed them."""
    state = State(cost={"global": {"soft_limit_usd": 1.0}, "provider:openai": {"soft_limit_usd": 2.0}})
    for passed, edited in ((True, {"cost global"}), (False, frozenset())):
        lab = undoing(target=RESTARTABLE, state=state)
        lab.rollout.append(Kind.PHASE, phase="apply", passed=passed, problems=[])
        lab.gateway.state = replace(state, cost={**state.cost, "global": {"soft_limit_usd": 9.0}})
        run = lab.run()
        note_edited(run)
        assert run.edited == edited
        lab.gateway.state = replace(state, cost={})
        await_service(run)
        assert run.lost == {"cost global", "cost provider:openai"} - edited


def test_limits_that_cannot_be_read_after_a_restart_are_all_answered_for(undoing: Begin):
    lab = undoing(target=RESTARTABLE)
    lab.gateway.fails["governance"] = garbage()
    run = lab.run()
    await_service(run)
    assert run.lost is None


def test_a_refusal_is_known_from_an_answer_that_was_lost() -> None:
    """What the tests above go by."""
    assert issubclass(Refused, GatewayError)
    assert (refused().status, down().status) == (400, None)


def test_a_service_that_would_not_start_is_not_stopped(undoing: Begin, monkeypatch: pytest.MonkeyPatch):
    """Its file was broken after RBK-1.1 had examined it."""
    lab = undoing(target=RESTARTABLE)
    monkeypatch.setattr(executor, "find_unstartable", lambda *_: ("service.yaml:7: no YAML",))
    for step in (assess, restart_service):
        with pytest.raises(ConcurrentChange, match=r"service\.yaml:7: no YAML\. It was changed outside this rollout"):
            step(lab.run())
    assert (lab.gateway.restarts, lab.sent()) == (0, [])
