"""Governance limits: set and seen, put back where this rollout moved them, and left alone where somebody else did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rollout.changes import limits
from rollout.core.errors import GatewayError, RolloutError
from rollout.core.scenario import LimitChange
from rollout.gateway.responses import Governance
from rollout.journal.record import What
from tests.support.gateways import State, down, garbage, refused
from tests.support.undoing import RESTARTABLE, TARGET, Undoing

Begin = Callable[..., Undoing]
OPENAI = {"soft_limit_usd": 1.0, "hard_limit_usd": 2.0}
BEFORE = State(cost={**State().cost, "provider:openai": OPENAI}, rate={"global": {"max_tokens_per_minute": 50.0}})
GLOBAL = LimitChange("cost", "global", {"soft_limit_usd": 20.0, "hard_limit_usd": 60.0})
SOFT = LimitChange("cost", "global", {"soft_limit_usd": 20.0})
SCOPED = LimitChange("cost", "openai", {"soft_limit_usd": 5.0})
RATE = LimitChange("rate", "global", {"max_tokens_per_minute": 100.0})
NONE_BEFORE = LimitChange("rate", "openai", {"max_tokens_per_minute": 100.0})


def undo(lab: Undoing, change: LimitChange) -> str:
    return limits.undo(lab.rollout, lab.gateway, lab.backup, change)  # type: ignore[arg-type]


def restore(lab: Undoing, lost: frozenset[str] | None = frozenset()) -> str:
    return limits.restore(lab.rollout, lab.gateway, lab.backup, lost=lost)  # type: ignore[arg-type]


def test_a_limit_is_set_and_seen_and_no_other_has_changed(undoing: Begin):
    lab = undoing(GLOBAL, state=BEFORE)
    applied = lab.apply()
    assert applied.describe("APP-3.1") == f"{GLOBAL}: soft_limit_usd = 20, hard_limit_usd = 60"
    assert applied.describe("APP-3.2").endswith("no other limit changed")
    assert lab.sent() == [("APP-3.1", "forward", str(GLOBAL), "done")]


def test_a_limit_that_is_in_effect_is_not_sent(undoing: Begin):
    lab = undoing(LimitChange("cost", "openai", OPENAI), state=BEFORE)
    assert "in effect already" in lab.apply().describe("APP-3.1")
    assert lab.gateway.writes == []


def test_another_limit_that_changed_too_fails_the_change(undoing: Begin):
    lab = undoing(GLOBAL, state=BEFORE)
    lab.gateway.on_write = lambda _words: setattr(lab.gateway, "state", replace(lab.gateway.state, rate={}))
    with pytest.raises(GatewayError, match="other limits changed too: rate limits global"):
        lab.apply().describe("APP-3.2")


@pytest.mark.parametrize(("stale_for_s", "passes"), [(3.0, True), (2.0, False)])
def test_a_limit_is_seen_as_late_as_reads_may_lag(undoing: Begin, stale_for_s: float, passes: bool):
    lab = undoing(GLOBAL, target=replace(TARGET, stale_for_s=stale_for_s))
    lab.gateway.stale_s = 3.0
    assert (lab.apply().failed is None) is passes


# Undoing one change (RBK-3.4)


def test_what_was_never_sent_and_is_as_it_was_is_not_touched(undoing: Begin):
    lab = undoing(GLOBAL, state=BEFORE)
    assert undo(lab, GLOBAL) == "cost global is as it was"
    assert lab.gateway.writes == []


@pytest.mark.parametrize(("result", "sent"), [("done", 1), ("unknown", 1), (None, 1), ("refused", 0)])
def test_what_was_written_and_not_refused_is_undone_though_reads_show_no_effect(
    undoing: Begin, result: str | None, sent: int
):
    lab = undoing(GLOBAL, state=BEFORE)
    lab.write(str(GLOBAL), step="APP-3.1", what=What.LIMITS, result=result)
    undo(lab, GLOBAL)
    assert lab.gateway.writes == ["limits cost global"] * sent


def test_an_undo_that_is_done_is_not_sent_again(undoing: Begin):
    lab = undoing(GLOBAL, state=BEFORE)
    lab.apply()
    assert undo(lab, GLOBAL) == "put back: cost global"
    assert undo(lab, GLOBAL) == "cost global is as it was"
    assert lab.gateway.writes == ["limits cost global"] * 2
    assert lab.gateway.state == BEFORE


def test_one_limit_that_is_undone_leaves_the_other_owed(undoing: Begin):
    """The writes of two scopes, or of two kinds, are two."""
    lab = undoing(GLOBAL, SCOPED, RATE, state=BEFORE)
    lab.gateway.without_effect = {"set_limit"}
    for change in (GLOBAL, SCOPED, RATE):
        lab.write(str(change), step="APP-3.1", what=What.LIMITS)
    undo(lab, GLOBAL)
    undo(lab, SCOPED)
    assert lab.gateway.writes == ["limits cost global", "limits cost openai"]
    undo(lab, RATE)
    undo(lab, RATE)
    assert lab.gateway.writes[2:] == ["limits rate global"]


def test_a_limit_that_is_owed_is_sent_though_nothing_can_be_read(undoing: Begin):
    lab = undoing(GLOBAL, state=BEFORE)
    lab.apply()
    lab.gateway.fails["governance"] = garbage()
    undo(lab, GLOBAL)
    assert lab.gateway.state == BEFORE


def test_a_limit_that_is_not_owed_is_not_sent_where_nothing_can_be_read(undoing: Begin):
    lab = undoing(GLOBAL, state=BEFORE)
    lab.gateway.fails["governance"] = garbage()
    with pytest.raises(GatewayError):
        undo(lab, GLOBAL)
    assert lab.gateway.writes == []


@pytest.mark.parametrize("there", [True, False])
def test_a_scope_that_had_none_cannot_be_undone_where_it_has_one_or_was_given_one(undoing: Begin, there: bool):
    """A read that shows none yet is no proof where the gateway said that it set it."""
    lab = undoing(NONE_BEFORE, state=BEFORE)
    lab.write(str(NONE_BEFORE), step="APP-3.1", what=What.LIMITS, result="unknown" if there else "done")
    if there:
        lab.gateway.state = replace(BEFORE, rate={**BEFORE.rate, "provider:openai": NONE_BEFORE.values})
    for undone in (lambda: undo(lab, NONE_BEFORE), lambda: restore(lab)):
        with pytest.raises(GatewayError, match="rate provider:openai had no limits before"):
            undone()
    assert lab.gateway.writes == []


@pytest.mark.parametrize("result", ["unknown", "refused", None])
def test_a_scope_that_had_none_and_shows_none_was_never_set(undoing: Begin, result: str | None):
    lab = undoing(NONE_BEFORE, state=BEFORE)
    lab.write(str(NONE_BEFORE), step="APP-3.1", what=What.LIMITS, result=result)
    assert undo(lab, NONE_BEFORE) == "rate provider:openai never came to be"
    assert restore(lab) == "they are as they were"


def test_a_scope_that_had_none_and_cannot_be_read_is_unknown(undoing: Begin):
    lab = undoing(NONE_BEFORE, state=BEFORE)
    lab.apply()
    lab.gateway.fails["governance"] = garbage()
    with pytest.raises(GatewayError):
        undo(lab, NONE_BEFORE)


def test_limits_that_were_changed_outside_since_are_left_alone(undoing: Begin):
    lab = undoing(GLOBAL, state=BEFORE)
    lab.apply()
    lab.gateway.state = replace(
        BEFORE, cost={**BEFORE.cost, "global": {"soft_limit_usd": 33.0, "hard_limit_usd": 60.0}}
    )
    lab.gateway.writes.clear()
    for undone in (lambda: undo(lab, GLOBAL), lambda: restore(lab)):
        with pytest.raises(RolloutError, match="cost global limits were changed since, and are not overwritten"):
            undone()
    assert lab.gateway.writes == []


def test_a_limit_in_between_is_this_rollouts(undoing: Begin):
    """One value as it was, the other as it was set: nobody else was there."""
    lab = undoing(GLOBAL, state=BEFORE)
    lab.apply()
    lab.gateway.state = replace(
        BEFORE, cost={**BEFORE.cost, "global": {"soft_limit_usd": 10.0, "hard_limit_usd": 60.0}}
    )
    undo(lab, GLOBAL)
    assert lab.gateway.state == BEFORE


def test_an_undo_that_was_refused_or_lost_is_no_undo(undoing: Begin):
    for fault in (refused(), down()):
        lab = undoing(GLOBAL, state=BEFORE)
        lab.apply()
        lab.gateway.fails["set_limit"] = fault
        with pytest.raises(GatewayError):
            undo(lab, GLOBAL)
        lab.gateway.fails.clear()
        undo(lab, GLOBAL)
        assert lab.gateway.state == BEFORE


# Putting all of them back


def test_limits_of_this_rollout_go_back_and_nobody_elses(undoing: Begin):
    lab = undoing(GLOBAL, state=BEFORE)
    lab.apply()
    theirs = {**OPENAI, "soft_limit_usd": 1.5}
    lab.gateway.state = replace(lab.gateway.state, cost={**lab.gateway.state.cost, "provider:openai": theirs})
    assert restore(lab) == "put back: cost global"
    assert lab.gateway.state.cost == {**BEFORE.cost, "provider:openai": theirs}


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (frozenset({"cost provider:openai"}), "put back: cost provider:openai"),
        (frozenset({"cost global"}), "they are as they were"),
        (frozenset[str](), "they are as they were"),
        (None, "put back: cost provider:openai"),
    ],
)
def test_limits_that_a_restart_has_lost_go_back_all_of_them_where_that_is_unknown(
    undoing: Begin, lost: frozenset[str] | None, said: str
):
    lab = undoing(target=RESTARTABLE, state=BEFORE)
    lab.gateway.state = replace(BEFORE, cost={**BEFORE.cost, "provider:openai": {"soft_limit_usd": 9.0}})
    assert restore(lab, lost) == said


def test_a_scope_that_is_gone_altogether_goes_back_whoever_has_lost_it(undoing: Begin):
    """Limits cannot be taken away by a call, so a restart has lost it."""
    lab = undoing(state=BEFORE)
    lab.gateway.state = replace(BEFORE, rate={})
    assert restore(lab) == "put back: rate global"
    assert lab.gateway.state == BEFORE


def test_every_limit_is_put_back_though_another_one_was_changed_outside(undoing: Begin):
    lab = undoing(GLOBAL, RATE, state=BEFORE)
    lab.apply()
    lab.gateway.state = replace(lab.gateway.state, cost={**BEFORE.cost, "global": {"soft_limit_usd": 33.0}})
    with pytest.raises(RolloutError, match="cost global"):
        restore(lab)
    assert lab.gateway.state.rate == BEFORE.rate


def test_what_differs_from_the_backup_is_moved(undoing: Begin):
    lab = undoing(state=BEFORE)
    lab.gateway.state = State(
        cost={**BEFORE.cost, "provider:vllm": OPENAI}, rate={"global": {"max_tokens_per_minute": 1.0}}
    )
    assert limits.moved(lab.gateway, lab.backup) == {"rate global"}  # type: ignore[arg-type]


# After the restart on the way there


def test_a_restart_on_the_way_there_puts_back_the_backups_limits_and_those_of_earlier_changes(undoing: Begin):
    """A change that was not applied yet is not."""
    lab = undoing(SOFT, RATE, state=BEFORE)
    lab.write(str(SOFT), step="APP-3.1", what=What.LIMITS)
    lab.gateway.state = State(cost={}, rate=BEFORE.rate)
    told = limits.put_back_lost(lab.rollout)
    assert told == "the restart lost limits, which were put back: cost global, cost provider:openai"
    assert lab.gateway.state.cost == {
        "global": {"soft_limit_usd": 20.0, "hard_limit_usd": 50.0},
        "provider:openai": OPENAI,
    }
    assert lab.gateway.state.rate == BEFORE.rate
    assert limits.put_back_lost(lab.rollout) == ""


def test_a_write_that_was_refused_is_not_put_back_as_if_it_were_in_effect(undoing: Begin):
    lab = undoing(SOFT, state=BEFORE)
    lab.write(str(SOFT), step="APP-3.1", what=What.LIMITS, result="refused")
    assert limits.put_back_lost(lab.rollout) == ""


def test_limits_are_put_back_to_what_was_read_before_a_restart(undoing: Begin):
    lab = undoing(state=BEFORE)
    lab.gateway.state = State(cost=BEFORE.cost, rate={})
    before = limits.by_name(Governance(BEFORE.cost, BEFORE.rate, ()))
    sent = limits.put_back(lab.rollout, lab.gateway, before, step="EMG-2", direction="back")  # type: ignore[arg-type]
    assert sent == ["rate global"]
    assert lab.gateway.state == BEFORE


# What is said beforehand


def test_a_limit_that_could_not_be_taken_away_again_is_said(undoing: Begin):
    lab = undoing(GLOBAL, NONE_BEFORE, state=BEFORE)
    assert limits.all_for_good(lab.rollout, lab.backup) == [
        "provider:openai has no rate limits now, and the gateway cannot take limits away again"
    ]


def test_a_scope_that_is_neither_global_nor_a_provider_is_said(undoing: Begin):
    lab = undoing(GLOBAL, SCOPED, LimitChange("rate", "OpenAI", {}), LimitChange("cost", "opnai", {}))
    assert limits.unknown_scopes(lab.rollout, ["openai"]) == [
        "the gateway knows no scope 'opnai' for cost limits; did you mean 'openai'? it knows global, openai"
    ]


def test_its_own_limits_are_named_as_differences_are():
    assert limits.own(TARGET, SCOPED) == {"cost limits provider:openai"}
