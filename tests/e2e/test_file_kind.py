"""Whole rollouts on a service behind a file: kept, rolled back, and never over an operator's edit.

The judge is the service's own record of what took effect and of whom it asked, and the bytes of its file.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rollout.journal.record import Kind
from tests.monitoring.conftest import insist
from tests.monitoring.servers import PrometheusServer
from tests.support.behind_a_file import SCENARIO, Workplace, workplace
from tests.support.file_subjects import FILES
from tests.support.runs import entries, eventually

FIRST, SECOND = "ollama:gemma3", "openai:gpt-4o"


def edited(codec: str) -> bytes:
    """Return the file's content with the change, its every other byte as it was."""
    content = FILES[codec][1]
    assert content.count("ollama") == content.count("gemma3") == 1
    return content.replace("ollama", "openai").replace("gemma3", "gpt-4o").encode()


def assert_kept(at: Workplace, codec: str) -> None:
    """Assert that a rollout keeps its change, and that its documents say what is not applicable."""
    # The report is searched for the secret too, where the file holds one.
    code, printed = at.end(at.rollout(report=codec == "env"))
    assert code == 0, printed
    assert "= KEPT: " in printed
    assert at.on.file.read_bytes() == edited(codec)
    assert at.loaded()[-1] == SECOND
    assert at.served("openai") > 20
    for clause in ("VER-1", "VER-3", "MON-1", "MON-4", "PRE-5.3"):
        assert f"{clause} (NOT APPLICABLE)" in printed
    assert "hunter2" not in printed
    journals = b"".join(path.read_bytes() for path in at.reports.rglob("*") if path.is_file())
    assert b"hunter2" not in journals


def test_a_change_of_yaml_is_kept_after_a_restart(tmp_path: Path) -> None:
    with workplace(tmp_path, "yaml", "restart") as at:
        assert_kept(at, "yaml")
        # The way back is proven, and the change applied: each takes effect by a restart of the service alone.
        assert {each["why"] for each in at.on.folder.lines("loaded.jsonl")} == {"start"}


def test_a_change_of_env_is_kept_after_a_signal(tmp_path: Path) -> None:
    with workplace(tmp_path, "env", "signal", stale_for="2s") as at:
        pid = at.on.folder.pid()
        assert_kept(at, "env")
        assert at.on.folder.pid() == pid
        assert [each["why"] for each in at.on.folder.lines("loaded.jsonl")].count("start") == 1


@pytest.mark.parametrize(("codec", "apply"), [("json", "command"), ("toml", "restart")])
def test_a_change_of_json_and_of_toml_is_kept(tmp_path: Path, codec: str, apply: str) -> None:
    with workplace(tmp_path, codec, apply) as at:
        at.write("scenarios/change.yaml", SCENARIO.replace("window: 40s", "window: 30s"))
        assert_kept(at, codec)


def test_a_change_of_json_is_rolled_back_by_a_command(tmp_path: Path) -> None:
    """One of TOML is rolled back where the run is killed."""
    with workplace(tmp_path, "json", "command") as at:
        run = at.rollout()
        at.await_watched(run)
        at.on.folder.set_faults(failing=["openai"])
        code, printed = at.end(run)
        assert code == 10, printed
        assert at.loaded()[-1] == FIRST
        assert at.on.file.read_bytes() == FILES["json"][1].encode()


def fail_in_window(at: Workplace, old: bytes, new: bytes, *, report: bool = False) -> tuple[int, str]:
    """Run a rollout whose provider fails in the window, after an operator's edit of the file there."""
    run = at.rollout(report=report)
    at.await_watched(run)
    content = at.on.file.read_bytes()
    assert content.count(old) == 1
    at.on.file.write_bytes(content.replace(old, new))
    at.on.folder.set_faults(failing=["openai"])
    return at.end(run)


def test_a_provider_that_fails_is_rolled_back_by_a_signal(tmp_path: Path) -> None:
    """A comment that an operator wrote in mid-window stays."""
    old, new = b"# who answers", b"# who answers; ask dave"
    with workplace(tmp_path, "yaml", "signal", stale_for="2s") as at:
        code, printed = fail_in_window(at, old, new)
        assert code == 10, printed
        assert "= ROLLED BACK, verified" in printed
        assert at.loaded()[-1] == FIRST
        assert at.on.file.read_bytes() == FILES["yaml"][1].encode().replace(old, new)


EDITED = {
    "LOG_LEVEL": (b"LOG_LEVEL=info", b"LOG_LEVEL=debug", r"LOG_LEVEL: info -> debug"),
    "a secret": (b"hunter2-planted", b"hunter3-planted", r"masked values: [0-9a-f]{12} -> [0-9a-f]{12}"),
}


@pytest.mark.parametrize(("old", "new", "named"), EDITED.values(), ids=EDITED)
def test_another_key_that_an_operator_edited_stays_and_is_named(
    tmp_path: Path, old: bytes, new: bytes, named: str
) -> None:
    """The provider is rolled back by a restart; that the configuration is not the backup's is for a person to judge."""
    with workplace(tmp_path, "env", "restart") as at:
        code, printed = fail_in_window(at, old, new, report=True)
        assert code == 11, printed
        assert re.search(rf"RBK-4\.3 GET config/runtime: the gateway differs from the backup: {named}", printed)
        assert at.loaded()[-1] == FIRST
        assert at.on.file.read_bytes() == FILES["env"][1].encode().replace(old, new)
        written = b"".join(path.read_bytes() for path in at.reports.rglob("*") if path.is_file())
        assert b"-planted-9f3c2b7a" not in written + printed.encode()


def test_the_plan_names_every_write_and_makes_none(tmp_path: Path) -> None:
    with workplace(tmp_path, "yaml", "restart") as at:
        code, printed = at.run("rollout", "plan", "--scenario=scenarios/change.yaml")
        assert code == 0, printed
        assert 'llm.provider = "openai", llm.model = "gpt-4o"' in printed
        assert "service.yaml" in printed
        assert "MON-4: a service behind a file has no alerts" in printed
        assert at.loaded() == [FIRST]
        assert at.on.file.read_bytes() == FILES["yaml"][1].encode()
        assert at.served("ollama") == 0


@pytest.mark.parametrize(("codec", "apply"), [("env", "restart"), ("yaml", "signal"), ("toml", "command")])
def test_an_emergency_edits_the_file_and_has_it_taken_over(tmp_path: Path, codec: str, apply: str) -> None:
    with workplace(tmp_path, codec, apply, stale_for="2s") as at:
        to = ("--provider=openai", "--model=gpt-4o")
        code, printed = at.run("rollout", "emergency", "--target=lab", *to, "--reason=gemma3 is down", "--yes")
        assert code == 0, printed
        assert at.on.file.read_bytes() == edited(codec)
        assert at.loaded()[-1] == SECOND


def test_a_run_that_is_killed_is_rolled_back_by_its_watchdog(tmp_path: Path) -> None:
    with workplace(tmp_path, "toml", "restart") as at:
        run = at.rollout()
        at.await_watched(run)
        run.kill()
        closed = eventually(
            lambda: [entry.body for entry in entries(at.reports) if entry.kind == Kind.CLOSED], "it closes", 90.0
        )
        assert [body["decision"] for body in closed] == ["rolled_back"]
        assert at.loaded()[-1] == FIRST
        assert at.on.file.read_bytes() == FILES["toml"][1].encode()


def test_a_service_that_ignores_the_signal_is_left_as_it_was(tmp_path: Path) -> None:
    """The file holds the change, and the service does not: that is never taken for in effect."""
    with workplace(tmp_path, "json", "signal", ignores_signal=True) as at:
        code, printed = at.end(at.rollout())
        assert code == 10, printed
        assert "reports ollama:gemma3 active instead of openai:gpt-4o" in printed
        assert at.loaded() == [FIRST]
        assert at.on.file.read_bytes() == FILES["json"][1].encode()


def test_users_errors_in_prometheus_roll_the_change_back(tmp_path: Path) -> None:
    """The suite's own requests succeed; only Prometheus, which scrapes the service, knows of the users' failures."""
    insist("prometheus")
    source = {
        "requests": 'llm_requests_total{provider="{provider}"}',
        "errors": 'llm_requests_total{provider="{provider}",status="error"}',
        "up": 'up{job="llm"}',
    }
    with (
        PrometheusServer(tmp_path / "prometheus") as prometheus,
        workplace(tmp_path, "yaml", "command") as at,
        at.users(),
    ):
        prometheus.scrape(llm=at.on.url.removeprefix("http://"))
        prometheus.until('sum(llm_requests_total{provider="ollama"}) > 60')
        at.target["sources"] = {"prometheus": {"url": prometheus.url, **source}}
        at.write("scenarios/change.yaml", SCENARIO.replace("p95: 2s", "p95: 2s, metrics_every: 2s"))
        run = at.rollout()
        at.await_watched(run)
        at.on.folder.set_faults(failing_users=["openai"])
        code, printed = at.end(run)
        assert code == 10, printed
        assert at.loaded()[-1] == FIRST
        (decided,) = [
            entry.body for entry in entries(at.reports) if entry.kind == Kind.VERDICT and entry.body["decided"]
        ]
        assert (decided["clause"], decided["source"]) == ("MON-2", "users")


def test_a_provider_that_an_operator_activated_is_not_overwritten(tmp_path: Path) -> None:
    with workplace(tmp_path, "yaml", "signal", stale_for="2s") as at:
        run = at.rollout()
        at.await_watched(run)
        content = at.on.file.read_bytes().replace(b"openai", b"vllm").replace(b"gpt-4o", b"qwen3")
        at.on.file.write_bytes(content)
        at.on.folder.reload()
        code, printed = at.end(run)
        assert code == 11, printed
        assert at.loaded()[-1] == "vllm:qwen3"
        assert at.on.file.read_bytes() == content
        assert "was changed outside this rollout and is not overwritten" in printed


def test_an_edit_that_the_service_has_not_read_yet_is_not_overwritten(tmp_path: Path) -> None:
    """What is in effect is still this rollout's provider, which fails; the file is an operator's already."""
    with workplace(tmp_path, "env", "restart") as at:
        code, printed = fail_in_window(at, b"LLM_PROVIDER='openai'", b"LLM_PROVIDER='vllm'")
        assert code == 11, printed
        assert at.loaded()[-1] == SECOND
        assert at.on.file.read_bytes() == edited("env").replace(b"openai", b"vllm")
        assert "LLM_PROVIDER holds 'vllm' in the configuration, which this rollout neither found nor wrote" in printed


def test_a_file_that_an_operator_breaks_keeps_the_service_running(tmp_path: Path) -> None:
    """The rollback would restart it, and it would not start with that file: it is left as it serves."""
    old, new = b"  timeout: 30", b"  timeout: [30"
    with workplace(tmp_path, "yaml", "restart") as at:
        run = at.rollout()
        at.await_watched(run)
        pid, loaded = at.on.folder.pid(), at.loaded()
        at.on.file.write_bytes(at.on.file.read_bytes().replace(old, new))
        at.on.folder.set_faults(failing=["openai"])
        code, printed = at.end(run)
        assert code == 11, printed
        assert (at.on.folder.pid(), at.on.folder.answers(), at.loaded()) == (pid, True, loaded)
        assert at.on.file.read_bytes() == edited("yaml").replace(old, new)
        assert re.search(r"service\.yaml:\d+: ", at.steps()["RBK-1.1"]["message"])
        assert "an operator must correct the file, and then run the manual commands" in printed


def test_an_emergency_does_not_restart_on_a_broken_file(tmp_path: Path) -> None:
    with workplace(tmp_path, "yaml", "restart") as at:
        broken = at.on.file.read_bytes().replace(b"timeout: 30", b"timeout: [30")
        at.on.file.write_bytes(broken)
        pid = at.on.folder.pid()
        to = ("--provider=openai", "--model=gpt-4o")
        code, printed = at.run("rollout", "emergency", "--target=lab", *to, "--reason=gemma3 is down", "--yes")
        assert code == 11, printed
        assert (at.on.folder.pid(), at.on.folder.answers(), at.loaded()) == (pid, True, [FIRST])
        assert at.on.file.read_bytes() == broken
        assert re.search(r"EMG-2 failed: failed: \S+service\.yaml:\d+: ", printed)
        assert "correct the file, and then run the manual commands" in printed
