"""``pytest -m release`` end to end: how each of its checks fails, and that it neither writes nor opens a rollout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.liar import Rule, answer, edited, raw
from tests.support.runs import Lab, Process, Run, results_in

LOCAL, CLOUD = "ollama", "openai"


def looked(lab: Lab, *args: str, report: bool = False) -> Run:
    lab.options()
    where = args or (f"--gateway={lab.liar.url}",)
    return Process(lab.reports, "-m", "release", *where, env=lab.env, report=report).end()


def failed_in(run: Run) -> dict[str, str]:
    """Return clause -> reason, of the newest look."""
    newest = max(run.reports.glob("release-*/allure-results/*"), key=lambda folder: folder.stat().st_mtime_ns)
    return {clause: each.message for clause, each in results_in(newest).items() if each.status != "passed"}


def set_in_env(lab: Lab, key: str, value: str) -> None:
    """Write a credential into the .env file, as a person would, without a restart."""
    lines = lab.sandbox.env_file.read_text().splitlines()
    lab.sandbox.env_file.write_text(
        "\n".join([*(x for x in lines if not x.startswith(f"{key}=")), f"{key}={value}", ""])
    )


def lie(lab: Lab, path: str, **parts: Any) -> Rule:
    return lab.liar.rule(path, edited(lambda body: {**body, **parts}))


def shows_a_credential(body: Any) -> Any:
    return {**body, "config": {**body["config"], "OPENAI_API_KEY": "sk-demo-made-up-for-the-sandbox-cdef"}}


def unknown_credential(body: Any) -> Any:
    return {**body, "config": {**body["config"], "VAULT_TOKEN": "hvs.****************wxyz"}}


def only_the_active_one(body: Any) -> Any:
    for each in body["providers"]:
        active = each["name"] == body["active_provider"]
        each["capabilities"] = {**each["capabilities"], "activate": active, "inference": active}
    return body


@pytest.fixture
def lab(tmp_path: Path):
    with Lab(tmp_path) as made:
        yield made


def test_a_healthy_gateway_passes_and_nothing_is_written(lab: Lab):
    before = lab.state()
    run = looked(lab, report=True)
    assert (run.code, run.word) == (0, "RELEASE PASSED"), run.out
    assert failed_in(run) == {}
    assert lab.writes() == []
    assert lab.state() == before
    assert not (lab.reports / "journal.sqlite").exists()
    (folder,) = lab.reports.glob("release-*")
    assert {"allure-results", "junit.xml", "report.html"} <= {each.name for each in folder.iterdir()}
    for file in folder.rglob("*"):
        assert not file.is_file() or "made-up-for-the-sandbox" not in file.read_text(errors="replace"), file


def test_every_check_of_the_checklist_fails_for_its_reason(lab: Lab):
    lab.liar.rule(f"/{LOCAL}/test-connection", edited(lambda body: {**body, "latency_ms": 2001.0}))
    lab.liar.rule(f"/{CLOUD}/test-connection", edited(lambda body: {**body, "latency_ms": 5001.0}))
    lab.liar.rule("/vllm/test-connection", edited(lambda body: {**body, "status": "failure", "message": "no route"}))
    lab.liar.rule("/google/test-connection", answer(500))
    lie(lab, "/openai/preflight", ready_for_activation=False, overall_status="not_ready")
    lab.liar.rule("/vllm/preflight", answer(500))
    set_in_env(lab, "OPENAI_API_KEY", '" sk-padded-with-a-space-cdef"')
    set_in_env(lab, "GOOGLE_API_KEY", "AIza****************cdef")
    set_in_env(lab, "REDIS_PASSWORD", "changeme")
    lab.liar.rule("/config/runtime", edited(lambda body: shows_a_credential(unknown_credential(body))))
    limits = {"global": {"soft_limit_usd": 50.0, "hard_limit_usd": 50.0, "current_usage_usd": 0, "usage_percentage": 0}}
    lie(lab, "/governance/status", cost_limits=limits, rate_limits={}, fallback_policy={"fallback_order": ["vllm"]})
    lab.liar.rule("/alerts", answer(500))
    lab.liar.rule("/admin/audit", answer(404))
    run = looked(lab)
    assert (run.code, run.word) == (1, "RELEASE NOT PASSED"), run.out
    why = failed_in(run)
    assert set(why) == {f"REL-{number}" for number in range(1, 9)}
    assert "ollama connects in 2001 ms, above 2000 ms" in why["REL-1"]
    assert "openai connects in 5001 ms, above 5000 ms" in why["REL-1"]
    assert "vllm does not connect: connected: no route" in why["REL-1"]
    assert "google POST /api/v1/providers/google/test-connection: the gateway failed (500" in why["REL-1"]
    assert "openai is not ready" in why["REL-2"]
    assert "vllm POST /api/v1/providers/vllm/preflight" in why["REL-2"]
    assert "OPENAI_API_KEY is padded with spaces" in why["REL-3"]
    assert "GOOGLE_API_KEY is masked where it should be complete" in why["REL-3"]
    assert "REDIS_PASSWORD is a placeholder" in why["REL-3"]
    assert "VAULT_TOKEN is masked, and the .env file does not hold it: it is not checked" in why["REL-3"]
    assert "the budget of global warns at 50 USD and stops at 50; soft must be below hard" in why["REL-4"]
    assert "there is no rate limit that covers every provider" in why["REL-4"]
    assert "the fallback policy names vllm, and none of them connects" in why["REL-5"]
    assert "GET /api/v1/alerts" in why["REL-6"]
    assert "GET /api/v1/admin/audit" in why["REL-7"]
    assert "GET /api/v1/config/runtime: config.OPENAI_API_KEY" in why["REL-8"]
    assert "Traceback" not in run.out


def test_what_cannot_be_seen_is_no_pass(lab: Lab):
    """Without the .env file nobody knows what a mask hides; without a second provider nobody takes over."""
    # The first look proves the policy; the next one would tell where the .env file is.
    lab.liar.rule("/sandbox/about", answer(404), nth=2)
    lab.liar.rule("/providers$", edited(only_the_active_one))
    lab.liar.rule("/audit", raw(b"gone"))
    lab.policy["sandbox"]["not_demanded"] = ["REL-6"]
    run = looked(lab, f"--gateway={lab.liar.url}", f"--policy={lab.folder / 'policy.yaml'}")
    assert run.code == 1, run.out
    why = failed_in(run)
    assert set(why) == {"REL-3", "REL-5", "REL-6", "REL-7"}
    assert why["REL-6"].endswith("policy 'sandbox' does not demand it"), "and so it is shown as skipped, not as passed"
    assert "OPENAI_API_KEY is masked, and target" in why["REL-3"]
    assert "does not say where the service's .env file can be read: it is not checked" in why["REL-3"]
    assert why["REL-5"] == "besides the active provider there is no other"


def test_a_target_that_cannot_be_read_is_refused(lab: Lab):
    for args, says in (
        (("-m", "release"), "--target: is missing; name the target, or give --gateway=URL"),
        (("-m", "release", "--target=embedded"), "'embedded' is started on demand, for a rollout"),
        (("-m", "release", "--target=nowhere"), "'nowhere' is no target"),
        (("-m", "release", "--target=production"), "the environment variable GATEWAY_TOKEN is not set"),
    ):
        run = Process(lab.reports, *args).end()
        assert (run.code, says in run.out) == (4, True), run.out
    assert lab.liar.requests == []
    assert not list(lab.reports.glob("release-*"))
