"""Weights: set and read back, put back as the backup has them, and those from outside left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rollout.changes import weights
from rollout.core.errors import ConcurrentChange, GatewayError, RolloutError
from rollout.core.scenario import Canary, Share
from rollout.journal.record import What
from tests.support.gateways import State, garbage
from tests.support.undoing import NEW, OLD, ROUTED, TARGET, Undoing

Begin = Callable[..., Undoing]
SHARES = Canary((Share(0.1, 600), Share(1.0, 600)), stabilise_s=900)
TENTH = {str(NEW): 0.1, str(OLD): 0.9}
HALF = {str(NEW): 0.5, str(OLD): 0.5}


def canary(undoing: Begin, **parts: object) -> Undoing:
    return undoing(**{"target": ROUTED, "canary": SHARES, **parts})


def restore(lab: Undoing) -> str:
    return weights.restore(lab.rollout, lab.gateway, lab.backup)  # type: ignore[arg-type]


def split(lab: Undoing, shares: dict[str, float]) -> None:
    lab.gateway.state = replace(lab.gateway.state, weights=shares)


def send(lab: Undoing, direction: str = "forward") -> None:
    weights.send(lab.rollout, lab.gateway, TENTH, step="CAN-2.1", direction=direction)  # type: ignore[arg-type]


def test_they_are_announced_set_and_read_back(undoing: Begin):
    lab = canary(undoing)
    send(lab)
    assert lab.gateway.state.weights == TENTH
    assert lab.sent() == [("CAN-2.1", "forward", "openai:gpt-4o 10%, ollama:gemma3:4b 90%", "done")]
    assert lab.rollout.last_known_record().writes[0].what is What.WEIGHTS


def test_a_success_without_effect_is_none(undoing: Begin):
    lab = canary(undoing)
    lab.gateway.without_effect = {"set_weights"}
    with pytest.raises(GatewayError, match="answered success, and reports no weights, not openai:gpt-4o 10%"):
        send(lab)


@pytest.mark.parametrize(("stale_for_s", "passes"), [(3.0, True), (2.0, False)])
def test_they_are_seen_as_late_as_reads_may_lag(undoing: Begin, stale_for_s: float, passes: bool):
    lab = canary(undoing, target=replace(ROUTED, stale_for_s=stale_for_s))
    lab.gateway.stale_s = 3.0
    if passes:
        send(lab)
    else:
        with pytest.raises(GatewayError):
            send(lab)


def test_a_stop_ends_the_waiting_on_the_way_there_and_not_on_the_rollback(undoing: Begin):
    for direction, passes in (("forward", False), ("back", True)):
        lab = canary(undoing, target=replace(ROUTED, stale_for_s=3.0))
        lab.gateway.stale_s = 3.0
        lab.rollout.stop.set("SIGTERM")
        if passes:
            send(lab, direction)
        else:
            with pytest.raises(GatewayError):
                send(lab, direction)


# Back


def test_as_in_the_backup_and_nothing_owed_sends_nothing(undoing: Begin):
    lab = canary(undoing)
    assert restore(lab) == "the requests are split as in the backup: no weights"
    assert lab.gateway.writes == []


@pytest.mark.parametrize(("result", "sent"), [("done", 1), ("unknown", 1), (None, 1), ("refused", 0)])
def test_a_write_that_was_not_refused_is_undone_though_reads_show_no_effect(
    undoing: Begin, result: str | None, sent: int
):
    lab = canary(undoing)
    lab.write("openai:gpt-4o 10%", step="CAN-2.1", what=What.WEIGHTS, result=result)
    restore(lab)
    assert lab.gateway.writes == ["weights {}"] * sent
    restore(lab)
    assert lab.gateway.writes == ["weights {}"] * sent, "once done it is not sent again"


def test_other_weights_are_put_back_though_nothing_is_owed(undoing: Begin):
    """A lost write of this rollout landed after it was undone."""
    lab = canary(undoing)
    split(lab, TENTH)
    assert restore(lab).endswith("no longer openai:gpt-4o 10%, ollama:gemma3:4b 90%")
    assert lab.gateway.state.weights == {}


def test_what_is_owed_is_sent_though_nothing_can_be_read(undoing: Begin):
    lab = canary(undoing)
    lab.write("openai:gpt-4o 10%", step="CAN-2.1", what=What.WEIGHTS)
    split(lab, TENTH)
    lab.gateway.fails["weights"] = garbage()
    with pytest.raises(GatewayError):
        restore(lab)
    assert lab.gateway.state.weights == {}


def test_what_is_not_owed_is_not_sent_where_nothing_can_be_read(undoing: Begin):
    lab = canary(undoing)
    lab.gateway.fails["weights"] = garbage()
    with pytest.raises(GatewayError):
        restore(lab)
    assert lab.gateway.writes == []


@pytest.mark.parametrize("theirs", [HALF, {str(OLD): 1.0}, {"vllm:m": 0.5, str(OLD): 0.5}])
def test_outside_weights_are_not_overwritten_though_something_is_owed(undoing: Begin, theirs: dict[str, float]):
    """Neither the backup has them nor a stage of this rollout."""
    lab = canary(undoing)
    lab.write("openai:gpt-4o 10%", step="CAN-2.1", what=What.WEIGHTS)
    split(lab, theirs)
    with pytest.raises(ConcurrentChange):
        restore(lab)
    assert lab.gateway.state.weights == theirs
    assert lab.gateway.writes == []


@pytest.mark.parametrize("ours", [TENTH, {str(NEW): 1.0}, {}, {"OPENAI:GPT-4O": 0.1, str(OLD): 0.9}])
def test_the_weights_of_every_stage_and_none_at_all_are_this_rollouts(undoing: Begin, ours: dict[str, float]):
    lab = canary(undoing)
    weights.refuse_others(lab.rollout, lab.backup, ours)


def test_all_for_the_previous_provider_is_this_rollouts_once_it_has_written_that_back(undoing: Begin):
    """A gateway without an active provider apart from its weights reports so; another may be stopped in between."""
    lab = canary(undoing)
    with pytest.raises(ConcurrentChange):
        weights.refuse_others(lab.rollout, lab.backup, {str(OLD): 1.0})
    lab.write("no weights", step="RBK-2.1", what=What.WEIGHTS, direction="back")
    weights.refuse_others(lab.rollout, lab.backup, {str(OLD): 1.0})
    with pytest.raises(ConcurrentChange):
        weights.refuse_others(lab.rollout, lab.backup, {str(NEW): 0.3, str(OLD): 0.7})


def test_all_for_the_previous_provider_is_as_good_as_no_weights(undoing: Begin):
    lab = canary(undoing)
    split(lab, {str(OLD): 1.0})
    assert "the requests are split as in the backup" in restore(lab)
    assert lab.gateway.writes == []
    split(lab, {str(NEW): 1.0})
    assert restore(lab).endswith("no longer openai:gpt-4o 100%")


def test_without_stages_only_the_backups_weights_are_known(undoing: Begin):
    lab = undoing(target=ROUTED, state=State(weights=HALF))
    weights.refuse_others(lab.rollout, lab.backup, HALF)
    weights.refuse_others(lab.rollout, lab.backup, {})
    with pytest.raises(ConcurrentChange):
        weights.refuse_others(lab.rollout, lab.backup, TENTH)


def test_weights_that_there_were_before_go_back(undoing: Begin):
    """An activation has taken them away."""
    lab = undoing(target=ROUTED, state=State(weights=HALF))
    split(lab, {})
    restore(lab)
    assert lab.gateway.state.weights == HALF


# Shares


def test_the_share_of_the_new_provider_is_everything_only_while_it_is_active_without_weights(undoing: Begin):
    lab = canary(undoing)
    share = lambda: weights.share_now(lab.rollout, lab.gateway)  # type: ignore[arg-type]  # noqa: E731
    assert share() == 0.0
    split(lab, TENTH)
    assert share() == 0.1
    lab.gateway.state = State(NEW.provider, NEW.model)
    assert share() == 1.0


def test_a_target_that_splits_nothing_says_how_to_mend_that(undoing: Begin):
    lab = undoing(target=TARGET)
    with pytest.raises(RolloutError, match="does not say how its requests are split"):
        weights.named(lab.rollout, NEW)
    assert weights.all_weights(canary(undoing).rollout, NEW) == {str(NEW): 1.0}
