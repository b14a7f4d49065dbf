"""``rollout plan``: what it prints of a request and a gateway; `tests/e2e/test_plans.py` compares it with rollouts."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from rollout.cli import plan as plan_command
from rollout.cli.main import main
from rollout.core.clock import SystemClock
from rollout.core.policy import Policy
from rollout.core.request import Request
from rollout.core.scenario import EnvironmentChange, LimitChange, ProviderChange, Scenario
from rollout.core.target import OtherCall, ProviderRestart, Service, Target
from rollout.monitoring.foreseen_power import UsersTraffic
from rollout.sandbox.process import find, start, stop
from rollout.sandbox.settings import SandboxSettings
from tests.support.forks import ROOT
from tests.support.plans import SHIPPED, load_shipped, logged

OLD, NEW = ProviderChange("ollama", "gemma3:4b"), ProviderChange("openai", "gpt-4o")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_an_embedded_gateway_is_described_without_being_started(path: Path) -> None:
    """What would be started on demand begins as its settings say; nothing runs because of a plan."""
    request = load_shipped(path, None)
    plan = plan_command.planned(request, plan_command.read_before(request, {}, SystemClock()))
    assert plan.before.previous == OLD
    assert plan.apply
    assert plan.rollback


def test_what_is_in_effect_is_notplanned() -> None:
    """APP-4.1: everything in effect means that nothing is sent, and the plan says so."""
    request = _request(NEW)
    plan = plan_command.planned(request, _before(NEW))
    assert plan.apply == ()
    assert "in effect already" in plan_command.text(request, plan)


def test_changes_are_undone_in_reverse() -> None:
    """Activation, environment, limits: the rollback begins with the limits."""
    limit = LimitChange("cost", "openai", {"soft_limit_usd": 2.0, "hard_limit_usd": 3.0})
    target = Target("t", "sandbox", url="http://127.0.0.1:1", service=Service(("make", "stop"), ("make", "start")))
    plan = plan_command.planned(_request(NEW, EnvironmentChange({"A": "1"}), limit, target=target), _before())
    assert [item.clause for item in plan.rollback] == ["RBK-3.4", "RBK-3.1", "RBK-3.2", "RBK-3.3", "RBK-2.1"]


def test_a_limit_that_cannot_be_taken_away_is_named() -> None:
    """Deviation 15: said before anything is done, and no request is planned that could not help."""
    plan = plan_command.planned(_request(LimitChange("rate", "google", {"max_requests_per_minute": 5.0})), _before())
    assert plan.rollback == ()
    assert any("cannot take limits away" in words for words in plan.cannot)


def test_secrets_are_not_printed() -> None:
    """A secret is the name of its variable; a plain value of a key that sounds secret is hidden."""
    request = _request(EnvironmentChange({"OPENAI_API_KEY": "sk-oops"}, {"OTHER_KEY": "NEW_KEY"}))
    text = plan_command.text(request, plan_command.planned(request, _before()))
    assert "sk-oops" not in text
    assert "the environment variable NEW_KEY" in text


def test_the_targets_own_calls_and_restarts_areplanned() -> None:
    """Deviations 7 and 13: the previous provider's own call, and the restart on either way."""
    target = Target(
        "t",
        "sandbox",
        url="http://127.0.0.1:1",
        service=Service(stop=("make", "stop"), start=("make", "start")),
        activate_with={"Ollama": OtherCall("/servers", {"name": "{provider}", "model": "{model}"})},
    )
    request = _request(ProviderChange("openai", "gpt-4o", restart=True), target=target)
    plan = plan_command.planned(replace(request, policy=Policy("p", prove_way_back="execute")), _before())
    assert plan.apply[0].path == "/servers"
    assert plan.apply[0].body == {"name": "ollama", "model": "gemma3:4b"}
    assert _restarts(plan.apply) == ["restart: make stop, make start; healthy within 15 s"]
    assert _restarts(plan.rollback) == ["restart: make stop, make start; healthy within 15 s"]


RESTARTING = Target(
    "t",
    "production",
    url="http://127.0.0.1:1",
    service=Service(stop=("systemctl", "stop", "gw"), start=("systemctl", "start", "gw")),
    startup_s=20.0,
    providers={"ollama": ProviderRestart(restart=True, startup_s=40.0), "vllm": ProviderRestart(restart=True)},
    activate_with={"vllm": OtherCall("/servers", {"name": "{provider}", "model": "{model}"})},
    stale_for_s=10.0,
)
SYSTEMCTL = "restart: systemctl stop gw, systemctl start gw; healthy within {} s"


def test_a_change_to_a_provider_that_does_not_restart_goes_back_with_the_restart_of_the_previous_one() -> None:
    """There at once, back only after a restart, which is left out where the gateway reports the rollback already."""
    plan = plan_command.planned(_request(NEW, target=RESTARTING), _before())
    assert _restarts(plan.apply) == []
    assert _restarts(plan.rollback) == [SYSTEMCTL.format(40)]
    assert any(
        "left out where the gateway reports ollama:gemma3:4b active already" in str(one) for one in plan.rollback
    )
    assert any("the restart" in words for words in plan.cannot)


def test_a_scenario_lengthens_the_start_up_there_and_back_as_far_as_it_is_longer() -> None:
    """The rollback waits at least as long as the apply."""
    new = ProviderChange("vllm", "m", restart=True, startup_s=30.0)
    plan = plan_command.planned(_request(new, target=RESTARTING), _before())
    assert (_restarts(plan.apply), _restarts(plan.rollback)) == ([SYSTEMCTL.format(30)], [SYSTEMCTL.format(40)])
    longer = ProviderChange("vllm", "m", restart=True, startup_s=50.0)
    plan = plan_command.planned(_request(longer, target=RESTARTING), _before())
    assert (_restarts(plan.apply), _restarts(plan.rollback)) == ([SYSTEMCTL.format(50)], [SYSTEMCTL.format(50)])


def test_a_restart_for_the_env_file_waits_for_the_slowest_provider() -> None:
    """Whichever is active starts with it."""
    plan = plan_command.planned(_request(EnvironmentChange({"A": "1"}), target=RESTARTING), _before())
    assert (_restarts(plan.apply), _restarts(plan.rollback)) == ([SYSTEMCTL.format(40)], [SYSTEMCTL.format(40)])


@pytest.mark.parametrize(
    ("previous", "pays", "proof", "said"),
    [
        (
            "ollama",
            False,
            ["/api/v1/providers/ollama/activate"],
            "leaves it out: the rollback is proven except for that",
        ),
        ("ollama", True, ["/api/v1/providers/ollama/activate", SYSTEMCTL.format(40)], "policy 'p' pays it"),
        (
            "vllm",
            False,
            [],
            "a runtime switch, up to 30 s of refused requests, and a restart of the service, up to 20 s",
        ),
        ("vllm", True, ["/servers", SYSTEMCTL.format(20)], "policy 'p' pays it (prove_way_back: execute)"),
        ("openai", False, ["/api/v1/providers/openai/activate"], "(APP-0.2) costs users nothing"),
    ],
)
def test_the_price_of_the_proof_is_said_with_what_the_policy_does_about_it(
    previous: str, pays: bool, proof: list[str], said: str
) -> None:
    """A restart and a runtime switch are executed only where the policy pays for them."""
    policy = Policy("p", prove_way_back="execute" if pays else "except_restart")
    request = replace(_request(ProviderChange("google", "m"), target=RESTARTING), policy=policy)
    plan = plan_command.planned(request, _before(ProviderChange(previous, "m")))
    shown = [item for item in plan.apply if item.clause == "APP-0.2"]
    assert [item.path for item in shown if item.body is not None] + _restarts(tuple(shown)) == proof
    assert said in plan_command.text(request, plan)


def test_what_may_cost_money_is_said() -> None:
    """Completions, connection tests and preflights by their paths; ``/health`` only where the target names it."""
    other = OtherCall("/stream", {"content": "{prompt}"})
    target = Target("t", "sandbox", url="http://127.0.0.1:1", chat_with=other)
    shown = plan_command.text(request := _request(NEW, target=target), plan_command.planned(request, _before()))
    part = shown.partition("may cost money:")[2].partition("cannot be undone:")[0]
    for words in ("POST /stream: ", "/test-connection: ", "/preflight: ", "synthetic requests: 30 in 1800 s"):
        assert words in part
    assert "/health" not in part
    named = replace(request, target=replace(target, paths={"health": "/health"}))
    assert "GET /health: " in plan_command.text(named, plan_command.planned(named, _before()))


def test_the_wait_for_a_restart_asks_what_costs_nothing() -> None:
    """The system status is polled, or the path that the target names."""
    target = Target("t", "sandbox", url="http://127.0.0.1:1", restart=True)
    for paths, polled in (({}, "/api/v1/system/status"), ({"health": "/healthz"}, "/healthz")):
        request = _request(NEW, target=replace(target, paths=paths))
        waits = [item.path for item in plan_command.planned(request, _before()).apply if item.clause == "APP-2.3"]
        assert waits == [polled]


def test_the_staleness_of_the_targets_reads_is_said() -> None:
    """It is how long a proof takes at least."""
    for target, says in ((RESTARTING, True), (replace(RESTARTING, stale_for_s=0.0), False)):
        request = _request(NEW, target=target)
        assert (
            "reads may lag a write by 10 s" in plan_command.text(request, plan_command.planned(request, _before()))
        ) is says


def test_plan_shows_the_restart_there_and_the_restart_back_and_restarts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command, against an embedded gateway on which both providers take effect after a restart."""
    gateway = start(tmp_path / "gateway", settings=SandboxSettings(deviations=("activate_after_restart",)))
    try:
        target = {
            "url": gateway.url,
            "environment": "sandbox",
            "startup": "20s",
            "providers": {"Ollama": {"restart": True, "startup": "40s"}},
        }
        scenario = {"target": "lab", "change": {"activate": "openai", "model": "gpt-4o", "restart": True}}
        for name, content in (("targets", {"lab": target}), ("scenario", scenario)):
            (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
        assert main(["plan", f"--scenario={tmp_path / 'scenario.yaml'}"]) == 0
        out = capsys.readouterr().out
        ahead, back = out.split("the rollback would execute")
        proof, there = ahead.split("APP-1.1")
        assert ("restart: " in proof, "healthy within 40 s" in proof) == (True, True)
        assert "healthy within 20 s; left out where the gateway reports openai:gpt-4o active already" in there
        assert "healthy within 40 s; left out where the gateway reports ollama:gemma3:4b active already" in back
        assert "costs users a restart of the service, up to 40 s" in back
        assert "policy 'sandbox' pays it (prove_way_back: execute)" in back
        assert re.search(r"^  users: \d+\.\d requests a second \(\d+ in 1\.\d s\)$", back, re.MULTILINE)
        found = find(gateway.directory)
        assert found is not None
        assert found.pid == gateway.pid, "planning has restarted it"
        assert logged(gateway.url) == []
    finally:
        stop(find(gateway.directory) or gateway)


def test_the_plan_says_what_the_window_can_tell_and_what_the_policy_makes_of_it() -> None:
    """From the traffic that was read; where the policy blocks, the precheck's failure is foreseen."""
    request = _request(NEW)
    few = replace(_before(), traffic=UsersTraffic(1 / 60, "0.0 requests a second"), usd_per_1k_tokens=0.07)
    for policy, is_blocked in ((Policy("p"), False), (Policy("p", power="block"), True)):
        asked = replace(request, policy=policy)
        said = plan_command.text(asked, plan_command.planned(asked, few)).split("what the window can tell:\n")[1]
        assert "  users, 30 requests: twice the limit cannot be seen\n" in said
        assert "22 synthetic requests a minute (0.91 USD) would show it in 9 of 10\n" in said
        assert ("with this traffic policy 'p' fails PRE-2.5 (power: block)" in said) is is_blocked
    enough = replace(few, traffic=UsersTraffic(1.0, "1.0 requests a second"))
    assert "fails PRE-2.5" not in plan_command.text(asked, plan_command.planned(asked, enough))


def test_a_gateway_that_cannot_be_read_has_no_plan(capsys: pytest.CaptureFixture[str]) -> None:
    """One line with the reason, exit 4."""
    scenario = f"--scenario={ROOT / 'scenarios' / 'quickstart.yaml'}"
    assert main(["plan", scenario, "--gateway=http://127.0.0.1:9"]) == 4
    said = capsys.readouterr().err
    assert "http://127.0.0.1:9 does not answer as the embedded gateway" in said
    assert "Connection refused" in said


def _request(*changes: object, target: Target | None = None) -> Request:
    scenario = Scenario("s", "s.yaml", "t", changes, author="alice")  # type: ignore[arg-type]
    return Request(scenario, target or Target("t", "sandbox", url="http://127.0.0.1:1"), Policy("sandbox"))


def _before(previous: ProviderChange = OLD) -> plan_command.Before:
    limits = {"cost": {"provider:openai": {"soft_limit_usd": 1.0, "hard_limit_usd": 2.0}}, "rate": {}}
    return plan_command.Before(previous, limits, None, "a test")


def _restarts(items: tuple[plan_command.Item, ...]) -> list[str]:
    return [item.text.partition("; left out")[0] for item in items if item.text.startswith("restart: ")]
