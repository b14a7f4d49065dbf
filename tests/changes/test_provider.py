"""Activating a provider: nothing on top of somebody else's activation, nothing twice, and no restart for nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rollout.changes import executor, provider
from rollout.changes.catalogue import in_effect, prove_rollback
from rollout.core.errors import ConcurrentChange, GatewayError, JournalError, Refused, RolloutError
from rollout.core.scenario import Canary, ProviderChange, Share
from rollout.core.target import OtherCall, ProviderRestart, Target
from rollout.core.wishes import Wish
from rollout.core.writes import Restart, Write
from rollout.gateway.drivers import selection
from rollout.journal.leases import LeaseLost
from rollout.journal.record import Kind
from tests.support.describing import describe_otherwise
from tests.support.gateways import State, down, garbage, refused
from tests.support.undoing import NEW, OLD, RESTARTABLE, ROUTED, TARGET, Undoing

Begin = Callable[..., Undoing]
SHARES = Canary((Share(0.1, 600), Share(1.0, 600)), stabilise_s=900)
NEW_RESTARTS = replace(RESTARTABLE, providers={NEW.provider: ProviderRestart(restart=True)})
OLD_RESTARTS = replace(RESTARTABLE, providers={OLD.provider: ProviderRestart(restart=True)})
ACTIVATE = f"activate {NEW}"
THEIRS = State("vllm", "m")


def apply(lab: Undoing) -> str:
    """Apply, and return what was said at APP-1.2."""
    return lab.apply().describe("APP-1.2")


def test_it_is_tested_activated_and_read_back(undoing: Begin):
    lab = undoing()
    assert apply(lab) == f"{NEW}: activated, and the gateway reports it active"
    assert lab.gateway.writes == [ACTIVATE]
    assert lab.sent() == [("APP-1.2", "forward", str(NEW), "done")]


def test_what_is_in_effect_already_is_not_sent(undoing: Begin):
    lab = undoing(state=State("OpenAI", "gpt-4o"))
    assert apply(lab) == f"{NEW}: in effect already; nothing was sent"
    assert lab.gateway.writes == []


def test_another_model_of_the_provider_is_not_in_effect(undoing: Begin):
    lab = undoing(state=State("openai", "gpt-3"))
    assert not in_effect(lab.rollout)
    apply(lab)
    assert lab.gateway.state.place == str(NEW)


def test_nothing_is_activated_whose_connection_test_fails(undoing: Begin):
    lab = undoing()
    lab.gateway.statuses["openai"] = "offline"
    with pytest.raises(GatewayError, match="openai is offline: offline; nothing was activated"):
        lab.apply().describe("APP-1.1")
    assert lab.gateway.writes == []


def test_an_outside_activation_right_before_the_write_is_not_overwritten(undoing: Begin):
    """It landed after the backup: the last read before the write sees it (BROKEN_PROMISES 9)."""
    lab = undoing()
    lab.gateway.fails["metrics"] = lambda _provider: setattr(lab.gateway, "state", THEIRS)
    with pytest.raises(ConcurrentChange, match=f"vllm:m is active instead of {OLD}, right before the write"):
        apply(lab)
    assert lab.gateway.writes == []
    assert lab.gateway.state == THEIRS
    assert not lab.rollout.last_known_record().wrote


def test_another_model_is_an_outside_activation(undoing: Begin):
    lab = undoing()
    lab.gateway.state = State(OLD.provider, "gemma3:12b")
    with pytest.raises(ConcurrentChange):
        apply(lab)
    assert lab.gateway.writes == []


def test_what_cannot_be_read_right_before_the_write_is_not_written(undoing: Begin):
    lab = undoing()
    lab.gateway.fails["metrics"] = lambda _provider: lab.gateway.fails.update(providers=garbage())
    with pytest.raises(GatewayError):
        apply(lab)
    assert lab.gateway.writes == []


def test_counters_are_kept_before_the_first_user_and_their_refusal_is_no_obstacle(undoing: Begin):
    """A gateway may have none for a provider that was never active."""
    lab = undoing()
    lab.gateway.on_write = lambda _words: lab.entries(Kind.COUNTERS) or pytest.fail("written before the counters")
    apply(lab)
    assert lab.entries(Kind.COUNTERS)[0].body["metrics"]["total_requests"] == 100
    without = undoing()
    without.gateway.fails["metrics"] = refused()
    apply(without)
    assert without.entries(Kind.COUNTERS)[0].body["metrics"] is None
    broken = undoing()
    broken.gateway.fails["metrics"] = down()
    with pytest.raises(GatewayError):
        apply(broken)
    assert broken.gateway.writes == []


def test_a_canary_keeps_its_counters_before_its_single_request(undoing: Begin):
    lab = undoing(canary=Canary((), stabilise_s=900))
    apply(lab)
    assert not lab.entries(Kind.COUNTERS)


def test_stages_activate_later(undoing: Begin):
    lab = undoing(target=ROUTED, canary=SHARES)
    lab.apply()
    assert lab.gateway.writes == []


@pytest.mark.parametrize(("stale_for_s", "problem"), [(5.0, False), (2.0, True), (0.0, True)])
def test_the_read_back_waits_as_long_as_reads_may_lag_and_no_longer(undoing: Begin, stale_for_s: float, problem: bool):
    lab = undoing(target=replace(TARGET, stale_for_s=stale_for_s))
    lab.gateway.stale_s = 3.0
    if problem:
        with pytest.raises(GatewayError, match=f"answered success, and reports {OLD} active instead of {NEW}"):
            apply(lab)
    else:
        apply(lab)
        assert lab.clock.monotonic() == 3.0
    assert lab.gateway.writes == [ACTIVATE]


def test_a_provider_that_takes_effect_after_a_restart_is_restarted_and_read_back(undoing: Begin):
    lab = undoing(target=NEW_RESTARTS)
    lab.gateway.restart_providers, lab.gateway.startup_s = {NEW.provider}, 10.0
    assert "activated, and the gateway reports it active after a restart" in apply(lab)
    assert (lab.gateway.restarts, lab.gateway.state.place) == (1, str(NEW))
    assert ("APP-2.2", "forward", "restart", "done") in lab.sent()


@pytest.mark.parametrize(
    ("target", "service"), [(TARGET, ", with `service: {stop: […], start: […]}`"), (RESTARTABLE, "")]
)
def test_an_activation_that_waits_for_a_restart_names_the_setting(undoing: Begin, target: Target, service: str):
    """Deviation 7: the configuration holds the new provider and model, and the old provider is still active."""
    lab = undoing(target=target)
    lab.gateway.restart_providers = {NEW.provider}
    with pytest.raises(GatewayError) as caught:
        apply(lab)
    advice = "`providers: {openai: {restart: true}}` for this provider alone"
    assert str(caught.value) == (
        "POST providers/openai/activate: the gateway answered success, and reports ollama:gpt-4o active instead of "
        f"{NEW}; its configuration holds {NEW} already, so the service takes an activation only after a restart: "
        f"set the target's `restart: true`, or {advice}{service}"
    )
    assert lab.gateway.restarts == 0


def test_a_restart_is_named_only_where_the_configuration_shows_the_need(undoing: Begin):
    """Nothing was written; another model was; a restart was of no use; the second read fails."""

    def said(lab: Undoing) -> str:
        with pytest.raises(GatewayError) as caught:
            apply(lab)
        return str(caught.value)

    without_effect = undoing()
    without_effect.gateway.without_effect = {"activate"}
    assert said(without_effect).endswith(f"reports {OLD} active instead of {NEW}")
    other_model = undoing()
    other_model.gateway.on_write = lambda _words: setattr(other_model.gateway, "state", State("ollama", "gpt-3"))
    other_model.gateway.without_effect = {"activate"}
    assert said(other_model).endswith(f"reports ollama:gpt-3 active instead of {NEW}")
    restarted = undoing(target=NEW_RESTARTS)
    restarted.gateway.without_effect = {"activate"}
    assert said(restarted).endswith(f"reports {OLD} active instead of {NEW}")
    assert restarted.gateway.restarts == 1
    unreadable = undoing()
    unreadable.gateway.restart_providers = {NEW.provider}
    reads = iter(range(100))
    unreadable.gateway.on_write = lambda _words: unreadable.gateway.fails.update(
        runtime_config=lambda: garbage() if next(reads) else None
    )
    assert said(unreadable).endswith(f"reports ollama:gpt-4o active instead of {NEW}")


def test_a_scenario_may_ask_for_the_restart(undoing: Begin):
    lab = undoing(replace(NEW, restart=True), target=RESTARTABLE)
    lab.gateway.restart_providers = {NEW.provider}
    lab.apply()
    assert (lab.gateway.restarts, lab.gateway.state.place) == (1, str(NEW))


def test_nothing_is_restarted_that_is_right_already(undoing: Begin):
    """BROKEN_PROMISES 7: the read-back shows the change before the restart."""
    lab = undoing(target=NEW_RESTARTS)
    apply(lab)
    assert lab.gateway.restarts == 0


def test_nothing_is_restarted_that_nobody_said_needs_it(undoing: Begin):
    lab = undoing(target=RESTARTABLE)
    lab.gateway.without_effect = {"activate"}
    with pytest.raises(GatewayError):
        apply(lab)
    assert lab.gateway.restarts == 0


def test_limits_that_the_restart_has_lost_are_put_back(undoing: Begin):
    lab = undoing(target=NEW_RESTARTS)
    lab.gateway.restart_providers, lab.gateway.loses_limits = {NEW.provider}, {}
    assert "the restart lost limits, which were put back: cost global" in apply(lab)
    assert lab.gateway.state.cost == State().cost


def test_a_change_without_effect_fails_though_the_gateway_said_success(undoing: Begin):
    lab = undoing(target=NEW_RESTARTS)
    lab.gateway.without_effect = {"activate"}
    with pytest.raises(GatewayError, match=f"reports {OLD} active instead of {NEW}"):
        apply(lab)


@pytest.mark.parametrize(
    ("fault", "result"),
    [(refused(), "refused"), (down(), "unknown"), (GatewayError("POST x", "503", status=503), "unknown")],
)
def test_a_refusal_is_distinguished_from_an_answer_that_was_lost(undoing: Begin, fault: GatewayError, result: str):
    lab = undoing()
    lab.gateway.fails["activate"] = fault
    with pytest.raises(GatewayError):
        apply(lab)
    assert lab.sent() == [("APP-1.2", "forward", str(NEW), result)]


def test_a_write_that_cannot_be_announced_is_not_sent(undoing: Begin):
    lab = undoing()
    lab.journal.is_down = True
    with pytest.raises(JournalError):
        provider.activate(lab.rollout, lab.gateway, NEW, step="APP-1.2", direction="forward")  # type: ignore[arg-type]
    lab.journal.is_down = False
    lab.another_takes_over()
    with pytest.raises(LeaseLost):
        provider.activate(lab.rollout, lab.gateway, NEW, step="APP-1.2", direction="forward")  # type: ignore[arg-type]
    assert lab.gateway.writes == []


def test_its_own_keys_are_those_that_an_activation_writes():
    target = replace(TARGET, provider_key="P", model_key="M", activation_rewrites=("URL",))
    assert provider.own(target, NEW) == {"P", "M", "URL"}


# The proof of the rollback (APP-0.2)


def executes(lab: Undoing) -> Undoing:
    lab.rollout.policy = replace(lab.rollout.policy, prove_way_back="execute")
    return lab


def prove(lab: Undoing) -> str:
    return prove_rollback(lab.rollout, lab.backup)


def test_activating_what_is_active_once_more_shows_that_a_rollback_would_be_accepted(undoing: Begin):
    lab = undoing()
    assert prove(lab) == f"{OLD} was activated once more and is active"
    assert lab.gateway.writes == [f"activate {OLD}"]
    assert lab.sent() == [("APP-0.2", "proof", str(OLD), "done")]


def test_where_everything_is_in_effect_already_nothing_is_proven_for_nothing_will_be_written(undoing: Begin):
    lab = undoing(state=State(*str(NEW).split(":")))
    assert prove(lab).startswith("everything is in effect already")
    assert lab.gateway.writes == []


def test_an_outside_activation_is_not_overwritten_by_the_proof(undoing: Begin):
    """The proof would move users back from it (BROKEN_PROMISES 9)."""
    lab = undoing()
    lab.gateway.state = THEIRS
    with pytest.raises(ConcurrentChange):
        prove(lab)
    assert lab.gateway.writes == []


def test_a_refused_proof_stops_the_change(undoing: Begin):
    lab = undoing()
    lab.gateway.fails["activate"] = refused()
    with pytest.raises(Refused):
        prove(lab)


def test_a_proof_that_leads_elsewhere_says_that_a_rollback_would_too(undoing: Begin):
    lab = undoing()
    lab.gateway.without_effect = {"activate"}
    lab.gateway.on_write = lambda _words: setattr(lab.gateway, "state", THEIRS)
    with pytest.raises(ConcurrentChange, match=f"activating {OLD} once more led to vllm:m; a rollback would too"):
        prove(lab)


def test_a_proof_whose_price_nobody_pays_is_proven_except_the_restart(undoing: Begin):
    """BROKEN_PROMISES 6: activated once more, not restarted, and said so with its price."""
    lab = undoing(target=OLD_RESTARTS)
    assert prove(lab).endswith("; proven except the restart: a restart of the service, up to 15 s")
    assert (lab.gateway.writes, lab.gateway.restarts) == ([f"activate {OLD}"], 0)


def test_a_policy_that_pays_restarts_and_puts_back_what_the_restart_has_lost(undoing: Begin):
    lab = executes(undoing(target=OLD_RESTARTS))
    lab.gateway.loses_limits, lab.gateway.startup_s = {}, 10.0
    said = prove(lab)
    assert "is active, after a restart (healthy after 10.0 s; put back: cost global)" in said
    assert lab.gateway.restarts == 1
    assert lab.gateway.state == State()
    assert [(step, direction) for step, direction, *_ in lab.sent()] == [("APP-0.2", "proof")] * 3


def test_a_runtime_switch_that_nobody_pays_for_is_not_sent(undoing: Begin):
    """It would refuse requests while it switches."""
    target = replace(
        TARGET, activate_with={OLD.provider: OtherCall("/switch", {"server": "{provider}", "model": "{model}"})}
    )
    lab = undoing(target=target)
    assert prove(lab).startswith("proven except the runtime switch: a runtime switch, up to 30 s")
    assert lab.gateway.writes == []
    paid = executes(undoing(target=target))
    assert prove(paid) == f"{OLD} was activated once more and is active"
    assert paid.gateway.writes == [f"activate {OLD}"]


def test_the_weights_are_proven_too_where_a_canary_will_set_them(undoing: Begin):
    lab = undoing(target=ROUTED, canary=SHARES)
    assert prove(lab).endswith("; no weights were set once more")
    assert lab.gateway.writes == [f"activate {OLD}", "weights {}"]
    plain = undoing(target=ROUTED)
    prove(plain)
    assert plain.gateway.writes == [f"activate {OLD}"]


def test_a_provider_by_another_name_is_the_one_that_it_activates(undoing: Begin):
    lab = undoing(target=replace(TARGET, reported_as={"google": "ollama"}))
    assert lab.backup.previous == ProviderChange("google", OLD.model)


def _restart_always(_wish: Wish, writes: tuple[Write, ...]) -> tuple[Write, ...]:
    return (*(write for write in writes if not isinstance(write, Restart)), Restart())


def test_a_restart_that_follows_in_any_case_is_carried_out_although_reads_show_the_change(
    undoing: Begin, monkeypatch: pytest.MonkeyPatch
):
    describe_otherwise(monkeypatch, _restart_always)
    lab = undoing(target=RESTARTABLE)
    assert "active after a restart" in apply(lab)
    assert (lab.gateway.restarts, lab.gateway.state.place) == (1, str(NEW))


def test_what_would_break_the_service_is_not_announced(undoing: Begin, monkeypatch: pytest.MonkeyPatch):
    describe_otherwise(monkeypatch, lambda _, writes: writes, problems=("the strategy is misspelt",))
    monkeypatch.setattr(executor, "driver_of", selection.driver_of)
    lab = undoing()
    with pytest.raises(
        RolloutError, match="nothing was written, for the service would break: the strategy is misspelt"
    ):
        apply(lab)
    assert (lab.gateway.writes, lab.sent()) == ([], [])
