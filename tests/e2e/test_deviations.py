"""The deviations of docs/GATEWAY_API.md, "How gateways deviate": what a gateway does, and what the suite makes of it.

Each test runs the suite against the embedded gateway with the deviation switched on (`rollout/sandbox/deviations.py`).
The number in a test's name is the deviation's; its docstring says first what the gateway does, then what the suite
does.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rollout.sandbox.deviations import BESIDES, DEVIATIONS, SWITCHES
from tests.support.kinds import (
    APPLY,
    ENVIRONMENT,
    LIMITS,
    PROVIDER,
    VERIFY,
    look,
    quick,
    sent,
    switch,
    writes,
    wrong_answers,
)
from tests.support.liar import edited
from tests.support.runs import Lab, Process, Run

PRECHECK = ("-m", "precheck")

LOCAL = "/api/v1/system/llm-servers/active"
ELSEWHERE = {"path": LOCAL, "body": {"server_name": "{provider}", "model": "{model}"}}
STREAM = {"path": "/api/v1/llm/simple/stream", "body": {"content": "{prompt}"}}

WEIGHTS = "/api/v1/routing/weights"
GOOGLE = {"activate": "google", "model": "gemini-2.5-pro"}


def assert_kept(run: Run) -> None:
    assert (run.code, run.word) == (0, "KEPT"), run.out


def assert_rolled_back(run: Run, clause: str, says: str) -> None:
    assert says in run.failed.get(clause, ""), run.out
    assert (run.code, run.word) == (10, "ROLLED BACK, verified"), run.out


def assert_nothing_applied(run: Run, clause: str, says: str) -> None:
    assert says in run.failed.get(clause, ""), run.out
    assert (run.code, run.word) == (1, "NOTHING APPLIED"), run.out
    assert not run.record.wrote
    assert "Traceback" not in run.out


def health_asked(lab: Lab) -> list[str]:
    """Return the health paths of the service that were asked, as the gateway counts them, oldest first."""
    asked = lab.direct.get("/sandbox/requests").json()
    return [each["path"] for each in asked if each["path"].startswith("/health")]


def activate(lab: Lab, provider: str, model: str) -> None:
    lab.direct.post(f"/api/v1/providers/{provider}/activate", json={"model": model}).raise_for_status()


def requests(lab: Lab, count: int) -> None:
    """Send so many requests of users, whether they succeed or not."""
    body = {"messages": [{"role": "user", "content": "ping"}]}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: lab.direct.post("/api/v1/chat/completions", json=body), range(count)))


def metrics(lab: Lab, provider: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = lab.direct.get(f"/api/v1/providers/{provider}/metrics").json()["metrics"]
    return found


# Units and windows


def test_01_rates_are_percent_in_metrics_and_fractions_in_health(tmp_path: Path):
    """The gateway says 4.0 for 4 % in metrics, and 0.04 in health.

    The suite reads both as 4 %, below the limit of 5 %: read as a fraction, it would be 400 %.
    """
    with quick(tmp_path, alert_error_share=1) as lab:
        lab.faults({"provider": "ollama", "error_share": 1, "calls": ["chat"]})
        requests(lab, 2)
        lab.faults()
        requests(lab, 48)
        assert metrics(lab, "ollama")["error_rate"] == 4.0
        assert lab.direct.get("/api/v1/providers/ollama/health").json()["health"]["error_rate"] == 0.04
        run = lab.run(*PRECHECK)
        assert (run.code, run.failed) == (0, {}), run.out
        rate = float(run.result("PRE-5.4").facts("Baseline")["users_error_rate"])
        assert rate == pytest.approx(0.04, abs=0.005)


def test_02_counters_are_cumulative_since_the_start(tmp_path: Path):
    """The gateway's counters still hold every failure of last week.

    The suite judges its window by what the counters rose in it: failures before the change are not the change's.
    """
    with quick(tmp_path, alert_error_share=1) as lab:
        activate(lab, "openai", "gpt-4o")
        lab.faults({"provider": "openai", "error_share": 1, "calls": ["chat"]})
        requests(lab, 60)
        lab.faults()
        activate(lab, "ollama", "gemma3:4b")
        assert metrics(lab, "openai")["error_rate"] == 100.0
        assert_kept(lab.run())


def test_03_no_traffic_is_no_data(tmp_path: Path):
    """The gateway answers zeros and nulls with 200 for a provider without traffic.

    The suite does not take 0 errors of 0 requests for 0 %: a window without data is never a pass.
    """
    with quick(tmp_path) as lab:
        lab.scenario["monitor"] |= {"synthetic_every": "1s", "min_requests": 20, "min_samples": 20}
        assert metrics(lab, "openai")["latency"]["p95_ms"] is None
        run = lab.run()
        # On a busy machine a poll that cuts one of the suite's own requests in two takes it for a user's.
        assert_rolled_back(run, "MON-2", "inconclusive, which is never a pass: too few requests to judge: ")
        assert set(run.failed) == {"MON-2", "MON-3"}


def test_04_a_restart_empties_counters_and_the_audit_log(tmp_path: Path):
    """The gateway starts with empty counters and an empty audit log after a restart.

    The suite takes counters that fell for a reset and not for a negative rate, and it reads the audit log *before*
    the restart: the activation is in the report although the log has forgotten it.
    """
    with quick(tmp_path, [PROVIDER, ENVIRONMENT], users_per_s=20) as lab:
        run = lab.run()
        assert_kept(run)
        audit = run.result("VER-3").attachments
        assert "none: the gateway recorded the change" in audit["Finding"]
        log = lab.direct.get("/api/v1/admin/audit").json()["entries"]
        assert "activate_provider" not in {entry["action"] for entry in log}


def test_04_cost_is_always_zero(tmp_path: Path):
    """The gateway says that nothing costs anything.

    The suite judges by errors, latency and answers, and never by cost: the run is as any other.
    """
    with quick(tmp_path, deviations=["cost_always_zero"]) as lab:
        assert_kept(lab.run())
        assert metrics(lab, "openai")["cost"]["total_usd"] == 0


@pytest.mark.parametrize("verified", [True, False], ids=["kept", "taken back"])
def test_04_limits_are_lost_on_a_restart(verified: bool, tmp_path: Path):
    """The gateway forgets the governance limits when it restarts.

    The suite, whose restart it was, puts them back: forward, so that nothing else than asked for has changed, and on
    the rollback.
    """
    with quick(tmp_path, ENVIRONMENT, deviations=["limits_lost_on_restart"]) as lab:
        before = look(lab)
        if not verified:
            wrong_answers(lab, before)
        run = lab.run(*VERIFY)
        assert look(lab).limits == before.limits
        assert run.code == (0 if verified else 10), run.out


# Answers that say success and are not


def test_05_a_failed_test_is_answered_with_200(tmp_path: Path):
    """The gateway answers 200 to a connection test that failed, and a preflight that is not ready says "success".

    The suite reads the verdict in the answer, and applies nothing.
    """
    with quick(tmp_path) as lab:
        lab.faults({"provider": "openai", "status": "offline"})
        tested = lab.direct.post("/api/v1/providers/openai/test-connection")
        preflight = lab.direct.post("/api/v1/providers/openai/preflight")
        assert (tested.status_code, preflight.status_code, preflight.json()["status"]) == (200, 200, "success")
        run = lab.run()
        assert_nothing_applied(run, "PRE-5.1", "openai fails its connection test here: offline")
        assert "preflight is not ready here" in run.failed["PRE-5.1"]


def test_06_success_without_effect(tmp_path: Path):
    """The gateway answers success to an activation, and changes nothing.

    The suite reads back which provider is active, and takes the change back.
    """
    with quick(tmp_path, deviations=["activate_without_effect"]) as lab:
        before = look(lab)
        run = lab.run()
        assert_rolled_back(run, "APP-1.2", "the gateway answered success, and reports ollama:gemma3:4b active")
        assert look(lab) == before


def test_06_success_without_effect_that_is_read_back_as_done(tmp_path: Path):
    """The gateway even reports the new provider active, and the old one still answers.

    The suite sends a request: who answers it decides. It cannot prove that the rollback worked, and says so (11).
    """
    with quick(tmp_path, deviations=["activate_without_effect"]) as lab:
        before = look(lab)

        def pretend() -> None:
            lab.liar.rule("/api/v1/providers$", edited(_claims_openai))
            lab.liar.rule("/config/runtime$", edited(_configured_for_openai))

        lab.once("/openai/activate", pretend)
        run = lab.run()
        assert "ollama answered instead of openai" in run.failed["VER-2"]
        assert (run.code, run.word) == (11, "ROLLBACK FAILED"), run.out
        assert look(lab) == before


def _claims_openai(body: Any) -> Any:
    listed = [{**each, "is_active": each["name"] == "openai"} for each in body["providers"]]
    return {**body, "providers": listed, "active_provider": "openai"}


def _configured_for_openai(body: Any) -> Any:
    return {**body, "config": {**body["config"], "ACTIVE_PROVIDER": "openai", "LLM_MODEL_NAME": "gpt-4o"}}


@pytest.mark.parametrize("verified", [True, False], ids=["kept", "taken back"])
def test_07_an_activation_takes_effect_after_a_restart(verified: bool, tmp_path: Path):
    """The gateway writes its configuration, and serves with the old provider until it is restarted.

    The suite restarts the service where the scenario says `restart: true`, there and back, and reads back after it.
    """
    with quick(tmp_path, {**PROVIDER, "restart": True}, deviations=["activate_after_restart"]) as lab:
        before = look(lab)
        if not verified:
            wrong_answers(lab, before)
        run = lab.run()
        there = [("proof", "ollama:gemma3:4b"), ("forward", "openai:gpt-4o"), ("forward", "restart")]
        if verified:
            assert_kept(run)
            assert writes(run) == there
            assert look(lab).active == "openai:gpt-4o"
        else:
            assert_rolled_back(run, "VER-2", "model gpt-3.5 answered")
            assert writes(run) == [*there, ("back", "ollama:gemma3:4b"), ("back", "restart")]
            assert look(lab) == before


def test_07_an_activation_that_would_need_a_restart_nobody_asked_for(tmp_path: Path):
    """The same gateway, and a scenario without `restart: true`.

    The suite reads back the old provider with the new one's configuration, names the setting that states the restart,
    and takes that back: what waits for the next restart would be a change that nobody watches.
    """
    with quick(tmp_path, deviations=["activate_after_restart"]) as lab:
        before = look(lab)
        run = lab.run()
        assert_rolled_back(
            run,
            "APP-1.2",
            "the gateway answered success, and reports ollama:gpt-4o active instead of openai:gpt-4o; its "
            "configuration holds openai:gpt-4o already, so the service takes an activation only after a restart: "
            "set the target's `restart: true`",
        )
        assert look(lab) == before


def test_08_an_activation_without_a_model_resets_it(tmp_path: Path):
    """The gateway activates a provider's default model where none is named, and says nothing.

    The suite names the model with every activation, and goes back to the one that was active, default or not.
    """
    with quick(tmp_path, initial="ollama:qwen2.5:7b") as lab:
        before = look(lab)
        wrong_answers(lab, before)
        assert_rolled_back(lab.run(*VERIFY), "VER-2", "model gpt-3.5 answered")
        models = [each.json["model"] for each in lab.liar.seen("POST", "/activate$")]
        assert models == ["qwen2.5:7b", "gpt-4o", "qwen2.5:7b"]
        assert look(lab) == before


@pytest.mark.parametrize(
    ("change", "clause"), [(PROVIDER, "APP-1.2"), (LIMITS, "APP-3.1")], ids=["activation", "limits"]
)
def test_09_an_error_is_answered_with_200(change: Any, clause: str, tmp_path: Path):
    """The gateway answers 200 with `status: error` to what it could not write.

    The suite takes it for a failure of which nobody knows what it did. The proof of the rollback meets it first;
    without that proof, the change itself does. That an activation is undone shows in who answers; that limits are, only
    an undo that is accepted would show: 11, although everything is as it was.
    """
    with quick(tmp_path, change, deviations=["config_write_errors"]) as lab:
        before = look(lab)
        says = 'answered 200, but with status "error": The configuration could not be written'
        assert_rolled_back(lab.run(*APPLY), "APP-0.2", says)
        lab.target["prove_way_back"] = False
        run = lab.run(*APPLY)
        assert says in run.failed[clause], run.out
        assert (run.code, run.record.steps["RBK-4.3"]["outcome"]) == (10 if change is PROVIDER else 11, "passed"), (
            run.out
        )
        assert look(lab) == before


def test_10_a_stream_without_content_counts_as_a_success(tmp_path: Path):
    """The gateway streams `start` and `done` with nothing in between, and counts a success.

    The suite takes an empty answer for a failure.
    """
    with quick(tmp_path, deviations=["stream_chat"]) as lab:
        lab.target["chat_with"] = STREAM
        before = look(lab)
        lab.faults({"provider": "openai", "since": "activation", "answer": "empty"})
        assert_rolled_back(lab.run(), "VER-2", "the completion is empty")
        assert look(lab) == before


def test_11_connected_may_only_mean_that_a_key_is_set(tmp_path: Path):
    """The gateway says that a cloud provider is connected as soon as it has a key, even a wrong one.

    No test before the change can find that out. The suite sends a request after it, and takes the change back.
    """
    with quick(tmp_path, deviations=["key_means_connected"]) as lab:
        before = look(lab)
        lab.faults({"provider": "openai", "status": "offline"})
        assert_rolled_back(lab.run(), "VER-2", "503")
        assert look(lab) == before


# What cannot be undone the obvious way


def test_12_masked_secrets_are_never_written_back(tmp_path: Path):
    """The gateway masks the secrets of its configuration: written back, the masks would destroy them.

    The suite keeps that configuration for comparison only, and restores the `.env` file itself, byte for byte.
    """
    with quick(tmp_path, {"secret": {"OPENAI_API_KEY": "NEW_KEY"}}) as lab:
        lab.env["NEW_KEY"] = "sk-another-key-made-up-for-a-test"
        before = look(lab)
        assert "***" in before.config["OPENAI_API_KEY"]
        wrong_answers(lab, before)
        assert_rolled_back(lab.run(*VERIFY), "VER-2", "gpt-3.5")
        assert look(lab) == before
        assert b"***" not in lab.sandbox.env_file.read_bytes()
        assert lab.liar.seen("POST", "/config/runtime") == []


def test_13_a_previous_provider_that_refuses_its_activation(tmp_path: Path):
    """The gateway refuses to activate a local runtime, with 400 and the name of another call.

    The suite finds out before the change, by activating what is active: the rollback would be refused too. So nothing
    is applied.
    """
    with quick(tmp_path, deviations=["local_activation_elsewhere"]) as lab:
        before = look(lab)
        run = lab.run()
        assert_nothing_applied(run, "APP-0.2", "/system/llm-servers/active")
        assert sent(lab) == ["ollama"]  # refused, and nothing after it
        assert look(lab) == before


@pytest.mark.parametrize("verified", [True, False], ids=["kept", "taken back"])
def test_13_another_call_activates_local_runtimes(verified: bool, tmp_path: Path):
    """The same gateway, and a target whose `activate_with` names that call.

    The suite proves the rollback with it, and rolls back with it.
    """
    with quick(tmp_path, deviations=["local_activation_elsewhere"]) as lab:
        lab.target["activate_with"] = {"ollama": ELSEWHERE, "vllm": ELSEWHERE}
        before = look(lab)
        if not verified:
            wrong_answers(lab, before)
        run = lab.run()
        if verified:
            assert_kept(run)
            assert sent(lab) == [LOCAL, "openai"]
        else:
            assert_rolled_back(run, "VER-2", "gpt-3.5")
            assert sent(lab) == [LOCAL, "openai", LOCAL]
            assert look(lab) == before


@pytest.mark.parametrize("verified", [True, False], ids=["kept", "taken back"])
def test_14_the_new_provider_is_reported_under_another_name(verified: bool, tmp_path: Path):
    """The gateway activates `google`, reports `google-gemini` active, and marks no listed provider.

    The suite knows both for one where the target says so (`reported_as`).
    """
    with quick(tmp_path, GOOGLE, deviations=["reports_other_name"]) as lab:
        lab.target["reported_as"] = {"google": "google-gemini"}
        before = look(lab)
        if not verified:
            wrong_answers(lab, before)
        run = lab.run()
        if verified:
            assert_kept(run)
        else:
            assert_rolled_back(run, "VER-2", "gpt-3.5")
            assert look(lab) == before


def test_14_the_previous_provider_is_reported_under_another_name(tmp_path: Path):
    """The same gateway, from `google` to openai: the name in the backup is not the one that activates it.

    The suite goes back under the name that does.
    """
    with quick(tmp_path, deviations=["reports_other_name"], initial="google:gemini-2.5-pro") as lab:
        lab.target["reported_as"] = {"google": "google-gemini"}
        before = look(lab)
        wrong_answers(lab, before)
        assert_rolled_back(lab.run(), "VER-2", "gpt-3.5")
        assert sent(lab) == ["google", "openai", "google"]
        assert look(lab) == before


def test_14_another_name_that_nobody_declared(tmp_path: Path):
    """The same gateway, and a target without `reported_as`.

    The suite does not guess. On the way there it reads another name back, which it does not overwrite (11).
    Where the previous provider is the one with two names, nothing is applied.
    """
    with quick(tmp_path / "there", GOOGLE, deviations=["reports_other_name"]) as lab:
        run = lab.run()
        assert "reports google-gemini:gemini-2.5-pro active instead of google:" in run.failed["APP-1.2"]
        assert (run.code, run.word) == (11, "ROLLBACK FAILED"), run.out
        assert "an operator must decide" in run.why
    with quick(tmp_path / "from", deviations=["reports_other_name"], initial="google:gemini-2.5-pro") as lab:
        run = lab.run()
        assert_nothing_applied(run, "PRE-2.4", "google-gemini")
        assert sent(lab) == []


def test_15_a_limit_cannot_be_deleted(tmp_path: Path):
    """The gateway has no call that takes a limit away from a scope.

    The suite says before the change which scope would keep one for good; the policy decides whether that is accepted.
    """
    with quick(tmp_path, {**LIMITS, "scope": "vllm"}) as lab:
        lab.policy["sandbox"]["limits_for_good"] = "refuse"
        says = "provider:vllm has no cost limits now, and the gateway cannot take limits away again"
        assert_nothing_applied(lab.run(), "PRE-2.4", says)
        assert sent(lab) == []
        lab.policy["sandbox"]["limits_for_good"] = "accept"
        run = lab.run(*PRECHECK)
        assert run.code == 0, run.out
        assert f"cannot be undone: {says}" in str(run.result("PRE-2.4").attachments)


def test_16_two_backups_in_one_second(tmp_path: Path):
    """Gateways of this kind name a backup by the second, and let the next one overwrite it.

    The suite makes its own backups, with more than seconds in their names, and never uses a name twice.
    """
    with quick(tmp_path) as lab:
        before = look(lab)
        runs = [lab.begin(*PRECHECK) for _ in range(2)]
        assert [run.end().code for run in runs] == [0, 0]
        copies = sorted(lab.sandbox.env_file.parent.glob("config-backup-*.env"))
        assert len(copies) == 2
        assert {copy.read_bytes() for copy in copies} == {before.env}


# The rest


def test_17_health_is_under_another_path(tmp_path: Path):
    """The gateway's `/health` is `/healthz`.

    The suite asks neither, which may cost money on some gateways, unless the target names one; and says that there is
    no such path, and applies nothing, where it names the wrong one.
    """
    with quick(tmp_path, ENVIRONMENT, deviations=["healthz"]) as lab:
        lab.target["paths"] = {"health": "/health"}
        assert_nothing_applied(lab.run(), "PRE-5.1", "GET /health: this gateway has no such path (404)")
        lab.target["paths"] = {"health": "/healthz"}
        assert lab.run("-m", "precheck").code == 0
        assert "/healthz" in health_asked(lab)
        del lab.target["paths"]
        before = health_asked(lab)
        assert_kept(lab.run())
        assert health_asked(lab) == before


def test_17_chat_completions_is_absent(tmp_path: Path):
    """The gateway has no `chat/completions`; another call streams its answers.

    The suite cannot measure a baseline then, and applies nothing, until the target names that call (`chat_with`). Its
    answers name no provider and no model: the suite sees in the counters who answered.
    """
    with quick(tmp_path, deviations=["stream_chat"]) as lab:
        assert_nothing_applied(lab.run(), "PRE-5.4", "too few requests to measure ollama:gemma3:4b")
        lab.target["chat_with"] = STREAM
        run = lab.run()
        assert_kept(run)
        answer = run.result("VER-2").facts("Completion")
        assert (answer["content"].strip(), answer["provider"], answer["model"]) == ("pong", "none", "none")


def test_18_every_third_request_is_one_too_many(tmp_path: Path):
    """The gateway answers 429 with `retry_after_seconds`, 0 at times.

    The suite waits and asks again within its deadline, for what it reads and for what it writes: the refused request
    did nothing.
    """
    with quick(tmp_path, [PROVIDER, LIMITS]) as lab:
        assert lab.run(*PRECHECK).code == 0
        switch(lab, "rate_limited")
        applied = lab.run("-m", "apply")
        switch(lab)
        assert (applied.code, applied.word) == (0, "IN FLIGHT"), applied.out
        refused = [each["path"] for each in lab.direct.get("/sandbox/requests").json() if each["status"] == 429]
        assert len(refused) > 3
        assert_kept(lab.run("-m", "verify or monitor"))
        assert look(lab).active == "openai:gpt-4o"


def test_18_completions_too_are_one_too_many(tmp_path: Path):
    """The same gateway, also while the suite sends requests of its own.

    The suite waits and asks again: its own requests that a rate limit refused say nothing about a provider.
    """
    with quick(tmp_path, deviations=["rate_limited"]) as lab:
        # Every third request waits: a look has the time to ask again before it counts as one that hangs.
        lab.scenario["monitor"] |= {"window": "4s", "metrics_every": "500ms", "alerts_every": "500ms"}
        run = lab.run()
        switch(lab)
        assert_kept(run)


@pytest.mark.parametrize(
    ("deviation", "finding"),
    [
        ("no_audit", "the gateway kept no audit entry of the activation; the suite's own record stands in"),
        ("audit_user_unknown", "the gateway recorded the user 'unknown' instead of 'rollout'"),
    ],
)
def test_19_the_audit_log_lacks_something(deviation: str, finding: str, tmp_path: Path):
    """The gateway leaves no audit entry of an activation, or does not say whose it was.

    The suite keeps the change, reports what is missing as a finding, and shows its own record in its place.
    """
    with quick(tmp_path, deviations=[deviation]) as lab:
        run = lab.run()
        assert_kept(run)
        attached = run.result("VER-3").attachments
        assert finding in attached["Finding"]
        assert "openai:gpt-4o" in attached["The suite's own record"]


def test_20_limit_types_are_cost_and_rate(tmp_path: Path):
    """The gateway refuses `per_provider`; it is `cost` or `rate`, and scopes come back as `provider:openai`.

    The suite sends the target's words (`limit_types`, cost and rate by default), and knows a scope by both names.
    """
    with quick(tmp_path, LIMITS, deviations=["limit_types_cost_rate"]) as lab:
        lab.target["limit_types"] = {"cost": "per_provider"}
        before = look(lab)
        run = lab.run(*APPLY)
        assert_rolled_back(run, "APP-3.1", "Invalid limit_type: per_provider")
        assert look(lab) == before
        del lab.target["limit_types"]
        assert_kept(lab.run())
        assert '"hard_limit_usd": 250.0' in look(lab).limits


@pytest.mark.parametrize("breaks", [False, True], ids=["harmless", "an error"])
def test_21_log_lines_without_a_date_in_a_file_that_is_truncated(breaks: bool, tmp_path: Path):
    """The gateway's log has no dates, says 'errors': 0 without meaning one, and is truncated at every start.

    The suite follows the file through the truncation, and judges a line by its level.
    """
    with quick(tmp_path, ENVIRONMENT) as lab:
        lab.scenario["monitor"] |= {"error_pattern": "error", "log_every": "200ms"}
        level = "ERROR   " if breaks else "INFO    "

        def line() -> None:
            with lab.sandbox.log_file.open("a") as log:
                log.write(f"12:34:56 | {level} | backend:sum - 'errors': 0\n")

        lab.once("/admin/audit", lambda: lab.once("/alerts", line), nth=2)
        before = look(lab)
        run = lab.run()
        assert "'errors': 0" in lab.sandbox.log_file.read_text()
        if breaks:
            assert_rolled_back(run, "MON-5", "'errors': 0")
            assert look(lab) == before
        else:
            assert_kept(run)


TOKEN = "made-up-token-7d1e5c20b9"


def test_22_a_bearer_token_stands_in_front(tmp_path: Path):
    """By default the gateway asks nobody who they are; deployments put a bearer token in front.

    The suite reads it from the environment variable that the target names, writes it nowhere, and says 401 in one line
    where it is wrong.
    """
    with quick(tmp_path, ENVIRONMENT, token=TOKEN) as lab:
        assert_kept(lab.run())
        files = [path for path in lab.reports.rglob("*") if path.is_file()]
        assert not [path for path in files if TOKEN.encode() in path.read_bytes()]
        lab.env["LAB_GATEWAY_TOKEN"] = "another-token-that-is-wrong"
        lab.scenario["change"] = PROVIDER
        assert_nothing_applied(lab.run(), "PRE-1.1", "401")


def test_23_alerts_last_for_hours(tmp_path: Path):
    """The gateway's alerts fire for hours after their cause is gone.

    The suite refuses to start while a critical one fires. Where the scenario claims to fix it (`fixes`), it is no
    reason to take the change back.
    """
    with quick(tmp_path, deviations=["long_alerts"]) as lab:
        lab.alert("DATA_LOSS", "ollama")
        assert_nothing_applied(lab.run(), "PRE-5.3", "critical alerts are firing: DATA_LOSS/ollama")
        lab.scenario["fixes"] = ["DATA_LOSS/ollama"]
        assert_kept(lab.run())


def test_23_an_alert_that_clears_within_the_window_counts(tmp_path: Path):
    """A critical alert fires in the window, and has cleared before its end.

    The suite takes the change back all the same.
    """
    with quick(tmp_path, alert_ttl_s=2) as lab:
        lab.scenario["monitor"] |= {"window": "4s"}
        before = look(lab)
        lab.once("/admin/audit", lambda: lab.alert("DATA_LOSS", "openai"))
        assert_rolled_back(lab.run(), "MON-4", "critical alert DATA_LOSS/openai fires")
        assert look(lab) == before


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "not declared"])
def test_an_activation_rewrites_more_than_provider_and_model(declared: bool, tmp_path: Path):
    """The gateway's activation also rewrites keys that describe the runtime once more.

    The suite accepts that where the target declares them (`activation_rewrites`); else more changed than was asked
    for, and the change is taken back, these keys included.
    """
    with quick(tmp_path, deviations=["activation_rewrites"]) as lab:
        keys = ["LLM_SERVICE_TYPE", "ACTIVE_LLM_SERVER", "LLM_CONFIG_HASH"]
        before = look(lab)
        if declared:
            lab.target["activation_rewrites"] = keys
            assert_kept(lab.run())
            assert look(lab).config["ACTIVE_LLM_SERVER"] == "openai"
        else:
            assert_rolled_back(lab.run(*VERIFY), "VER-4", "ACTIVE_LLM_SERVER: ollama -> openai")
            assert look(lab) == before


def test_weights_that_outlive_an_activation_are_set_in_an_emergency(tmp_path: Path):
    """The gateway's activation leaves the weights as they are, which a canary that is under way has set.

    The suite sees it, and gives the place that it went to every request.
    """
    with quick(tmp_path, deviations=["weights_outlive_activation"]) as lab:
        split = {"openai:gpt-4o": 0.25, "ollama:gemma3:4b": 0.75}
        lab.direct.put(WEIGHTS, json={"weights": split}).raise_for_status()
        lab.target["safe"] = {"activate": "vllm", "model": "gemma-3-4b-it"}
        lab.options()
        ended = Process(
            lab.reports, "emergency", "--target=lab", f"--targets={lab.folder / 'targets.yaml'}", module="rollout"
        ).end()
        assert ended.code == 0, ended.out
        assert lab.direct.get(WEIGHTS).json()["weights"] == {"vllm:gemma-3-4b-it": 1.0}


def test_completions_that_name_nobody_are_no_reason_to_take_a_change_back(tmp_path: Path):
    """The gateway's completions name neither provider nor model.

    A kept rollout is truly on the new provider, which has served the requests of the window.
    """
    with quick(tmp_path, deviations=["chat_names_nobody"]) as lab:
        assert_kept(lab.run())
        state = lab.direct.get("/sandbox/state").json()
        assert state["active"] == "openai:gpt-4o"
        assert state["served"][-1][1:] == ["openai", "gpt-4o", 200]


def test_every_deviation_is_tested_and_every_switch_is_used():
    tests = {name: test for name, test in vars(sys.modules[__name__]).items() if name.startswith("test_")}
    numbered = {int(found[1]) for name in tests if (found := re.match(r"test_(\d\d)_", name))}
    assert numbered == set(DEVIATIONS)
    source = inspect.getsource(sys.modules[__name__])
    assert {name for name in SWITCHES if f'"{name}"' in source} == SWITCHES.keys()
    assert len(BESIDES) == 3
    told = [name for name, test in tests.items() if not (test.__doc__ or "").count("\n\n")]
    assert told == ["test_every_deviation_is_tested_and_every_switch_is_used"]
