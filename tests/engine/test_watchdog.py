"""The watchdog: it rolls back when the runner is gone, by deadline after a handover, and never otherwise."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rollout.changes.backup import take
from rollout.core.errors import JournalError, RolloutError
from rollout.engine import watchdog
from rollout.engine.watchdog import Watch
from rollout.journal.record import Decision, Kind
from tests.support.liar import passed_on
from tests.support.rollouts import rollout_in
from tests.support.runs import ROOT, eventually
from tests.torture.support import Bench, held, settled

pytest_plugins = ["tests.torture.fixtures"]

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024


@pytest.fixture
def bench(bench: Bench) -> Bench:
    """A bench whose runs start their watchdogs as people's runs do."""
    bench.real_watchdog = True
    return bench


def in_the_window(bench: Bench, action: Callable[[], object]) -> None:
    """Do the action in the middle of the window: the new provider's metrics are read for the tenth time."""
    bench.liar.rule("/openai/metrics", held(action, passed_on()), nth=10)


def watchdog_of(bench: Bench) -> int:
    """Return the one watchdog's pid."""
    return eventually(bench.watchdogs, "a watchdog runs")[0]


def status(pid: int, field: str) -> int:
    """Return a field of ``/proc/PID/status`` in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def cpu_s(pid: int) -> float:
    """Return the seconds of processor that a process has used."""
    parts = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) * TICK_S


def decision(bench: Bench) -> Decision | None:
    """Return how the newest rollout ended."""
    record = bench.record()
    return None if record is None else record.decision


def handed_over(bench: Bench, confirm_within: str = "60s") -> int:
    """Apply the change, let the run end in order, and return the watchdog that is left."""
    bench.policy["sandbox"]["confirm_within"] = confirm_within
    assert bench.begin("-m", "precheck or apply").wait(60) == 0, bench.output
    return watchdog_of(bench)


# At once


def test_a_runner_that_is_killed_is_replaced_within_two_seconds(bench: Bench):
    """The previous provider is active again, without an operator, two seconds after SIGKILL in mid-window."""
    bench.scenario["monitor"]["window"] = "30s"
    bench.scenario["monitor"]["dark_in_a_row"] = 50
    killed: list[float] = []

    def kill() -> None:
        killed.append(time.time())
        run.kill()

    in_the_window(bench, lambda: eventually(lambda: ready, "the run is known") and kill())
    ready: list[bool] = []
    run = bench.begin()
    ready.append(True)
    assert run.wait(60) == -signal.SIGKILL
    eventually(lambda: bench.look().active == bench.before.active, "the previous provider is active", 30)
    took_s = time.time() - killed[0]
    # Two seconds take longer where more processes run than the machine has processors.
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert took_s <= 2.0 * busy, f"{took_s:.1f} s on a machine that is {busy:.1f} times busy"
    settled(bench, None)
    record = bench.record()
    assert record is not None
    assert "watchdog: the runner died" in str(record.closed)


def test_what_it_did_is_in_the_journal_and_in_the_operations_log(bench: Bench):
    bench.begin(entry="outcome 2", do="SIGKILL").wait(60)
    bench.settle()
    steps = [entry.body["clause"] for entry in bench.entries() if entry.kind == Kind.STEP]
    assert steps[:7] == ["RBK-1.1", "RBK-1.2", "RBK-2.1", "RBK-2.2", "RBK-4.1", "RBK-4.2", "RBK-4.3"]
    log = (bench.reports / "operations.log").read_text(encoding="utf-8")
    assert "ROLLED BACK, verified: openai:gpt-4o on lab: watchdog: the runner died" in log

    def listed() -> list[str]:
        return [row[0] for e in bench.entries() if e.kind == Kind.MANIFEST for row in e.body["files"]]

    # The list of the files of watchdog and runner comes last.
    assert "post-mortem.md" in eventually(listed, "the watchdog has listed the files", 30)


@pytest.mark.parametrize("entry", ["closed 1", "step 1"])
def test_it_leaves_a_change_alone_that_is_kept(bench: Bench, entry: str):
    bench.begin(entry=entry, do="SIGKILL").wait(60)
    settled(bench, None)
    assert decision(bench) is Decision.KEPT
    assert len(bench.liar.seen("POST", "/ollama/activate$")) == 1, "only the proof"


def test_it_publishes_the_verdict_that_its_runner_had_no_time_to_publish(bench: Bench):
    """A change that is kept is in the change record and in the operations log, and its files are listed."""
    bench.begin(entry="closed 1", do="SIGKILL").wait(60)
    settled(bench, None)
    record = json.loads(next(bench.reports.glob("*/change-record.json")).read_text(encoding="utf-8"))
    assert (record["decision"], record["why"]) == (Decision.KEPT, "every clause of the plan passed")
    assert "KEPT: openai:gpt-4o on lab" in (bench.reports / "operations.log").read_text(encoding="utf-8")
    assert bench.entries()[-1].kind == Kind.MANIFEST


def test_a_published_ending_is_not_published_again(bench: Bench):
    bench.begin(entry="traces 1", do="SIGKILL").wait(60)
    settled(bench, None)
    log = (bench.reports / "operations.log").read_text(encoding="utf-8")
    assert log.count("KEPT: openai:gpt-4o on lab") == 1


def test_it_leaves_a_change_alone_that_is_rolled_back_already(bench: Bench):
    bench.scenario["monitor"]["window"] = "30s"
    in_the_window(bench, lambda: run.kill(signal.SIGTERM))
    run = bench.begin(entry="closed 1", do="SIGKILL")
    run.wait(60)
    settled(bench, None)
    assert decision(bench) is Decision.ROLLED_BACK
    assert len([each for each in bench.entries() if each.kind == Kind.ROLLBACK]) == 1


def test_it_is_armed_before_the_first_write(bench: Bench):
    assert bench.begin().wait(60) == 0
    kinds = [entry.kind for entry in bench.entries()]
    assert kinds.index(Kind.ARMED) < kinds.index(Kind.INTENT)


def test_a_run_without_an_armed_watchdog_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rollout = rollout_in(tmp_path)
    rollout.folder.mkdir(parents=True)
    rollout.take_lease()
    session: Any = SimpleNamespace(rollout=rollout, journal_url=str(tmp_path / "journal.sqlite"))
    for program, why in (("/bin/false", "was not armed"), ("/nowhere/python", "cannot be started")):
        monkeypatch.setattr(watchdog.sys, "executable", program)
        with pytest.raises(RolloutError, match=f"{why}.*nothing is applied"):
            watchdog.arm(session)
    assert rollout.record().armed is None


def test_it_does_not_arm_without_the_lease(tmp_path: Path):
    """A watchdog without the lease must not promise a rollback."""
    rollout = rollout_in(tmp_path)
    rollout.folder.mkdir(parents=True)
    session: Any = SimpleNamespace(rollout=rollout, journal_url=str(tmp_path / "journal.sqlite"))
    with pytest.raises(RolloutError, match="was not armed"):
        watchdog.arm(session)


# After a handover


def test_after_a_handover_it_rolls_back_without_a_confirmation_in_time(bench: Bench):
    handed_over(bench, "2s")
    settled(bench, None)
    record = bench.record()
    assert record is not None
    assert record.decision is Decision.ROLLED_BACK
    assert "the change was not confirmed by" in str(record.closed)


def test_it_leaves_when_the_next_phase_has_armed_a_newer_one(bench: Bench):
    first = handed_over(bench)
    assert bench.begin("-m", "verify").wait(60) == 0, bench.output
    eventually(lambda: first not in bench.watchdogs(), "the older watchdog leaves")
    assert watchdog_of(bench) != first
    assert bench.look().active == "openai:gpt-4o"
    assert bench.begin("-m", "monitor").wait(60) == 0, bench.output
    settled(bench, None)
    assert decision(bench) is Decision.KEPT


def test_it_is_gone_after_the_closure(bench: Bench):
    assert bench.begin().wait(60) == 0
    eventually(lambda: not bench.watchdogs(), "no watchdog is left", 5)


# What it costs, and what it keeps open


def test_it_waits_in_64_mb_and_without_a_processor(bench: Bench):
    """While it waits for the pipe of a runner that lives, and while it waits for a deadline."""
    seen: list[tuple[int, float]] = []

    def measure() -> None:
        pid = watchdog_of(bench)
        time.sleep(0.5)  # the arming itself is not waiting
        before = cpu_s(pid)
        time.sleep(2)
        seen.append((status(pid, "VmRSS"), cpu_s(pid) - before))

    bench.liar.rule("/admin/audit", held(measure, passed_on()))
    bench.target["timeouts"]["read"] = "20s"
    bench.policy["sandbox"]["confirm_within"] = "60s"
    assert bench.begin("-m", "precheck or apply or verify").wait(60) == 0, bench.output
    measure()
    (pipe_rss, pipe_cpu), (deadline_rss, deadline_cpu) = seen
    assert pipe_rss <= 64 * MIB
    assert deadline_rss <= 64 * MIB
    assert pipe_cpu <= 2 * TICK_S
    assert deadline_cpu <= 5 * TICK_S


def test_it_stays_in_64_mb_while_it_rolls_back(bench: Bench):
    peak: list[int] = []
    bench.liar.rule(
        "/ollama/status", held(lambda: peak.append(status(watchdog_of(bench), "VmHWM")), passed_on()), nth=1
    )
    bench.begin(entry="outcome 2", do="SIGKILL").wait(60)
    settled(bench, None)
    assert peak[0] <= 64 * MIB


def test_a_pipe_behind_pytest_does_not_wait_for_it(bench: Bench):
    """``pytest | cat`` returns although the watchdog lives on: it inherits neither stdout nor stderr."""
    bench.policy["sandbox"]["confirm_within"] = "60s"
    args = [*bench.options(), f"--reports={bench.reports}", "-p", "no:cacheprovider", "-m", "precheck or apply"]
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", *args], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 0, out.decode()
    assert bench.watchdogs()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_it_survives_what_ends_a_terminal_or_a_job(bench: Bench, number: signal.Signals):
    pid = handed_over(bench, "3s")
    os.kill(pid, number)
    settled(bench, None)
    assert decision(bench) is Decision.ROLLED_BACK


def test_a_ci_system_does_not_find_it_by_its_environment():
    assert "RUNNER_TRACKING_ID" not in watchdog._environment({"RUNNER_TRACKING_ID": "github_1", "PATH": "/bin"})


def test_its_command_line_shows_no_secret(bench: Bench):
    pid = handed_over(bench)
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    assert words[1:] == [b"-m", b"rollout.engine.watchdog", b""]


# A journal that cannot be reached


class _Lost:
    """A journal that cannot be read any more; everything else about it is the real one's."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        if name in {"host", "now"}:
            return getattr(self._journal, name)

        def fails(*_: object, **__: object) -> Any:
            raise JournalError("the journal cannot be reached")

        return fails


def _in_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Watch, list[str]]:
    """Return a watch over a change in effect whose journal is lost, and the reasons of its rollbacks."""
    rollout = rollout_in(tmp_path)
    rollout.take_lease()
    backup = take(
        rollout.gateway, rollout.target, rollout.folder, clock=rollout.clock, redact=rollout.redactor.value, label="r"
    )
    rollout.append(Kind.BACKUP, **backup.record())
    rollout.append(Kind.INTENT, step="APP-1.2", direction="forward", to="openai:gpt-4o")
    rollout.record()
    gateway: Any = rollout.gateway
    gateway.active, gateway.config["LLM_MODEL_NAME"] = "openai", "gpt-4o"
    reasons: list[str] = []
    monkeypatch.setattr(watchdog, "roll_back_and_close", lambda _rollout, why, *_: reasons.append(why))
    rollout.journal = _Lost(rollout.journal)  # type: ignore[assignment]
    return Watch(rollout, 0, {}), reasons


def test_without_a_journal_it_acts_as_the_sole_owner_after_a_grace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    watch, reasons = _in_flight(tmp_path, monkeypatch)
    began = watch.rollout.clock.monotonic()
    watch.act("the runner died")
    assert reasons == ["watchdog: the runner died"]
    assert watch.rollout.clock.monotonic() - began >= watchdog.GRACE_S


@pytest.mark.parametrize("how", ["lease", "place"])
def test_without_a_journal_and_not_the_sole_owner_it_touches_nothing_and_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
):
    watch, reasons = _in_flight(tmp_path, monkeypatch)
    if how == "lease":
        watch.rollout.clock.wait(50)  # what is left of the lease ends within the grace
    else:
        gateway: Any = watch.rollout.gateway
        gateway.active = "vllm"
    watch.act("the runner died")
    assert reasons == []
    log = (tmp_path / "operations.log").read_text(encoding="utf-8")
    assert "A PERSON IS NEEDED: openai:gpt-4o on t" in log
    assert "nothing was touched" in log


def test_the_lease_that_it_keeps_outlasts_the_grace(tmp_path: Path):
    """If runner and journal are lost right after a renewal, it is still the sole owner then."""
    rollout = rollout_in(tmp_path)
    rollout.take_lease()
    watch = Watch(rollout, 0, {})
    for _ in range(8):
        rollout.clock.wait(watchdog.LEASE_S / 4)
        left_s = (rollout.lease.until - rollout.clock.now()).total_seconds()  # type: ignore[union-attr]
        assert left_s > watchdog.GRACE_S + watchdog.POLL_EVERY_S
        watch._keep_lease()


def test_of_watchdog_and_recover_at_once_one_acts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Both saw the same token; the one that takes the next token first acts."""
    rollout = rollout_in(tmp_path)
    rollout.take_lease()
    rollout.append(Kind.INTENT, step="APP-1.2", direction="forward", to="openai:gpt-4o")
    reasons: list[str] = []
    monkeypatch.setattr(watchdog, "roll_back_and_close", lambda _rollout, why, *_: reasons.append(why))
    watch = Watch(rollout, 0, {})
    seen = rollout.journal.newest_token(rollout.lease_target)
    rollout.journal.acquire(rollout.lease_target, rollout.id, "recover-1@elsewhere", 60, after=seen)
    watch.act("the runner died")
    assert reasons == []
