"""A run that stands still in its window (SIGSTOP, a paused machine) has not watched it, and does not vouch for it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kinds import quick
from tests.support.runs import Lab, Run

FAILING = {"provider": "openai", "error_share": 0.9}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab with users, whose window is as long as a pause takes to be most of it."""
    with quick(tmp_path, users_per_s=20) as lab:
        lab.scenario["monitor"] |= {"window": "4s", "latency_factor": 20}
        yield lab


def paused(lab: Lab, for_s: float, *, fails: bool) -> Run:
    """Run, and let the run stand still for so long as soon as its window has begun."""
    run = lab.begin(real=True)
    run.until("sample", at_least=4)
    run.signal(signal.SIGSTOP)
    if fails:
        lab.faults(FAILING)
    time.sleep(for_s)
    run.signal(signal.SIGCONT)
    return run.end()


def test_a_provider_that_fails_while_the_run_stands_still_is_not_kept(lab: Lab):
    """The window's end came while nobody watched: the run looks again before it decides, and rolls the change back."""
    before = lab.state()
    ended = paused(lab, 6.0, fails=True)
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    assert lab.state() == before


def test_a_window_that_was_mostly_unwatched_is_not_kept(lab: Lab):
    """MON-6: nothing went wrong that anybody saw, and nobody saw most of it."""
    before = lab.state()
    ended = paused(lab, 10.0, fails=False)
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    assert "were not watched, and a window of 4 s goes on for so long at most" in ended.result("MON-6").message
    assert lab.state() == before


def test_a_short_pause_makes_the_window_longer_and_the_change_is_kept(lab: Lab):
    ended = paused(lab, 2.0, fails=False)
    assert (ended.code, ended.word) == (0, "KEPT"), ended.out
    assert "were not watched: the window is so much longer" in ended.out
    assert lab.state().active == "openai:gpt-4o"
