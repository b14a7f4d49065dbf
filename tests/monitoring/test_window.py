"""The window: paces, hanging polls, stops, breaches, and 24 hours on the clock of the tests."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from rollout.core.clock import StopFlag, SystemClock
from rollout.core.scenario import Monitor
from rollout.gateway.responses import Connection
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.extension import Extension
from rollout.monitoring.samples import Context, Sample, SourceName
from rollout.monitoring.sources.registry import Source, gateway_sources
from rollout.monitoring.verdict import State, Verdict
from rollout.monitoring.window import start_thread, watch
from rollout.monitoring.window_result import WindowResult, WindowState
from tests.support.clocks import BEGINNING, SimulatedClock
from tests.support.deciding import HOLDS, UNDECIDED, Decide
from tests.support.windows import TARGET, FakeGateway, answered, context, metrics, unreachable


@dataclass
class Window:
    """A window on the simulated clock, with its samples and everything that it reported."""

    clock: SimulatedClock = field(default_factory=SimulatedClock)
    stop: StopFlag = field(default_factory=StopFlag)
    samples: list[Sample] = field(default_factory=list)
    reported: list[tuple[tuple[Verdict, ...], float]] = field(default_factory=list)
    unavailable: list[str] = field(default_factory=list)
    extensions: list[Extension] = field(default_factory=list)
    overruns: list[str] = field(default_factory=list)
    extends: bool = False
    state: WindowState | None = None
    for_s: float | None = None
    on_sample: Callable[[Sample], None] | None = None

    def watch(
        self, sources: list[Source], window_s: float = 60.0, known: Context | None = None, start: Any = None
    ) -> WindowResult:
        """Watch, with polls that take no time unless `start` delays them."""
        return watch(
            sources,
            known or context(),
            clock=self.clock,
            stop=self.stop,
            window_s=window_s,
            on_sample=self.on_sample or self.samples.append,
            on_verdicts=lambda verdicts, now_s: self.reported.append((verdicts, now_s)),
            on_unavailable=lambda _source, message: self.unavailable.append(message),
            on_extended=self.extensions.append,
            on_overrun=self.overruns.append,
            state=self.state or WindowState(BEGINNING, Aggregates(each.name for each in sources), extends=self.extends),
            for_s=self.for_s,
            start=start or (lambda work: work()),
        )

    def times(self, source: str) -> list[float]:
        """Return when that source was polled."""
        return [round(one.at_s, 3) for one in self.samples if one.source == source]


def connected(name: str = SourceName.STATUS, every_s: float = 10.0) -> Source:
    return Source(name, every_s, lambda: Connection("connected"))


def scripted(name: str, every_s: float, *readings: Any) -> Source:
    """Return a source of these readings, one after another, the last repeated."""
    left = list(readings)

    def poll() -> Any:
        reading = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(reading, Exception):
            raise reading
        return reading

    return Source(name, every_s, poll)


def growing(clock: SimulatedClock) -> Callable[[], Any]:
    """Return a poll of counters that rise by one a second."""
    return lambda: metrics(int(clock.monotonic()) + 100, p95_ms=100.0)


def test_each_source_is_polled_at_once_and_then_at_its_own_pace() -> None:
    window = Window()
    window.watch([connected(), scripted("alerts", 30.0, ()), scripted("log", 25.0, ())])
    assert window.times("status") == [0, 10, 20, 30, 40, 50]
    assert window.times("alerts") == [0, 30]
    assert window.times("log") == [0, 25, 50]


def test_verdicts_are_reported_after_each_sample_and_the_window_reports_all_seven() -> None:
    window = Window()
    watched = window.watch([connected()])
    assert len(window.reported) == len(window.samples) == 6
    assert [verdict.clause for verdict in watched.verdicts] == [f"MON-{n}" for n in range(1, 8)]
    assert (watched.breach, watched.interrupted, watched.watched_s) == (None, None, 60.0)
    assert watched.ended_at == "2026-11-23T12:01:00.000Z"
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


def test_a_poll_in_flight_skips_ticks_and_queues_none() -> None:
    window = Window()
    window.watch([connected()], 60.0, start=lambda work: window.clock.later(25.0, work))
    assert window.times("status") == [0, 30]
    assert [one.took_s for one in window.samples] == [25.0, 25.0]


def test_a_completion_of_twenty_seconds_delays_no_other_sample() -> None:
    window = Window()
    slow = Source("synthetic", 60.0, answered)
    delays = iter([20.0] + [0.0] * 100)
    window.watch([slow, connected("status", 1.0)], 30.0, start=lambda work: window.clock.later(next(delays), work))
    assert window.times("status") == list(range(30))
    assert window.times("synthetic") == [0]


def test_real_threads_let_a_hanging_poll_delay_neither_samples_nor_the_end() -> None:
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


def test_a_source_that_hangs_is_unavailable_and_ends_the_window() -> None:
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
    assert len(window.unavailable) == 1


def test_a_source_that_recovers_in_time_extends_the_window_and_is_reported_once() -> None:
    """MON-6: an unavailable source pages and extends the window once."""
    window = Window()
    unavailable = [unreachable()] * 5
    counted = scripted("metrics", 10.0, metrics(1), *unavailable, *(metrics(n) for n in range(2, 40)))
    watched = window.watch([counted, connected()], 200.0)
    assert watched.watched_s == 200.0 + 60.0
    (reported,) = window.unavailable
    assert reported.startswith("metrics is dark: 3 looks in a row failed, the latest because: GET")
    assert reported.endswith("; the window is 1 min longer for it")
    assert watched.verdicts[5].state is State.HOLDING


def test_nothing_is_extended_where_the_scenario_says_roll_back() -> None:
    window = Window()
    known = context(Monitor(on_no_data={"metrics": "roll_back"}))
    watched = window.watch([scripted("metrics", 10.0, unreachable()), connected()], 200.0, known)
    assert (watched.watched_s, window.unavailable) == (20.0, [])


def test_a_poll_that_returns_late_counts_after_all() -> None:
    window = Window()
    watched = window.watch([connected()], 100.0, start=lambda work: window.clock.later(35.0, work))
    assert [(one.at_s, one.error is None) for one in window.samples][:3] == [(30.0, False), (0.0, True), (70.0, False)]
    assert watched.verdicts[0].state is State.HOLDING


def test_the_end_waits_a_moment_for_a_first_poll_and_no_longer() -> None:
    window = Window()
    watched = window.watch([connected()], 5.0, start=lambda work: window.clock.later(8.0, work))
    assert (watched.watched_s, watched.verdicts[0].state) == (8.0, State.HOLDING)
    never = Window()
    watched = never.watch([connected()], 5.0, start=lambda _: None)
    assert (watched.watched_s, watched.verdicts[0].state) == (15.0, State.NO_DATA)


def test_the_end_does_not_wait_for_a_later_poll() -> None:
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


def test_a_stop_that_came_before_the_window_polls_nothing() -> None:
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
def test_any_error_of_a_poll_is_a_failed_poll(fault: Exception, error: str) -> None:
    window = Window()
    watched = window.watch([scripted("status", 10.0, Connection("connected"), fault)], 1800.0)
    assert window.samples[1].error == error
    assert watched.breach is not None
    assert (watched.breach.clause, watched.watched_s) == ("MON-6", 60.0)


def test_a_machine_without_threads_is_a_failed_poll() -> None:
    def start(_: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    window = Window()
    assert window.watch([connected()], 1800.0, start=start).breach is not None
    assert window.samples[0].error == "the poll could not be started: can't start new thread"


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


def pause(window: Window, at_s: float, for_s: float) -> None:
    """Let the process stand still, as by SIGSTOP, while time goes on."""
    window.clock.later(at_s, lambda: window.clock.advance(for_s))


def test_unwatched_time_is_watched_afterwards() -> None:
    """A process that stands still for 38 of 40 s has not watched 40 s: its polls cover two ticks each."""
    window, known = Window(), context(Monitor(window_s=40.0))
    pause(window, 1.5, 38.0)
    watched = window.watch([connected(every_s=1.0), scripted("alerts", 5.0, ())], 40.0, known)
    unwatched_s = 39.5 - 1.0 - 2.0
    assert watched.watched_s == 40.0 + unwatched_s
    assert watched.verdicts[5].state is State.HOLDING
    assert "36 s were not watched, and the window is so much longer" in watched.verdicts[5].message
    late = [(one.source, one.at_s, one.unwatched_s) for one in window.samples if one.unwatched_s]
    assert late == [("status", 39.5, unwatched_s), ("alerts", 39.5, 39.5 - 0.0 - 10.0)]


def test_a_provider_that_fails_after_an_unwatched_time_is_found() -> None:
    window, known = Window(), context(Monitor(window_s=40.0))
    pause(window, 1.5, 38.0)

    def counters() -> Any:
        now = window.clock.monotonic()
        return metrics(int(10 * now), int(9 * max(0.0, now - 41.0)))

    watched = window.watch([connected(every_s=1.0), Source("metrics", 1.0, counters)], 40.0, known)
    assert watched.breach is not None
    assert (watched.breach.clause, watched.watched_s < 60.0) == ("MON-2", True)


def test_more_unwatched_time_than_a_window_is_no_data_and_ends_at_twice_its_length() -> None:
    window, known = Window(), context(Monitor(window_s=40.0))
    pause(window, 5.5, 36.0)
    pause(window, 50.5, 15.0)
    watched = window.watch([connected(every_s=1.0)], 40.0, known)
    assert (watched.watched_s, watched.passed) == (80.0, False)
    mon6 = watched.verdicts[5]
    assert (mon6.clause, mon6.state) == ("MON-6", State.NO_DATA)
    assert mon6.message == "48 s were not watched, and a window of 40 s goes on for so long at most"


def test_a_pause_beyond_twice_the_window_ends_it_after_one_more_poll() -> None:
    window, known = Window(), context(Monitor(window_s=40.0))
    pause(window, 5.5, 500.0)
    watched = window.watch([connected(every_s=1.0), scripted("alerts", 30.0, ())], 40.0, known)
    assert window.times("status")[-2:] == [5, 505.5]
    assert window.times("alerts") == [0, 505.5]
    assert (watched.watched_s, watched.verdicts[5].state) == (505.5, State.NO_DATA)


def test_ticks_that_come_late_by_less_than_a_pace_cost_the_window_nothing() -> None:
    window = Window()
    for second in range(0, 60, 2):
        pause(window, second + 0.5, 1.4)
    watched = window.watch([connected(every_s=1.0)], 60.0)
    assert watched.watched_s == 60.0
    assert not any(one.unwatched_s for one in window.samples)


def test_a_source_that_missed_its_last_ticks_is_polled_before_the_end_counts() -> None:
    window, offline = Window(), Connection("offline")
    pause(window, 31.0, 19.0)
    watched = window.watch([scripted("status", 10.0, *[Connection("connected")] * 4, offline)], 45.0)
    assert window.times("status") == [0, 10, 20, 30, 50, 51]
    assert watched.breach is not None
    assert watched.breach.clause == "MON-1"


def test_the_end_waits_for_that_last_poll_to_return() -> None:
    window, offline = Window(), Connection("offline")
    pause(window, 31.0, 19.0)
    delays = itertools.chain([0.0] * 4, itertools.repeat(2.0))
    watched = window.watch(
        [scripted("status", 10.0, *[Connection("connected")] * 4, offline)],
        45.0,
        start=lambda work: window.clock.later(next(delays), work),
    )
    assert watched.breach is not None
    assert watched.breach.clause == "MON-1"


def test_a_poll_does_not_fail_for_the_time_in_which_this_process_stood_still() -> None:
    """Otherwise the source would be unavailable for a pause of the process itself."""
    window = Window()
    delays = itertools.chain([0.0, 0.0, 25.0], itertools.repeat(0.0))
    pause(window, 2.5, 20.0)
    window.watch([connected(every_s=1.0)], 30.0, start=lambda work: window.clock.later(next(delays), work))
    assert [one.at_s for one in window.samples if one.error] == [25.0, 26.0]


def test_a_slow_poll_is_watching_while_it_is_waited_for() -> None:
    window = Window()
    slow = Source("synthetic", 5.0, answered, hangs_after_s=60.0)
    watched = window.watch([slow], 60.0, start=lambda work: window.clock.later(30.0, work))
    assert watched.watched_s == 60.0
    assert not any(one.unwatched_s for one in window.samples)


def test_a_window_that_was_watched_to_its_end_is_only_polled_once_more() -> None:
    """A canary's stage that ended with a call: the time before the next call does not belong to the stage."""
    window, known = Window(), context(Monitor(window_s=40.0))
    window.clock.advance(900.0)
    watched = watch(
        [connected(every_s=1.0)],
        known,
        clock=window.clock,
        stop=window.stop,
        window_s=40.0,
        on_sample=window.samples.append,
        on_verdicts=lambda *_: None,
        start=lambda work: work(),
        state=WindowState(BEGINNING, Aggregates(["status"]), 40.0),
    )
    assert (window.times("status"), watched.watched_s) == ([900.0], 900.0)
    assert watched.verdicts[5].state is State.HOLDING


def test_all_extensions_together_double_the_window_at_most() -> None:
    window = Window()
    counted = scripted("metrics", 10.0, metrics(1), *[unreachable()] * 5, *(metrics(n) for n in range(2, 80)))
    pause(window, 101.0, 180.0)
    watched = window.watch([counted, connected()], 200.0, context(Monitor(window_s=200.0)))
    assert watched.watched_s == 400.0


def test_an_unwatched_poll_that_never_returns_is_counted_at_the_end() -> None:
    window, known = Window(), context(Monitor(window_s=40.0))
    pause(window, 1.5, 100.0)
    hung = Source("synthetic", 1.0, answered, hangs_after_s=600.0)
    never_back = iter([True, True, False])
    watched = window.watch(
        [connected(every_s=60.0), hung], 40.0, known, start=lambda work: work() if next(never_back, False) else None
    )
    assert window.samples[-1].unwatched_s == 98.5
    assert watched.verdicts[5].state is State.NO_DATA


@pytest.mark.parametrize(
    ("window_s", "decided_at_s", "judged_s"),
    [
        # Every 5 min, until nothing is undecided.
        (1800.0, 2000.0, [1800.0]),
        (1800.0, 2200.0, [1800.0, 2100.0]),
        (86_400.0, 86_900.0, [86_400.0, 86_700.0]),
        # A sixth of a shorter window.
        (60.0, 75.0, [60.0, 70.0]),
        # As long again at most: then it ends as it stands.
        (1800.0, math.inf, [1800.0, 2100.0, 2400.0, 2700.0, 3000.0, 3300.0]),
        (1800.0, 0.0, []),
    ],
)
def test_an_undecided_window_goes_on_and_is_judged_again(
    decide: Decide, window_s: float, decided_at_s: float, judged_s: list[float]
) -> None:
    window = Window(extends=True)
    decide(lambda now_s: HOLDS if now_s >= decided_at_s else UNDECIDED)
    watched = window.watch([connected()], window_s, context(Monitor(window_s=window_s)))
    assert [extension.at_s for extension in window.extensions] == judged_s
    step_s = min(300.0, window_s / 6)
    assert watched.watched_s == window_s + len(judged_s) * step_s <= 2 * window_s
    assert watched.extended_s == watched.watched_s - window_s
    assert watched.verdicts[1].state is (State.HOLDING if decided_at_s < math.inf else State.INCONCLUSIVE)
    if window.extensions:
        last = window.extensions[-1]
        assert (last.until_s, last.at_most_s) == (watched.watched_s, 2 * window_s)
        assert last.why == f"MON-2 is inconclusive: {UNDECIDED.message}"


def test_a_breach_ends_a_window_that_goes_on_at_once(decide: Decide) -> None:
    window = Window(extends=True)
    decide(lambda now_s: UNDECIDED if now_s < 2000 else replace(UNDECIDED, state=State.BREACHED, undecided=False))
    watched = window.watch([connected(), scripted("metrics", 10.0, metrics(1))], 1800.0)
    assert (watched.watched_s, watched.extended_s) == (2000.0, 300.0)
    assert watched.breach is not None
    assert watched.breach.clause == "MON-2"


def test_a_stop_ends_a_window_that_goes_on_at_once(decide: Decide) -> None:
    window = Window(extends=True)
    decide(lambda _: UNDECIDED)
    window.clock.later(1950.0, lambda: window.stop.set("SIGTERM"))
    watched = window.watch([connected()], 1800.0)
    assert (watched.watched_s, watched.left_s, watched.interrupted) == (1950.0, 0.0, "SIGTERM")


def test_an_inconclusive_verdict_that_no_request_can_decide_ends_the_window(decide: Decide) -> None:
    window = Window(extends=True)
    decide(lambda _: replace(UNDECIDED, undecided=False))
    assert window.watch([connected()], 1800.0).watched_s == 1800.0
    assert window.extensions == []


def test_an_undecided_window_does_not_go_on_where_another_verdict_does_not_hold(decide: Decide) -> None:
    window = Window(extends=True)
    decide(lambda _: UNDECIDED)
    watched = window.watch([scripted("status", 10.0, Connection("unknown"))], 60.0)
    assert watched.verdicts[0].state is State.INCONCLUSIVE
    assert (watched.watched_s, window.extensions) == (60.0, [])


def test_an_undecided_window_that_does_not_fit_its_change_window_ends(decide: Decide) -> None:
    window = Window()
    decide(lambda _: UNDECIDED)
    assert window.watch([connected()], 1800.0).watched_s == 1800.0
    assert window.extensions == []


def test_unwatched_time_leaves_less_for_an_undecided_verdict(decide: Decide) -> None:
    """All extensions together double the window."""
    window = Window(extends=True)
    decide(lambda _: UNDECIDED)
    pause(window, 1.5, 33.0)
    watched = window.watch([connected(every_s=1.0)], 60.0, context(Monitor(window_s=60.0)))
    assert watched.watched_s == 120.0
    gap_s = sum(sample.unwatched_s for sample in window.samples)
    assert watched.extended_s == 60.0 - gap_s
    assert [one.at_s for one in window.extensions] == [pytest.approx(60 + gap_s + 10 * n) for n in range(3)]


def test_an_end_that_waited_for_a_poll_goes_on_from_there(decide: Decide) -> None:
    """Otherwise a window shorter than a pace would be judged again and again on the same samples."""
    window = Window(extends=True)
    decide(lambda _: UNDECIDED)
    watched = window.watch([connected()], 5.0, start=lambda work: window.clock.later(8.0, work))
    assert [extension.at_s for extension in window.extensions] == pytest.approx([8.0, 8.0 + 5 / 6, 8.0 + 10 / 6])
    assert watched.watched_s == 10.0


def test_a_call_leaves_what_goes_on_to_the_next_one(decide: Decide) -> None:
    """The extension is counted once, whether one call or several watch the window."""
    decide(lambda _: UNDECIDED)
    window = Window(for_s=40.0)
    left, ends, state = 1.0, [], WindowState(BEGINNING, Aggregates(["status"]))
    while left:
        window.state = state
        watched = window.watch([connected(every_s=1.0)], 60.0, context(Monitor(window_s=60.0)))
        ends.append((watched.watched_s, watched.left_s, watched.extended_s))
        state = replace(state, left_at_s=watched.watched_s, extended_s=watched.extended_s)
        left = watched.left_s
    assert ends == [(40.0, 20.0, 0.0), (80.0, 10.0, 30.0), (120.0, 0.0, 60.0)]


def late_samples(window: Window, source: str = "status") -> list[tuple[float, float]]:
    return [(one.at_s, one.late_s) for one in window.samples if one.source == source and one.late_s]


def test_a_poll_that_begins_late_says_so() -> None:
    window = Window()
    pause(window, 9.5, 2.0)
    window.watch([connected()], 30.0)
    assert late_samples(window) == [(11.5, 1.5)]


def test_a_poll_during_which_this_machine_stood_still_says_so() -> None:
    window = Window()
    pause(window, 11.0, 3.0)
    window.watch([connected()], 30.0, start=lambda work: window.clock.later(2.0, work))
    assert late_samples(window) == [(10.0, 3.0)]


def test_a_result_that_waited_to_be_taken_is_late() -> None:
    """Judging, drawing and the journal of another source's sample are this machine's work too."""
    window = Window()
    slow = iter([0.0, 2.5])

    def keep(sample: Sample) -> None:
        window.samples.append(sample)
        window.clock.advance(next(slow, 0.0))

    window.on_sample = keep
    window.watch([connected(), connected("log"), connected("alerts")], 8.0, start=lambda work: work())
    assert [(one.source, one.late_s) for one in window.samples] == [("status", 0.0), ("log", 0.0), ("alerts", 2.5)]


def test_a_slow_provider_makes_no_poll_late() -> None:
    window = Window()
    window.watch([connected()], 120.0, start=lambda work: window.clock.later(25.0, work))
    assert late_samples(window) == []


def test_a_machine_that_keeps_half_its_pace_is_not_too_busy() -> None:
    window = Window()
    for second in range(0, 60, 2):
        pause(window, second + 0.5, 1.4)
    window.watch([connected(every_s=1.0)], 60.0)
    assert window.overruns == []


def test_a_machine_that_cannot_keep_half_its_pace_says_so_once() -> None:
    window = Window()
    for second in range(0, 120, 3):
        pause(window, second + 0.5, 2.4)
    window.watch([connected(every_s=1.0), connected("log", 60.0)], 120.0)
    (said,) = window.overruns
    assert said.startswith("this machine is too busy to watch: 4 of the latest 10 polls of status came in time, of ")


def healthy_sources(window: Window, known: Context, gateway: FakeGateway) -> list[Source]:
    sources = gateway_sources(gateway, known, TARGET, operator=lambda: None, operator_every_s=5.0, clock=window.clock)
    poll = growing(window.clock)
    return [replace(source, poll=poll) if source.name == SourceName.METRICS else source for source in sources]


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
    assert spent < 30.0


def test_a_provider_that_fails_after_23_hours_is_noticed_within_a_minute() -> None:
    """At the default paces of the two sources that MON-2 reads: others are not needed to see it."""
    window, known, gateway = Window(), context(), FakeGateway()
    outage_s = 23 * 3600

    def counters() -> Any:
        now = int(window.clock.monotonic())
        return metrics(now, max(0, now - outage_s))

    sources = [
        replace(s, poll=counters) if s.name == SourceName.METRICS else s
        for s in healthy_sources(window, known, gateway)
        if s.name in (SourceName.METRICS, SourceName.SYNTHETIC)
    ]
    watched = window.watch(sources, 86_400.0, known)
    assert watched.breach is not None
    assert watched.breach.clause == "MON-2"
    assert outage_s < watched.watched_s <= outage_s + 60
