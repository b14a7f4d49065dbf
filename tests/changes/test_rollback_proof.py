"""What proves a rollback: settled reads, an answer that shows who gave it, a steady status, and no difference left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout.changes.rollback_proof import (
    equals_backup,
    has_weights,
    lands_within_s,
    outlast_lost_writes,
    request_works,
    settled,
    stabilises,
    verify_active,
)
from rollout.changes.rollback_run import RollbackRun
from rollout.core.errors import GatewayError
from rollout.core.scenario import Canary, Monitor, ProviderChange, Share
from rollout.gateway.responses import Completion
from rollout.journal.leases import LEASE_S
from rollout.journal.record import What
from tests.support.gateways import State, down, garbage, refused
from tests.support.undoing import NEW, OLD, RESTARTABLE, ROUTED, TARGET, Undoing

Begin = Callable[..., Undoing]
SAFE = ProviderChange("vllm", "gemma-3-4b-it")
BACK = f"activate {OLD}"
SHARES = Canary((Share(0.1, 600), Share(1.0, 600)), stabilise_s=900)


def at(lab: Undoing, place: ProviderChange) -> None:
    """Move the gateway without a write of this rollout."""
    lab.gateway.state = replace(lab.gateway.state, active=place.provider, model=place.model)


# Two reads further apart than reads may lag (RBK-2.2)


@pytest.mark.parametrize("stale_for_s", [0.0, 1.0, 10.0])
def test_two_agreeing_reads_are_further_apart_than_reads_may_lag(undoing: Begin, stale_for_s: float):
    lab = undoing(target=replace(TARGET, stale_for_s=stale_for_s))
    looks: list[float] = []
    lab.gateway.fails["providers"] = lambda: looks.append(lab.clock.monotonic())
    assert settled(lab.run()) == OLD
    assert looks == [0.0, stale_for_s]


def test_reads_that_change_are_taken_again_until_two_agree(undoing: Begin):
    lab = undoing(target=replace(TARGET, stale_for_s=10.0))
    lab.clock.later(5.0, lambda: at(lab, NEW))
    assert settled(lab.run()) == NEW
    assert lab.clock.monotonic() == 20.0


def test_reads_that_never_agree_settle_nothing(undoing: Begin):
    lab = undoing(target=replace(TARGET, stale_for_s=10.0))
    for turn in range(1, 9):
        lab.clock.later(10.0 * turn - 5.0, lambda turn=turn: at(lab, (OLD, NEW)[turn % 2]))
    with pytest.raises(GatewayError, match="the reads do not agree: ollama:gemma3:4b, then openai:gpt-4o"):
        settled(lab.run())
    assert lab.clock.monotonic() == 30.0


def test_the_proof_waits_until_nothing_can_land_any_more(undoing: Begin):
    lab = undoing()
    lab.write(str(NEW), result="unknown")
    lab.write(str(OLD), step="RBK-2.1", direction="back")
    lab.clock.later(29.0, lambda: at(lab, NEW))
    assert verify_active(lab.run()) == f"the gateway reports {OLD} active"
    assert lab.gateway.writes == [BACK]
    assert lab.clock.monotonic() == 30.0


def test_another_place_than_the_previous_one_is_no_proof_and_not_moved(undoing: Begin):
    """Only the new provider, which this rollout has put there, is sent back once more."""
    lab = undoing(target=replace(TARGET, safe=SAFE))
    lab.write(str(NEW))
    lab.write(str(SAFE), step="RBK-2.1", direction="back")
    at(lab, SAFE)
    with pytest.raises(GatewayError, match=f"{SAFE} is active instead of {OLD}"):
        verify_active(lab.run())
    assert lab.gateway.writes == []


def test_an_undo_that_could_not_be_sent_before_is_sent_at_the_proof(undoing: Begin):
    """The gateway was away; that it reports the previous provider now is no proof without a write (rule 9)."""
    lab = undoing()
    lab.write(str(NEW))
    assert verify_active(lab.run())
    assert lab.gateway.writes == [BACK]


def test_where_nothing_is_owed_the_proof_only_reads(undoing: Begin):
    lab = undoing()
    lab.write(str(NEW))
    lab.write(str(OLD), step="RBK-2.1", direction="back")
    verify_active(lab.run())
    assert lab.gateway.writes == []


def test_the_proof_goes_by_where_the_scenario_leads(undoing: Begin):
    lab = undoing(rollback_to=SAFE)
    lab.write(str(SAFE), step="RBK-2.1", direction="back")
    with pytest.raises(GatewayError, match=f"{OLD} is active instead of {SAFE}"):
        verify_active(lab.run())
    at(lab, SAFE)
    assert verify_active(lab.run())


def test_the_proof_puts_weights_back_that_a_lost_write_has_set_late(undoing: Begin):
    lab = undoing(target=ROUTED, canary=SHARES)
    lab.gateway.state = replace(lab.gateway.state, weights={str(NEW): 0.1, str(OLD): 0.9})
    assert verify_active(lab.run()).startswith(f"the gateway reports {OLD} active; the requests are split as in")
    assert lab.gateway.writes == ["weights {}"]


# What can still land (safety rule 5)


@pytest.mark.parametrize(
    ("step", "direction", "to", "what", "result", "within_s"),
    [
        ("APP-1.2", "forward", "openai:gpt-4o", What.PROVIDER, None, 30.0),
        ("APP-1.2", "forward", "openai:gpt-4o", What.PROVIDER, "unknown", 30.0),
        ("APP-1.2", "forward", "openai:gpt-4o", What.PROVIDER, "done", 0.0),
        ("APP-1.2", "forward", "openai:gpt-4o", What.PROVIDER, "refused", 0.0),
        ("CAN-1", "forward", "openai:gpt-4o", What.PROVIDER, "unknown", 30.0),
        ("CAN-2.1", "forward", "openai:gpt-4o 10%", What.WEIGHTS, "unknown", 30.0),
        ("APP-3.1", "forward", "cost limits of global", What.LIMITS, "unknown", 30.0),
        ("APP-2.4", "forward", "cost limits of global", What.LIMITS, None, 30.0),
        ("RBK-3.4", "back", "cost limits of global", What.LIMITS, None, 0.0),
        ("RBK-2.1", "back", "no weights", What.WEIGHTS, None, 0.0),
        ("RBK-2.1", "back", "ollama:gemma3:4b", What.PROVIDER, "unknown", 0.0),
        ("RBK-2.1", "back", "vllm:gemma-3-4b-it", What.PROVIDER, "unknown", 30.0),
        ("APP-0.2", "proof", "ollama:gemma3:4b", What.PROVIDER, None, 0.0),
        ("APP-2.2", "forward", "restart", What.RESTART, None, 40.0),
        ("RBK-3.2", "back", "restart", What.RESTART, None, 40.0),
        ("APP-0.2", "proof", "restart", What.RESTART, None, 40.0),
        ("APP-2.2", "forward", "restart", What.RESTART, "unknown", 0.0),
        ("APP-2.1", "forward", ".env A", What.ENVIRONMENT, None, 0.0),
    ],
)
def test_a_write_may_land_late_where_its_answer_was_lost_and_it_leads_away(
    undoing: Begin, step: str, direction: str, to: str, what: What, result: str | None, within_s: float
):
    """A call for as long as an activation may take; both commands of a restart, where their runner was killed."""
    lab = undoing(target=replace(RESTARTABLE, service=replace(RESTARTABLE.service, timeout_s=20.0)))
    lab.write(to, step=step, direction=direction, what=what, result=result)
    run = lab.run()
    assert lands_within_s(run, run.record.writes[0]) == within_s


@pytest.mark.parametrize(
    ("write", "result", "within_s"), [((), None, 0.0), (("w",), None, 20.0), (("w",), "unknown", 0.0)]
)
def test_a_file_is_written_late_only_by_a_command_whose_runner_was_killed(
    undoing: Begin, write: tuple[str, ...], result: str | None, within_s: float
):
    lab = undoing()
    service = replace(RESTARTABLE.service, timeout_s=20.0, write=write)  # type: ignore[type-var]
    lab.rollout.target = replace(RESTARTABLE, service=service)
    for step in ("APP-2.1", "RBK-3.1"):
        lab.write(".env A", step=step, what=What.ENVIRONMENT, result=result)
    run = lab.run()
    assert [lands_within_s(run, each) for each in run.record.writes] == [within_s] * 2


def test_without_a_service_no_command_can_land(undoing: Begin):
    lab = undoing()
    lab.write("restart", step="APP-2.2", what=What.RESTART, result=None)
    run = lab.run()
    assert lands_within_s(run, run.record.writes[0]) == 0.0


def test_the_wait_counts_from_the_announcement_and_keeps_the_lease(undoing: Begin):
    lab = undoing()
    lab.write(str(NEW), result="unknown")
    lab.clock.advance(12.0)
    outlast_lost_writes(lab.run())
    assert lab.clock.monotonic() == 30.0
    assert lab.rollout.lease is not None
    assert (lab.rollout.lease.until - lab.clock.now()).total_seconds() == LEASE_S
    outlast_lost_writes(lab.run())
    assert lab.clock.monotonic() == 30.0, "once is enough"


def test_a_lost_write_is_waited_for_without_the_journal_too(undoing: Begin):
    lab = undoing()
    lab.write(str(NEW), result="unknown")
    run = lab.run()
    lab.journal.is_down = True
    outlast_lost_writes(run)
    assert lab.clock.monotonic() == 30.0


# Who has answered (RBK-4.1)


def answering(lab: Undoing, **parts: Any) -> None:
    """Let completions be these, counted for nobody."""
    whole = {"content": "pong", "model": OLD.model, "provider": OLD.provider, "total_tokens": 3, "elapsed_ms": 5.0}
    names = list(Completion.__dataclass_fields__)
    values = list({**whole, **parts}.values())
    lab.gateway.chat = lambda _prompt, **_: Completion(**dict(zip(names, values, strict=False)))  # type: ignore[method-assign]


def test_an_answer_of_the_active_provider_is_a_proof_and_is_shown(undoing: Begin):
    lab = undoing()
    assert (
        request_works(lab.run())
        == f"a request was answered in 5 ms; the answer names {OLD.provider} and model {OLD.model}"
    )
    assert lab.gateway.served == [str(OLD)]


@pytest.mark.parametrize("names", ["nobody", "provider", "model", "both"])
def test_an_answer_shows_who_gave_it_by_a_name_or_by_a_counter_that_moved(undoing: Begin, names: str):
    lab = undoing()
    lab.gateway.names = names
    provider = OLD.provider if names in ("provider", "both") else "no provider"
    model = f"model {OLD.model}" if names in ("model", "both") else "no model"
    said = "no model and no provider" if names == "nobody" else f"{provider} and {model}"
    counted = f"; {OLD.provider}'s request counter rose" if names == "nobody" else ""
    assert f"the answer names {said}{counted}" in request_works(lab.run())


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"provider": "openai"}, "openai answered instead of ollama"),
        ({"model": "gpt-4o"}, "model gpt-4o answered instead of"),
        ({"content": " "}, "the completion is empty"),
        (
            {"provider": None, "model": None},
            "the answer names neither provider nor model, and ollama's request counter stayed at 100",
        ),
    ],
)
def test_an_answer_of_another_one_or_of_nobody_is_no_proof(undoing: Begin, parts: dict[str, Any], why: str):
    lab = undoing()
    answering(lab, **parts)
    with pytest.raises(GatewayError, match=why):
        request_works(lab.run())


def test_a_model_that_both_providers_have_shows_nobody(undoing: Begin):
    """The answer names it, and either may have given it."""
    lab = undoing(ProviderChange("openai", OLD.model))
    answering(lab, provider=None)
    with pytest.raises(GatewayError, match="the answer names no provider, and ollama's request counter stayed at 100"):
        request_works(lab.run())


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_counter_that_cannot_be_read_before_or_after_shows_nobody(undoing: Begin, fails_at: int):
    lab = undoing()
    lab.gateway.names = "nobody"
    looks = iter(range(1, 9))
    lab.gateway.fails["metrics"] = lambda _provider: garbage() if next(looks) == fails_at else None
    with pytest.raises(GatewayError, match="who answered cannot be shown"):
        request_works(lab.run())


@pytest.mark.parametrize("step", [request_works, stabilises])
def test_a_provider_that_shows_after_the_proof_of_another_one_proves_nothing(
    undoing: Begin, step: Callable[[RollbackRun], str]
):
    """Reads that lag, which the target does not state, showed the state from before the change to RBK-2.2."""
    lab = undoing()
    lab.write(str(NEW))
    lab.write(str(OLD), step="RBK-2.1", direction="back")
    run = lab.run()
    run.step("RBK-2.2", lambda: verify_active(run))
    at(lab, NEW)
    with pytest.raises(GatewayError, match=f"{NEW} is active, and RBK-2.2 has read {OLD}: the reads do not agree"):
        step(run)
    lab.clock.later(0.5, lambda: at(lab, OLD))
    run.prove("RBK-4.1", lambda: step(run))
    assert run.steps[-1].outcome == "passed"
    assert lab.clock.monotonic() >= 1.0
    assert lab.gateway.writes == []


def test_where_nothing_is_proven_the_active_provider_answers(undoing: Begin):
    """The rollback has failed already; that requests are answered is still worth knowing."""
    lab = undoing()
    at(lab, NEW)
    assert f"the answer names {NEW.provider}" in request_works(lab.run())


# A steady status (RBK-4.2)


def test_the_status_is_connected_as_often_as_the_scenario_says(undoing: Begin):
    lab = undoing(monitor=Monitor(stable_polls=4, confirm_after_s=2.0))
    looks: list[float] = []
    lab.gateway.fails["status"] = lambda _provider: looks.append(lab.clock.monotonic())
    assert stabilises(lab.run()) == f"{OLD.provider} was connected 4 times in a row"
    assert looks == [0.0, 2.0, 4.0, 6.0]


@pytest.mark.parametrize("status", ["offline", "degraded", "unknown"])
def test_any_other_status_at_any_poll_is_no_proof(undoing: Begin, status: str):
    lab = undoing()
    lab.clock.later(1.5, lambda: lab.gateway.statuses.update({OLD.provider: status}))
    with pytest.raises(GatewayError, match=status):
        stabilises(lab.run())


def test_the_status_of_the_active_provider_is_asked_for(undoing: Begin):
    lab = undoing()
    lab.gateway.statuses = {NEW.provider: "offline"}
    assert stabilises(lab.run())


# No difference left (RBK-4.3)


@pytest.mark.parametrize(
    ("state", "named"),
    [
        (State(cost={}), "cost limits global"),
        (State(rate={"global": {"max_tokens_per_minute": 1.0}}), "rate limits global"),
        (State(weights={"openai:gpt-4o": 1.0}), "weights openai:gpt-4o"),
        (State(config={"X": "1"}), "X: absent -> 1"),
        (State(model="gemma3:12b"), "LLM_MODEL_NAME"),
    ],
)
def test_any_difference_from_the_backup_is_no_proof_and_is_named(undoing: Begin, state: State, named: str):
    lab = undoing(target=ROUTED)
    lab.gateway.state = state
    with pytest.raises(GatewayError, match=f"the gateway differs from the backup: .*{named}"):
        equals_backup(lab.run())


def test_an_equal_gateway_has_an_empty_diff(undoing: Begin):
    assert equals_backup(undoing(target=ROUTED).run()) == "the diff is empty"


def test_bytes_of_the_env_file_that_differ_are_a_difference(undoing: Begin, tmp_path: Path):
    file = tmp_path / ".env"
    file.write_bytes(b"A=1\n")
    lab = undoing(target=replace(RESTARTABLE, env_file=file))
    assert equals_backup(lab.run())
    file.write_bytes(b"A=1\n\n")
    with pytest.raises(GatewayError, match=r"\.env: its bytes differ from the backup's"):
        equals_backup(lab.run())


def test_where_the_scenario_leads_elsewhere_only_what_that_activation_writes_may_differ(undoing: Begin):
    lab = undoing(rollback_to=SAFE, target=replace(TARGET, activation_rewrites=("X",)))
    lab.gateway.state = replace(State("vllm", "gemma-3-4b-it"), config={"X": "1"})
    assert equals_backup(lab.run()) == "the diff is empty"
    lab.gateway.state = replace(lab.gateway.state, config={"Y": "1"})
    with pytest.raises(GatewayError, match="Y: absent -> 1"):
        equals_backup(lab.run())


# Weights


@pytest.mark.parametrize(
    ("before", "canary", "expected"),
    [(None, SHARES, False), ({}, None, False), ({}, SHARES, True), ({"ollama:gemma3:4b": 1.0}, None, True)],
)
def test_weights_are_part_of_a_rollback_where_a_canary_sets_them_or_there_were_some(
    undoing: Begin, before: dict[str, float] | None, canary: Canary | None, expected: bool
):
    """None: the target splits nothing."""
    lab = undoing(target=TARGET if before is None else ROUTED, state=State(weights=before or {}), canary=canary)
    assert has_weights(lab.rollout, before) is expected
    assert has_weights(lab.rollout, lab.backup.weights) is expected


def test_a_gateway_that_cannot_be_read_proves_nothing(undoing: Begin):
    lab = undoing()
    lab.gateway.fails["providers"] = down()
    for proof in (verify_active, request_works, stabilises):
        with pytest.raises(GatewayError):
            proof(lab.run())
    lab.gateway.fails = {"runtime_config": refused()}
    with pytest.raises(GatewayError):
        equals_backup(lab.run())
