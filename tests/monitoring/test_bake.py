"""A window in one piece and in slices: the same samples, the same verdicts, on the clock of the tests."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout.context import RolloutContext
from rollout.core.errors import GatewayError
from rollout.core.scenario import Monitor, Scenario
from rollout.gateway.responses import Connection, Governance, Metrics
from rollout.journal.record import Kind
from rollout.monitoring.bake import run_window
from rollout.monitoring.live_heading import Heading
from rollout.monitoring.live_view import view_for
from rollout.monitoring.triggers import judge
from rollout.monitoring.verdict import State
from rollout.monitoring.window_outcome import IN_PROGRESS, Window
from rollout.monitoring.window_result import WindowResult
from rollout.monitoring.window_state import replay_samples, trigger_context
from tests.support.clocks import SimulatedClock
from tests.support.deciding import HOLDS, Decide
from tests.support.rollouts import rollout_in
from tests.support.windows import BACKUP, BASELINE, NEW, OLD, TARGET, FakeGateway, metrics

pytestmark = pytest.mark.usefixtures("polls_in_place")

HOUR_S = 3600.0


class Served(FakeGateway):
    """A gateway with users: ten requests a second, of which the share `fails` fails from `dies_at_s` on."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__()
        self.clock = clock
        self.dies_at_s = float("inf")
        self.fails = 1.0
        self.fallbacks = 0

    def metrics(self, provider: str, /) -> Metrics:
        """Return counters that rise with the clock."""
        now_s = self.clock.monotonic()
        self.counters = metrics(int(10 * now_s) + 100, int(10 * self.fails * max(0.0, now_s - self.dies_at_s)))
        return super().metrics(provider)

    def governance(self) -> Governance:
        """Return the fallbacks so far."""
        self.limits = Governance({}, {}, tuple({"at": number} for number in range(self.fallbacks)))
        return super().governance()


class Lab:
    """A rollout whose change is applied, and calls that watch it."""

    def __init__(self, folder: Path, **monitor: Any) -> None:
        self.clock = SimulatedClock()
        self.gateway = Served(self.clock)
        self.log = folder / "backend.log"
        self.log.write_text("12:00:00 | INFO     | main:start - up\n")
        planned = Monitor(error_pattern="budget", **monitor)
        scenario = Scenario("s", "s.yaml", TARGET.name, (NEW,), "alice", monitor=planned)
        self.rollout: RolloutContext = rollout_in(
            folder, self.gateway, clock=self.clock, scenario=scenario, target=replace(TARGET, log_file=self.log)
        )
        self.rollout.append(Kind.BACKUP, **BACKUP.record())
        self.rollout.append(Kind.BASELINE, **BASELINE.record())
        self.rollout.take_lease()

    def watch(self, for_s: float | None = None) -> WindowResult:
        """Watch in one call, as `pytest -m monitor --for=…` does."""
        heading = Heading("r-1", TARGET.name, str(OLD), str(NEW), None, self.rollout.scenario.monitor.window_s)
        self.gateway.calls.clear()
        return run_window(self.rollout, view_for(io.StringIO(), heading, self.clock), for_s)

    @property
    def samples(self) -> list[dict[str, Any]]:
        """What the journal holds of the samples."""
        return [dict(entry.body) for entry in self.rollout.journal.entries("r-1", Kind.SAMPLE)]


@pytest.fixture
def lab(in_memory: Path) -> Iterator[Lab]:
    lab = Lab(in_memory, window_s=HOUR_S)
    with lab.rollout.journal:
        yield lab


def words(watched: WindowResult) -> list[tuple[str, State, Any, str]]:
    return [(each.clause, each.state, each.value, each.message) for each in watched.verdicts]


def test_a_slice_leaves_the_rest_to_the_next_call(lab: Lab) -> None:
    watched = lab.watch(for_s=600)
    assert (watched.watched_s, watched.left_s, watched.passed) == (600, HOUR_S - 600, False)
    pause = lab.rollout.record().pauses[-1]
    assert (pause["watched_s"], pause["left_s"]) == (600, HOUR_S - 600)
    assert not lab.rollout.journal.entries("r-1", Kind.VERDICT), "a window that is not over has no verdict"


def test_what_is_judged_in_slices_is_what_is_judged_in_one_piece(in_memory: Path) -> None:
    """Only the additional poll at each slice's beginning differs: counters, spans and P95 are the window's."""
    (in_memory / "whole").mkdir()
    (in_memory / "parts").mkdir()
    in_one_piece, parts = Lab(in_memory / "whole", window_s=HOUR_S), Lab(in_memory / "parts", window_s=HOUR_S)
    with in_one_piece.rollout.journal, parts.rollout.journal:
        in_one = in_one_piece.watch()
        slices = 1
        while (watched := parts.watch(for_s=600)).left_s:
            slices += 1
        assert slices == 6
        assert (watched.passed, watched.watched_s) == (True, in_one.watched_s)
        rate_and_p95 = [(v.state, v.value, v.source) for v in watched.verdicts[1:3]]
        assert rate_and_p95 == [(v.state, v.value, v.source) for v in in_one.verdicts[1:3]]
        assert [v.state for v in watched.verdicts] == [v.state for v in in_one.verdicts]


def test_a_slow_poison_that_no_slice_would_see_is_seen(lab: Lab) -> None:
    """The evidence goes on over the slices: polls of both add to it, and neither slice would breach by its own."""
    lab.gateway.dies_at_s, lab.gateway.fails = 550.0, 0.2
    assert lab.watch(for_s=600).left_s
    watched = lab.watch(for_s=600)
    assert watched.breach is not None
    assert watched.breach.clause == "MON-2"
    assert watched.watched_s == 640
    assert watched.breach.message.startswith(
        "error rate 20.0 % over the last 1 min 30 s (180 of 899 requests) is above"
    )


def test_the_time_between_two_calls_is_not_watched_and_the_window_is_so_much_longer(lab: Lab) -> None:
    lab.watch(for_s=600)
    lab.clock.advance(900)
    watched = lab.watch(for_s=60)
    assert watched.left_s == HOUR_S - 600 - 60
    assert "15 min were not watched" in watched.verdicts[5].message
    last = lab.watch()
    assert (last.passed, last.watched_s) == (True, HOUR_S + 900)


def test_a_gap_that_cannot_be_watched_afterwards_is_no_data(lab: Lab) -> None:
    """MON-6: a window is at most twice as long; more than half of it unwatched is no pass, whatever is polled then."""
    lab.watch(for_s=600)
    lab.clock.advance(2 * HOUR_S)
    before = len(lab.samples)
    watched = lab.watch(for_s=600)
    assert (watched.passed, watched.left_s, watched.verdicts[5].state) == (False, 0.0, State.NO_DATA)
    assert "2 h were not watched" in watched.verdicts[5].message
    polled = {sample["source"] for sample in lab.samples[before:] if "error" not in sample}
    assert polled == {"status", "metrics", "alerts", "fallbacks", "synthetic", "way_back", "log", "operator"}


def test_a_call_shorter_than_the_slowest_pace_comes_to_the_windows_end(in_memory: Path, decide: Decide) -> None:
    """`window: 20s`, `way_back_every: 10s`, `--for=8s`: the window's end does not move away with each call."""
    decide(lambda _: HOLDS)
    lab = Lab(in_memory, window_s=20.0, way_back_every_s=10.0, metrics_every_s=1.0, synthetic_every_s=1.0)
    with lab.rollout.journal:
        ends = []
        while not ends or ends[-1][1]:
            watched = lab.watch(for_s=8)
            ends.append((watched.watched_s, watched.left_s))
            lab.clock.advance(3)
        assert ends == [(8.0, 12.0), (19.0, 4.0), (26.0, 0.0)]


def test_what_was_not_watched_can_be_derived_again_from_the_journal_alone(lab: Lab) -> None:
    """The gap stands on the samples that ended it, of quiet sources too."""
    lab.clock.later(100.5, lambda: lab.clock.advance(1000))
    lab.watch(for_s=2000)
    lab.clock.advance(500)
    watched = lab.watch(for_s=60)
    record, entries = lab.rollout.record(), lab.rollout.journal.entries("r-1", Kind.SAMPLE)
    names = record.pauses[-1]["sources"]
    again = judge(
        replay_samples(entries, record, names), trigger_context(lab.rollout.scenario, record), watched.watched_s
    )
    assert [(v.clause, v.state, v.value, v.message) for v in again] == words(watched)[:6]
    assert re.search(r"24 min \d+ s were not watched", again[5].message), again[5].message


def test_a_provider_that_died_in_the_gap_is_found_at_once(lab: Lab) -> None:
    lab.watch(for_s=600)
    lab.clock.advance(900)
    lab.gateway.connection = Connection("offline", "gone", "down", None)
    watched = lab.watch(for_s=600)
    assert watched.breach is not None
    assert watched.breach.clause == "MON-1"
    assert watched.watched_s <= 1502


def test_what_was_logged_in_the_gap_counts(lab: Lab) -> None:
    lab.watch(for_s=600)
    with lab.log.open("a") as log:
        log.write("12:20:00 | ERROR    | gateway:chat - the budget is gone\n")
    watched = lab.watch(for_s=600)
    assert watched.breach is not None
    assert "the budget is gone" in watched.breach.message


def test_what_a_log_command_prints_in_the_gap_is_not_read_and_reported(lab: Lab) -> None:
    """A command cannot continue from a position: MON-5 names the gap, because it was not watched."""
    said = "; not seen: what was logged from 10 min, 20 min of the window on, until the next call"
    follow = replace(TARGET, log_command=("tail", "-n", "0", "-F", str(lab.log)))
    lab.rollout = replace(lab.rollout, target=follow)
    first = lab.watch(for_s=600)
    lab.watch(for_s=600)
    watched = lab.watch()
    assert (said in first.verdicts[4].message, watched.verdicts[4].message.endswith(said)) == (False, True)
    assert watched.verdicts[4].state is State.HOLDING


def test_a_log_file_has_no_gap(lab: Lab) -> None:
    lab.watch(for_s=600)
    assert "not seen" not in lab.watch().verdicts[4].message


def test_a_fallback_in_the_gap_counts_and_an_old_one_does_not(in_memory: Path) -> None:
    lab = Lab(in_memory, window_s=HOUR_S)
    with lab.rollout.journal:
        lab.gateway.fallbacks = 4
        lab.rollout.append(Kind.COUNTERS, metrics=None, fallbacks=4)
        assert lab.watch(for_s=600).left_s
        assert lab.watch(for_s=600).left_s, "the same four are listed, and none is new"
        lab.gateway.fallbacks = 5
        watched = lab.watch(for_s=600)
        assert watched.breach is None
        assert "fallbacks 0.0 % (1 of " in watched.verdicts[4].message
        lab.gateway.fallbacks = 2005
        watched = lab.watch(for_s=600)
        assert watched.breach is not None
        assert "% of users' requests fell back to another provider since the change" in watched.breach.message


def test_failed_polls_of_an_hour_ago_are_not_in_a_row_with_new_ones(lab: Lab) -> None:
    """The log's good polls have no entry of their own, and separate its failed ones all the same."""
    away = lab.log.with_suffix(".away")
    for _ in range(3):
        lab.clock.later(101, lambda: lab.log.rename(away))
        lab.clock.later(106, lambda: away.rename(lab.log))
        assert lab.watch(for_s=300).breach is None
    failed_polls = [sample for sample in lab.samples if sample["source"] == "log" and "error" in sample]
    assert len(failed_polls) == 3


def test_every_verdict_can_be_derived_again_from_the_journal_alone(lab: Lab) -> None:
    lab.gateway.dies_at_s = 1000.0
    while (watched := lab.watch(for_s=500)).left_s:
        record = lab.rollout.record()
        entries = lab.rollout.journal.entries("r-1", Kind.SAMPLE)
        names = ["status", "metrics", "alerts", "fallbacks", "synthetic", "way_back", "log", "operator"]
        again = judge(
            replay_samples(entries, record, names), trigger_context(lab.rollout.scenario, record), watched.watched_s
        )
        assert [(v.clause, v.state, v.value, v.message) for v in again] == words(watched)[:6]
    assert watched.breach is not None


def test_a_trigger_of_a_window_that_is_not_over_is_neither_passed_nor_failed(lab: Lab) -> None:
    said: list[str] = []
    window = Window(lab.watch(for_s=600), said.append)
    assert not window.watched.passed
    window.verdict("MON-2")
    assert said[0].startswith(f"{IN_PROGRESS}50 min left; so far: holding, error rate 0.0 %")


def test_a_call_that_cannot_poll_is_not_the_end_of_the_window(lab: Lab) -> None:
    lab.gateway.counters = GatewayError("GET metrics", "refused")
    lab.watch(for_s=600)
    assert lab.rollout.record().pauses
