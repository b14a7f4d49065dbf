"""The drill: every trigger's breach fires at the procedure's settings, and a trigger that cannot fire is a finding."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout.cli.drill import live as live_drill
from rollout.cli.drill import replayed
from rollout.cli.drill.replayed import Drilled, breaches, judged
from rollout.cli.drill.simulated import SimulatedClock
from rollout.cli.main import main
from rollout.cli.progress import Progress
from rollout.core.errors import RolloutError
from rollout.core.limits import Limits
from rollout.core.policy import Policy
from rollout.core.request import Request
from rollout.core.scenario import Expectation, Monitor, Probe, ProviderChange, Scenario
from rollout.core.target import AlertmanagerSource, PrometheusSource, Sources, Target
from rollout.monitoring import triggers
from rollout.monitoring.verdict import State, Verdict
from tests.support.forks import ROOT

CLAUSES = {f"MON-{number}" for number in range(1, 8)}


def request(url: str | None = "https://gateway.example.com", **monitor: Any) -> Request:
    scenario = Scenario(
        "s", "s.yaml", "t", (ProviderChange("openai", "gpt-4o"),), author="alice", monitor=Monitor(**monitor)
    )
    return Request(scenario, Target("t", "production", url=url), Policy("production"))


def rows(**monitor: Any) -> list[Drilled]:
    return list(judged(request(**monitor)))


def findings(found: list[Drilled]) -> list[tuple[str, str]]:
    return [(row.clause, row.what) for row in found if row.is_finding]


def test_at_the_procedures_settings_every_trigger_fires_and_health_fires_none():
    found = rows(error_pattern="CUDA.*")
    assert {row.clause for row in found if row.fired} == CLAUSES | {"none"}
    assert findings(found) == []
    assert [row.what for row in found if row.fired is None] == []
    assert all(row.by == row.clause and (row.after_s or 0) >= 0 for row in found[1:])


def test_every_trigger_has_a_breach():
    assert {breach.clause for breach in breaches(Monitor())} == CLAUSES


@pytest.mark.parametrize(
    "monitor",
    [
        {"limits": Limits(p95_ms=50.0)},
        {"limits": Limits(error_rate=0.3, latency_factor=1.2)},
        {"window_s": 86_400.0},
        {"prompt": "say pong", "expect": "pong"},
        {"probes": (Probe("as JSON", Expectation(json_schema={})),)},
        {"alerts": "related"},
    ],
    ids=["absolute limit", "loose rate, tight latency", "a day", "expectation", "schema", "related alerts"],
)
def test_other_settings_that_can_fire_have_no_finding(monitor: dict[str, Any]):
    assert findings(rows(**monitor)) == []


@pytest.mark.parametrize(
    ("monitor", "finding"),
    [
        ({"window_s": 120.0}, "MON-2"),
        ({"limits": Limits(error_rate=0.95)}, "MON-2"),
        ({"min_samples": 2}, "MON-3"),
        ({"dark_in_a_row": 1000, "dark_share": 0.99}, "MON-6"),
        ({"confirm_after_s": 3600.0}, "MON-1"),
    ],
)
def test_a_trigger_that_cannot_fire_with_these_settings_is_a_finding(monitor: dict[str, Any], finding: str):
    assert finding in {clause for clause, _ in findings(rows(**monitor))}


def test_an_error_rate_that_the_window_cannot_tell_from_chance_is_left_out_and_the_least_that_it_can_is_drilled():
    found = [row for row in rows(window_s=60.0, metrics_every_s=1.0, short_span_s=10.0) if "%" in row.what]
    assert [(row.what, row.fired, row.by) for row in found] == [
        ("10% of the requests fail", None, None),
        ("15% of the requests fail", None, None),
        ("25% of the requests fail", True, "MON-2"),
    ]
    assert found[0].why.startswith("rolled back at the window's end all the same: MON-2 inconclusive: error rate ")
    assert 20 < (found[-1].after_s or 0) < 100


def test_with_more_users_less_is_told_from_chance_and_sooner():
    (slow,) = (row for row in rows() if "%" in row.what)
    (fast,) = (row for row in rows(metrics_every_s=5.0) if "%" in row.what)
    assert (slow.what, fast.what) == ("10% of the requests fail",) * 2
    assert 0 < (fast.after_s or 0) <= (slow.after_s or 0) < 900


def test_what_probes_that_are_off_leave_out_is_named_and_is_none_that_fired():
    out = {row.what: row.why for row in rows(probes=()) if row.fired is None}
    assert {"every request fails, no users", "another model answers"} <= set(out)
    assert all("probes are off" in out[what] for what in out if "log" not in what)


def test_what_is_read_from_other_servers_is_named_and_is_none_that_fired():
    asked = request()
    elsewhere = Sources(
        prometheus=PrometheusSource("http://p", requests="r", errors="e"), alertmanager=AlertmanagerSource("http://a")
    )
    found = list(judged(replace(asked, target=replace(asked.target, sources=elsewhere))))
    assert [(row.clause, row.what) for row in found if row.fired is None and "read from" in row.what] == [
        ("MON-2", "read from Prometheus"),
        ("MON-3", "read from Prometheus"),
        ("MON-4", "read from Alertmanager"),
    ]


@pytest.mark.parametrize("number", range(6))
def test_a_trigger_that_is_broken_is_a_finding(number: int, monkeypatch: pytest.MonkeyPatch):
    clause = f"MON-{number + 1}"

    def asleep(*_: Any) -> Verdict:
        return Verdict(clause, State.HOLDING, None, None, 1, "nobody", "the window", "", "all is well")

    awake = list(triggers.TRIGGERS)
    awake[number] = (asleep, awake[number][1])
    monkeypatch.setattr(triggers, "TRIGGERS", tuple(awake))
    found = findings(rows())
    assert clause in {each for each, _ in found}
    assert len({each for each, _ in found}) <= 2


def test_a_trigger_that_fires_without_a_breach_is_a_finding(monkeypatch: pytest.MonkeyPatch):
    def nervous(*_: Any) -> Verdict:
        return Verdict("MON-4", State.BREACHED, "x", "none", 1, "alerts", "the window", "", "help")

    monkeypatch.setattr(triggers, "TRIGGERS", (*triggers.TRIGGERS[:3], (nervous, frozenset()), *triggers.TRIGGERS[4:]))
    assert findings(rows())[0] == ("none", "nothing goes wrong")


def test_a_trigger_that_fires_in_anothers_place_is_no_success(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(replayed, "_window", lambda *_: replayed._Ended("MON-2", 700.0, "too many"))
    assert {row.clause for row in rows(error_pattern="x") if row.fired} == {"MON-2"}


def test_the_drills_clock_stops_at_what_happens():
    clock, seen = SimulatedClock(), []
    clock.at(5.0, lambda: seen.append(clock.monotonic()))
    assert clock.wait(10.0)
    assert (seen, clock.monotonic()) == ([5.0], 10.0)
    assert clock.wait(1.0)
    assert seen == [5.0]


# The command


def called(*args: str) -> int:
    return main(["drill", "--scenario", str(ROOT / "scenarios" / "quickstart.yaml"), *args])


def test_the_command_says_what_fired_and_how_soon(capsys: pytest.CaptureFixture[str]):
    assert called("--no-live") == 0
    said = capsys.readouterr().out
    assert "MON-1  fired    the provider is offline  after " in said
    assert "0 findings" in said
    assert "for real: not drilled" in said


def test_a_finding_fails_the_command_and_json_is_one_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    finding = Drilled("MON-1", "x", fired=False, why="y")
    monkeypatch.setattr(replayed, "judged", lambda _: iter([finding]))
    assert called("--no-live", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["judged"][0]["why"], told["live"]) == ("y", None)
    monkeypatch.setattr(live_drill, "drilled", lambda *_: (row for row in [finding]))
    assert called("--live", "--json") == 1
    assert [row["why"] for row in json.loads(capsys.readouterr().out)["live"]] == ["y"]


def test_the_embedded_gateway_is_drilled_for_real_unless_an_option_forbids_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(replayed, "judged", lambda _: iter([]))
    monkeypatch.setattr(live_drill, "drilled", lambda *_: (row for row in [Drilled("MON-1", "x", fired=False)]))
    assert called() == 1
    assert "for real, on an embedded gateway of the drill's own:" in capsys.readouterr().out


def test_each_breach_is_announced_and_its_result_printed_before_the_next_rollout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    seen: list[str] = []
    monkeypatch.setattr(Progress, "step", lambda _, text: seen.append(text))

    def drilled(*_: object):
        for clause in ("MON-1", "MON-2"):
            yield Drilled(clause, "x", fired=True)
            seen.append(capsys.readouterr().out.splitlines()[-1])

    monkeypatch.setattr(replayed, "judged", lambda _: iter([]))
    monkeypatch.setattr(live_drill, "drilled", drilled)
    assert called() == 0
    assert seen == [
        "injecting each trigger's breach, on a simulated clock",
        "MON-1, the provider goes offline: rollout 1 of 8",
        "MON-2, every request fails: rollout 2 of 8",
        "  MON-1  fired    x",
        "MON-3, every answer takes three seconds longer: rollout 3 of 8",
        "  MON-2  fired    x",
    ]
    assert capsys.readouterr().out == "  2 as they should, 0 findings, 0 left out\n"


# For real


def test_every_trigger_has_a_breach_for_real():
    assert {breach.clause for breach in live_drill.BREACHES} == CLAUSES


def live(*breaches_: live_drill.Breach) -> list[Drilled]:
    return list(live_drill.drilled(request(None), ROOT, breaches_))


def test_a_breach_for_real_is_rolled_back_and_timed():
    (row,) = live(*(breach for breach in live_drill.BREACHES if breach.clause == "MON-4"))
    assert (row.fired, row.by) == (True, "MON-4"), row.why
    assert row.after_s is not None
    assert row.back_after_s is not None
    assert row.after_s < 10
    assert 0 < row.back_after_s < 30


def test_for_real_too_a_trigger_that_fires_in_anothers_place_is_no_success():
    (row,) = live(live_drill.Breach("MON-1", "an alert fires", live_drill._alert))
    assert (row.fired, row.by) == (False, "MON-4")


def test_a_breach_that_never_happens_is_a_finding(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live_drill, "PACES", {**live_drill.PACES, "window": "6s"})
    (row,) = live(live_drill.Breach("MON-4", "nothing", lambda _: None))
    assert (row.fired, row.why) == (False, "nothing fired; it ended kept")


def test_a_rollout_that_never_begins_is_a_finding_and_says_why():
    nowhere = replace(live_drill.OWN, change={"activate": "nobody", "model": "x"})
    (row,) = live_drill.drilled(request(None), ROOT, live_drill.BREACHES[:1], nowhere)
    assert row.fired is False
    assert "ended before its window began, with exit code 4" in row.why


def test_a_folder_without_checks_is_refused(tmp_path: Path):
    with pytest.raises(RolloutError, match="has no folder `checks`"):
        list(live_drill.drilled(request(None), tmp_path))


def test_a_row_reads_as_a_line():
    row = Drilled("MON-2", "10% fail", fired=True, by="MON-2", after_s=4.2, back_after_s=75.0)
    assert str(row) == "MON-2  fired    10% fail  after 4.2 s  back after 1 min 15 s"
    assert "FINDING" in str(replace(row, fired=False))
