"""``rollout emergency``: one command to the safe provider, in every state of the target (EMG)."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml

from rollout.approvals.obligations import Obligation, ObligationKind, open_of
from rollout.cli.main import main
from rollout.core.clock import SystemClock, format_utc
from rollout.core.kinds import DEFAULT_KIND
from rollout.core.request import Origin
from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.core.wishes import Activate
from rollout.engine import emergency_order
from rollout.engine.cases import in_flight
from rollout.engine.recovery import recover
from rollout.gateway import manual_commands
from rollout.gateway.drivers.selection import describe_writes
from rollout.journal.journal import Journal
from rollout.journal.record import Decision, RolloutRecord
from rollout.journal.replay import replay
from rollout.journal.spool import SPOOL, reconcile
from tests.journal.postgres_server import PostgresServer
from tests.support.channels import webhook
from tests.support.liar import Behaviour, answer
from tests.support.runs import Lab, entries, eventually
from tests.support.services import COMMIT, SECRET, github, job_of

SAFE = {"activate": "vllm", "model": "gemma-3-4b-it"}


class LaterClock(SystemClock):
    """The machine's clock, two minutes ahead."""

    def now(self) -> datetime:
        """Return the time in two minutes."""
        return super().now() + timedelta(minutes=2)


class Alarm:
    """A lab whose target declares a safe provider, and the command."""

    def __init__(self, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
        self.lab, self._capsys = lab, capsys
        lab.target["safe"] = SAFE
        self.out = ""

    def ring(self, *args: str, target: bool = True) -> int:
        """Run the command in this process; return its exit code."""
        self.lab.options()
        where = ["--target=lab"] if target else []
        targets = f"--targets={self.lab.folder / 'targets.yaml'}"
        self._capsys.readouterr()
        code = main(["emergency", *where, targets, f"--reports={self.lab.reports}", *args])
        printed = self._capsys.readouterr()
        self.out = printed.out + printed.err
        return code

    @property
    def record(self) -> RolloutRecord:
        """The emergency's record in the journal."""
        found = entries(self.lab.reports)
        id_ = next(entry.rollout for entry in reversed(found) if "-emergency-" in entry.rollout)
        return replay(id_, entries(self.lab.reports, id_))


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """The reports that are asked for; none is built, because no test here reads one."""
    asked: list[tuple[object, ...]] = []

    def start(*order: object) -> bool:
        asked.append(order)
        return True

    monkeypatch.setattr("rollout.engine.late_report.start", start)
    return asked


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


@pytest.fixture
def alarm(lab: Lab, capsys: pytest.CaptureFixture[str]) -> Alarm:
    return Alarm(lab, capsys)


def test_it_goes_to_the_safe_provider_without_a_question(alarm: Alarm) -> None:
    """EMG-1: one command, no scenario, no prechecks; the provider is active, and a request was answered."""
    assert alarm.ring() == 0
    assert alarm.lab.state().active == "vllm:gemma-3-4b-it"
    assert alarm.lab.writes() == ["vllm"]
    assert "EMERGENCY DONE" in alarm.out


def test_what_was_active_is_noted_and_the_printed_undo_works(
    alarm: Alarm,
) -> None:
    """EMG-1: the printed command activates the previous provider again."""
    alarm.ring()
    undo = alarm.out.partition("to undo: rollout emergency ")[2].splitlines()[0]
    assert "--provider=ollama --model=gemma3:4b" in undo
    assert alarm.ring("--provider=ollama", "--model=gemma3:4b", "--yes") == 0
    assert alarm.lab.state().active == "ollama:gemma3:4b"


def test_its_report_and_the_page_over_all_rollouts_are_left_to_another_process(
    alarm: Alarm, started: list[tuple[object, ...]]
) -> None:
    """The emergency waits for neither."""
    alarm.ring()
    assert [order[1] for order in started] == [alarm.record.id]
    assert not (alarm.lab.reports / "index.html").exists()


def test_where_that_process_cannot_start_the_emergency_writes_the_page_itself(
    alarm: Alarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rollout.engine.late_report.start", lambda *_: False)
    assert alarm.ring("--reason=everything is on fire") == 0
    page = (alarm.lab.reports / "index.html").read_text(encoding="utf-8")
    assert "EMERGENCY DONE" in page
    assert "ollama:gemma3:4b → EMERGENCY vllm:gemma-3-4b-it" in page
    assert "class emergency" in page


def test_a_page_that_cannot_be_written_changes_no_exit_code(alarm: Alarm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollout.engine.late_report.start", lambda *_: False)
    alarm.lab.reports.mkdir(exist_ok=True)
    (alarm.lab.reports / "index.html").mkdir()
    assert alarm.ring() == 0
    assert "EMERGENCY DONE" in alarm.out


def test_the_record_holds_intent_outcome_and_closure(alarm: Alarm, monkeypatch: pytest.MonkeyPatch) -> None:
    """EMG-3: opened, intent, outcome, closed; the operations log has a line; separate duties hold nothing up."""
    for name, value in github("eve").items():
        monkeypatch.setenv(name, value)
    alarm.lab.policy["sandbox"]["separate_duties"] = True
    assert alarm.ring("--reason=everything is on fire") == 0
    record = alarm.record
    assert record.opened["author"] == "eve"
    assert record.run_by == f"eve: emergency (GitHub Actions, {job_of()}, commit {COMMIT[:12]})"
    files = [path for path in alarm.lab.reports.rglob("*") if path.is_file()]
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert [(write.step, write.to, write.result) for write in record.writes] == [
        ("EMG-1", "vllm:gemma-3-4b-it", "done")
    ]
    assert record.opened["before"] == "ollama:gemma3:4b"
    assert (record.decision, record.closed and record.closed["word"]) == (Decision.KEPT, "EMERGENCY DONE")
    assert {clause: step["outcome"] for clause, step in record.steps.items()} == dict.fromkeys(
        ("EMG-1", "EMG-2", "EMG-3"), "passed"
    )
    assert "everything is on fire" in (alarm.lab.reports / "operations.log").read_text()


def open_approvals(alarm: Alarm) -> list[Obligation]:
    return [each for each in open_of(alarm.record) if each.what is ObligationKind.APPROVAL]


def test_a_retrospective_approval_stays_open_until_another_person_gives_it(
    alarm: Alarm, capsys: pytest.CaptureFixture[str]
) -> None:
    """EMG-3: where reviews are demanded one is open afterwards; status lists it with the command that fulfils it."""
    assert alarm.ring() == 0
    (approval,) = open_approvals(alarm)
    assert (
        f"owed: retrospective approval due by {format_utc(approval.due)}: rollout approve {alarm.record.id}"
        in alarm.out
    )
    assert approval.due - datetime.fromisoformat(alarm.record.opened_at) >= timedelta(hours=24)

    where = f"--reports={alarm.lab.reports}"
    assert main(["status", where]) == 0
    assert f"owed    retrospective approval due by {format_utc(approval.due)}" in capsys.readouterr().out
    assert main(["approve", alarm.record.id, where, "--by=bob"]) == 0
    capsys.readouterr()
    assert open_approvals(alarm) == []
    assert main(["status", where]) == 0
    assert "retrospective approval" not in capsys.readouterr().out


def test_the_channels_of_the_policy_are_notified_of_an_emergency_too(alarm: Alarm) -> None:
    alarm.lab.policy["sandbox"]["channels"] = ["LAB_CHANNEL_THAT_IS_NOT_SET"]
    assert alarm.ring() == 0
    assert "the environment variable LAB_CHANNEL_THAT_IS_NOT_SET is not set" in alarm.record.steps["EMG-3"]["message"]


def test_where_no_review_is_demanded_none_is_open_afterwards(alarm: Alarm) -> None:
    alarm.lab.policy["sandbox"]["not_demanded"] = ["PRE-2.2"]
    assert alarm.ring() == 0
    assert open_approvals(alarm) == []


@pytest.mark.parametrize("args", [("--provider=openai", "--model=gpt-4o"), ("--gateway=http://127.0.0.1:9",)])
def test_another_place_is_not_gone_to_unconfirmed(alarm: Alarm, args: tuple[str, ...]) -> None:
    """Another provider or gateway needs a yes; without a terminal it is refused with a message, and nothing is sent."""
    assert alarm.ring(*args) == 4
    assert "give --yes" in alarm.out
    assert alarm.lab.direct.get("/sandbox/requests").json() == []


def test_a_no_on_the_terminal_sends_nothing(alarm: Alarm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any answer but yes is a no."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "")
    assert alarm.ring("--provider=openai", "--model=gpt-4o") == 4
    assert alarm.lab.writes() == []
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    assert alarm.ring("--provider=openai", "--model=gpt-4o") == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--provider=openai",), "together"),
        (("--targets=nowhere.yaml",), "cannot be read"),
        (("--target=lob",), "'lob' is no target"),
    ],
)
def test_a_mistake_is_one_line_and_sends_nothing(alarm: Alarm, args: tuple[str, ...], words: str) -> None:
    """What cannot be done is refused before anything is sent."""
    assert alarm.ring(*args) == 4
    assert words in alarm.out
    assert alarm.lab.writes() == []


def test_a_target_without_a_safe_provider_is_refused(alarm: Alarm) -> None:
    """A provider that is not declared is not guessed."""
    del alarm.lab.target["safe"]
    assert alarm.ring() == 4
    assert "declares no `safe" in alarm.out


def test_a_mistake_elsewhere_in_the_targets_file_does_not_stop_it(alarm: Alarm) -> None:
    """Only this target of the file is read."""
    alarm.lab.options()
    path = alarm.lab.folder / "broken.yaml"
    path.write_text((alarm.lab.folder / "targets.yaml").read_text() + "other: {url: 7, winduws: no}\n")
    assert alarm.ring(f"--targets={path}") == 0


def test_another_kind_of_gateway_gets_no_call_of_the_default_one(alarm: Alarm) -> None:
    """It is refused before anything is sent."""
    alarm.lab.target["kind"] = "toy"
    assert alarm.ring() == 4
    assert "'toy' is no installed kind of gateway" in alarm.out
    assert alarm.lab.writes() == []


def test_the_intent_is_on_disk_before_the_activation_is_sent(alarm: Alarm) -> None:
    """What is written is recorded before it is sent, without waiting for the journal's database."""
    spooled: list[str] = []
    alarm.lab.once(
        "/vllm/activate", lambda: spooled.extend(path.read_text() for path in alarm.lab.reports.glob(f"*/{SPOOL}"))
    )
    assert alarm.ring() == 0
    kinds = [json.loads(line)["kind"] for line in spooled[0].splitlines()]
    assert kinds == ["opened", "intent"]


def test_a_gateway_that_cannot_be_read_is_activated_all_the_same(alarm: Alarm) -> None:
    """A read without an answer does not stop the activation; the output names it."""
    alarm.lab.liar.rule("/config/runtime", answer(500), nth=1)
    assert alarm.ring() == 0
    assert "active was not readable" in alarm.out
    assert alarm.record.opened["before"] is None


def test_an_unreachable_journal_does_not_stop_it(alarm: Alarm, tmp_path: Path) -> None:
    """Everything is spooled, and the next run that reaches a journal enters it, outcome linked to intent."""
    nowhere = "postgresql+psycopg://nobody@127.0.0.1:9/none?connect_timeout=1"
    assert alarm.ring(f"--journal={nowhere}") == 0, alarm.out
    assert alarm.lab.state().active == "vllm:gemma-3-4b-it"
    assert "to be entered by the next run" in alarm.out
    with Journal.open(str(tmp_path / "later.sqlite"), clock=SystemClock()) as journal:
        (id_,) = reconcile(journal, alarm.lab.reports)
        record = replay(id_, journal.entries(id_))
    assert [write.result for write in record.writes] == ["done"]
    assert record.decision is Decision.KEPT


def test_a_gateway_that_only_pretends_is_not_verified(alarm: Alarm) -> None:
    """Deviation 6: success without effect is found by the read-back; the operator gets the manual commands."""
    alarm.lab.direct.put("/sandbox/deviations", json=["activate_without_effect"]).raise_for_status()
    alarm.lab.target["environment"] = "sandbox"
    assert alarm.ring() == 11
    assert "curl -sS -X POST" in alarm.out
    assert alarm.record.decision is Decision.ROLLBACK_FAILED


def test_a_change_that_waits_for_a_restart_gets_one(alarm: Alarm) -> None:
    """EMG-2, deviation 7: where the read-back stays old, the service is restarted, and then the provider is active."""
    alarm.lab.direct.put("/sandbox/deviations", json=["activate_after_restart"]).raise_for_status()
    about = alarm.lab.direct.get("/sandbox/about").json()
    alarm.lab.target["service"] = {"stop": about["stop"], "start": about["start"]}
    assert alarm.ring() == 0, alarm.out
    assert "restarted, healthy after" in alarm.out
    assert alarm.lab.state().active == "vllm:gemma-3-4b-it"


def test_a_refusal_is_eleven_with_the_gateways_words(alarm: Alarm) -> None:
    """A refused activation is not repeated, and nothing is restarted for it."""
    alarm.lab.liar.rule("/vllm/activate", answer(400, {"detail": "not activatable"}))
    assert alarm.ring() == 11
    assert "not activatable" in alarm.out
    assert [write.result for write in alarm.record.writes] == ["refused"]


def test_an_answer_that_is_nested_without_end_is_none(alarm: Alarm) -> None:
    """The activation was sent, so its effect is read back; there is no traceback."""
    deep = b'{"status":' * 100_000
    for path in ("/vllm/activate", "/providers$", "/config/runtime"):
        alarm.lab.liar.rule(path, answer(200, deep), nth=1)
    assert alarm.ring() == 0, alarm.out
    assert alarm.lab.state().active == "vllm:gemma-3-4b-it"


def test_a_targets_file_that_is_nested_without_end_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is sent, and the options that need no file are named."""
    (tmp_path / "targets.yaml").write_text("[" * 900 + "]" * 900, encoding="utf-8")
    assert main(["emergency", "--target=lab", f"--targets={tmp_path / 'targets.yaml'}", f"--reports={tmp_path}"]) == 4
    assert "is not valid YAML" in capsys.readouterr().err


def test_it_takes_over_from_a_rollout_that_holds_the_lease(alarm: Alarm) -> None:
    """The rollout under way stops with the reason, leaves the gateway alone, and is not in flight any more."""
    alarm.lab.scenario["monitor"]["window"] = "40s"
    run = alarm.lab.begin()
    eventually(lambda: any(e.kind == "sample" for e in _entries(alarm.lab)), "the window has begun", 60)
    assert alarm.ring() == 0
    assert "taken over" in alarm.out
    ended = run.end()
    assert "TAKEN OVER" in ended.out
    assert ended.code in (10, 12)
    assert alarm.lab.state().active == "vllm:gemma-3-4b-it"
    taken = next(e.rollout for e in _entries(alarm.lab) if e.kind == "opened" and "-emergency-" not in e.rollout)
    record = replay(taken, entries(alarm.lab.reports, taken))
    assert not record.in_flight
    assert "taken over by emergency" in (record.closed or {})["why"]


SPLIT = {"openai:gpt-4o": 0.1, "ollama:gemma3:4b": 0.9}


def _split(lab: Lab) -> None:
    """Let requests be split as in a canary, by a gateway whose activation leaves that as it is."""
    lab.direct.put("/sandbox/deviations", json=["weights_outlive_activation"]).raise_for_status()
    lab.direct.put("/api/v1/routing/weights", json={"weights": SPLIT}).raise_for_status()


def test_weights_that_the_activation_leaves_are_announced_and_set(alarm: Alarm) -> None:
    """During a canary the safe provider gets every request, not only those that no weight sends elsewhere."""
    _split(alarm.lab)
    assert alarm.ring() == 0
    assert json.loads(alarm.lab.state().weights) == {"vllm:gemma-3-4b-it": 1.0}
    assert alarm.lab.writes() == ["vllm", "/api/v1/routing/weights"]
    assert [write.to for write in alarm.record.writes] == ["vllm:gemma-3-4b-it", "vllm:gemma-3-4b-it 100%"]
    assert "left the requests split by openai:gpt-4o 10%, ollama:gemma3:4b 90%; the weights were set" in alarm.out


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (
            answer(403),
            "left the requests split by openai:gpt-4o 10%, ollama:gemma3:4b 90%, and setting the weights failed",
        ),
        (answer(200, {"status": "success"}), "the gateway answered success, and reports openai:gpt-4o 10%"),
    ],
    ids=["refused", "without effect"],
)
def test_weights_that_cannot_be_set_are_eleven_with_the_command(alarm: Alarm, behaviour: Behaviour, words: str) -> None:
    """An emergency with requests that go elsewhere is not verified."""
    _split(alarm.lab)
    alarm.lab.liar.rule("/routing/weights", behaviour, method="PUT")
    assert alarm.ring() == 11
    assert words in alarm.out
    assert "curl -sS -X PUT" in alarm.out


def test_weights_that_cannot_be_read_are_not_verified(alarm: Alarm) -> None:
    """That every request goes there is not proven."""
    alarm.lab.liar.rule("/routing/weights", answer(500))
    assert alarm.ring() == 11
    assert "how the requests are split is not known" in alarm.out


def test_a_newer_token_is_given_out_before_the_activation(alarm: Alarm) -> None:
    """A rollout that reads the gateway right after the activation is superseded already."""
    alarm.lab.options()
    url, tokens = alarm.lab.liar.url, []
    with Journal.open(str(alarm.lab.reports / "journal.sqlite"), clock=SystemClock()) as journal:
        journal.acquire(url, "r-1", "another run", 60)
        alarm.lab.once("/vllm/activate", lambda: tokens.append(journal.newest_token(url)))
        assert alarm.ring() == 0
    assert tokens == [2]


def test_a_newer_token_is_given_out_with_a_journal_on_postgresql_too(alarm: Alarm, postgres: PostgresServer) -> None:
    """The token does not wait for the journal's library there either."""
    alarm.lab.options()
    url, tokens, journal_url = alarm.lab.liar.url, [], postgres.new_database()
    with Journal.open(journal_url, clock=SystemClock()) as journal:
        journal.acquire(url, "r-1", "another run", 60)
        alarm.lab.once("/vllm/activate", lambda: tokens.append(journal.newest_token(url)))
        assert alarm.ring(f"--journal={journal_url}") == 0
    assert tokens == [2]


def test_limits_that_the_restart_lost_are_put_back(alarm: Alarm) -> None:
    """An unplanned restart must not leave the gateway without its limits."""
    alarm.lab.direct.put("/sandbox/deviations", json=["limits_lost_on_restart"]).raise_for_status()
    about = alarm.lab.direct.get("/sandbox/about").json()
    alarm.lab.target["service"] = {"stop": about["stop"], "start": about["start"]}
    before = alarm.lab.state().limits
    limit = {"limit_type": "cost", "scope": "openai", "soft_limit_usd": 7.5, "hard_limit_usd": 9.5}
    alarm.lab.direct.post("/api/v1/governance/limits", json=limit).raise_for_status()
    set_by_hand = alarm.lab.state().limits
    assert set_by_hand != before
    assert alarm.ring("--restart") == 0, alarm.out
    assert "it lost limits, which were put back: cost provider:openai" in alarm.out
    assert alarm.lab.state().limits == set_by_hand


@pytest.mark.parametrize(
    ("moved_on", "decision", "words"),
    [
        (False, Decision.KEPT, "vllm:gemma-3-4b-it is active"),
        (True, Decision.ROLLBACK_FAILED, "active instead of vllm"),
    ],
)
def test_one_that_was_killed_is_settled_by_recover_without_a_write(
    alarm: Alarm, *, moved_on: bool, decision: Decision, words: str
) -> None:
    """It is recorded as done if its provider is active; else operators are paged. Nothing is sent."""
    lab = alarm.lab
    where = ["--target=lab", f"--targets={lab.folder / 'targets.yaml'}", f"--reports={lab.reports}"]
    lab.options()
    process = subprocess.Popen([sys.executable, "-m", "rollout", "emergency", *where], env=lab.env)
    lab.once("/vllm/activate", process.kill)
    assert process.wait(30) == -signal.SIGKILL
    if moved_on:
        lab.direct.post("/api/v1/providers/ollama/activate", json={"model": "gemma3:4b"}).raise_for_status()
    writes = lab.writes()
    with Journal.open(str(lab.reports / "journal.sqlite"), clock=SystemClock()) as journal:
        assert len(reconcile(journal, lab.reports)) == 1
        (young,) = in_flight(journal)
        assert not young.stranded
    with Journal.open(str(lab.reports / "journal.sqlite"), clock=LaterClock()) as journal:
        (case,) = in_flight(journal)
        assert case.stranded
        closure = recover(journal, case, lab.reports, lab.env)
        assert in_flight(journal) == []
    assert (closure.decision, words in closure.why) == (decision, True), closure.why
    assert bool(closure.commands) == moved_on
    assert lab.writes() == writes
    assert alarm.record.decision is decision


def test_almost_nothing_is_imported_before_the_activation() -> None:
    """The heavy libraries are imported after it, so that it is fast."""
    code = "import sys; import rollout.cli.main, rollout.engine.emergency, yaml; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"pydantic", "sqlalchemy", "httpx", "rich", "starlette", "ssl", "rollout.journal.store"}
    heavy |= {"rollout.config.load", "rollout.core.schemas.validators", "tomllib"}
    assert not heavy & set(loaded) - {"ssl"}


@pytest.mark.parametrize("below", [False, True], ids=["in the target", "below settings"])
def test_the_targets_own_call_is_sent(alarm: Alarm, below: bool) -> None:
    """Deviation 13: where the target names another call for this provider, that is the request."""
    call = {"path": "/api/v1/system/llm-servers/active", "body": {"server_name": "{provider}", "model": "{model}"}}
    own = {"activate_with": {"VLLM": call}}
    alarm.lab.target |= {"kind": DEFAULT_KIND, "settings": own} if below else own
    args = ["--target=lab", "--targets", str(alarm.lab.folder / "targets.yaml"), "--reports", str(alarm.lab.reports)]
    alarm.lab.options()
    written = yaml.safe_load((alarm.lab.folder / "targets.yaml").read_text())["lab"]
    assert (written["settings"] if below else written)["activate_with"]
    import argparse

    parser = argparse.ArgumentParser()
    emergency_order.add_arguments(parser)
    parser.add_argument("--reports", type=Path)
    parser.add_argument("--journal")
    parser.set_defaults(policy=None)
    order = emergency_order.read_order(parser.parse_args(args), {})
    (call,) = describe_writes(order.described, Activate(order.provider, order.model))
    assert (call.path, call.body) == (
        "/api/v1/system/llm-servers/active",
        {"server_name": "vllm", "model": "gemma-3-4b-it"},
    )


def _entries(lab: Lab) -> tuple:  # type: ignore[type-arg]
    try:
        return entries(lab.reports)
    except Exception:  # noqa: BLE001 - the journal is only being made
        return ()


def test_the_team_is_notified_and_the_record_is_written(alarm: Alarm, monkeypatch: pytest.MonkeyPatch) -> None:
    """EMG-3: the message names reason, operator, active provider and undo; the change record has the same."""
    with webhook() as hook:
        alarm.lab.target["notify"] = "LAB_HOOK"
        monkeypatch.setenv("LAB_HOOK", hook.url())
        assert alarm.ring("--reason=everything is on fire") == 0
    (post,) = hook.posts
    assert post["title"] == "EMERGENCY DONE: vllm:gemma-3-4b-it on lab"
    lines = post["message"].splitlines()
    assert any(line.startswith("Why: ") and line.endswith(": everything is on fire") for line in lines)
    assert any(line.startswith("To undo: rollout emergency --target=lab --provider=ollama") for line in lines)
    page = (alarm.lab.reports / alarm.record.id / "change-record.md").read_text()
    assert "| Result | EMERGENCY DONE |" in page
    assert "| Reason | everything is on fire |" in page
    assert "| Before | ollama:gemma3:4b |" in page


@pytest.mark.parametrize("fault", ["channel", "record"])
def test_a_notification_or_a_record_that_fails_is_named(
    alarm: Alarm, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """EMG-3 fails with the reason; the emergency itself stays done."""
    problem = "LAB_HOOK: the environment variable LAB_HOOK is not set"
    if fault == "channel":
        alarm.lab.target["notify"] = ["LAB_HOOK"]
    else:
        problem = "the disk is full"

        def full(*_: object) -> None:
            raise OSError(problem)

        monkeypatch.setattr("rollout.engine.emergency_followup.write_change_record", full)
    assert alarm.ring() == 0
    step = alarm.record.steps["EMG-3"]
    assert (step["outcome"], problem in step["message"]) == ("failed", True), step
    assert f"EMG-3 failed: {problem}" in alarm.out
    assert "EMERGENCY DONE" in alarm.out


def test_the_command_that_messages_name_goes_to_the_url_in_use(alarm: Alarm) -> None:
    """A run with --target and --gateway is taken off the new provider there, not at the target's own URL."""
    url, alarm.lab.target["url"] = alarm.lab.target["url"], "http://127.0.0.1:9"
    in_use = Target("lab", "sandbox", url=url, safe=ProviderChange(SAFE["activate"], SAFE["model"]))
    command = manual_commands.emergency(in_use, Origin(moved=True))
    words = shlex.split(str(command))
    assert words[:3] == ["rollout", "emergency", "--target=lab"]
    assert alarm.ring(*words[3:]) == 0, alarm.out
    assert alarm.lab.state().active == "vllm:gemma-3-4b-it"
