"""A run that shares its target with another one: what it saw of that one's change says nothing about its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.errors import NotCleared
from rollout.record import Decision, Kind
from rollout.session import Session, claim, crossed
from rollout.workspace import Rollout
from tests.support.rollouts import rollout_in

PLACE = "http://127.0.0.1:1"


def begun(folder: Path) -> Rollout:
    """Return a rollout whose run has just begun."""
    rollout = rollout_in(folder)
    rollout.write(Kind.OPENED, url=PLACE, change="openai:gpt-4o")
    rollout.write(Kind.RUN, run=rollout.run, phases=["precheck"], pid=1)
    return rollout


def other_writes(rollout: Rollout, *, url: str = PLACE, result: str = "done") -> None:
    """Let another rollout write to the gateway at `url`."""
    opened = rollout.journal.append("r-2", Kind.OPENED, {"url": url, "change": "vllm:gemma"})
    body = {"step": "APP-1.2", "direction": "forward", "to": "vllm:gemma"}
    intent = rollout.journal.append("r-2", Kind.INTENT, body)
    assert intent.seq == opened.seq + 1
    rollout.journal.append("r-2", Kind.OUTCOME, {"intent": intent.seq, "result": result, "detail": ""})


def test_a_rival_that_wrote_meanwhile_is_named(tmp_path: Path):
    rollout = begun(tmp_path)
    other_writes(rollout)
    assert str(crossed(rollout)) == "rollout r-2 (vllm:gemma) changed this target meanwhile; run it again"


def test_what_happened_elsewhere_is_no_crossing(tmp_path: Path):
    rollout = begun(tmp_path)
    other_writes(rollout, url="http://127.0.0.1:2")
    assert crossed(rollout) is None


def test_a_write_that_was_refused_changed_nothing(tmp_path: Path):
    rollout = begun(tmp_path)
    other_writes(rollout, result="refused")
    assert crossed(rollout) is None


def test_a_change_before_the_run_began_is_no_crossing(tmp_path: Path):
    rollout = begun(tmp_path)
    other_writes(rollout)
    rollout.clock.wait(1)
    rollout.write(Kind.RUN, run="run-2", phases=["precheck"], pid=1)
    assert crossed(rollout) is None


def test_a_journal_that_is_gone_tells_of_no_rival(tmp_path: Path):
    """The closure asks it of a run that has failed, whose reason is what people must read."""
    rollout = begun(tmp_path)
    other_writes(rollout)
    (tmp_path / "journal.sqlite").unlink()
    (tmp_path / "journal.sqlite").mkdir()
    assert crossed(rollout) is None


def test_a_rollout_that_was_taken_back_while_the_run_began_is_not_claimed(tmp_path: Path):
    """A watchdog that acts at the deadline ends between a late call's first look and its claim."""
    rollout = begun(tmp_path)
    for phase in ("precheck", "apply", "verify"):
        rollout.write(Kind.PHASE, phase=phase, passed=True, problems=[], run=rollout.run)
    session = Session(
        rollout=rollout,
        phases=("monitor",),
        left_out={},
        plan=(),
        refusal=None,
        resumed=True,
        embedded=None,
        journal_url="",
        exchanges=[],
    )
    claim(session, "monitor")
    rollout.release_lease()
    rollout.write(Kind.CLOSED, decision=Decision.ROLLED_BACK, why="watchdog")
    with pytest.raises(NotCleared, match=r"r-1 ended at .*: rolled back"):
        claim(session, "monitor")
    assert rollout.lease is None
    assert rollout.journal.holder(rollout.place) is None
