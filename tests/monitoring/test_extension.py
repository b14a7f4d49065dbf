"""A window that goes on because a verdict is undecided: in the journal, over calls and stages, and where it may not."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from rollout.context import RolloutContext
from rollout.core.scenario import ChangeClass, Monitor, Scenario, Waiver
from rollout.core.target import ChangeWindow, Freeze, Target
from rollout.journal.record import Kind
from rollout.monitoring.bake import run_window
from rollout.monitoring.extension import Extension, describe_plan, find_obstacle
from rollout.monitoring.live_heading import Heading
from rollout.monitoring.live_view import Log
from rollout.monitoring.verdict import State
from rollout.monitoring.window_result import WindowResult
from rollout.reporting.timeline import describe_events
from tests.support.canaries import CanaryLab
from tests.support.clocks import BEGINNING, SimulatedClock
from tests.support.deciding import HOLDS, UNDECIDED, Decide
from tests.support.rollouts import rollout_in
from tests.support.windows import BACKUP, BASELINE, NEW, OLD, TARGET, FakeGateway

pytestmark = pytest.mark.usefixtures("polls_in_place")

MONDAY = frozenset({0})
PACES: Mapping[str, Any] = dict.fromkeys(
    ("metrics_every_s", "alerts_every_s", "log_every_s", "synthetic_every_s", "way_back_every_s"), 50.0
)
CLOSING = replace(TARGET, windows=(ChangeWindow(MONDAY, time(11), time(12, 15)),))
GOES_ON = (
    "the window goes on: it is judged again at 11 min 40 s of the window, and ends at 20 min at the latest, because "
    "MON-2 is inconclusive: error rate 4.0 % cannot be told from the limit"
)


class Lab:
    """A rollout whose change is applied at noon, with a window of ten minutes and few polls."""

    def __init__(self, folder: Path, target: Target = TARGET, **scenario: Any) -> None:
        self.clock = SimulatedClock()
        planned = Monitor(window_s=600.0, **PACES)
        self.rollout: RolloutContext = rollout_in(
            folder,
            FakeGateway(),
            clock=self.clock,
            scenario=Scenario("s", "s.yaml", TARGET.name, (NEW,), "alice", monitor=planned, **scenario),
            target=target,
        )
        self.rollout.append(Kind.BACKUP, **BACKUP.record())
        self.rollout.append(Kind.BASELINE, **BASELINE.record())
        self.rollout.take_lease()
        self.said = io.StringIO()

    def watch(self, for_s: float | None = None) -> WindowResult:
        """Watch in one call, as `pytest -m monitor --for=…` does."""
        heading = Heading("r-1", TARGET.name, str(OLD), str(NEW), None, 600.0)
        return run_window(self.rollout, Log(self.said, heading, self.clock), for_s)

    def bodies(self, kind: Kind) -> list[dict[str, Any]]:
        """Return the bodies of the journal's entries of a kind."""
        return [dict(entry.body) for entry in self.rollout.journal.entries("r-1", kind)]

    @property
    def lines(self) -> list[str]:
        """The view's lines, without their times."""
        return [line.split("Z ", 1)[1] for line in self.said.getvalue().splitlines()]


@pytest.fixture
def make(in_memory: Path) -> Iterator[Callable[..., Lab]]:
    made: list[Lab] = []

    def one(**parts: Any) -> Lab:
        made.append(Lab(in_memory, **parts))
        return made[-1]

    yield one
    for lab in made:
        lab.rollout.journal.close()


def test_an_extension_is_in_the_journal_the_view_and_the_timeline(make: Callable[..., Lab], decide: Decide) -> None:
    """Status, report and a later call read it there; it pages nobody."""
    decide(lambda now_s: HOLDS if now_s >= 800 else UNDECIDED)
    lab = make()
    watched = lab.watch()
    assert (watched.watched_s, watched.verdicts[1].state) == (800.0, State.HOLDING)
    entries = [Extension.from_record(body) for body in lab.bodies(Kind.EXTENDED)]
    assert [(each.at_s, each.until_s, each.at_most_s) for each in entries] == [
        (600.0, 700.0, 1200.0),
        (700.0, 800.0, 1200.0),
    ]
    assert str(entries[0]) == GOES_ON
    assert [line for line in lab.lines if line.startswith("the window goes on")] == list(map(str, entries))
    summaries = [line for line in lab.lines if "left of" in line]
    begins = "1 min 40 s left of 11 min 40 s (10 min and an extension) · the window goes on: it is judged"
    assert any(line.startswith(begins) for line in summaries)
    assert lab.bodies(Kind.PAUSE)[-1]["extended_s"] == 200.0
    assert lab.rollout.record().extension is None, "the window is judged"
    events = describe_events(lab.rollout.journal.entries("r-1"))
    assert [event.text for event in events if event.kind == Kind.EXTENDED] == list(map(str, entries))
    assert not lab.bodies(Kind.NOTIFIED)
    last = replace(entries[0], until_s=1200.0).brief
    assert last == "the window goes on: it is judged a last time at 20 min of the window, and ends then"


def test_a_later_call_goes_on_where_the_window_was_left(make: Callable[..., Lab], decide: Decide) -> None:
    decide(lambda _: UNDECIDED)
    lab, ends = make(), list[tuple[float, float]]()
    while not ends or ends[-1][1]:
        watched = lab.watch(for_s=450.0)
        ends.append((watched.watched_s, watched.left_s))
    assert ends == [(450.0, 150.0), (900.0, 100.0), (1200.0, 0.0)]
    assert [body["extended_s"] for body in lab.bodies(Kind.PAUSE)] == [0.0, 400.0, 600.0]
    assert len(lab.bodies(Kind.EXTENDED)) == 6
    again = max(number for number, line in enumerate(lab.lines) if line.startswith("watching ollama:llama3"))
    assert any("the window goes on" in line for line in lab.lines[again : again + 4]), "the last call says it first"
    (end,) = (body for body in lab.bodies(Kind.VERDICT) if body["clause"] == "MON-2")
    assert (end["state"], end["watched_s"]) == ("inconclusive", 1200.0)


def test_a_window_that_an_older_version_began_does_not_go_on(make: Callable[..., Lab], decide: Decide) -> None:
    """Its change window was not compared with an extension."""
    decide(lambda _: UNDECIDED)
    lab = make()
    lab.rollout.append(Kind.WINDOW, began_at="2026-11-23T12:00:00.000Z", window_s=600.0)
    older = {"watched_s": 60.0, "left_s": 540.0, "at": "2026-11-23T12:01:00.000Z", "standing": {}, "quiet": {}}
    lab.rollout.append(Kind.PAUSE, **older, sources=["status"], memory={})
    lab.clock.advance(60.0)
    assert (lab.watch().watched_s, lab.bodies(Kind.EXTENDED)) == (600.0, [])


@pytest.mark.parametrize(
    ("target", "scenario", "obstacle"),
    [
        (TARGET, {}, None),
        (CLOSING, {}, "the change window ends at 2026-11-23T12:15:00.000Z"),
        (replace(CLOSING, windows=(ChangeWindow(MONDAY, time(11), time(12, 20)),)), {}, None),
        (CLOSING, {"change_class": ChangeClass.EMERGENCY}, None),
        (CLOSING, {"waivers": (Waiver("PRE-4.1", "r", "bob", None),)}, None),
    ],
)
def test_an_extension_that_does_not_fit_the_change_window_is_off(
    make: Callable[..., Lab], decide: Decide, target: Target, scenario: dict[str, Any], obstacle: str | None
) -> None:
    """Inconclusive then rolls back at the window's end; what is not bound to change windows goes on."""
    decide(lambda now_s: HOLDS if now_s > 600 else UNDECIDED)
    lab = make(target=target, **scenario)
    watched = lab.watch()
    (window,) = lab.bodies(Kind.WINDOW)
    assert (window["extends"], window.get("obstacle")) == (obstacle is None, obstacle)
    assert watched.watched_s == (700.0 if obstacle is None else 600.0)
    assert watched.verdicts[1].state is (State.HOLDING if obstacle is None else State.INCONCLUSIVE)
    assert bool(lab.bodies(Kind.EXTENDED)) == (obstacle is None)


@pytest.mark.parametrize(
    ("target", "begins", "words"),
    [
        (CLOSING, "2026-11-23T10:00", "no change window is open"),
        (CLOSING, "2026-11-23T11:16", "the change window ends at 2026-11-23T12:15:00.000Z"),
        (CLOSING, "2026-11-23T11:15", ""),
        (
            replace(TARGET, freezes=(Freeze(datetime(2026, 11, 23, 12, 45), datetime(2026, 11, 24), "sale"),)),  # noqa: DTZ001
            "2026-11-23T12:00",
            "a freeze begins at 2026-11-23T12:45:00.000Z (sale)",
        ),
        (
            replace(TARGET, freezes=(Freeze(datetime(2026, 11, 23, 11), datetime(2026, 11, 24), "sale"),)),  # noqa: DTZ001
            "2026-11-23T12:00",
            "a freeze holds until 2026-11-24T00:00:00.000Z (sale)",
        ),
    ],
)
def test_what_forbids_an_extension_is_named(target: Target, begins: str, words: str) -> None:
    scenario = Scenario("s", "s.yaml", "t", (NEW,), "alice")
    assert find_obstacle(scenario, target, datetime.fromisoformat(f"{begins}+00:00"), 3600.0) == words


def test_the_plan_says_both_lengths_and_whether_the_window_may_go_on() -> None:
    scenario = Scenario("s", "s.yaml", "t", (NEW,), "alice")
    assert describe_plan(scenario, TARGET, BEGINNING) == (
        "30 min, at most 1 h: a window that is undecided at its end goes on and is judged again every 5 min",
        "begun now, it may go on until 2026-11-23 13:00Z",
    )
    assert describe_plan(scenario, CLOSING, BEGINNING)[1] == (
        "begun now, it does not go on: the change window ends at 2026-11-23T12:15:00.000Z"
    )


def test_a_canarys_stage_goes_on_before_the_share_rises(in_memory: Path, decide: Decide) -> None:
    """Each stage is a window of its own, with an extension of its own; those after it keep their length."""
    decide(lambda now_s: HOLDS if now_s > 600 else UNDECIDED)
    lab = CanaryLab(in_memory, **PACES)
    with lab.rollout.journal:
        watched = lab.watch()
        assert [stage.outcome for stage in watched.stages] == ["held"] * 5
        began = [entry.body for entry in lab.rollout.journal.entries("r-1", Kind.WINDOW)]
        extended = [entry.body["at_s"] for entry in lab.rollout.journal.entries("r-1", Kind.EXTENDED)]
        assert extended == [body["window_s"] for body in began if body["window_s"] <= 600]
        assert len(extended) >= 4
        assert lab.clock.monotonic() >= sum(body["window_s"] for body in began) + 100 * len(extended)


def test_a_canarys_extension_leaves_the_change_window_to_the_stages_after_it(in_memory: Path, decide: Decide) -> None:
    decide(lambda _: UNDECIDED)
    lab = CanaryLab(in_memory, **PACES)
    later_s = lab.rollout.scenario.monitor.window_s
    with lab.rollout.journal:
        closes = (BEGINNING + timedelta(seconds=later_s + 300)).time()
        lab.rollout = replace(
            lab.rollout, target=replace(lab.rollout.target, windows=(ChangeWindow(MONDAY, time(11), closes),))
        )
        watched = lab.watch()
        (window,) = [entry.body for entry in lab.rollout.journal.entries("r-1", Kind.WINDOW)]
        assert (window["extends"], watched.watched_s) == (False, window["window_s"])
        assert not watched.passed
