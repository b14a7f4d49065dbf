"""``rollout recover --wait``: what it waits for, how long, and what it prints meanwhile."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollout.cli import recover
from rollout.cli.main import main
from rollout.context import RolloutContext
from rollout.engine.closure import Closure
from rollout.journal.leases import LEASE_S
from rollout.journal.record import Decision, Kind
from rollout.journal.spool import SPOOL
from tests.engine.test_recovery import handed_over, left_in_flight, own_name
from tests.support.clocks import SimulatedClock

WAIT_S = 300.0

Call = Callable[..., tuple[int, float, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command on a rollout's journal; gives exit code, seconds that it took, and output.

    A rollback succeeds, unless `closure` makes another end of it.
    """

    def run(
        rollout: RolloutContext, wait_s: float | None = WAIT_S, closure: Callable[[], Closure] | None = None
    ) -> tuple[int, float, str]:
        def succeed() -> Closure:
            rollout.append(Kind.CLOSED, decision=Decision.ROLLED_BACK, why="recovered")
            return Closure(Decision.ROLLED_BACK, "ROLLED BACK, verified", "recovered")

        monkeypatch.setattr(recover, "recover", lambda *_: (closure or succeed)())
        monkeypatch.setattr(recover, "rebuild_report", lambda *_: "report: none")
        args, begun = argparse.Namespace(reports=tmp_path), rollout.clock.monotonic()
        code = recover.Recovery(args, rollout.journal, rollout.clock, wait_s).run()
        return int(code), rollout.clock.monotonic() - begun, capsys.readouterr().out

    return run


@pytest.fixture
def attended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RolloutContext:
    """A rollout that a process of this machine has in its hands for an hour: this very one."""
    monkeypatch.setattr("rollout.engine.cases.OUR_PROCESSES", (own_name(),))
    rollout = left_in_flight(tmp_path)
    holder = f"20261123-120100-rollback-{os.getpid()}@{rollout.journal.host}"
    rollout.journal.acquire(rollout.lease_target, rollout.id, holder, 3600)
    return rollout


def clock_of(rollout: RolloutContext) -> SimulatedClock:
    assert isinstance(rollout.clock, SimulatedClock)
    return rollout.clock


def test_what_becomes_stranded_meanwhile_is_rolled_back(call: Call, tmp_path: Path):
    """It says once what it waits for."""
    code, took_s, said = call(left_in_flight(tmp_path, host="elsewhere"))
    assert (code, took_s) == (10, LEASE_S)
    assert said.count("waiting for it, for at most 5m: ") == said.count("rolling it back: its lease has run out") == 1


@pytest.mark.parametrize(
    ("decision", "code", "word"),
    [
        (Decision.KEPT, 0, "KEPT"),
        (Decision.ROLLED_BACK, 10, "ROLLED BACK, verified"),
        (Decision.ROLLBACK_FAILED, 11, "ROLLBACK FAILED"),
    ],
)
def test_what_ends_meanwhile_is_named_and_counts(
    call: Call, attended: RolloutContext, decision: Decision, code: int, word: str
):
    clock_of(attended).later(42, lambda: attended.append(Kind.CLOSED, decision=decision, why="because"))
    ended, took_s, said = call(attended)
    assert (ended, took_s) == (code, 45), said
    assert [line.partition(": ")[2] for line in said.splitlines()][1:] == [
        f"{word}, by the process that had it: because"
    ]


def test_at_the_end_of_the_time_it_says_what_is_in_flight(call: Call, attended: RolloutContext):
    code, took_s, said = call(attended, wait_s=12)
    assert (code, took_s) == (0, 12)
    first, last = said.splitlines()
    assert first.startswith("r-1: waiting for it, for at most 12s: 20261123-120100-rollback-")
    assert last.startswith("r-1: still in flight: 20261123-120100-rollback-")


def test_without_the_option_it_looks_once(call: Call, attended: RolloutContext):
    code, took_s, said = call(attended, wait_s=None)
    assert (code, took_s, said.count("\n")) == (0, 0, 1)
    assert said.startswith("r-1: left alone: ")


def test_a_later_phase_is_not_waited_for(call: Call, tmp_path: Path):
    code, took_s, said = call(handed_over(tmp_path))
    assert (code, took_s) == (0, 0)
    assert "left alone: its next phase has until" in said


def test_a_run_that_hands_over_is_not_waited_for_any_longer(call: Call, attended: RolloutContext):
    def hand_over() -> None:
        deadline = attended.clock.now().replace(hour=23).isoformat()
        fence = attended.journal.newest_token(attended.lease_target)
        attended.journal.append(attended.id, Kind.HANDOVER, {"deadline": deadline, "fence": fence})

    clock_of(attended).later(3, hand_over)
    code, took_s, said = call(attended)
    assert (code, took_s) == (0, 5), said
    assert "waiting for it" in said
    assert said.splitlines()[-1].startswith("r-1: left alone: its next phase has until")


def renewing(rollout: RolloutContext, host: str) -> str:
    """Let this process hold the lease and renew it for longer than anyone waits; return the holder."""
    holder = f"20261123-120100-monitor-{os.getpid()}@{host}"

    def renew() -> None:
        rollout.journal.acquire(rollout.lease_target, rollout.id, holder, LEASE_S)

    for second in range(0, 400, 20):
        clock_of(rollout).later(second, renew)
    clock_of(rollout).advance(0)
    return holder


def test_one_that_lives_on_another_host_is_waited_for_until_it_shows_that(call: Call, tmp_path: Path):
    """It ends with another job, and not with this one."""
    rollout = left_in_flight(tmp_path)
    holder = renewing(rollout, "elsewhere")
    code, took_s, said = call(rollout)
    assert (code, took_s) == (0, LEASE_S), said
    assert said.splitlines()[-1].startswith(f"r-1: left alone: {holder}")
    assert "still in flight" not in said


def test_one_that_lives_here_is_waited_for_whatever_it_renews(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A lease that is renewed is no other state."""
    monkeypatch.setattr("rollout.engine.cases.OUR_PROCESSES", (own_name(),))
    rollout = left_in_flight(tmp_path)
    renewing(rollout, rollout.journal.host)
    code, took_s, said = call(rollout)
    assert (code, took_s, said.count("\n")) == (0, WAIT_S, 2), said


def test_one_that_cannot_be_rolled_back_is_tried_once(call: Call, tmp_path: Path):
    rollout = left_in_flight(tmp_path)
    failed = Closure(Decision.ROLLBACK_FAILED, "ROLLBACK FAILED", "it cannot be opened")
    code, took_s, said = call(rollout, closure=lambda: failed)
    assert (code, took_s, said.count("ROLLBACK FAILED")) == (11, 0, 1)


def test_one_that_another_process_has_just_begun_to_roll_back_is_waited_for(call: Call, tmp_path: Path):
    rollout = left_in_flight(tmp_path)

    def begun_by_another() -> Closure:
        clock_of(rollout).later(1, lambda: rollout.append(Kind.CLOSED, decision=Decision.ROLLED_BACK, why="theirs"))
        return Closure(None, "LEFT ALONE", "another process has just begun")

    code, took_s, said = call(rollout, closure=begun_by_another)
    assert (code, took_s) == (10, 5), said
    assert "ROLLED BACK, verified, by the process that had it: theirs" in said


def test_nothing_in_flight_ends_at_once(call: Call, attended: RolloutContext):
    attended.append(Kind.CLOSED, decision=Decision.KEPT, why="")
    assert call(attended) == (0, 0, "no rollout is in flight\n")


def test_an_interrupt_ends_the_waiting_and_not_more(
    call: Call, attended: RolloutContext, monkeypatch: pytest.MonkeyPatch
):
    def interrupt(*_: Any) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(attended.clock, "wait", interrupt)
    code, _, said = call(attended)
    assert code == 0
    assert said.splitlines()[-1].startswith("r-1: still in flight: ")


# The command line


@pytest.mark.parametrize(("words", "says"), [("5", "has no unit"), ("soon", "is not a duration")])
def test_a_duration_that_is_none_is_refused_in_one_line(words: str, says: str, capsys: pytest.CaptureFixture[str]):
    assert main(["recover", f"--wait={words}"]) == 4
    error = capsys.readouterr().err
    assert error.startswith("rollout: --wait: ")
    assert (says in error, error.count("\n")) == (True, 1)


def test_a_job_whose_run_was_refused_has_no_second_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Without a journal nothing was begun; entries that a run could not write show that something was."""
    words = ["recover", f"--reports={tmp_path}", "--wait=5m"]
    assert main(words) == 0
    assert f"no rollout is in flight: there is no journal at {tmp_path}" in capsys.readouterr().out
    assert main(words[:-1]) == 4
    (tmp_path / "r-1").mkdir()
    (tmp_path / "r-1" / SPOOL).touch()
    assert main(words) == 4


def test_a_place_that_is_no_journal_is_refused(tmp_path: Path):
    (tmp_path / "journal.sqlite").write_text("not a database")
    assert main(["recover", f"--reports={tmp_path}", "--wait=5m"]) == 4
