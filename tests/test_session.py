"""A run that shares its target with another one: what it saw of that one's change says nothing about its own."""

from __future__ import annotations

from pathlib import Path

from rollout.record import Kind
from rollout.session import crossed
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
