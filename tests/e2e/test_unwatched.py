"""A run that stands still in its window (SIGSTOP, a paused machine) has not watched it, and does not vouch for it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rollout.journal.record import Decision, Kind
from tests.support.kinds import quick
from tests.support.runs import Lab, Run

FAILING = {"provider": "openai", "error_share": 0.9}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab with users and without alerts, whose window is as long as a pause takes to be most of it."""
    with quick(tmp_path, users_per_s=10, alert_error_share=1) as lab:
        lab.scenario["monitor"] |= {"window": "4s", "latency_factor": 20}
        yield lab


def paused(lab: Lab, for_s: float, *faults: Mapping[str, Any]) -> Run:
    """Run, and let the run stand still for so long as soon as its window has begun; the faults begin with that."""
    run = lab.begin()
    run.until("sample", at_least=4)
    run.signal(signal.SIGSTOP)
    lab.faults(*faults)
    time.sleep(for_s)
    run.signal(signal.SIGCONT)
    return run.end()


def test_a_provider_that_fails_for_38_of_40_seconds_while_the_run_stands_still_is_not_kept(lab: Lab):
    """The window's end came while the run watched nothing: it polls again before it decides."""
    lab.scenario["monitor"]["window"] = "40s"
    lab.policy["sandbox"]["window_at_least"] = "40s"
    before = lab.state()
    ended = paused(lab, 38.0, FAILING)
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    assert lab.state() == before
    [breach] = [entry.body for entry in ended.record_entries(Kind.VERDICT) if entry.body["decided"]]
    assert (breach["clause"], breach["state"]) == ("MON-2", "breached")
    samples = [entry.body for entry in ended.record_entries(Kind.SAMPLE)]
    assert max(sample.get("unwatched_s", 0.0) for sample in samples) > 35
    [closed] = ended.record_entries(Kind.CLOSED)
    assert closed.body["decision"] == Decision.ROLLED_BACK


def test_a_window_that_was_mostly_unwatched_is_not_kept(lab: Lab):
    """MON-6: nothing went wrong that anybody saw, and nobody saw most of it."""
    before = lab.state()
    ended = paused(lab, 10.0)
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    assert "were not watched, and a window of 4 s goes on for so long at most" in ended.result("MON-6").message
    assert lab.state() == before


def test_a_short_pause_makes_the_window_longer_and_the_change_is_kept(lab: Lab):
    ended = paused(lab, 2.0)
    assert (ended.code, ended.word) == (0, "KEPT"), ended.out
    assert "were not watched: the window is so much longer" in ended.out
    assert lab.state().active == "openai:gpt-4o"
