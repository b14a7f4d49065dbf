"""A window followed by its journal entries: what is derived while it runs is what its own process decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rollout.core.canary_stages import stages
from rollout.core.canonical_json import to_json
from rollout.core.clock import format_utc
from rollout.core.scenario import Canary, Share
from rollout.journal.record import Entry, Kind
from rollout.monitoring.followed_window import FollowedWindow
from rollout.monitoring.live_heading import Heading
from rollout.monitoring.live_view import View
from rollout.monitoring.verdict import State, Verdict
from tests.monitoring.test_bake import Lab
from tests.support.journaled import JournaledRollout
from tests.support.rollouts import NEW
from tests.support.windows import BACKUP, TARGET

pytestmark = pytest.mark.usefixtures("polls_in_place")


class Shown(View):
    """Keeps what it is shown."""

    def __init__(self, heading: Heading) -> None:
        super().__init__(heading)
        self.moments: list[float] = []
        self.closed = False

    def verdicts(self, verdicts: tuple[Verdict, ...], now_s: float) -> None:
        """Keep the moment too."""
        super().verdicts(verdicts, now_s)
        self.moments.append(now_s)

    def close(self) -> None:
        """Keep that it was."""
        self.closed = True


@pytest.fixture
def lab(in_memory: Path) -> Iterator[Lab]:
    lab = Lab(in_memory, window_s=600.0)
    rollout = lab.rollout
    facts = {"author": "alice", "ticket": "T-1", "url": rollout.target.url, "change": str(NEW), "digest": "d"}
    parts = {name: to_json(getattr(rollout, name)) for name in ("scenario", "target", "policy")}
    rollout.append(Kind.OPENED, **facts, **parts)
    with rollout.journal:
        yield lab


def followed(lab: Lab, *parts: tuple[Entry, ...]) -> tuple[FollowedWindow, Shown]:
    """Follow the lab's rollout, its entries in these parts; without any, in one."""
    shown: list[Shown] = []

    def open_view(heading: Heading) -> View:
        shown.append(Shown(heading))
        return shown[-1]

    window = FollowedWindow("r-1", open_view)
    for part in parts or (lab.rollout.journal.entries("r-1"),):
        window.apply(part, lab.clock.now())
    assert len(shown) == 1
    return window, shown[0]


def without_end(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the entries before the window's end, at which its process records the polls without a finding."""
    end = next(number for number, entry in enumerate(entries) if entry.kind == Kind.PAUSE)
    return entries[:end]


def facts(verdicts: tuple[Verdict, ...]) -> dict[str, tuple[Any, ...]]:
    """Return the verdicts by clause; MON-5 and MON-6 count polls that the journal has at the window's end only."""
    return {
        each.clause: (each.state, each.value, each.limit, each.interval)
        + ((each.samples, each.message) if each.clause != "MON-5" else ())
        for each in verdicts
        if each.clause not in ("MON-6", "MON-7")
    }


@pytest.mark.parametrize("fails", [0.0, 1.0])
def test_the_verdicts_that_are_derived_are_those_that_the_window_ends_with(lab: Lab, fails: float) -> None:
    lab.gateway.dies_at_s, lab.gateway.fails = lab.clock.monotonic() + 300, fails
    watched = lab.watch()
    assert (watched.breach is not None) is bool(fails)
    window, shown = followed(lab, without_end(lab.rollout.journal.entries("r-1")))
    assert facts(shown.page.verdicts) == facts(watched.verdicts)
    states = {each.clause: each.state for each in shown.page.verdicts}
    assert states["MON-6"] is State.HOLDING
    assert (window.view, window.is_left, shown.closed) == (shown, False, False)
    assert shown.page.heading == Heading(
        "r-1", TARGET.name, str(BACKUP.previous), str(NEW), "T-1", 600.0, (), is_here=False
    )


def test_the_end_of_a_window_is_shown_as_it_is_recorded(lab: Lab) -> None:
    watched = lab.watch()
    window, shown = followed(lab)
    assert [each.record() for each in shown.page.verdicts] == [each.record() for each in watched.verdicts]
    lab.rollout.append(Kind.PHASE, phase="monitor", passed=True, problems=[], run="run-1")
    window.apply(lab.rollout.journal.entries("r-1", Kind.PHASE), lab.clock.now())
    assert (window.view, shown.closed) == (None, True)


def test_entry_by_entry_is_what_all_at_once_is(lab: Lab) -> None:
    lab.watch()
    entries = without_end(lab.rollout.journal.entries("r-1"))
    _, at_once = followed(lab, entries)
    _, one_by_one = followed(lab, *((entry,) for entry in entries))
    assert facts(one_by_one.page.verdicts) == facts(at_once.page.verdicts)
    assert 100 < len(at_once.moments) <= 320, "a trend, and not a verdict a sample"
    assert at_once.moments == sorted(at_once.moments)


def test_a_window_that_a_call_has_left_is_not_judged_until_the_next_call(lab: Lab) -> None:
    lab.watch(for_s=120)
    window, shown = followed(lab)
    assert window.is_left
    before = len(shown.moments)
    lab.clock.wait(60)
    window.apply((), lab.clock.now())
    assert len(shown.moments) == before, "nobody watches: a verdict of now would be one of before"
    read = lab.rollout.journal.entries("r-1")[-1].seq
    watched = lab.watch()
    window.apply(lab.rollout.journal.entries("r-1", after=read), lab.clock.now())
    assert [each.record() for each in shown.page.verdicts] == [each.record() for each in watched.verdicts]
    assert shown.page.unwatched_s == pytest.approx(60, abs=2)


def test_a_hold_an_extension_and_time_are_shown_without_a_sample(lab: Lab) -> None:
    lab.rollout.append(Kind.WINDOW, began_at=format_utc(lab.clock.now()), judge=2, window_s=600.0, extends=True)
    window, shown = followed(lab)
    until = format_utc(lab.clock.now() + timedelta(seconds=60))
    lab.rollout.append(Kind.HOLD, by="bob", reason="the vendor is informed", until=until)
    numbers = {
        "at_s": 600.0,
        "until_s": 700.0,
        "at_most_s": 1200.0,
        "extended_s": 100.0,
        "why": "MON-2 is inconclusive",
    }
    lab.rollout.append(Kind.EXTENDED, **numbers)
    lab.clock.wait(30)
    window.apply(lab.rollout.journal.entries("r-1", Kind.HOLD, Kind.EXTENDED), lab.clock.now())
    assert shown.page.hold == f"held by bob until {until}: the vendor is informed"
    assert shown.page.left_line() == "11 min 10 s left of 11 min 40 s (10 min and an extension)"
    lab.clock.wait(31)
    window.apply((), lab.clock.now())
    assert shown.page.hold is None


def test_each_stage_of_a_canary_begins_where_the_stage_before_ends(in_memory: Path) -> None:
    canary = Canary(shares=(Share(0.1, 60.0), Share(0.5, 60.0)), stabilise_s=60.0)
    lab = Lab(in_memory, window_s=180.0)
    with JournaledRollout(in_memory / "c", scenario=replace(lab.rollout.scenario, canary=canary)) as journaled:
        journaled.rollout.append(Kind.BACKUP, **BACKUP.record())
        stage = stages(journaled.rollout.scenario)[1]
        began_at = format_utc(journaled.clock.now())
        journaled.rollout.append(
            Kind.WINDOW, began_at=began_at, judge=2, window_s=60.0, extends=False, stage=stage.name, control_ms=[]
        )
        shown: list[Shown] = []
        window = FollowedWindow("r-1", lambda heading: shown.append(Shown(heading)) or shown[-1])
        window.apply(journaled.rollout.journal.entries("r-1"), journaled.clock.now())
        assert (shown[0].page.stage, shown[0].page.passed_s) == ("CAN-2.3 50% of the traffic for 1m", 60.0)
    lab.rollout.journal.close()
