"""Whole rollouts whose users' numbers come through a real Prometheus that scrapes the embedded gateway."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.journal.record import Kind
from tests.monitoring.conftest import insist
from tests.monitoring.servers import AlertmanagerServer, PrometheusServer
from tests.support.liar import answer
from tests.support.runs import Lab, Run

SOURCE = {
    "requests": 'llm_requests_total{provider="{provider}"}',
    "errors": 'llm_requests_total{provider="{provider}",status="error"}',
    "latency_seconds_bucket": 'llm_latency_seconds_bucket{provider="{provider}"}',
    "up": 'up{job="gateway"}',
}


@pytest.fixture
def own_prometheus(tmp_path: Path) -> Iterator[PrometheusServer]:
    """A server of the test's own, which it may stop."""
    insist("prometheus")
    with PrometheusServer(tmp_path / "prometheus") as server:
        yield server


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[AlertmanagerServer]:
    insist("prometheus-alertmanager")
    with AlertmanagerServer(tmp_path / "alertmanager") as server:
        yield server


@pytest.fixture
def lab(tmp_path: Path, own_prometheus: PrometheusServer) -> Iterator[Lab]:
    """A gateway with users, whose numbers Prometheus has; the suite's own requests are too few to decide."""
    with Lab(tmp_path / "lab", users_per_s=30, alert_error_share=1) as one:
        own_prometheus.scrape(gateway=one.sandbox.url.removeprefix("http://"))
        own_prometheus.until('sum(llm_requests_total{provider="ollama"}) > 60')
        one.target["sources"] = {"prometheus": {"url": own_prometheus.url, **SOURCE}}
        paces = {"synthetic_every": "3s", "metrics_every": "300ms"}
        one.scenario["monitor"] |= {"window": "10s", "error_rate": 0.05, **paces}
        yield one


def decided(ended: Run) -> tuple[str, str]:
    """Return clause and source of the verdict that ended the window."""
    (verdict,) = [entry.body for entry in ended.record_entries(Kind.VERDICT) if entry.body["decided"]]
    return verdict["clause"], verdict["source"]


def verdicts(ended: Run) -> dict[str, dict[str, object]]:
    """Return clause -> verdict."""
    return {entry.body["clause"]: entry.body for entry in ended.record_entries(Kind.VERDICT)}


def test_a_healthy_change_is_kept_on_prometheus_numbers(lab: Lab) -> None:
    ended = lab.run()
    assert (ended.code, ended.word) == (0, "KEPT"), ended.out
    found = verdicts(ended)
    assert (found["MON-2"]["source"], found["MON-3"]["source"]) == ("users", "users")
    assert "interpolated linearly in the histogram's bucket" in str(found["MON-3"]["message"])
    assert "of users' requests" in str(found["MON-3"]["message"])
    sample = "".join(ended.result("PRE-2.5").attachments.values())
    assert "buckets up to 60 s" in sample
    assert "newest sample" in sample
    baseline = "".join(ended.result("PRE-5.4").attachments.values())
    assert "users_p95_ms" in baseline


def test_users_errors_in_prometheus_roll_the_change_back(lab: Lab) -> None:
    lab.faults({"provider": "openai", "since": "activation", "after_s": 3, "error_share": 0.6, "calls": ["chat"]})
    ended = lab.run()
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    assert decided(ended) == ("MON-2", "users")


def test_users_latency_in_prometheus_rolls_the_change_back(lab: Lab) -> None:
    lab.faults({"provider": "openai", "since": "activation", "after_s": 2, "latency_ms": 1500, "calls": ["chat"]})
    ended = lab.run()
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    assert decided(ended) == ("MON-3", "users")


@pytest.fixture
def canary(lab: Lab) -> Lab:
    """The lab, whose change is a canary at half of the traffic before it gets all of it."""
    lab.target["routing"] = {}
    stages = [{"share": share, "for": "8s"} for share in ("50%", "100%")]
    lab.scenario["strategy"] = {"stages": stages, "stabilise": "3s"}
    del lab.scenario["monitor"]["window"]
    return lab


def at_half(ended: Run) -> dict[str, dict[str, object]]:
    """Return clause -> verdict of the stage that has a control group."""
    bodies = [entry.body for entry in ended.record_entries(Kind.VERDICT)]
    return {body["clause"]: body for body in bodies if body["stage"] == bodies[0]["stage"]}


def test_the_control_group_of_a_canary_comes_from_prometheus(canary: Lab) -> None:
    """MON-2 names its error rate, and compares it (`error_rate_rise`); the gateway's own metrics are not read."""
    canary.scenario["monitor"]["error_rate_rise"] = "3x"
    canary.liar.rule("/providers/ollama/metrics", answer(500))
    ended = canary.run()
    assert (ended.code, ended.word) == (0, "KEPT"), ended.out
    polls = [entry.body for entry in ended.record_entries(Kind.SAMPLE) if entry.body["source"] == "control"]
    assert polls
    assert not [poll for poll in polls if "error" in poll]
    found = at_half(ended)
    assert (found["MON-2"]["source"], found["MON-3"]["source"]) == ("users", "users")
    assert re.search(r"control group ollama: [\d.]+ % of \d+ requests", str(found["MON-2"]["message"]))
    assert "has not risen to more than 3x (limit 0.00%, from the control group's 0.00%)" in str(
        found["MON-2"]["message"]
    )


def test_a_canary_slower_than_prometheus_baseline_is_rolled_back(canary: Lab) -> None:
    canary.faults({"provider": "openai", "since": "activation", "after_s": 4, "latency_ms": 1500, "calls": ["chat"]})
    ended = canary.run()
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    assert decided(ended) == ("MON-3", "users")
    assert "of users' requests took longer than" in ended.why


def test_a_prometheus_that_stops_in_the_window_is_no_data(lab: Lab, own_prometheus: PrometheusServer) -> None:
    run = lab.begin()
    run.until(Kind.SAMPLE, at_least=5)
    own_prometheus.stop()
    ended = run.end()
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    assert decided(ended) == ("MON-6", "metrics")
    assert "is Prometheus running?" in ended.why


def test_what_users_met_between_two_calls_counts(lab: Lab, own_prometheus: PrometheusServer) -> None:
    # A busy machine is slow to begin the second call: MON-6 allows as much as the window lasts. The later the call, the
    # smaller the share of the errors, which are one burst: MON-2 breaches, or has too little evidence to the end.
    lab.scenario["monitor"] |= {"window": "30s", "error_rate": 0.01}
    first = lab.run("--for=2s")
    assert (first.code, first.word) == (12, "IN PROGRESS"), first.out
    lab.faults({"provider": "openai", "error_share": 1, "calls": ["chat"]})
    own_prometheus.until('llm_requests_total{provider="openai",status="error"} > 100')
    lab.faults()
    ended = lab.run("-m", "monitor")
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    assert ended.why.startswith("MON-2: "), ended.why
    found = verdicts(ended)["MON-2"]
    errors = re.search(r"\((\d+) of \d+ requests\)", str(found["message"]))
    assert found["source"] == "users"
    assert errors, found["message"]
    assert int(errors[1]) > 100


def test_a_prometheus_that_is_not_there_blocks_before_anything_is_applied(lab: Lab) -> None:
    lab.target["sources"]["prometheus"]["url"] = "http://127.0.0.1:9"
    ended = lab.run("-m", "precheck")
    assert ended.code == 1, ended.out
    assert "is Prometheus running?" in ended.failed["PRE-2.5"]
    assert lab.writes() == []


@pytest.mark.parametrize("fires", [True, False])
def test_alertmanagers_critical_alerts_decide_and_the_gateways_do_not(
    tmp_path: Path, alertmanager: AlertmanagerServer, fires: bool
) -> None:
    with Lab(tmp_path) as lab:
        name = f"Errors{fires}"
        lab.target["sources"] = {"alertmanager": {"url": alertmanager.url, "match": [f'alertname="{name}"']}}
        lab.alert("GATEWAY_SAYS", "openai")
        run = lab.begin()
        run.until(Kind.SAMPLE, at_least=5)
        if fires:
            alertmanager.fire(name, provider="openai")
        ended = run.end()
        assert ended.code == (10 if fires else 0), ended.out
        if fires:
            assert decided(ended) == ("MON-4", "alerts")
            assert f"critical alert {name}/openai fires" in ended.why


def logging(lab: Lab, *command: str) -> None:
    """Follow the gateway's log through a command."""
    lab.target["log_command"] = [*command, str(lab.folder / "gateway" / "logs" / "backend.log")]
    lab.scenario["monitor"] |= {"error_pattern": "failed: ", "log_every": "200ms"}


@pytest.mark.parametrize("fails", [True, False])
def test_an_error_in_a_log_that_a_command_prints_rolls_the_change_back(tmp_path: Path, fails: bool) -> None:
    with Lab(tmp_path) as lab:
        logging(lab, "tail", "-n", "0", "-F")
        lab.scenario["monitor"] |= {"window": "5s"}
        run = lab.begin()
        run.until(Kind.SAMPLE, at_least=5)
        line = "ERROR    | gateway:complete - openai failed: " if fails else "INFO     | openai failed: "
        with (tmp_path / "gateway" / "logs" / "backend.log").open("a") as log:
            log.write(f"12:34:56 | {line}upstream error\n")
        ended = run.end()
        assert ended.code == (10 if fails else 0), ended.out
        if fails:
            assert decided(ended) == ("MON-5", "log")
            assert "openai failed: upstream error" in ended.why


def test_a_log_command_that_dies_in_the_window_is_no_data(tmp_path: Path) -> None:
    with Lab(tmp_path) as lab:
        pid, program = tmp_path / "pid", tmp_path / "follow"
        program.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec tail -n 0 -F $1\n")
        program.chmod(0o755)
        logging(lab, str(program))
        lab.scenario["monitor"] |= {"window": "8s"}
        run = lab.begin()
        run.until(Kind.SAMPLE, at_least=5)
        program.write_text("#!/bin/sh\necho connection lost >&2\nexit 255\n")
        os.kill(int(pid.read_text()), signal.SIGTERM)
        ended = run.end()
        assert ended.code == 10, ended.out
        assert decided(ended) == ("MON-6", "log")
        assert "has ended: " in ended.why


def test_a_log_command_that_ends_at_once_is_no_monitoring(tmp_path: Path) -> None:
    with Lab(tmp_path) as lab:
        logging(lab, "cat")
        ended = lab.run("-m", "precheck")
        assert ended.code == 1, ended.out
        assert "the log command `cat" in ended.failed["PRE-2.5"]
