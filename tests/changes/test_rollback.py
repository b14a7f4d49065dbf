"""Taking a change back: judged by where the gateway is, what it was sent and who served, not by what the suite says."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.changes import canary
from rollout.changes.rollback import manual_commands, planned_steps, roll_back, undo_order
from rollout.core.canary_stages import stages
from rollout.core.errors import GatewayError, RolloutError
from rollout.core.scenario import Canary, EnvironmentChange, LimitChange, ProviderChange, Share
from rollout.core.target import ProviderRestart
from rollout.core.writes import Restart
from rollout.gateway.host.commands import ServiceError
from rollout.journal.record import Decision, Kind, What
from rollout.journal.spool import SPOOL
from tests.support.clocks import SimulatedClock
from tests.support.describing import describe_otherwise
from tests.support.gateways import LiveGateway, State, down, garbage, refused
from tests.support.rollouts import rollout_in
from tests.support.undoing import NEW, OLD, RESTARTABLE, ROUTED, TARGET, Undoing, message, outcomes

Begin = Callable[..., Undoing]
BACK = f"activate {OLD}"
SAFE = ProviderChange("vllm", "gemma-3-4b-it")
LIMIT = LimitChange("cost", "global", {"soft_limit_usd": 20.0, "hard_limit_usd": 60.0})
RATE = LimitChange("rate", "openai", {"max_tokens_per_minute": 100.0})
BEFORE = State().cost
RATES = {"provider:openai": {"max_tokens_per_minute": 50.0}}
SHARES = Canary((Share(0.1, 600), Share(1.0, 600)), stabilise_s=900)
ENV = EnvironmentChange({"LOG_LEVEL": "debug"})
CONTENT = b"LOG_LEVEL=info\n"


@pytest.fixture
def env_file(in_memory: Path) -> Path:
    path = in_memory / ".env"
    path.write_bytes(CONTENT)
    return path


# What was written is undone by a write (BROKEN_PROMISES 1)

STALE = pytest.mark.parametrize(
    ("stale_s", "stated"),
    [(0.0, True), (1.0, True), (5.0, True), (10.0, True), (1.0, False), (5.0, False), (10.0, False)],
)


def stale(target: object, stale_s: float, *, stated: bool) -> object:
    return replace(target, stale_for_s=stale_s if stated else 0.0)  # type: ignore[type-var]


@pytest.mark.parametrize("after_s", [0.0, 3.0])
@STALE
def test_an_activation_is_undone_by_a_write_whatever_stale_reads_say(
    undoing: Begin, stale_s: float, stated: bool, after_s: float
):
    """Reads that lag show the old provider right after the write: that is no proof that there is nothing to undo."""
    lab = undoing(target=stale(TARGET, stale_s, stated=stated))
    lab.gateway.stale_s = stale_s
    lab.apply()
    lab.clock.advance(after_s)
    result = lab.take_back()
    assert lab.gateway.writes[-1] == BACK
    assert lab.gateway.state.place == str(OLD)
    assert lab.gateway.served[-1] == str(OLD)
    assert result.verified or not stated


@STALE
def test_limits_are_undone_by_a_write_whatever_stale_reads_say(undoing: Begin, stale_s: float, stated: bool):
    """What governance shows right after the write is what was before it."""
    lab = undoing(LIMIT, target=stale(TARGET, stale_s, stated=stated))
    lab.gateway.stale_s = stale_s
    lab.apply()
    lab.clock.advance(1.0)
    result = lab.take_back()
    assert lab.gateway.writes == ["limits cost global", "limits cost global"]
    assert lab.gateway.state.cost == BEFORE
    assert result.verified or not stated


@STALE
def test_weights_are_undone_by_a_write_whatever_stale_reads_say(undoing: Begin, stale_s: float, stated: bool):
    """The canary's share was set, and reads still show no weights."""
    lab = undoing(target=stale(ROUTED, stale_s, stated=stated), canary=SHARES)
    lab.gateway.stale_s = stale_s
    with suppress(GatewayError):
        canary.enter(lab.rollout, stages(lab.rollout.scenario)[0])
    assert lab.gateway.state.weights
    result = lab.take_back()
    assert lab.gateway.writes[-1] == "weights {}"
    assert not lab.gateway.state.weights
    assert lab.gateway.state.place == str(OLD)
    assert result.verified or not stated


@STALE
def test_an_env_file_is_undone_whatever_the_stale_configuration_says(
    undoing: Begin, env_file: Path, stale_s: float, stated: bool
):
    """The service runs with the new values while its configuration still shows the old ones."""
    lab = undoing(
        ENV,
        target=stale(replace(RESTARTABLE, env_file=env_file), stale_s, stated=stated),
        state=State(config={"LOG_LEVEL": "info"}),
    )
    lab.gateway.stale_s, lab.gateway.env_file = stale_s, env_file
    lab.apply()
    assert lab.gateway.state.config == {"LOG_LEVEL": "debug"}
    result = lab.take_back()
    assert env_file.read_bytes() == CONTENT
    assert lab.gateway.state.config == {"LOG_LEVEL": "info"}
    assert result.verified or not stated


@pytest.mark.parametrize("chat", ["named", "nobody", "model"])
def test_an_undo_without_effect_behind_stale_reads_is_not_verified(undoing: Begin, chat: str):
    """Reads show the old provider for 10 s that nobody has stated; who serves is shown by no answer of the old one."""
    lab = undoing()
    lab.gateway.stale_s, lab.gateway.names = 10.0, {"named": "both"}.get(chat, chat)
    lab.apply()
    lab.gateway.without_effect = {"activate"}
    result = lab.take_back()
    assert BACK in lab.gateway.writes
    assert lab.gateway.state.place == str(NEW)
    assert not result.verified
    assert outcomes(result)["RBK-4.1"] == "failed"


def test_a_stated_staleness_shows_that_an_undo_had_no_effect(undoing: Begin):
    """Two looks further apart than reads may lag do not both show what was before."""
    lab = undoing(target=replace(TARGET, stale_for_s=10.0))
    lab.gateway.stale_s = 10.0
    lab.apply()
    lab.gateway.without_effect = {"activate"}
    result = lab.take_back()
    assert lab.gateway.state.place == str(NEW)
    assert not result.verified
    assert f"{NEW} is active instead of {OLD}" in message(result, "RBK-2.2")


def test_a_completion_from_a_cache_that_names_nobody_shows_nobody_and_is_not_verified(undoing: Begin):
    """The old provider has served nothing: its request counter stands still."""
    lab = undoing()
    lab.gateway.stale_s, lab.gateway.stale_chat, lab.gateway.names = 10.0, True, "nobody"
    lab.apply()
    lab.gateway.without_effect = {"activate"}
    result = lab.take_back()
    assert lab.gateway.state.place == str(NEW)
    assert not result.verified


def test_a_completion_from_a_cache_that_names_the_new_provider_is_not_verified(undoing: Begin):
    """The gateway is back, and its cache answers as the new one: that cannot be told from a gateway that is not."""
    lab = undoing()
    lab.apply()
    lab.clock.advance(60.0)
    lab.gateway.fails["providers"] = lambda: setattr(lab.gateway, "stale_s", 0.0)
    lab.gateway.fails["chat"] = lambda: setattr(lab.gateway, "stale_s", 30.0)
    lab.gateway.stale_chat = True
    result = lab.take_back()
    assert lab.gateway.state.place == str(OLD)
    assert not result.verified
    assert "openai answered instead of ollama" in message(result, "RBK-4.1")


@pytest.mark.parametrize("fault", [garbage(), GatewayError("GET x", "it redirects to /login", status=302), down()])
def test_where_reads_are_broken_the_undo_is_sent_all_the_same_and_nothing_on_top_of_it(
    undoing: Begin, fault: GatewayError
):
    """A redirect, HTML, bad UTF-8: what cannot be read is not verified, and the safe provider stays where it is."""
    lab = undoing(target=replace(TARGET, safe=SAFE))
    lab.apply()
    lab.gateway.fails.update(providers=fault, runtime_config=fault, governance=fault, status=fault)
    result = lab.take_back()
    assert lab.gateway.state.place == str(OLD)
    assert set(lab.gateway.writes[1:]) == {BACK}
    assert not result.verified
    assert result.decision is Decision.ROLLBACK_FAILED


def test_broken_reads_of_limits_and_weights_do_not_keep_the_undo_back(undoing: Begin):
    lab = undoing(LIMIT, NEW, target=ROUTED, canary=SHARES)
    lab.apply()
    canary.enter(lab.rollout, stages(lab.rollout.scenario)[0])
    lab.gateway.fails.update(governance=garbage(), weights=garbage())
    result = lab.take_back()
    assert lab.gateway.state == State(weights={})
    assert not result.verified


@pytest.mark.parametrize("result", ["done", "unknown", None])
def test_a_write_that_the_gateway_did_not_refuse_is_undone_once_though_reads_show_no_effect(
    undoing: Begin, result: str | None
):
    """Done, its answer lost, or its writer dead: none of them is known to have changed nothing."""
    lab = undoing()
    lab.write(str(NEW), result=result)
    assert lab.take_back().verified
    assert lab.gateway.writes == [BACK]


def test_a_write_that_the_gateway_refused_is_not_undone(undoing: Begin):
    """A refusal changed nothing."""
    lab = undoing()
    lab.gateway.fails["activate"] = refused()
    lab.apply()
    lab.gateway.fails.clear()
    lab.gateway.writes.clear()
    assert lab.take_back().verified
    assert lab.gateway.writes == []


def test_the_whole_of_three_changes_is_undone_and_a_second_rollback_sends_nothing(undoing: Begin, env_file: Path):
    """Repeating it is harmless: what is undone is only proven again, and a healthy service is not restarted again."""
    state = State(config={"LOG_LEVEL": "info"}, rate=RATES)
    lab = undoing(NEW, ENV, LIMIT, RATE, target=replace(RESTARTABLE, env_file=env_file), state=state)
    lab.gateway.env_file = env_file
    assert lab.apply().failed is None
    assert lab.take_back().verified
    assert (lab.gateway.state, env_file.read_bytes()) == (state, CONTENT)
    sent, restarts = list(lab.gateway.writes), lab.gateway.restarts
    assert lab.take_back().verified
    assert (lab.gateway.writes, lab.gateway.restarts) == (sent, restarts)
    assert (lab.gateway.state, env_file.read_bytes()) == (state, CONTENT)


def test_a_second_rollback_restarts_a_service_that_the_first_one_has_left_down(undoing: Begin, env_file: Path):
    """The file is as it was; the restart was done, and the service never came up."""
    lab = undoing(ENV, target=replace(RESTARTABLE, env_file=env_file))
    lab.apply()
    lab.gateway.startup_s = 1e6
    assert not lab.take_back().verified
    lab.gateway.startup_s = 0.0
    assert lab.take_back().verified


def test_changes_are_undone_in_reverse(undoing: Begin):
    lab = undoing(NEW, LIMIT, RATE, state=State(rate=RATES))
    lab.apply()
    assert undo_order(lab.rollout) == (RATE, LIMIT, NEW)
    lab.take_back()
    back = lab.gateway.writes[3:]
    assert back == ["limits rate openai", "limits cost global", BACK]


def test_a_change_that_was_never_reached_is_not_touched(undoing: Begin):
    """The first of two failed: nothing is sent for the second, and nothing restarted."""
    lab = undoing(LIMIT, NEW)
    lab.gateway.without_effect = {"set_limit"}
    lab.apply()
    lab.gateway.without_effect = set()
    assert lab.take_back().verified
    assert lab.gateway.writes == ["limits cost global"] * 2


# Where the undo leads


def test_a_rollback_leads_where_the_scenario_says_and_proves_that(undoing: Begin):
    """`rollback_to` stands in for the previous provider, in the configuration too."""
    lab = undoing(rollback_to=SAFE)
    lab.apply()
    result = lab.take_back()
    assert lab.gateway.state.place == str(SAFE)
    assert lab.gateway.served[-1] == str(SAFE)
    assert result.verified, result.steps


def test_a_safe_provider_is_no_proof_of_a_rollback(undoing: Begin):
    """The previous provider is offline: users are safe, and a person is needed."""
    lab = undoing(target=replace(TARGET, safe=SAFE))
    lab.apply()
    lab.gateway.fails["activate"] = lambda place: refused() if place == str(OLD) else None
    result = lab.take_back()
    assert lab.gateway.state.place == str(SAFE)
    assert outcomes(result)["RBK-2.1"] == "passed"
    assert not result.verified
    assert result.decision is Decision.ROLLBACK_FAILED


# Changed outside this rollout (BROKEN_PROMISES 8)


def test_a_safe_provider_that_was_activated_by_hand_is_not_overwritten(undoing: Begin):
    """It is this rollout's own only once this rollout's journal has activated it."""
    lab = undoing(target=replace(TARGET, safe=SAFE))
    lab.apply()
    lab.gateway.activate(SAFE.provider, SAFE.model)
    lab.gateway.writes.clear()
    result = lab.take_back()
    assert lab.gateway.writes == []
    assert lab.gateway.state.place == str(SAFE)
    assert (result.changed_elsewhere, result.verified, result.superseded) == (True, False, False)
    assert {
        clause: outcomes(result)[clause] for clause in ("RBK-2.2", "RBK-4.1", "RBK-4.2", "RBK-4.3")
    } == dict.fromkeys(("RBK-2.2", "RBK-4.1", "RBK-4.2", "RBK-4.3"), "failed")
    assert "RBK-2.1" not in outcomes(result), "not one step follows"


def test_a_safe_provider_that_this_rollout_has_activated_is_its_own(undoing: Begin):
    lab = undoing(target=replace(TARGET, safe=SAFE))
    lab.apply()
    lab.gateway.fails["activate"] = lambda place: refused() if place == str(OLD) else None
    lab.take_back()
    lab.gateway.fails.clear()
    assert lab.take_back().verified
    assert lab.gateway.state.place == str(OLD)


def test_no_step_follows_once_the_gateway_was_changed_outside_in_mid_rollback(undoing: Begin):
    """Somebody came between two tries of the activation: the limits are not touched either."""
    lab = undoing(LIMIT, NEW)
    lab.apply()
    lab.gateway.writes.clear()
    lab.gateway.fails["activate"] = down()
    lab.clock.later(0.5, lambda: setattr(lab.gateway, "state", replace(lab.gateway.state, active="vllm", model="m")))
    result = lab.take_back()
    assert lab.gateway.writes == [BACK]
    assert (result.changed_elsewhere, result.verified) == (True, False)


def test_weights_that_were_set_by_hand_are_not_overwritten(undoing: Begin):
    lab = undoing(target=ROUTED, canary=SHARES)
    canary.enter(lab.rollout, stages(lab.rollout.scenario)[0])
    lab.gateway.state = replace(lab.gateway.state, weights={str(NEW): 0.7, str(OLD): 0.3})
    lab.gateway.writes.clear()
    result = lab.take_back()
    assert lab.gateway.writes == []
    assert result.changed_elsewhere


# A rollback that needs a restart (BROKEN_PROMISES 6)

OLD_RESTARTS = replace(RESTARTABLE, providers={OLD.provider: ProviderRestart(restart=True)})


def test_a_previous_provider_that_takes_effect_after_a_restart_is_restarted_once(undoing: Begin):
    """Activated, read back old, restarted, read back: one activation, one restart, verified."""
    lab = undoing(target=OLD_RESTARTS)
    lab.gateway.restart_providers = {OLD.provider}
    lab.apply()
    result = lab.take_back()
    assert lab.gateway.writes == [f"activate {NEW}", BACK]
    assert lab.gateway.restarts == 1
    assert lab.gateway.state.place == str(OLD)
    assert result.verified, result.steps


def test_nothing_is_restarted_that_is_right_already(undoing: Begin):
    """The target says that the provider restarts, and the read-back shows it active without."""
    lab = undoing(target=OLD_RESTARTS)
    lab.apply()
    assert lab.take_back().verified
    assert lab.gateway.restarts == 0


def test_a_previous_provider_that_nobody_said_needs_a_restart_gets_one_in_the_end(undoing: Begin):
    """Sent once more first, then restarted."""
    lab = undoing(target=replace(RESTARTABLE, safe=SAFE))
    lab.gateway.restart_providers = {OLD.provider}
    lab.apply()
    assert lab.take_back().verified
    assert lab.gateway.writes[1:] == [BACK, BACK]
    assert (lab.gateway.restarts, lab.gateway.state.place) == (1, str(OLD))


def test_without_a_service_the_safe_provider_stands_in(undoing: Begin):
    """A read shows that the previous one is not active, and nothing can restart it."""
    lab = undoing(target=replace(TARGET, safe=SAFE))
    lab.gateway.restart_providers = {OLD.provider}
    lab.apply()
    result = lab.take_back()
    assert lab.gateway.state.place == str(SAFE)
    assert not result.verified


def test_limits_that_the_restart_of_the_rollback_has_lost_are_put_back(undoing: Begin):
    lab = undoing(target=OLD_RESTARTS)
    lab.gateway.restart_providers, lab.gateway.loses_limits = {OLD.provider}, {}
    lab.apply()
    result = lab.take_back()
    assert lab.gateway.state == State()
    assert lab.gateway.restarts == 1
    assert result.verified, result.steps


@pytest.mark.parametrize("step", ["APP-2.2", "APP-0.2"])
def test_a_restart_whose_runner_died_is_made_good(undoing: Begin, step: str):
    """The service was stopped, perhaps, and nobody has started it."""
    lab = undoing(target=OLD_RESTARTS)
    direction = "proof" if step == "APP-0.2" else "forward"
    lab.write(str(OLD), step="APP-0.2", direction="proof")
    lab.write("restart", step=step, direction=direction, what=What.RESTART, result=None)
    lab.gateway.startup_s, lab.gateway._up_at_s = 0.0, 1e9
    result = lab.take_back()
    assert lab.gateway.restarts == 1
    assert result.verified, result.steps


# The .env file and the service


def test_an_env_file_that_was_never_written_restarts_nothing(undoing: Begin, env_file: Path):
    lab = undoing(LIMIT, ENV, target=replace(RESTARTABLE, env_file=env_file))
    lab.gateway.without_effect = {"set_limit"}
    lab.apply()
    lab.gateway.without_effect = set()
    result = lab.take_back()
    assert lab.gateway.restarts == 0
    assert result.verified
    assert message(result, "RBK-3.2") == "not needed: the .env file was not changed"


def test_an_env_file_that_was_edited_outside_keeps_the_edit_and_is_not_verified(undoing: Begin, env_file: Path):
    """Only this rollout's key goes back, and a person compares the rest."""
    lab = undoing(ENV, target=replace(RESTARTABLE, env_file=env_file))
    lab.apply()
    env_file.write_bytes(env_file.read_bytes() + b"THEIRS=1\n")
    result = lab.take_back()
    assert env_file.read_bytes() == CONTENT + b"THEIRS=1\n"
    assert lab.gateway.restarts == 2
    assert outcomes(result)["RBK-3.1"] == "failed"
    assert not result.verified


def test_a_service_that_does_not_come_back_is_not_verified(undoing: Begin, env_file: Path):
    lab = undoing(ENV, target=replace(RESTARTABLE, env_file=env_file))
    lab.apply()
    lab.gateway.startup_s = 1e6
    result = lab.take_back()
    assert outcomes(result)["RBK-3.3"] == "failed"
    assert not result.verified
    assert lab.clock.monotonic() < 600


def test_limits_that_the_restart_has_lost_are_put_back_and_those_that_were_changed_outside_before_are_not(
    undoing: Begin, env_file: Path
):
    """What somebody has set since the change is theirs; what the rollback's own restart has lost is not."""
    state = State(cost={**BEFORE, "provider:openai": {"soft_limit_usd": 1.0}})
    lab = undoing(ENV, target=replace(RESTARTABLE, env_file=env_file), state=state)
    lab.apply()
    theirs = {**BEFORE, "provider:openai": {"soft_limit_usd": 3.0}}
    lab.gateway.state = replace(lab.gateway.state, cost=theirs)
    lab.gateway.loses_limits = {"provider:openai": {"soft_limit_usd": 3.0}}
    result = lab.take_back()
    assert lab.gateway.state.cost == theirs
    assert not result.verified, "and RBK-4.3 says what differs"


def test_an_env_file_whose_backup_is_gone_is_not_guessed(undoing: Begin, env_file: Path):
    lab = undoing(ENV, target=replace(RESTARTABLE, env_file=env_file))
    lab.apply()
    Path(lab.backup.env.path).write_bytes(b"OTHER=1\n")  # type: ignore[union-attr]
    result = lab.take_back()
    assert env_file.read_bytes() == b"LOG_LEVEL=debug\n"
    assert not result.verified


# Limits


def test_a_limit_of_a_scope_that_had_none_cannot_be_undone_and_is_not_verified(undoing: Begin):
    """The gateway cannot take limits away (deviation 15)."""
    lab = undoing(RATE)
    lab.apply()
    result = lab.take_back()
    assert lab.gateway.state.rate
    assert not result.verified
    assert "had no limits before" in message(result, "RBK-3.4")


@pytest.mark.parametrize("others", [(), (LIMIT,)])
def test_a_limit_that_cannot_be_undone_is_not_verified_behind_stale_reads_either(
    undoing: Begin, others: tuple[LimitChange, ...]
):
    """Reads still show no limit there: the gateway's own success said that there is one."""
    lab = undoing(RATE, *others)
    lab.gateway.stale_s = 10.0
    lab.apply()
    result = lab.take_back()
    assert lab.gateway.state.rate
    assert not result.verified


def test_limits_that_were_changed_outside_since_are_left_alone(undoing: Begin):
    lab = undoing(LIMIT)
    lab.apply()
    theirs = {"global": {"soft_limit_usd": 1.0, "hard_limit_usd": 2.0}}
    lab.gateway.state = replace(lab.gateway.state, cost=theirs)
    result = lab.take_back()
    assert lab.gateway.state.cost == theirs
    assert not result.verified


def test_limits_that_nobody_elses_change_calls_for_stay_as_they_are(undoing: Begin):
    """No restart of this rollout has lost them: somebody else has set them, and RBK-4.3 names them."""
    state = State(cost={**BEFORE, "provider:vllm": {"soft_limit_usd": 1.0}}, rate=RATES)
    lab = undoing(LIMIT, RATE, state=state)
    lab.apply()
    theirs = {**lab.gateway.state.cost, "provider:vllm": {"soft_limit_usd": 3.0}}
    lab.gateway.state = replace(lab.gateway.state, cost=theirs)
    result = lab.take_back()
    assert lab.gateway.state.cost == {**BEFORE, "provider:vllm": {"soft_limit_usd": 3.0}}
    assert not result.verified


def test_both_of_two_limits_are_sent_again_whose_undo_was_lost_behind_stale_reads(undoing: Begin):
    """At the end reads still show what was before, and the write is still owed."""
    lab = undoing(LIMIT, RATE, state=State(rate=RATES))
    lab.gateway.stale_s = 10.0
    lab.write(str(LIMIT), step="APP-3.1", what=What.LIMITS)
    lab.gateway.set_limit("cost", "global", LIMIT.values)
    lost = iter([down()])
    lab.gateway.fails["set_limit"] = lambda _what: next(lost, None)
    lab.take_back()
    assert lab.gateway.state == State(rate=RATES)


def test_a_limit_whose_undo_is_lost_once_is_sent_again(undoing: Begin):
    """One lost answer does not fail the rollback."""
    lab = undoing(LIMIT)
    lab.apply()
    lost = iter([down()])
    lab.gateway.fails["set_limit"] = lambda _what: next(lost, None)
    assert lab.take_back().verified
    assert lab.gateway.state.cost == BEFORE


# Lost writes that land late (safety rule 5)


def test_a_lost_activation_that_lands_after_the_undo_is_undone_once_more(undoing: Begin):
    """Its answer was lost, it took effect 20 s later, and an activation may take 30 s."""
    lab = undoing()
    lab.gateway.lost["activate"] = 20.0
    lab.apply()
    lab.gateway.lost.clear()
    result = lab.take_back()
    lab.clock.advance(60.0)
    assert lab.gateway.state.place == str(OLD)
    assert lab.gateway.writes == [f"activate {NEW}", BACK, BACK]
    assert result.verified, result.steps


def test_a_lost_activation_of_the_safe_provider_does_not_land_on_a_verified_rollback(undoing: Begin):
    """The rollback itself has sent it, before the previous provider could be activated again."""
    lab = undoing(target=replace(TARGET, safe=SAFE))
    lab.apply()

    def fails(place: str) -> GatewayError | None:
        tried = lab.gateway.writes.count(BACK)
        if place == str(OLD):
            return refused() if tried <= 3 else None
        lab.clock.later(
            25.0,
            lambda: setattr(lab.gateway, "state", replace(lab.gateway.state, active=SAFE.provider, model=SAFE.model)),
        )
        return down()

    lab.gateway.fails["activate"] = fails
    result = lab.take_back()
    lab.clock.advance(120.0)
    assert lab.gateway.state.place == str(OLD) or not result.verified


def test_lost_limits_that_land_after_the_undo_are_undone_once_more(undoing: Begin):
    lab = undoing(LIMIT)
    lab.gateway.lost["set_limit"] = 20.0
    lab.apply()
    lab.gateway.lost.clear()
    result = lab.take_back()
    lab.clock.advance(60.0)
    assert lab.gateway.state.cost == BEFORE
    assert result.verified, result.steps


def test_lost_weights_that_land_after_the_undo_are_undone_once_more(undoing: Begin):
    lab = undoing(target=ROUTED, canary=SHARES)
    lab.gateway.lost["set_weights"] = 20.0
    with suppress(GatewayError):
        canary.enter(lab.rollout, stages(lab.rollout.scenario)[0])
    lab.gateway.lost.clear()
    result = lab.take_back()
    lab.clock.advance(60.0)
    assert not lab.gateway.state.weights
    assert result.verified, result.steps


def test_an_env_file_that_is_written_by_an_orphaned_command_is_restored_once_more(undoing: Begin, env_file: Path):
    """The runner was killed while its write command ran; the command goes on alone."""
    target = replace(RESTARTABLE, env_file=env_file, service=replace(RESTARTABLE.service, write=("w",), timeout_s=20.0))
    lab = undoing(ENV, target=target)
    lab.rollout.target = replace(target, service=RESTARTABLE.service)
    lab.write(".env LOG_LEVEL", step="APP-2.1", what=What.ENVIRONMENT, result=None)
    lab.rollout.target = replace(target, service=replace(RESTARTABLE.service, timeout_s=20.0, read=(), write=("w",)))
    written: list[bytes] = []

    class Commanded:
        """Reads and writes the file as the target's commands would."""

        def __init__(self, *_: object, **__: object) -> None:
            self.path = env_file

        def read(self) -> bytes:
            return env_file.read_bytes()

        def write(self, content: bytes) -> None:
            written.append(content)
            env_file.write_bytes(content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rollout.gateway.host.env_file.EnvFile", Commanded)
        patch.setattr("rollout.changes.backup.EnvFile", Commanded)
        lab.clock.later(15.0, lambda: env_file.write_bytes(b"LOG_LEVEL=debug\n"))
        result = lab.take_back()
    assert env_file.read_bytes() == CONTENT
    assert result.verified, result.steps


# The journal fails in mid-rollback (safety rule 8)


def test_while_the_lease_runs_an_undo_is_spooled_and_sent(undoing: Begin):
    lab = undoing(NEW, LIMIT)
    lab.apply()
    lab.journal.is_down = True
    result = lab.take_back()
    assert lab.gateway.state == State()
    assert result.verified, result.steps
    assert (lab.rollout.folder / SPOOL).exists()
    assert outcomes(result)["RBK-5.1"] == "failed", "the reason waits in the spool file"


def test_after_the_end_of_the_lease_nothing_is_sent_without_the_journal(undoing: Begin):
    """Somebody else may hold the target by then, and nobody can be asked."""
    lab = undoing()
    lab.apply()
    lab.clock.advance(120.0)
    lab.journal.is_down = True
    result = lab.take_back()
    assert lab.gateway.writes == [f"activate {NEW}"]
    assert not result.verified


@pytest.mark.parametrize("after", range(12))
def test_a_journal_that_fails_at_any_moment_does_not_stop_the_rollback(undoing: Begin, after: int):
    lab = undoing(NEW, LIMIT)
    lab.apply()
    left = [after]

    def called(_name: str) -> None:
        left[0] -= 1
        lab.journal.is_down = left[0] < 0

    lab.journal.on_call = called
    result = lab.take_back()
    assert lab.gateway.state == State()
    assert result.verified


def test_what_was_spooled_is_known_when_the_journal_is_back(undoing: Begin):
    """The safe provider that this rollout activated meanwhile is its own, and what is undone is not undone again."""
    lab = undoing(target=replace(TARGET, safe=SAFE))
    lab.apply()
    lab.journal.is_down = True
    lab.gateway.fails["activate"] = lambda place: refused() if place == str(OLD) else None
    lab.take_back()
    lab.journal.is_down = False
    lab.gateway.fails.clear()
    assert lab.gateway.state.place == str(SAFE)
    result = lab.take_back()
    assert result.verified, result.steps
    assert lab.gateway.state.place == str(OLD)
    sent = len(lab.gateway.writes)
    lab.take_back()
    assert len(lab.gateway.writes) == sent


# What is required of a verdict


@pytest.mark.parametrize(
    ("broken", "clause"),
    [
        ({"providers": garbage()}, "RBK-2.2"),
        ({"chat": down()}, "RBK-4.1"),
        ({"status": down()}, "RBK-4.2"),
        ({"governance": garbage()}, "RBK-4.3"),
    ],
)
def test_a_rollback_without_one_of_its_proofs_is_not_verified(
    undoing: Begin, broken: dict[str, GatewayError], clause: str
):
    """The gateway is back; what was not proven is a person's to look at, with the manual commands."""
    lab = undoing()
    lab.apply()
    lab.gateway.fails.update(broken)
    result = lab.take_back()
    assert lab.gateway.state.place == str(OLD)
    assert outcomes(result)[clause] == "failed"
    assert (result.verified, result.decision) == (False, Decision.ROLLBACK_FAILED)
    assert result.commands == manual_commands(lab.rollout)


def test_an_undo_that_failed_is_not_verified_though_every_proof_passes(undoing: Begin, env_file: Path):
    """The file could not be restarted into effect."""
    lab = undoing(ENV, target=replace(RESTARTABLE, env_file=env_file))
    lab.apply()
    lab.restart_fails = ServiceError("start: exit code 1")
    result = lab.take_back()
    assert env_file.read_bytes() == CONTENT
    assert {
        clause: outcomes(result)[clause] for clause in ("RBK-2.2", "RBK-4.1", "RBK-4.2", "RBK-4.3")
    } == dict.fromkeys(("RBK-2.2", "RBK-4.1", "RBK-4.2", "RBK-4.3"), "passed")
    assert outcomes(result)["RBK-3.2"] == "failed"
    assert not result.verified


def test_reading_where_it_is_and_which_alerts_fire_may_fail(undoing: Begin):
    """They inform; what they read is no proof."""
    lab = undoing()
    lab.apply()
    lab.gateway.fails["alerts"] = down()
    result = lab.take_back()
    assert outcomes(result)["RBK-1.2"] == "failed"
    assert result.verified


def test_a_step_that_fails_does_not_stop_the_later_ones(undoing: Begin):
    lab = undoing(NEW, LIMIT)
    lab.apply()
    lab.gateway.fails["set_limit"] = down()
    result = lab.take_back()
    assert lab.gateway.state.place == str(OLD)
    assert (outcomes(result)["RBK-3.4"], outcomes(result)["RBK-2.1"]) == ("failed", "passed")
    assert not result.verified


def test_a_verified_rollback_needs_no_commands_and_the_journal_says_why_it_was_done(undoing: Begin):
    lab = undoing()
    lab.apply()
    lab.clock.advance(5.0)
    began_s = lab.clock.monotonic()
    result = lab.take_back("MON-2: 40% failed")
    assert (result.commands, result.decision) == ((), Decision.ROLLED_BACK)
    assert lab.clock.monotonic() - began_s == 2.0, "two waits between three polls of the status"
    assert message(result, "RBK-5.1") == "MON-2: 40% failed"
    assert [entry.body["reason"] for entry in lab.entries(Kind.ROLLBACK)] == ["MON-2: 40% failed"]


# Words for people


def test_the_commands_to_paste_read_last_and_begin_with_the_rollback_itself(undoing: Begin):
    lab = undoing()
    commands = manual_commands(lab.rollout)
    assert commands[0] == "rollout rollback r-1"
    assert commands[-1] == "curl -sS http://127.0.0.1:1/api/v1/providers"
    assert not [command for command in commands if command.startswith("gateway")]


@pytest.mark.parametrize("why", ["file", "target", "scenario"])
def test_the_manual_commands_hold_the_restart_where_the_rollback_needs_one(undoing: Begin, env_file: Path, why: str):
    """Stopped and started after the activation, in this order as they are pasted from the end."""
    target = OLD_RESTARTS if why == "target" else RESTARTABLE
    change = replace(NEW, restart=True) if why == "scenario" else NEW
    lab = undoing(change, target=replace(target, env_file=env_file))
    if why == "file":
        lab.write(".env A", step="APP-2.1", what=What.ENVIRONMENT)
    commands = manual_commands(lab.rollout)
    assert [command for command in commands if command.startswith("gateway")] == ["gateway start", "gateway stop"]


def test_a_file_whose_write_was_refused_needs_no_restart(undoing: Begin):
    lab = undoing(target=RESTARTABLE)
    lab.write(".env A", step="APP-2.1", what=What.ENVIRONMENT, result="refused")
    assert not [command for command in manual_commands(lab.rollout) if command.startswith("gateway")]


def test_the_commands_to_paste_hold_the_weights_of_a_canary(undoing: Begin):
    lab = undoing(target=ROUTED, canary=SHARES)
    assert any("/api/v1/routing/weights" in command for command in manual_commands(lab.rollout))
    assert not any("weights" in command for command in manual_commands(undoing(target=ROUTED).rollout))


def test_without_a_backup_the_manual_commands_only_read(in_memory: Path):
    bare = rollout_in(in_memory, LiveGateway(SimulatedClock()))
    assert manual_commands(bare) == ("curl -sS http://127.0.0.1:1/api/v1/providers",)
    with pytest.raises(RolloutError, match="no backup"):
        roll_back(bare, "nothing is known")
    bare.journal.close()


def test_the_plan_of_a_rollback_names_each_step_in_the_order_of_the_undo(undoing: Begin, env_file: Path):
    lab = undoing(NEW, ENV, RATE, target=replace(RESTARTABLE, env_file=env_file, safe=SAFE))
    steps = planned_steps(lab.rollout, lab.backup)
    assert [step.partition(" ")[0] for step in steps if step.startswith("RBK")] == [
        "RBK-1.1",
        "RBK-1.2",
        "RBK-3.4",
        "RBK-3.1",
        "RBK-3.2",
        "RBK-3.3",
        "RBK-2.1",
        "RBK-2.2",
        "RBK-4.1",
        "RBK-4.2",
        "RBK-4.3",
    ]
    assert f"RBK-2.1 activate {OLD}; if it is offline: {SAFE}" in steps
    assert any("provider:openai has no rate limits now" in step for step in steps)


def test_the_plan_of_a_canarys_rollback_names_the_weights_first(undoing: Begin):
    lab = undoing(target=ROUTED, canary=SHARES)
    steps = planned_steps(lab.rollout, lab.backup)
    assert "RBK-2.1 split the requests as now: no weights" in steps


def test_a_restart_that_follows_in_any_case_is_carried_out_once_on_the_way_back(
    undoing: Begin, monkeypatch: pytest.MonkeyPatch
):
    """Reads show the previous provider active before it: they may not know what is in effect."""
    lab = undoing(target=RESTARTABLE)
    lab.apply()
    describe_otherwise(monkeypatch, lambda _, writes: (*writes, Restart()))
    result = lab.take_back()
    assert result.verified, result.steps
    assert (lab.gateway.restarts, lab.gateway.state.place) == (1, str(OLD))
    assert lab.take_back().verified
    assert lab.gateway.restarts == 1
