"""The exit code is true of the gateway: what was found broken, each judged by the gateway's own state.

The numbers are those of the list of broken promises; the gateway's truth is ``/sandbox/state``, past every proxy and
whatever its reads show.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rollout.core.clock import SystemClock
from rollout.core.errors import JournalError
from rollout.journal.journal import Journal
from rollout.journal.record import Decision, Kind
from tests.journal.postgres_server import PostgresServer
from tests.support.kinds import ENVIRONMENT, LIMITS, PROVIDER, VERIFY, handle, quick
from tests.support.liar import raw
from tests.support.runs import Lab, Process, Run, entries, eventually

BEFORE, NEW = "ollama:gemma3:4b", "openai:gpt-4o"
FAILING = {"provider": "openai", "since": "activation", "error_share": 1}


def truth(lab: Lab) -> Any:
    """Return what the gateway is, whatever its reads show."""
    return lab.direct.get("/sandbox/state").json()


def limit(lab: Lab) -> float:
    """Return the limit that the change raises from 150 to 250."""
    return float(truth(lab)["cost_limits"]["provider:openai"]["hard_limit_usd"])


def activated(lab: Lab) -> list[str]:
    """Return the providers of all activations that the gateway took, oldest first."""
    return [each["provider"] for each in truth(lab)["activations"]["last"]]


def command(lab: Lab, *args: str) -> Run:
    """Run ``rollout ARGS`` beside the run, to its end."""
    return Process(lab.reports, *args, module="rollout", env=lab.env).end()


def last_served(lab: Lab) -> str:
    """Return who answered the latest completion."""
    _, provider, model, _ = truth(lab)["served"][-1]
    return f"{provider}:{model}"


# 1: reads that lag behind writes


@pytest.mark.parametrize("lag_s", [1, 10])
@pytest.mark.parametrize("kind", ["provider", "limits"])
def test_1_a_write_is_undone_by_a_write_whatever_stale_reads_say(kind: str, lag_s: int, tmp_path: Path):
    """The target does not say that its reads lag, so that apply's read-back fails: the gateway is truly back."""
    change = PROVIDER if kind == "provider" else LIMITS
    with quick(tmp_path, change, stale_reads_s=lag_s) as lab:
        lab.target["timeouts"]["activate"] = "10s"
        run = lab.run()
        assert run.code in {10, 11}, run.out
        assert truth(lab)["active"] == BEFORE
        assert limit(lab) == 150
        assert len(lab.writes()) >= 3, f"the proof, the change and its undo: {lab.writes()}"
        if run.code == 10:
            assert last_served(lab) == BEFORE


def test_1_a_target_that_says_how_far_reads_lag_is_waited_for(tmp_path: Path):
    with quick(tmp_path, PROVIDER, stale_reads_s=2) as lab:
        lab.target["stale_for"] = "2500ms"
        run = lab.run()
        assert (run.code, run.word) == (0, "KEPT"), run.out
        assert truth(lab)["active"] == NEW


def test_1_a_breach_behind_stale_reads_is_verified_when_they_cannot_lag_any_more(tmp_path: Path):
    with quick(tmp_path, PROVIDER, stale_reads_s=2, faults=[FAILING]) as lab:
        lab.target["stale_for"] = "2500ms"
        run = lab.run()
        assert (run.code, run.word) == (10, "ROLLED BACK, verified"), run.out
        assert truth(lab)["active"] == BEFORE
        assert last_served(lab) == BEFORE


@pytest.mark.parametrize("body", [b"<html>moved</html>", b'{"providers": "\xff\xfe"}'], ids=["HTML", "bad UTF-8"])
def test_1_where_reads_are_broken_after_apply_the_undo_is_sent_all_the_same(body: bytes, tmp_path: Path):
    """It cannot be verified, so it is 11 and never 10; the safe provider is not activated on top."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body)
    with quick(tmp_path) as lab:
        lab.target["safe"] = {"activate": "vllm", "model": "gemma-3-4b-it"}
        lab.once("/openai/activate$", lambda: lab.liar.rule("/providers$", raw(head + body)), method="POST")
        run = lab.run()
        assert run.code == 11, run.out
        assert "A PERSON IS NEEDED" in run.out
        assert truth(lab)["active"] == BEFORE
        assert "vllm" not in activated(lab)


# 3: a process that is superseded


def test_3_an_emergency_during_a_rollback_has_the_last_word(tmp_path: Path):
    """The rollback's next write would come after the emergency's: it is never sent, and the rollout ends once."""
    with quick(tmp_path, faults=[FAILING]) as lab:
        done: list[Run] = []
        asked = ["emergency", "--provider=vllm", "--model=gemma-3-4b-it", "--yes"]

        def preempt() -> None:
            kinds = [entry.kind for entry in entries(lab.reports)]
            if Kind.ROLLBACK in kinds and not done:
                done.append(command(lab, *asked, f"--gateway={lab.liar.url}"))

        lab.liar.rule("/alerts", _then(preempt))
        run = lab.run()
        assert done, run.out
        assert done[0].code == 0, done[0].out
        assert truth(lab)["active"] == "vllm:gemma-3-4b-it"
        assert activated(lab)[-1] == "vllm"
        assert run.word == "TAKEN OVER", run.out
        assert run.code == 10, run.out
        assert len(run.record_entries(Kind.CLOSED)) == 1
        assert command(lab, "verify-journal").code == 0


def test_3_what_was_rolled_back_right_before_it_would_be_kept_is_not_kept(tmp_path: Path):
    with quick(tmp_path) as lab:
        done: list[Run] = []
        begun: list[str] = []

        def take_back() -> None:
            phases = [entry for entry in entries(lab.reports) if entry.kind == Kind.PHASE]
            if not begun and any(entry.body["phase"] == "monitor" for entry in phases):
                begun.append(phases[0].rollout)
                done.append(command(lab, "rollback", *begun))

        lab.liar.rule("/config/runtime", _then(take_back))
        run = lab.run()
        assert done, run.out
        assert (done[0].code, run.word, run.code) == (10, "TAKEN OVER", 10), f"{done[0].out}\n{run.out}"
        assert truth(lab)["active"] == BEFORE
        assert [entry.body["decision"] for entry in run.record_entries(Kind.CLOSED)] == [Decision.ROLLED_BACK]
        assert command(lab, "verify-journal").code == 0


# 4 and 5: a journal that hangs, or has lost its tail


@pytest.mark.parametrize("killed", [False, True], ids=["the run", "its watchdog"])
def test_4_a_frozen_journal_does_not_keep_a_failing_change_in_effect(
    killed: bool, postgres: PostgresServer, tmp_path: Path
):
    """PostgreSQL is stopped in mid-window, every request fails: back within 60 s, a true code within 2 minutes."""
    with quick(tmp_path) as lab:
        lab.scenario["monitor"] |= {"window": "120s", "synthetic_every": "1s"}
        url = postgres.new_database()
        run = lab.begin(f"--journal={url}", real=True)
        eventually(lambda: _is_open(url), "the window is open", 60)
        postgres.freeze()
        try:
            lab.faults({"provider": "openai", "error_share": 1})
            if killed:
                run.signal(signal.SIGKILL)
            eventually(lambda: truth(lab)["active"] == BEFORE, f"it is back\n{run.out}", 60)
            ended = run.end(120)
        finally:
            postgres.thaw()
        assert ended.code == (-signal.SIGKILL if killed else 10), ended.out
        assert truth(lab)["active"] == BEFORE


def test_5_a_journal_that_lost_its_tail_in_mid_window_is_no_reason_to_keep(tmp_path: Path):
    with quick(tmp_path) as lab:
        lab.scenario["monitor"]["window"] = "6s"
        run = lab.begin()
        run.until(Kind.WINDOW)
        _cut(lab.reports, to="phase")
        ended = run.end()
        assert ended.code == 10, ended.out
        assert truth(lab)["active"] == BEFORE


def test_5_the_watchdog_knows_what_its_runner_wrote_although_the_journal_does_not(tmp_path: Path):
    """The tail from the first intent on is lost, then the runner is killed: no entry says that it wrote."""
    with quick(tmp_path) as lab:
        lab.scenario["monitor"]["window"] = "20s"
        run = lab.begin(real=True)
        run.until(Kind.WINDOW)
        _cut(lab.reports, to="armed")
        run.signal(signal.SIGKILL)
        eventually(lambda: truth(lab)["active"] == BEFORE, f"the watchdog takes it back\n{run.out}", 60)


# 6 and 7: a provider that takes effect after a restart, and a service that takes its time


def test_6_a_rollback_that_needs_a_restart_gets_one(tmp_path: Path):
    """Active is a provider that takes effect only after a restart, the change is one that does at once."""
    with quick(tmp_path, faults=[FAILING], restart_providers=["ollama"]) as lab:
        handle(lab)
        lab.target["providers"] = {"ollama": {"restart": True}}
        run = lab.run()
        assert (run.code, run.word) == (10, "ROLLED BACK, verified"), run.out
        assert truth(lab)["active"] == BEFORE
        assert last_served(lab) == BEFORE


def test_6_a_read_back_that_stays_old_is_restarted_although_no_target_says_so(tmp_path: Path):
    with quick(tmp_path, faults=[FAILING], restart_providers=["ollama"]) as lab:
        handle(lab)
        run = lab.run()
        assert (run.code, run.word) == (10, "ROLLED BACK, verified"), run.out
        assert truth(lab)["active"] == BEFORE


def test_7_nothing_is_restarted_that_is_right_already(tmp_path: Path):
    with quick(tmp_path, dict(PROVIDER, restart=True)) as lab:
        handle(lab)
        boot = truth(lab)["boot_id"]
        run = lab.run()
        assert (run.code, run.word) == (0, "KEPT"), run.out
        assert truth(lab)["boot_id"] == boot


@pytest.mark.parametrize("fails", [False, True], ids=["kept", "breached"])
def test_7_the_start_up_that_the_target_states_is_waited_for_there_and_back(fails: bool, tmp_path: Path):
    """The service takes longer than any default allows, scaled: 3 s where the target says 6 s."""
    settings: dict[str, Any] = {"startup_s": 3, "faults": [FAILING] if fails else []}
    with quick(tmp_path, [ENVIRONMENT, PROVIDER], **settings) as lab:
        handle(lab)
        lab.target["startup"] = "15s"
        eventually(lambda: lab.direct.get("/health").status_code == 200, "the service has started")
        before = truth(lab)["config"]
        run = lab.run()
        assert run.code == (10 if fails else 0), run.out
        assert truth(lab)["active"] == (BEFORE if fails else NEW)
        assert (truth(lab)["config"] == before) == fails


# 8 and 9: what was changed outside the rollout


def test_8_the_safe_provider_activated_by_hand_is_not_overwritten(tmp_path: Path):
    with quick(tmp_path) as lab:
        lab.target["safe"] = {"activate": "vllm", "model": "gemma-3-4b-it"}
        run = lab.run()
        assert run.code == 0, run.out
        lab.intrude()
        back = command(lab, "rollback", run.id)
        assert back.code == 11, back.out
        assert truth(lab)["active"] == "vllm:gemma-3-4b-it"


def test_9_an_activation_right_before_the_write_is_not_overwritten(tmp_path: Path):
    """It lands after APP-0.2 has proven the rollback: nothing is activated on top, on the way there and back."""
    with quick(tmp_path) as lab:
        lab.once("/openai/test-connection", lab.intrude, nth=3)
        run = lab.run(*VERIFY)
        assert run.code == 11, run.out
        assert truth(lab)["active"] == "vllm:gemma-3-4b-it"
        assert "openai" not in activated(lab)


def test_9_an_activation_between_the_read_and_the_write_is_not_kept(tmp_path: Path):
    """No read can see it any more, but the gateway's audit log does: VER-3 fails, and names who was overwritten."""
    with quick(tmp_path) as lab:

        async def first(visit: Any) -> None:
            lab.intrude()
            await visit.reply(await visit.forward())

        lab.liar.rule("/openai/activate$", first, method="POST", nth=1)
        run = lab.run()
        assert run.code == 10, run.out
        assert re.search(r"activated vllm at .*, between this rollout's own activations", run.failed["VER-3"])
        assert truth(lab)["active"] == BEFORE


def _then(action: Any) -> Any:
    async def behaviour(visit: Any) -> None:
        await asyncio.to_thread(action)
        await visit.reply(await visit.forward())

    return behaviour


def _is_open(url: str) -> bool:
    try:
        with Journal.open(url, clock=SystemClock(), create=False) as journal:
            return any(entry.kind == Kind.SAMPLE for entry in journal.entries())
    except JournalError:
        return False  # it is only being made


def _cut(reports: Path, *, to: str) -> None:
    """Take the journal back to its last entry of a kind, the lease with it, as a replica that lagged would be."""
    with sqlite3.connect(reports / "journal.sqlite", timeout=20) as journal:
        (seq,) = journal.execute("SELECT max(seq) FROM rollout_entry WHERE kind = ?", (to,)).fetchone()
        journal.execute("DELETE FROM rollout_entry WHERE seq > ?", (seq,))
