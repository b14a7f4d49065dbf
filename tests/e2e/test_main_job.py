"""The main job, end to end: the suite as a process, on real gateways, judged by what it leaves."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollout.changes.backup import recorded
from rollout.changes.rollback import PROOF
from rollout.core.clauses import CLAUSES, PHASES, planned
from rollout.core.clock import SystemClock
from rollout.journal.journal import Journal
from rollout.journal.record import Decision, Kind
from rollout.reporting.allure import CLOSURE_TITLE, PHASE_TITLES
from rollout.sandbox.process import find
from tests.support.liar import Visit, answer
from tests.support.runs import POLL_S, ROOT, SCENARIO, Lab, Process, Run, entries, junit, on_demand, reports_in, run

SHIPPED = ROOT / "scenarios"
BACK = ["ollama", "openai", "ollama"]
"""The proof of the rollback, the change, and the rollback itself."""


@pytest.fixture
def reports(tmp_path: Path) -> Iterator[Path]:
    """Where runs on on-demand gateways write."""
    with reports_in(tmp_path) as folder:
        yield folder


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A calm gateway of its own."""
    with Lab(tmp_path) as one:
        yield one


def own_scenario(folder: Path, **parts: Any) -> str:
    """Write a small scenario for the embedded gateway, and return the option that names it."""
    content = {**{key: value for key, value in SCENARIO.items() if key != "target"}, **parts}
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return f"--scenario={file}"


def env_of(reports: Path, rollout: str) -> str:
    """Return the `.env` file of a rollout's on-demand gateway, which has ended."""
    assert find(reports / "sandbox" / rollout) is None, "the gateway still runs"
    return (reports / "sandbox" / rollout / ".env").read_text(encoding="utf-8")


def assert_taken_back(ended: Run, lab: Lab, before: Any) -> None:
    """Hold a run to: rolled back, verified, and the gateway is what it was."""
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    assert lab.state() == before
    assert ended.record.decision is Decision.ROLLED_BACK
    steps = ended.record.steps
    assert all(steps[clause]["outcome"] == "passed" for clause in PROOF)
    assert "Traceback" not in ended.out


# Kept


def test_the_quickstart_is_kept_within_a_minute_and_says_why(reports: Path):
    began = time.monotonic()
    ended = run(reports, real=True, report=True)
    assert time.monotonic() - began < 60
    assert (ended.code, ended.word) == (0, "KEPT"), ended.out
    assert f"evidence: {ended.folder}" in ended.out.splitlines()
    assert "exit code: 0 KEPT" in ended.out.splitlines()
    assert on_demand(reports) == []
    assert re.search(r"^ACTIVE_PROVIDER=openai$", env_of(reports, ended.id), re.MULTILINE)
    assert_journal_says_kept(ended)
    assert_evidence_is_complete(ended)


def assert_journal_says_kept(ended: Run) -> None:
    record = ended.record
    assert record.decision is Decision.KEPT
    assert [write.to for write in record.writes] == ["ollama:gemma3:4b", "openai:gpt-4o"]
    assert all(record.phases[phase].passed for phase in PHASES)
    with Journal.open(str(ended.reports / "journal.sqlite"), clock=SystemClock(), create=False) as journal:
        assert len(journal.raw_entries()) == len(journal.entries())
    told = json.loads((ended.folder / "change-record.json").read_text(encoding="utf-8"))
    assert (told["decision"], told["what"], told["ticket"]) == ("kept", ["openai:gpt-4o"], "DEMO-1")
    assert "| Result | KEPT |" in (ended.folder / "change-record.md").read_text(encoding="utf-8")
    assert "KEPT" in (ended.reports / "operations.log").read_text(encoding="utf-8")


def assert_evidence_is_complete(ended: Run) -> None:
    # The quickstart activates a provider, all at once, and changes nothing else: these are not its checks.
    clauses = [clause.id for clause in planned(PHASES) if not clause.id.startswith(("APP-2", "APP-3", "CAN"))]
    assert set(ended.results) == {*clauses, "Closure"}
    assert {result.status for result in ended.results.values()} == {"passed"}
    for clause in clauses:
        labels = ended.result(clause).labels
        assert labels["epic"].startswith(ended.id)
        assert labels["feature"] == PHASE_TITLES[CLAUSES[clause].phase]
        assert labels["story"] == str(CLAUSES[clause])
        assert (labels["owner"], labels["severity"]) == ("alice", labels["severity"])
    assert ended.result("Closure").labels["feature"] == CLOSURE_TITLE
    assert all(result.attachments for clause, result in ended.results.items())
    (results,) = (ended.folder / "allure-results").iterdir()
    surroundings = (results / "environment.properties").read_text(encoding="utf-8")
    assert f"rollout={ended.id}\n" in surroundings
    assert "change=openai:gpt-4o\n" in surroundings
    assert json.loads((results / "executor.json").read_text(encoding="utf-8"))["reportName"] == f"Rollout {ended.id}"
    counts = junit(ended.folder / "junit.xml")
    assert counts == {"tests": len(clauses) + 1, "failures": 0, "errors": 0, "skipped": 0}


def test_a_change_that_is_in_effect_already_is_kept_without_a_write(lab: Lab):
    lab.intrude("openai", "gpt-4o")
    before = lab.state()
    ended = lab.run()
    assert (ended.code, ended.word) == (0, "KEPT"), ended.out
    assert lab.writes() == []
    assert lab.state() == before
    assert "in effect already" in ended.result("APP-4.1").attachments["What happened"]


def test_two_runs_side_by_side_do_not_disturb_each_other(reports: Path, tmp_path: Path):
    kept = Process(reports, own_scenario(tmp_path, sandbox={"users_per_s": 5}))
    other = tmp_path / "other"
    other.mkdir()
    fault = {"provider": "openai", "since": "activation", "answer": "empty"}
    failing = Process(reports, own_scenario(other, sandbox={"users_per_s": 5, "faults": [fault]}))
    first, second = kept.end(), failing.end()
    assert (first.code, second.code) == (0, 10), first.out + second.out
    assert first.id != second.id
    assert "ACTIVE_PROVIDER=openai\n" in env_of(reports, first.id)
    assert "ACTIVE_PROVIDER=ollama\n" in env_of(reports, second.id)
    with Journal.open(str(reports / "journal.sqlite"), clock=SystemClock(), create=False) as journal:
        assert len(journal.raw_entries()) == len(journal.entries())


# The phases as processes


def test_four_phases_are_four_processes_on_a_running_gateway(lab: Lab, tmp_path: Path):
    options = [own_scenario(tmp_path), f"--gateway={lab.sandbox.url}"]

    def phase(name: str, *more: str) -> Run:
        return run(lab.reports, *options, "-m", name, *more)

    cleared = phase("precheck")
    assert (cleared.code, cleared.word, lab.writes()) == (0, "CLEARED", []), cleared.out
    edited = run(lab.reports, own_scenario(tmp_path, ticket="LAB-2"), options[1], "-m", "apply")
    assert edited.code == 1
    assert "apply needs a passed precheck of this very content" in edited.why
    own_scenario(tmp_path)
    applied = phase("apply")
    assert (applied.code, applied.word) == (0, "IN FLIGHT"), applied.out
    repeated = phase("apply")
    assert (repeated.code, lab.writes()) == (0, ["ollama", "openai"]), repeated.out
    rival = run(lab.reports, own_scenario(tmp_path, ticket="LAB-3"), options[1], "-m", "precheck")
    assert rival.code == 13
    assert f"rollout {cleared.id} (openai:gpt-4o) is in flight on this target" in rival.why
    own_scenario(tmp_path)
    assert phase("verify").code == 0
    watched = phase("monitor")
    assert (watched.code, watched.word) == (0, "KEPT"), watched.out
    assert {each.id for each in (cleared, applied, repeated, watched)} == {cleared.id}
    assert lab.state().active == "openai:gpt-4o"
    assert lab.writes() == ["ollama", "openai"]
    assert watched.record.decision is Decision.KEPT


def test_four_phases_share_one_gateway_that_ends_with_the_rollout(reports: Path, tmp_path: Path):
    options = (own_scenario(tmp_path, sandbox={"users_per_s": 5}), "-m")
    urls, pids = set(), set()
    for phase in ("precheck", "apply", "verify"):
        ended = run(reports, *options, phase)
        assert ended.code == 0, ended.out
        urls.add(re.search(r"at (http://127\.0\.0\.1:\d+) \(started on demand\)", ended.out)[1])  # type: ignore[index]
        pids |= {running.pid for running in on_demand(reports)}
    ended = run(reports, *options, "monitor")
    assert (ended.code, ended.word) == (0, "KEPT"), ended.out
    assert len(urls) == len(pids) == 1
    assert on_demand(reports) == []
    assert "ACTIVE_PROVIDER=openai\n" in env_of(reports, ended.id)


def test_a_source_that_is_unavailable_for_a_while_is_notified_and_costs_time_not_the_change(lab: Lab):
    """MON-6: one unavailable source pages and extends once before it rolls back."""
    refused = [lab.liar.rule("/openai/status", answer(500), nth=nth) for nth in range(8, 12)]
    ended = lab.run()
    assert (ended.code, ended.word) == (0, "KEPT"), (ended.out, refused)
    assert "dark once, paged, and the window extended for it: status" in ended.result("MON-6").attachments["Verdict"]
    told = [row for row in ended.record.notified if row["event"] == "dark: status"]
    lines = (lab.reports / "operations.log").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if "NO DATA, status cannot be read" in line]
    assert "status is dark: 3 looks in a row failed" in line
    assert told == [], "the lab's only channel is the log, and it has its line already"


def test_a_phase_without_its_predecessor_fails_with_the_reason_and_touches_nothing(lab: Lab):
    before = lab.state()
    for phase, predecessor in zip(PHASES[1:], PHASES, strict=False):
        lab.reports = lab.folder / f"fresh-{phase}"
        ended = lab.run("-m", phase)
        assert ended.code == 1, ended.out
        assert f"{phase} needs a passed {predecessor} of this very content" in ended.why
    assert lab.writes() == []
    assert lab.state() == before


def test_every_phase_after_a_rollback_answers_10_and_touches_nothing(lab: Lab):
    before = lab.state()
    assert lab.run("-m", "precheck or apply").code == 0
    lab.faults({"provider": "openai", "answer": "empty"})
    assert_taken_back(lab.run("-m", "verify"), lab, before)
    for phase in PHASES[1:]:
        ended = lab.run("-m", phase)
        assert ended.code == 10, ended.out
        assert "rolled back" in ended.why
    assert lab.writes() == BACK


# Rolled back


@pytest.mark.parametrize(
    ("name", "clause", "decides", "limit"),
    [
        (
            "slow-provider",
            "MON-3",
            r"^P95 \d+ ms .* took longer than [\d.]+ ms \(2 x baseline [\d.]+ ms, effective ",
            None,
        ),
        ("failing-provider", "MON-2", r"^error rate \d+\.\d % over .* \(\d+ of \d+ .*requests\) is above 5 %$", 0.05),
        ("provider-goes-offline", "MON-1", r"offline", "connected"),
        ("critical-alert", "MON-4", r"^critical alert BUDGET_EXCEEDED/openai fires .*hard_limit=\$3\.0000", "none"),
    ],
    ids=["slow-provider", "failing-provider", "provider-goes-offline", "critical-alert"],
)
def test_a_shipped_scenario_that_fails_is_rolled_back_and_says_why(
    reports: Path, name: str, clause: str, decides: str, limit: Any
):
    ended = run(reports, f"--scenario={SHIPPED / name}.yaml")
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    assert list(ended.failed) == [clause]
    assert re.search(decides, ended.failed[clause].removeprefix("AssertionError: ").split("\n")[0]), ended.failed
    verdict = ended.record.breach
    assert verdict is not None
    assert (verdict["clause"], verdict["state"]) == (clause, "breached")
    assert limit is None or verdict["limit"] == limit
    if limit is None:
        assert verdict["value"] > verdict["limit"]
    assert verdict["at"]
    assert verdict["samples"] > 0
    told = ended.result("Closure")
    assert f"{clause}: " in told.message
    assert all(f",{step}," in told.attachments["The rollback, step by step"] for step in PROOF)
    backup = recorded(ended.record.backup)
    assert backup.env is not None
    assert env_of(reports, ended.id).encode() == Path(backup.env.path).read_bytes()
    assert ended.why.startswith(f"{clause}: ")
    assert (ended.folder / "post-mortem.md").exists()


@pytest.mark.parametrize(
    ("phases", "path", "clause"),
    [("precheck or apply or verify", "/openai/activate", "VER-1"), (None, "/admin/audit", "MON-1")],
    ids=["verify", "window"],
)
def test_a_provider_that_goes_offline_is_diagnosed(lab: Lab, phases: str | None, path: str, clause: str):
    before = lab.state()
    lab.once(path, lambda: lab.faults({"provider": "openai", "status": "offline"}))
    ended = lab.run(*(("-m", phases) if phases else ()))
    assert_taken_back(ended, lab, before)
    assert clause in ended.failed
    looks_like = "openai looks like: service down or endpoint wrong or network (connection_failed)"
    assert looks_like in ended.result(clause).attachments["Diagnosis"]
    note = (ended.folder / "post-mortem.md").read_text(encoding="utf-8")
    assert looks_like in note
    assert "- seen: connection test fails, offline (connection_failed): Unable to connect to the OpenAI API" in note


def test_a_provider_that_is_out_of_reach_is_diagnosed_before_anything_is_applied(lab: Lab):
    lab.faults({"provider": "openai", "status": "offline"})
    ended = lab.run("-m", "precheck")
    assert "service down" in ended.result("PRE-5.1").attachments["Diagnosis"]
    assert lab.writes() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda each: each.name)
def test_a_signal_within_the_window_rolls_the_change_back(lab: Lab, number: signal.Signals):
    before = lab.state()
    lab.scenario["monitor"]["window"] = "30s"
    process = lab.begin(real=True)
    process.until(Kind.SAMPLE)
    process.signal(number)
    ended = process.end()
    assert_taken_back(ended, lab, before)
    assert f"{number.name} asked the run to stop" in ended.failed["MON-7"]
    assert ended.why.startswith("MON-7: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda each: each.name)
def test_a_signal_while_the_change_is_under_way_rolls_it_back(lab: Lab, number: signal.Signals):
    """The activation lands only after its undo, and is taken back once more when nothing can land any more."""

    async def late(visit: Visit) -> None:
        lab.signal(number)
        while "RBK-2.1" not in steps():  # noqa: ASYNC110 - the journal is another process's
            await asyncio.sleep(POLL_S)
        await visit.reply(await visit.forward())

    def steps() -> set[str]:
        return {entry.body["clause"] for entry in entries(lab.reports) if entry.kind == Kind.STEP}

    before = lab.state()
    lab.liar.rule("/openai/activate", late)
    ended = lab.run(real=True)
    assert_taken_back(ended, lab, before)
    assert lab.writes() == ["ollama", "ollama", "openai", "ollama"]
    assert f"{number.name} asked the run to stop" in ended.why


def test_a_signal_in_the_precheck_ends_the_run_before_any_write(lab: Lab):
    before = lab.state()
    lab.once("/openai/preflight", lab.signal)
    ended = lab.run(real=True)
    assert (ended.code, ended.word) == (2, "NOTHING APPLIED"), ended.out
    assert "SIGTERM asked the run to stop" in ended.why
    assert lab.writes() == []
    assert lab.state() == before


def test_an_abort_from_another_process_rolls_the_change_back(lab: Lab):
    before = lab.state()
    lab.scenario["monitor"]["window"] = "30s"
    process = lab.begin()
    process.until(Kind.SAMPLE)
    asked = Process(lab.reports, "abort", "--reason", "odd answers", module="rollout").end()
    assert asked.code == 0, asked.out
    ended = process.end()
    assert_taken_back(ended, lab, before)
    assert "odd answers" in ended.failed["MON-5"]


def hold(lab: Lab, *args: str) -> str:
    """Call ``rollout hold`` from another process."""
    said = Process(lab.reports, "hold", *args, module="rollout").end()
    assert said.code == 0, said.out
    return said.out


def test_a_held_breach_is_shown_and_rolls_back_once_it_is_released(lab: Lab):
    before = lab.state()
    lab.scenario["monitor"]["window"] = "30s"
    process = lab.begin()
    process.until(Kind.SAMPLE)
    hold(lab, "--for", "5m", "--reason", "the vendor is looking")
    lab.alert("DATA_LOSS", "openai")
    process.until(Kind.HELD)
    assert lab.state().active == "openai:gpt-4o"
    hold(lab, "--release")
    ended = process.end()
    assert_taken_back(ended, lab, before)
    assert "DATA_LOSS" in ended.failed["MON-4"]
    assert re.search(r"MON-4 BREACHED AND NOT ROLLED BACK: held by", ended.out), ended.out
    assert [entry["kind"] for entry in ended.record.holds] == ["hold", "held", "hold"]
    for document in ("change-record.md", "post-mortem.md"):
        text = (ended.folder / document).read_text(encoding="utf-8")
        assert "the vendor is looking" in text
        assert "MON-4 breached and not rolled back" in text


def test_a_breach_that_is_over_before_the_hold_ends_is_kept_and_named(lab: Lab):
    lab.scenario["monitor"]["window"] = "12s"
    process = lab.begin()
    process.until(Kind.SAMPLE)
    hold(lab, "--for", "5m", "--reason", "a restart, announced")
    lab.faults({"provider": "openai", "status": "degraded", "for_s": 2})
    ended = process.end()
    assert (ended.code, ended.word) == (0, "KEPT"), ended.out
    assert "every clause of the plan passed; MON-1 was breached at" in ended.why
    assert "a restart, announced" in ended.why


# The plan comes from the clauses, not from what was collected

VERIFY_3 = "checks/verify/test_audit.py::test_the_audit_log_shows_the_change"
MON_4 = "checks/monitor/test_triggers.py::test_no_critical_alert_fires"
GATE = "checks/precheck/test_3_nonproduction.py::test_every_precheck_is_verified_before_proceeding"
ACTIVATION = "checks/apply/test_1_provider.py::test_the_gateway_reports_exactly_this_provider_and_model"


@pytest.mark.parametrize(
    ("options", "code", "says", "writes"),
    [
        (["-k", "backup"], 1, "NOT RUN", []),
        (["-k", "not test_a_second_person"], 1, "not cleared: PRE-2.2 did not pass", []),
        (["-k", "reports_exactly"], 1, "apply needs a passed precheck", []),
        ([ACTIVATION], 1, "apply needs a passed precheck", []),
        (["--deselect", GATE], 1, "precheck of rollout", []),
        (["--ignore=checks/precheck"], 1, "apply needs a passed precheck", []),
        (["--setup-only"], 1, "NOT RUN", []),
        (["checks/verify"], 1, "verify needs a passed apply", []),
        (["-x", "--deselect", "checks/precheck/test_1_backup.py"], 1, "not cleared", []),
        (["--deselect", VERIFY_3], 10, "VER-3", BACK),
        (["--deselect", MON_4], 10, "MON-4", BACK),
        (["-m", "precheck or apply", "-k", "not still_equals"], 1, "APP-0.2 needs a pass of APP-0.1", []),
    ],
    ids=[
        "few names",
        "all names but one",
        "one name",
        "one node id",
        "without the gate",
        "a folder ignored",
        "set-up only",
        "one folder",
        "a file left out, first failure ends",
        "a verification left out",
        "a trigger left out",
        "a check of apply left out",
    ],
)
def test_what_was_not_run_is_never_vouched_for(lab: Lab, options: list[str], code: int, says: str, writes: list[str]):
    before = lab.state()
    ended = lab.run(*options)
    assert ended.code == code, ended.out
    assert ended.word != "KEPT"
    assert says in ended.out
    assert lab.writes() == writes
    assert lab.state() == before


def test_a_phase_that_is_passed_over_is_refused_before_the_first_request(lab: Lab):
    ended = lab.run("-m", "not verify")
    assert ended.code == 4
    assert "leaves verify out of the middle" in ended.out
    assert lab.liar.requests == []


# Secrets


def test_no_secret_is_left_in_any_file_or_in_the_output(tmp_path: Path):
    token, key = "t0ken-planted-7f3a9c", "sk-planted-51d0e8b2f6a4"
    gateway = tmp_path / "gateway"
    gateway.mkdir()
    content = f"ACTIVE_PROVIDER=ollama\nLLM_MODEL_NAME=gemma3:4b\nOPENAI_API_KEY={key}\nREDIS_PASSWORD={key}-too\n"
    (gateway / ".env").write_text(content, encoding="utf-8")
    with Lab(tmp_path, token=token) as lab:
        before = lab.state()
        lab.once("/admin/audit", lambda: lab.alert("DATA_LOSS", "openai", f"sent {token} to {key}"))
        ended = lab.run(real=True, report=True)
        assert_taken_back(ended, lab, before)
        assert {request.headers["authorization"] for request in lab.liar.seen("POST")} == {f"Bearer {token}"}
        files = [path for path in lab.reports.rglob("*") if path.is_file()]
        leaks = [path for path in files if any(secret.encode() in path.read_bytes() for secret in (token, key))]
        assert len(files) > 50
        assert leaks == []
        assert "sent [redacted] to [redacted]" in ended.out
        assert token not in ended.out
        assert key not in ended.out


def test_ten_mistakes_are_ten_lines_and_no_request(reports: Path):
    ended = run(reports, f"--scenario={ROOT / 'tests' / 'bad_scenarios' / 'ten-mistakes.yaml'}")
    assert ended.code == 4
    assert len(re.findall(r"ten-mistakes\.yaml:\d+: ", ended.out)) == 10, ended.out
    assert not (reports / "journal.sqlite").exists()
