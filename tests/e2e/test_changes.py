"""Every kind of change, end to end: kept, rolled back, cut short, and edited from outside meanwhile."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rollout.gateway.host.env_text import values
from tests.support.kinds import (
    APPLY,
    ENVIRONMENT,
    LIMITS,
    LIMITS_BEFORE,
    PROVIDER,
    VERIFY,
    first_time,
    look,
    quick,
    sent,
    switch,
    writes,
    wrong_answers,
)
from tests.support.liar import answer
from tests.support.runs import Lab, Run, entries, eventually

KINDS: dict[str, Any] = {
    "provider": PROVIDER,
    "environment": ENVIRONMENT,
    "limits": LIMITS,
    "all three": [PROVIDER, ENVIRONMENT, LIMITS],
}
each_kind = pytest.mark.parametrize("kind", KINDS)

BEFORE = "ollama:gemma3:4b"
OF_ENVIRONMENT = ".env MAX_CONTEXT_TOKENS, LOG_LEVEL"
OF_LIMITS = "cost limits of openai"
FORWARD = {
    "provider": ["openai:gpt-4o"],
    "environment": [OF_ENVIRONMENT, "restart"],
    "limits": [OF_LIMITS],
    "all three": ["openai:gpt-4o", OF_ENVIRONMENT, "restart", OF_LIMITS],
}
BACK = {
    "provider": [BEFORE],
    "environment": [".env", "restart"],
    "limits": [OF_LIMITS],
    # The restored file names the previous provider already: what was written is undone by a write all the same.
    "all three": [OF_LIMITS, ".env", "restart", BEFORE],
}


def all_writes(kind: str, *, back: bool) -> list[tuple[str, str]]:
    """Return what has to be written, in order: the proof of the rollback, the changes, and their undoing."""
    there = [("proof", BEFORE), *(("forward", what) for what in FORWARD[kind])]
    return there + ([("back", what) for what in BACK[kind]] if back else [])


def assert_as_before(run: Run, *, code: int = 10) -> None:
    assert (run.code, run.word) == (code, "ROLLED BACK, verified"), run.out
    assert run.record.steps["RBK-4.3"]["message"] == "the diff is empty"
    assert "Traceback" not in run.out


# Kept, and applied again


@each_kind
def test_a_change_is_kept_and_in_effect_and_once_more_writes_nothing(kind: str, tmp_path: Path):
    """APP-4.1: what is in effect is recognised, so a second rollout of the same scenario sends no write at all."""
    with quick(tmp_path, KINDS[kind]) as lab:
        before = look(lab)
        run = lab.run()
        assert (run.code, run.word) == (0, "KEPT"), run.out
        assert writes(run) == all_writes(kind, back=False)
        after = look(lab)
        wanted = FORWARD[kind]
        assert after.active == ("openai:gpt-4o" if PROVIDER_IN[kind] else BEFORE)
        assert (after.config["MAX_CONTEXT_TOKENS"] == "8000") == (OF_ENVIRONMENT in wanted)
        assert ('"hard_limit_usd": 250' in after.limits) == (OF_LIMITS in wanted)
        lines = after.env.splitlines()
        assert [line for line in before.env.splitlines() if line not in lines] == OLD_LINES[kind]
        reached = sent(lab)
        again = lab.run()
        assert (again.code, again.word) == (0, "KEPT"), again.out
        assert writes(again) == []
        assert sent(lab) == reached
        assert look(lab) == after


PROVIDER_IN = {kind: "openai:gpt-4o" in forward for kind, forward in FORWARD.items()}
OLD_LINES = {
    "provider": [b"ACTIVE_PROVIDER=ollama", b"LLM_MODEL_NAME=gemma3:4b"],
    "environment": [b"MAX_CONTEXT_TOKENS=4000"],
    "limits": [],
    "all three": [b"ACTIVE_PROVIDER=ollama", b"LLM_MODEL_NAME=gemma3:4b", b"MAX_CONTEXT_TOKENS=4000"],
}
"""Lines of the `.env` file that are another after the change; every other one stays."""


# Rolled back


@each_kind
def test_a_change_that_fails_its_verification_is_undone_in_reverse_to_the_byte(kind: str, tmp_path: Path):
    with quick(tmp_path, KINDS[kind]) as lab:
        before = look(lab)
        wrong_answers(lab, before)
        run = lab.run(*VERIFY)
        assert_as_before(run)
        assert "model gpt-3.5 answered instead of" in run.failed["VER-2"]
        assert writes(run) == all_writes(kind, back=True)
        assert look(lab) == before


def test_where_the_third_of_five_fails_those_before_are_undone_in_reverse_and_the_others_never_sent(tmp_path: Path):
    first = {"limits": "cost", "scope": "global", "soft_limit_usd": 20, "hard_limit_usd": 40}
    second = {"limits": "cost", "scope": "openai", "soft_limit_usd": 200, "hard_limit_usd": 250}
    third = {"limits": "rate", "scope": "global", "max_requests_per_minute": 500}
    with quick(tmp_path, [first, second, third, PROVIDER, ENVIRONMENT]) as lab:
        before = look(lab)
        lab.liar.rule("/limits", answer(400, {"detail": "not today"}), method="POST", nth=3)
        run = lab.run(*APPLY)
        assert_as_before(run)
        assert "APP-3.1 (Governance limits are updated) failed before it" in run.failed["APP-1.1"]
        assert "not today" in run.why
        assert writes(run) == [
            ("proof", BEFORE),
            ("forward", "cost limits of global"),
            ("forward", OF_LIMITS),
            ("forward", "rate limits of global"),
            ("back", OF_LIMITS),
            ("back", "cost limits of global"),
        ]
        sent_limits = [each.json["scope"] for each in lab.liar.seen("POST", "/limits")]
        assert sent_limits == ["global", "openai", "global", "openai", "global"]
        assert look(lab) == before


# A service that does not come back


@pytest.mark.parametrize("kind", ["environment", "all three"])
@pytest.mark.parametrize(
    ("start", "clause", "says"),
    [
        ("sys.exit('port 8000 is taken')", "APP-2.2", "port 8000 is taken"),
        ("sys.exit(0)", "APP-2.3", "the service is not healthy after"),
        ("time.sleep(60)", "APP-2.2", "did not end within 4 s, and was killed"),
    ],
    ids=["start fails", "never healthy", "start hangs"],
)
def test_a_service_that_does_not_come_up_is_rolled_back_in_time(
    kind: str, start: str, clause: str, says: str, tmp_path: Path
):
    """Also the limits are, although they can be reached only after the rollback's own restart."""
    change = (
        [{**ENVIRONMENT, "startup": "2s"}]
        if kind == "environment"
        else [
            PROVIDER,
            {**ENVIRONMENT, "startup": "2s"},
            LIMITS,
        ]
    )
    with quick(tmp_path, change, wrap=True) as lab:
        lab.target["service"]["timeout"] = "4s"
        lab.target["startup"] = "2s"
        before = look(lab)
        first_time(lab, "start", start)
        began = time.monotonic()
        run = lab.run(*APPLY)
        assert_as_before(run)
        assert time.monotonic() - began < 40
        assert says in run.failed[clause]
        assert look(lab) == before


def test_a_runner_that_is_killed_during_the_restart_is_made_good_by_its_watchdog(tmp_path: Path):
    """SIGKILL while the service is down: the file is restored byte for byte, and the service started again."""
    with quick(tmp_path, [PROVIDER, LIMITS, ENVIRONMENT], wrap=True) as lab:
        before = look(lab)
        # The verdict waits until neither command can land any more.
        lab.target["service"]["timeout"] = "4s"
        # Nobody ends this one: it must not start a gateway when the test is over.
        first_time(lab, "start", "time.sleep(60); sys.exit(1)")
        lab.begin(*APPLY)
        eventually((tmp_path / "start-was-called").exists, "the start command")
        lab.signal(signal.SIGKILL)
        closed = eventually(lambda: _closed(lab), "the watchdog's verdict", within_s=60)
        assert closed["decision"] == "rolled_back", closed
        assert "watchdog: the runner died" in closed["why"]
        assert look(lab) == before


def _closed(lab: Lab) -> Any:
    return next((entry.body for entry in entries(lab.reports) if entry.kind == "closed"), None)


# Changes from outside


def test_an_edit_of_the_env_file_during_the_bake_is_kept_and_only_our_keys_are_put_back(tmp_path: Path):
    with quick(tmp_path, ENVIRONMENT) as lab:
        file = lab.sandbox.env_file
        before = file.read_bytes()

        def edit() -> None:
            file.write_bytes(file.read_bytes().replace(b"AI_MODE=LOCAL", b"AI_MODE=CLOUD # by hand"))

        lab.once("/admin/audit", lambda: lab.once("/alerts", edit), nth=2)
        run = lab.run()
        assert (run.code, run.word) == (11, "ROLLBACK FAILED"), run.out
        assert "the .env file was edited since; only this rollout's keys were put back" in run.why
        assert file.read_bytes() == before.replace(b"AI_MODE=LOCAL", b"AI_MODE=CLOUD # by hand")
        assert look(lab).config["MAX_CONTEXT_TOKENS"] == "4000"


def test_a_limit_of_ours_that_was_changed_outside_during_the_window_is_left_alone(tmp_path: Path):
    """Neither kept, as if it were still what was verified, nor overwritten by the rollback."""
    with quick(tmp_path, LIMITS) as lab:
        theirs = {"limit_type": "cost", "scope": "openai", "soft_limit_usd": 1.0, "hard_limit_usd": 2.0}
        lab.once("/admin/audit", lambda: lab.direct.post("/api/v1/governance/limits", json=theirs).raise_for_status())
        run = lab.run()
        assert (run.code, run.word) == (11, "ROLLBACK FAILED"), run.out
        assert "cost provider:openai limits were changed since, and are not overwritten" in run.why
        assert json.loads(look(lab).limits)["cost"]["provider:openai"] == {"soft_limit_usd": 1.0, "hard_limit_usd": 2.0}


def test_a_key_of_ours_that_was_changed_outside_during_the_window_is_left_alone(tmp_path: Path):
    with quick(tmp_path, ENVIRONMENT) as lab:
        file = lab.sandbox.env_file

        def edit() -> None:
            file.write_bytes(file.read_bytes().replace(b"MAX_CONTEXT_TOKENS=8000", b"MAX_CONTEXT_TOKENS=1234"))

        lab.once("/admin/audit", lambda: lab.once("/alerts", edit), nth=2)
        run = lab.run()
        assert (run.code, run.word) == (11, "ROLLBACK FAILED"), run.out
        assert b"MAX_CONTEXT_TOKENS=1234" in file.read_bytes()


# What a value may be, and where it may go

ODD = {
    "SIMPLE_MODE_SYSTEM_PROMPT": "Answer # briefly",
    "UI_THEME_DEFAULT": """it's "dark" \\ #1""",
    "EMBEDDING_MODEL": "two\nlines = $HOME ${HOME}",
    "SUMMARY_STRATEGY": " blanks around ",
}


def test_odd_values_read_back_equal_and_a_removed_key_is_gone(tmp_path: Path):
    with quick(tmp_path, {"set": ODD, "remove": ["AI_MODE"]}) as lab:
        before = look(lab)
        run = lab.run(*VERIFY)
        assert run.code == 0, run.out
        assert {key: look(lab).config.get(key) for key in ODD} == ODD
        now = values(lab.sandbox.env_file.read_bytes())
        assert {key: now.get(key) for key in ODD} == ODD
        assert "AI_MODE" not in now
        assert "AI_MODE" in before.config
        assert b"# --- What an activation has no business with ---" in lab.sandbox.env_file.read_bytes()


SECRET = "kP9/+x7d w4Zr1#Tq"


def test_a_secret_is_in_effect_and_appears_nowhere(tmp_path: Path):
    """Not in the reports, the journal, the output, nor in any process's arguments, also where commands print it."""
    with quick(tmp_path, {"secret": {"REDIS_PASSWORD": "NEW_PASSWORD"}}, wrap=True) as lab:
        lab.env["NEW_PASSWORD"] = SECRET
        first_time(lab, "stop", "print('stopping with', os.environ['NEW_PASSWORD'], flush=True)")
        with arguments_of_all_processes() as arguments:
            run = lab.run()
        assert run.code == 0, run.out
        assert values(lab.sandbox.env_file.read_bytes())["REDIS_PASSWORD"] == SECRET
        assert look(lab).config["REDIS_PASSWORD"].startswith("kP9/*")
        assert "stopping with" in run.result("APP-2.2").attachments["Output of the commands"]
        assert SECRET not in run.out
        assert arguments
        assert not [each for each in arguments if SECRET in each]
        files = [path for path in lab.reports.rglob("*") if path.is_file()]
        assert len(files) > 50
        assert not [path for path in files if SECRET.encode() in path.read_bytes()]
        journal = (lab.folder / "lab.yaml").read_text(), str(entries(lab.reports))
        assert SECRET not in "".join(journal)


@contextmanager
def arguments_of_all_processes() -> Iterator[set[str]]:
    """Collect the arguments of every process that this machine runs meanwhile."""
    found: set[str] = set()
    over = threading.Event()

    def collect() -> None:
        while not over.wait(0.02):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    found.add(file.read_bytes().decode(errors="replace"))
                except OSError:
                    continue  # it has ended meanwhile

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


WRITE = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_bytes(sys.stdin.buffer.read())"


def test_an_env_file_behind_commands_is_read_written_and_restored_by_them(tmp_path: Path):
    """The backup holds secrets: it lies with this user's state then, and never in the reports, which are uploaded."""
    with quick(tmp_path, ENVIRONMENT, wrap=True) as lab:
        path = str(lab.sandbox.env_file)
        lab.target["env_file"] = "none"
        lab.target["service"] |= {"read": ["/bin/cat", path], "write": [sys.executable, "-c", WRITE, path]}
        before = look(lab)
        wrong_answers(lab, before)
        run = lab.run(*VERIFY)
        assert_as_before(run)
        assert look(lab) == before
        [copy] = (tmp_path / "state").rglob("*.env")
        assert copy.read_bytes() == before.env
        assert copy.stat().st_mode & 0o777 == 0o600
        assert not [file for file in lab.reports.rglob("*") if file.is_file() and before.env in file.read_bytes()]


# Limits


@pytest.mark.parametrize("kind", ["environment", "all three"])
@pytest.mark.parametrize("verified", [True, False], ids=["kept", "taken back"])
def test_limits_that_a_restart_loses_are_put_back(kind: str, verified: bool, tmp_path: Path):
    """A restart of ours answers for all limits, there and back, and whatever order the changes stand in."""
    several = [LIMITS, ENVIRONMENT, PROVIDER] if verified else [PROVIDER, ENVIRONMENT, LIMITS]
    change = ENVIRONMENT if kind == "environment" else several
    with quick(tmp_path, change) as lab:
        switch(lab, "limits_lost_on_restart")
        before = look(lab)
        if not verified:
            wrong_answers(lab, before)
        run = lab.run(*VERIFY)
        if not verified:
            assert_as_before(run)
            assert look(lab) == before
            return
        assert run.code == 0, run.out
        told = run.result("APP-2.4").attachments["What happened"]
        assert "the restart lost limits, which were put back: cost provider:openai" in told
        hard = 150 if kind == "environment" else 250
        assert f'"provider:openai": {{"hard_limit_usd": {hard}' in look(lab).limits


FOR_GOOD = {"limits": "cost", "scope": "vllm", "soft_limit_usd": 5, "hard_limit_usd": 6}


def test_a_limit_that_could_not_be_taken_away_again_is_refused_before_anything_is_written(tmp_path: Path):
    with quick(tmp_path, FOR_GOOD) as lab:
        lab.policy["sandbox"]["limits_for_good"] = "refuse"
        before = look(lab)
        run = lab.run("-m", "precheck")
        assert (run.code, run.word) == (1, "NOTHING APPLIED"), run.out
        assert "provider:vllm has no cost limits now, and the gateway cannot take limits away" in run.failed["PRE-2.4"]
        assert (sent(lab), look(lab)) == ([], before)


def test_a_limit_that_the_policy_accepts_for_good_is_a_rollback_that_failed_and_says_so(tmp_path: Path):
    with quick(tmp_path, FOR_GOOD) as lab:
        lab.policy["sandbox"]["limits_for_good"] = "accept"
        before = look(lab)
        wrong_answers(lab, before)
        run = lab.run(*VERIFY)
        assert (run.code, run.word) == (11, "ROLLBACK FAILED"), run.out
        assert "cost provider:vllm had no limits before, and the gateway cannot take limits away" in run.why
        assert look(lab).env == before.env
        assert LIMITS_BEFORE.keys() < set(lab.direct.get("/api/v1/governance/status").json()["cost_limits"])
