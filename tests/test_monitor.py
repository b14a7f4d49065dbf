"""The window: paces, hanging looks, stops, breaches, and 24 hours on the clock of the tests."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from rollout.clock import StopFlag, SystemClock, stamp
from rollout.gateway.answers import Connection
from rollout.monitor import Watched, start_thread, watch
from rollout.samples import Context, Name, Sample
from rollout.scenario import Monitor
from rollout.sources import Source, gateway_sources
from rollout.triggers import State, Verdict
from tests.support.clocks import BEGINNING, SimulatedClock
from tests.support.windows import TARGET, FakeGateway, answered, context, metrics, unreachable


@dataclass
class Window:
    """A window on the simulated clock, and everything it told."""

    clock: SimulatedClock = field(default_factory=SimulatedClock)
    stop: StopFlag = field(default_factory=StopFlag)
    samples: list[Sample] = field(default_factory=list)
    told: list[tuple[tuple[Verdict, ...], float]] = field(default_factory=list)
    dark: list[str] = field(default_factory=list)

    def watch(
        self, sources: list[Source], window_s: float = 60.0, known: Context | None = None, start: Any = None
    ) -> Watched:
        """Watch, with looks that take no time unless `start` says otherwise."""
        return watch(
            sources,
            known or context(),
            clock=self.clock,
            stop=self.stop,
            window_s=window_s,
            on_sample=self.samples.append,
            on_verdicts=lambda verdicts, now_s: self.told.append((verdicts, now_s)),
            on_dark=lambda _source, message: self.dark.append(message),
            start=start or (lambda work: work()),
        )

    def times(self, source: str) -> list[float]:
        """Return when that source was looked at."""
        return [round(one.at_s, 3) for one in self.samples if one.source == source]


def connected(name: str = Name.STATUS, every_s: float = 10.0) -> Source:
    return Source(name, every_s, lambda: Connection("connected"))


def scripted(name: str, every_s: float, *readings: Any) -> Source:
    """Return a source that brings these readings one after another, the last again and again."""
    left = list(readings)

    def look() -> Any:
        reading = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(reading, Exception):
            raise reading
        return reading

    return Source(name, every_s, look)


def growing(clock: SimulatedClock) -> Callable[[], Any]:
    """Return a look at counters that rise by one a second."""
    return lambda: metrics(int(clock.monotonic()) + 100, p95_ms=100.0)


def test_each_source_is_looked_at_at_once_and_then_at_its_own_pace() -> None:
    window = Window()
    window.watch([connected(), scripted("alerts", 30.0, ()), scripted("log", 25.0, ())])
    assert window.times("status") == [0, 10, 20, 30, 40, 50]
    assert window.times("alerts") == [0, 30]
    assert window.times("log") == [0, 25, 50]


def test_verdicts_are_told_after_each_sample_and_the_window_reports_all_seven() -> None:
    window = Window()
    watched = window.watch([connected()])
    assert len(window.told) == len(window.samples) == 6
    assert [verdict.clause for verdict in watched.verdicts] == [f"MON-{n}" for n in range(1, 8)]
    assert (watched.breach, watched.interrupted, watched.watched_s) == (None, None, 60.0)
    assert (watched.started_at, watched.ended_at) == (stamp(BEGINNING), "2026-11-23T12:01:00.000Z")
    assert watched.verdicts[-1].state is State.HOLDING


def test_a_window_without_data_does_not_pass() -> None:
    assert not Window().watch([connected()]).passed


def test_a_bad_status_is_read_again_after_a_second_and_then_ends_the_window() -> None:
    window = Window()
    offline, fine = Connection("offline", "no route"), Connection("connected")
    watched = window.watch([scripted("status", 10.0, fine, offline), scripted("log", 1.0, ())], 1800.0)
    assert window.times("status") == [0, 10, 11]
    assert watched.watched_s == 11.0
    assert watched.breach is not None
    assert (watched.breach.clause, watched.breach.value) == ("MON-1", "offline")


def test_a_status_that_flaps_once_goes_on_at_its_own_pace() -> None:
    window = Window()
    offline, fine = Connection("offline"), Connection("connected")
    watched = window.watch([scripted("status", 10.0, fine, offline, fine)], 40.0)
    assert window.times("status") == [0, 10, 11, 20, 30]
    assert watched.breach is None


def test_a_bad_status_at_the_very_end_is_still_read_again() -> None:
    window = Window()
    offline, fine = Connection("offline"), Connection("connected")
    watched = window.watch([scripted("status", 10.0, fine, fine, offline)], 20.5)
    assert window.times("status") == [0, 10, 20, 21]
    assert watched.breach is not None


def test_a_look_in_flight_skips_ticks_and_queues_none() -> None:
    window = Window()
    window.watch([connected()], 60.0, start=lambda work: window.clock.later(25.0, work))
    assert window.times("status") == [0, 30]
    assert [one.took_s for one in window.samples] == [25.0, 25.0]


def test_a_completion_of_twenty_seconds_delays_no_other_sample() -> None:
    window = Window()
    slow = Source("synthetic", 60.0, answered)
    lanes = iter([20.0] + [0.0] * 100)
    window.watch([slow, connected("status", 1.0)], 30.0, start=lambda work: window.clock.later(next(lanes), work))
    assert window.times("status") == list(range(30))
    assert window.times("synthetic") == [0]


def test_real_threads_let_a_hanging_look_delay_neither_samples_nor_the_end() -> None:
    release, window = threading.Event(), Window()
    hanging = Source("synthetic", 60.0, lambda: release.wait(20.0) and answered())
    began = time.monotonic()
    watch(
        [hanging, connected("status", 0.1)],
        context(),
        clock=SystemClock(),
        stop=_stops_after(0.65, window.stop),
        window_s=30.0,
        on_sample=window.samples.append,
        on_verdicts=lambda *_: None,
        start=start_thread,
    )
    release.set()
    assert time.monotonic() - began < 5.0
    times = window.times("status")
    assert len(times) >= 5
    assert max(late - early for early, late in itertools.pairwise(times)) < 0.5


def _stops_after(seconds: float, stop: StopFlag) -> StopFlag:
    timer = threading.Timer(seconds, stop.set, ["enough"])
    timer.daemon = True
    timer.start()
    return stop


def test_a_source_that_hangs_goes_dark_and_ends_the_window() -> None:
    window = Window()
    hung = Source("metrics", 10.0, lambda: metrics(1))

    def start(work: Callable[[], None]) -> None:
        if len(starts) < 1:
            starts.append(work)
        else:
            work()

    starts: list[Callable[[], None]] = []
    watched = window.watch([hung, connected()], 1800.0, start=start)
    assert window.times("metrics") == [30, 40, 50, 60, 70, 80]
    assert watched.breach is not None
    assert (watched.breach.clause, watched.breach.source, watched.watched_s) == ("MON-6", "metrics", 80.0)
    assert "no answer for 80 s" in watched.breach.message
    assert len(window.dark) == 1


def test_a_source_that_comes_back_in_time_costs_the_window_as_much_time_and_people_are_told_once() -> None:
    """MON-6: one dark source pages and extends once; what nobody could see is watched for afterwards."""
    window = Window()
    dark = [unreachable()] * 5
    counted = scripted("metrics", 10.0, metrics(1), *dark, *(metrics(n) for n in range(2, 40)))
    watched = window.watch([counted, connected()], 200.0)
    assert watched.watched_s == 200.0 + 60.0
    (told,) = window.dark
    assert told.startswith("metrics is dark: 3 looks in a row failed, the latest because: GET")
    assert told.endswith("; the window is 1 min longer for it")
    assert watched.verdicts[5].state is State.HOLDING


def test_nothing_is_extended_where_the_scenario_says_roll_back() -> None:
    window = Window()
    known = context(Monitor(on_no_data={"metrics": "roll_back"}))
    watched = window.watch([scripted("metrics", 10.0, unreachable()), connected()], 200.0, known)
    assert (watched.watched_s, window.dark) == (20.0, [])


def test_a_look_that_comes_back_late_counts_after_all() -> None:
    window = Window()
    watched = window.watch([connected()], 100.0, start=lambda work: window.clock.later(35.0, work))
    assert [(one.at_s, one.error is None) for one in window.samples][:3] == [(30.0, False), (0.0, True), (70.0, False)]
    assert watched.verdicts[0].state is State.HOLDING


def test_the_end_waits_a_moment_for_a_first_look_and_no_longer() -> None:
    window = Window()
    watched = window.watch([connected()], 5.0, start=lambda work: window.clock.later(8.0, work))
    assert (watched.watched_s, watched.verdicts[0].state) == (8.0, State.HOLDING)
    never = Window()
    watched = never.watch([connected()], 5.0, start=lambda _: None)
    assert (watched.watched_s, watched.verdicts[0].state) == (15.0, State.NO_DATA)


def test_the_end_does_not_wait_for_a_later_look() -> None:
    window = Window()
    delays = iter([0.0, 500.0])
    watched = window.watch([connected()], 15.0, start=lambda work: window.clock.later(next(delays), work))
    assert watched.watched_s == 15.0


def test_a_stop_ends_the_window_at_once_and_is_mon_7() -> None:
    window = Window()
    window.clock.later(17.0, lambda: window.stop.set("SIGTERM"))
    watched = window.watch([connected()], 1800.0)
    assert (watched.watched_s, watched.interrupted) == (17.0, "SIGTERM")
    assert watched.breach is watched.verdicts[-1]
    assert watched.breach.clause == "MON-7"
    assert not watched.passed


def test_a_stop_that_came_before_the_window_looks_at_nothing() -> None:
    window = Window()
    window.stop.set("SIGTERM")
    assert window.watch([connected()]).watched_s == 0.0
    assert window.samples == []


def test_an_operators_abort_ends_the_window_at_once() -> None:
    window = Window()
    watched = window.watch([scripted("operator", 2.0, None, None, "users complain")], 1800.0)
    assert watched.breach is not None
    assert (watched.breach.clause, watched.watched_s) == ("MON-5", 4.0)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (unreachable("GET /x"), "GET /x: connection refused"),
        (KeyError("status"), "KeyError: 'status'"),
        (OSError("disk\ngone"), "OSError: disk gone"),
    ],
)
def test_whatever_a_look_raises_is_a_failed_look(fault: Exception, error: str) -> None:
    window = Window()
    watched = window.watch([scripted("status", 10.0, Connection("connected"), fault)], 1800.0)
    assert window.samples[1].error == error
    assert watched.breach is not None
    assert (watched.breach.clause, watched.watched_s) == ("MON-6", 60.0)


def test_a_machine_without_threads_is_a_failed_look() -> None:
    def start(_: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    window = Window()
    assert window.watch([connected()], 1800.0, start=start).breach is not None
    assert window.samples[0].error == "the look could not be started: can't start new thread"


def test_a_journal_that_takes_no_sample_ends_the_window() -> None:
    def refuse(_: Sample) -> None:
        raise RuntimeError("disk full")

    window = Window()
    with pytest.raises(RuntimeError, match="disk full"):
        watch(
            [connected()],
            context(),
            clock=window.clock,
            stop=window.stop,
            window_s=60.0,
            on_sample=refuse,
            on_verdicts=lambda *_: None,
            start=lambda work: work(),
        )


def healthy_sources(window: Window, known: Context, gateway: FakeGateway) -> list[Source]:
    sources = gateway_sources(gateway, known, TARGET, operator=lambda: None, operator_every_s=5.0, clock=window.clock)
    look = growing(window.clock)
    return [replace(source, look=look) if source.name == Name.METRICS else source for source in sources]


def test_a_healthy_window_at_the_defaults_passes() -> None:
    window, known = Window(), context()
    watched = window.watch(healthy_sources(window, known, FakeGateway()), 1800.0, known)
    assert {verdict.state for verdict in watched.verdicts} == {State.HOLDING}
    assert watched.passed
    counted = Counter(one.source for one in window.samples)
    assert (counted["status"], counted["metrics"], counted["alerts"], counted["synthetic"]) == (180, 180, 60, 30)


def test_24_hours_pass_in_seconds_on_the_same_path() -> None:
    window, known = Window(), context(Monitor(window_s=86_400.0))
    began = time.process_time()
    watched = window.watch(healthy_sources(window, known, FakeGateway()), 86_400.0, known)
    spent = time.process_time() - began
    assert watched.passed
    assert watched.watched_s == 86_400.0
    assert len(window.samples) > 40_000
    # Seconds, not minutes; how many depends on what else the machine does.
    assert spent < 15.0


def test_a_provider_that_fails_after_23_hours_is_noticed_within_a_minute() -> None:
    window, known, gateway = Window(), context(), FakeGateway()
    outage_s = 23 * 3600

    def counters() -> Any:
        now = int(window.clock.monotonic())
        return metrics(now, max(0, now - outage_s))

    sources = [
        replace(s, look=counters) if s.name == Name.METRICS else s for s in healthy_sources(window, known, gateway)
    ]
    watched = window.watch(sources, 86_400.0, known)
    assert watched.breach is not None
    assert watched.breach.clause == "MON-2"
    assert watched.watched_s - outage_s <= 60
