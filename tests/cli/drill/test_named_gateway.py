"""The drill on a gateway that the options name: refused before anything is sent, and nothing stays behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from rollout.cli.drill import live, named_gateway
from rollout.cli.drill.live import Breach, Running
from rollout.cli.drill.replayed import Drilled
from rollout.cli.main import main
from rollout.core.errors import RolloutError, TryLater
from rollout.core.policy import Policy
from rollout.core.request import Origin, Request
from rollout.core.scenario import LimitChange, Monitor, ProviderChange, Scenario
from rollout.core.target import Target
from rollout.journal.journal import Journal
from rollout.journal.record import Kind
from rollout.sandbox.settings import SandboxSettings
from tests.sandbox.conftest import _launching, client
from tests.support.clocks import SimulatedClock
from tests.support.forks import ROOT
from tests.support.liar import Liar, answer

MON_2 = next(breach for breach in live.BREACHES if breach.clause == "MON-2")
MON_4 = next(breach for breach in live.BREACHES if breach.clause == "MON-4")


@pytest.fixture
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A `rollout sandbox` with users, and a client of it."""
    with _launching(tmp_path_factory) as launch, client(launch(settings=SandboxSettings())) as http:
        yield http


@pytest.fixture
def liar(gateway: httpx.Client) -> Iterator[Liar]:
    with Liar(str(gateway.base_url).rstrip("/")) as liar:
        yield liar


def request(url: str | None, environment: str = "staging", *changes: Any) -> Request:
    changes = changes or (ProviderChange("openai", "gpt-4o"),)
    scenario = Scenario("s", "s.yaml", "t", changes, author="alice", monitor=Monitor())
    return Request(scenario, Target("lab", environment, url=url), Policy(environment, outside_window="warn"))


def drilled(url: str, *breaches: Breach, journal: Journal | None = None) -> list[Drilled]:
    return list(named_gateway.drilled_at(request(url), ROOT, journal, breaches))


def left_at(gateway: httpx.Client) -> tuple[Any, list[str], str]:
    """Return the faults, the drill's alerts, and the active provider."""
    alerts = gateway.get("/api/v1/alerts").json()["alerts"]
    return (
        gateway.get("/sandbox/faults").json(),
        [each["alert_type"] for each in alerts if each["alert_type"] == live.ALERT_TYPE],
        gateway.get("/api/v1/providers").json()["active_provider"],
    )


# Refused


def test_production_is_refused_without_a_request(liar: Liar):
    with pytest.raises(RolloutError, match="ruled by the production policy, and breaches are never set in production"):
        list(named_gateway.drilled_at(request(liar.url, "production"), ROOT, None))
    assert liar.requests == []


def test_a_gateway_without_a_control_interface_is_refused_after_one_request(liar: Liar):
    liar.rule("/sandbox/faults", answer(404))
    with pytest.raises(RolloutError, match=r"has no control interface, so no breach can be set there \(GET .*404"):
        drilled(liar.url, MON_2)
    assert [(seen.method, seen.path) for seen in liar.requests] == [("GET", "/sandbox/faults")]


def test_something_else_that_answers_is_no_control_interface(liar: Liar):
    liar.rule("/sandbox/faults", answer(200, {"welcome": "to the wiki"}))
    with pytest.raises(RolloutError, match="its answer is no list of faults"):
        drilled(liar.url, MON_2)


def test_faults_of_another_owner_are_left_alone(gateway: httpx.Client, liar: Liar):
    gateway.put("/sandbox/faults", json=[{"provider": "vllm", "status": "offline"}])
    with pytest.raises(RolloutError, match="has 1 faults set already, by another user or by a drill that was killed"):
        drilled(liar.url, MON_2)
    assert len(gateway.get("/sandbox/faults").json()) == 1
    assert [seen.method for seen in liar.requests] == ["GET"]


def test_a_gateway_where_a_rollout_is_under_way_is_refused(liar: Liar, tmp_path: Path):
    with Journal.open(str(tmp_path / "journal.sqlite"), clock=SimulatedClock()) as journal:
        journal.append("r1", Kind.OPENED, {"url": liar.url})
        journal.append("r1", Kind.INTENT, {"step": "APP-1.2", "direction": "forward", "to": "openai:gpt-4o"})
        with pytest.raises(RolloutError, match="r1 is in flight at"):
            drilled(liar.url, MON_2, journal=journal)
        journal.append("r1", Kind.CLOSED, {"decision": "kept"})
        journal.acquire(liar.url, "r2", "somebody", 60)
        with pytest.raises(TryLater, match="somebody"):
            drilled(liar.url, MON_2, journal=journal)
        with named_gateway._hold_lease(journal, "http://elsewhere", 1), pytest.raises(TryLater, match="rollout drill@"):
            journal.acquire("http://elsewhere", "r3", "somebody", 60)
        assert journal.holder("http://elsewhere") is None
    assert liar.requests == []


def test_a_scenario_that_activates_nothing_is_refused():
    limits = LimitChange("cost", "global", {"soft_limit_usd": 1.0})
    with pytest.raises(RolloutError, match="activates no provider"):
        list(named_gateway.drilled_at(request("http://127.0.0.1:1", "staging", limits), ROOT, None))


def test_the_command_goes_there_only_where_it_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    (tmp_path / "targets.yaml").write_text("lab: {url: 'http://127.0.0.1:1', environment: sandbox}\n", "utf-8")
    scenario = tmp_path / "s.yaml"
    scenario.write_text("{target: lab, change: {activate: openai, model: gpt-4o}, author: a}\n", "utf-8")
    monkeypatch.setattr("rollout.cli.drill.replayed.judged", lambda _: iter([]))
    monkeypatch.setattr(live, "drilled", lambda *_: (row for row in ()))
    command = ["drill", f"--scenario={scenario}", f"--reports={tmp_path}", "--live"]
    assert main(command) == 0
    assert "on an embedded gateway of the drill's own:" in capsys.readouterr().out
    assert main([*command, "--target=lab"]) == 4
    assert "http://127.0.0.1:1 does not answer as the embedded gateway" in capsys.readouterr().err


# What is sent there


@pytest.mark.parametrize("key", ["staging", "twin"])
def test_the_drills_target_is_the_listed_one_without_its_people(tmp_path: Path, key: str):
    (tmp_path / "targets.yaml").write_text(
        "lab: {url: 'http://x', environment: staging, token_env: T, notify: [PAGER], paths: {health: /healthz}, "
        f"{key}: 'http://y', {key}_token_env: Y}}\n",
        "utf-8",
    )
    asked = replace(request("http://x"), origin=Origin(targets=tmp_path / "targets.yaml"))
    site = named_gateway._site(asked, "http://x", ProviderChange("openai", "gpt-4o"))
    assert site.target == {
        "url": "http://x",
        "environment": "sandbox",
        "token_env": "T",
        "paths": {"health": "/healthz"},
    }
    assert (site.besides["notify"], site.policy) == (["log"], {"sandbox": {"outside_window": "warn"}})


# For real


def test_breaches_fire_there_and_nothing_stays_behind(gateway: httpx.Client):
    rows = drilled(str(gateway.base_url).rstrip("/"), MON_4)
    assert [(row.fired, row.by) for row in rows] == [(True, "MON-4")], [row.why for row in rows]
    assert left_at(gateway) == ([], [], "ollama")


def test_a_change_that_no_trigger_rolled_back_is_rolled_back(gateway: httpx.Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live, "PACES", {**live.PACES, "window": "6s"})
    (row,) = drilled(str(gateway.base_url).rstrip("/"), Breach("MON-4", "nothing", lambda _: None))
    assert (row.fired, row.why) == (False, "nothing fired; it ended kept")
    assert left_at(gateway) == ([], [], "ollama")


def test_a_drill_that_is_stopped_takes_away_what_it_set(gateway: httpx.Client):
    def stopped(running: Running) -> None:
        live._fault(running, latency_ms=1.0)
        assert len(gateway.get("/sandbox/faults").json()) == 1
        os.kill(os.getpid(), signal.SIGTERM)

    former = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        drilled(str(gateway.base_url).rstrip("/"), Breach("MON-3", "a stop", stopped))
    assert left_at(gateway) == ([], [], "ollama")
    assert signal.getsignal(signal.SIGTERM) == former


def test_what_cannot_be_taken_away_is_a_finding():
    left = named_gateway._undo("http://127.0.0.1:1", Path(), 10)
    assert "what the drill set is not removed: DELETE http://127.0.0.1:1/sandbox/faults" in left
