"""The bake time: every source at its own pace, every sample judged, the first breach ends the window at once.

A window is watched time: what nobody watched is watched afterwards, and what cannot be is no data (MON-6). A look
covers twice its source's pace, so that a late one costs nothing.
One loop, one inbox. A look runs in a thread of its own, so that none delays another; a look that never comes back
delays nothing and counts as dark.
"""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rollout.core.clock import Clock, StopFlag, format_utc
from rollout.core.errors import RolloutError
from rollout.core.units import truncate
from rollout.gateway.responses import Connection
from rollout.monitoring.aggregates import BAD_STATUS, Aggregates
from rollout.monitoring.data_quality import AS_LONG_AGAIN, NOT_JUDGED, extended, unwatched
from rollout.monitoring.poll_schedule import NOISE_S, PollSchedule
from rollout.monitoring.samples import Context, Reading, Sample, SourceName
from rollout.monitoring.sources.registry import Source
from rollout.monitoring.triggers import judge, judge_again
from rollout.monitoring.verdict import NONE, State, Verdict, show_span

Start = Callable[[Callable[[], None]], None]
OnSample = Callable[[Sample], None]
Holds = Callable[[Verdict], bool]
OnVerdicts = Callable[[tuple[Verdict, ...], float], None]
OnDark = Callable[[str, str], None]

ERROR_KEPT = 300


@dataclass(frozen=True, slots=True)
class StageResult:
    """What came of one stage of a canary.

    Attributes:
        clause: the clause that speaks of it.
        outcome: ``held``, ``failed``, ``in progress`` or ``not reached``.
        message: the sentence that a person reads.
    """

    clause: str
    outcome: str
    message: str


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What came of a window.

    Attributes:
        breach: the verdict that ended it; MON-7's if it was interrupted, None if it ran to its end.
        verdicts: MON-1 to MON-7, in this order, as they stood at the end.
        started_at: when it began, UTC, ISO 8601.
        ended_at: when it ended.
        watched_s: how far into the window it ended, in seconds.
        interrupted: why it was interrupted, None if it was not.
        left_s: how much of the window is left for a later call; 0 where it came to its end.
        stages: a canary's stages, in order; none where the change was made all at once.
    """

    breach: Verdict | None
    verdicts: tuple[Verdict, ...]
    started_at: str
    ended_at: str
    watched_s: float
    interrupted: str | None = None
    left_s: float = 0.0
    stages: tuple[StageResult, ...] = ()

    @property
    def passed(self) -> bool:
        """Tell whether every trigger holds at the window's end: no data is not a pass."""
        return not self.left_s and all(verdict.state is State.HOLDING for verdict in self.verdicts)


@dataclass(frozen=True, slots=True)
class WindowState:
    """Where a window stands that an earlier call has watched a part of.

    Attributes:
        began_at: when it began.
        history: what was seen in it so far.
        left_at_s: when the latest call left it, in seconds of the window; None where none did.
    """

    began_at: datetime
    history: Aggregates
    left_at_s: float | None = None


def start_thread(work: Callable[[], None]) -> None:
    """Run `work` in a daemon thread: a look that hangs does not keep the process alive.

    Raises:
        RuntimeError: the machine has no thread left.
    """
    threading.Thread(target=work, name="rollout-look", daemon=True).start()


def never(_: Verdict) -> bool:
    """Hold no breach."""
    return False


def watch(
    sources: Sequence[Source],
    context: Context,
    *,
    clock: Clock,
    stop: StopFlag,
    window_s: float,
    on_sample: OnSample,
    on_verdicts: OnVerdicts,
    on_dark: OnDark = lambda _source, _message: None,
    course: WindowState | None = None,
    for_s: float | None = None,
    start: Start = start_thread,
    holds: Holds = never,
) -> WindowResult:
    """Watch for `window_s` seconds, or until the first breach, or until `stop` is set.

    A window longer than a job is watched in slices: each call goes on where the one before has left it. The time
    between them is not watched, no more than that in which this process stands still: the window is so much longer, up
    to twice as long with what a dark source adds. Each call looks at every source, however little is left.

    Args:
        sources: what to look at; all are looked at once at the beginning.
        context: what the triggers know besides.
        clock: the time.
        stop: ends the window at once (MON-7).
        window_s: how long to watch; the context's `lasts_s` in the triggers' eyes.
        on_sample: is handed each sample as it was taken; what it raises ends the window and is raised here.
        on_verdicts: is handed the verdicts of MON-1 to MON-6 after each sample, and the seconds watched so far.
        on_dark: is told once for each source, with its name, that it is dark for the first time; the window is longer.
        course: where the window stands; None begins one.
        for_s: watch for so long and leave the rest to a later call; None watches to the window's end.
        start: runs a look; tests run it in place.
        holds: tells whether a person holds this breach, so that it does not end the window now; asked again after
            each sample while the breach stands. At the window's end, or this call's, every standing breach counts.

    Returns:
        what came of it; at the window's end only `State.HOLDING` is a pass.
    """
    window = _Window(
        sources,
        context,
        clock=clock,
        stop=stop,
        window_s=window_s,
        on_sample=on_sample,
        on_verdicts=on_verdicts,
        on_dark=on_dark,
        course=course or WindowState(clock.now(), Aggregates(source.name for source in sources)),
        for_s=for_s,
        start=start,
        holds=holds,
    )
    return window.run()


@dataclass(frozen=True, slots=True)
class _Poll:
    """What a look brought home."""

    lane: PollSchedule
    started_s: float
    reading: Reading | None
    error: str | None
    ended_s: float
    hangs: bool = False


class _Window:
    """One run of `watch`."""

    def __init__(
        self,
        sources: Sequence[Source],
        context: Context,
        *,
        clock: Clock,
        stop: StopFlag,
        window_s: float,
        on_sample: OnSample,
        on_verdicts: OnVerdicts,
        on_dark: OnDark,
        course: WindowState,
        for_s: float | None,
        start: Start,
        holds: Holds,
    ) -> None:
        self.context, self.clock, self.stop = replace(context, window_s=window_s), clock, stop
        self.on_sample, self.on_verdicts, self.on_dark, self.start = on_sample, on_verdicts, on_dark, start
        self.holds = holds
        self.began_at, self.history = course.began_at, course.history
        # A wall clock that was set back between two calls must not take us to before the window.
        self.from_s = from_s = max(0.0, (clock.now() - course.began_at).total_seconds())
        self.began = clock.monotonic() - from_s
        self.every_s = {source.name: source.every_s for source in sources}
        self.extended = extended(self.history, context)
        self.leave_s = math.inf if for_s is None else from_s + for_s
        self.reached_s = math.inf
        self.lanes: list[PollSchedule] = []
        left_at_s = from_s if course.left_at_s is None else course.left_at_s
        # A window that an earlier call has watched to its end is only looked at once more.
        gap_s = max(0.0, from_s - left_at_s) if left_at_s < self.lasts_s - NOISE_S else 0.0
        self.lanes = [PollSchedule(source, from_s, gap_s) for source in sources]
        self.inbox: queue.SimpleQueue[_Poll] = queue.SimpleQueue()
        self.verdicts = judge(self.history, context, from_s)

    def run(self) -> WindowResult:
        while not self.stop:
            now_s = self.now_s()
            is_past_end = now_s >= self.end_s
            self.reached_s = min(self.reached_s, now_s) if is_past_end else math.inf
            if is_past_end and (held := next(self.breaches(), None)) is not None:
                # A hold outlasts neither the window nor the call: nobody would watch what is broken.
                return self.ended(held)
            self.launch(now_s)
            wait_s = self.next_turn(now_s) - now_s
            if wait_s <= 0 and now_s >= self.end_s and self.inbox.empty():
                return self.ended(self.give_up(now_s))
            look = self.clock.receive(self.inbox, max(0.0, wait_s), self.stop)
            if look is not None and (breach := self.take(look)) is not None:
                return self.ended(breach)
        return self.ended(None)

    def now_s(self) -> float:
        return self.clock.monotonic() - self.began

    @property
    def end_s(self) -> float:
        """When this call ends: with the window, or before."""
        return min(max(self.lasts_s, self.from_s), self.leave_s)

    @property
    def lasts_s(self) -> float:
        """When the window ends: with what was dark or not watched, at most twice as late as without."""
        gap_s = max(map(self.unwatched_s, self.lanes)) if self.lanes else unwatched(self.history)
        longer_s = sum(map(self.extension_s, self.extended)) + gap_s
        return self.context.lasts_s + min(longer_s, self.context.lasts_s)

    def unwatched_s(self, lane: PollSchedule) -> float:
        """Return how much of the window nobody watched this source, if a trigger reads it."""
        seen = self.history.polls.get(str(lane.source.name))
        known_s = 0.0 if seen is None else seen.unwatched_s
        return 0.0 if lane.source.name in NOT_JUDGED else known_s + lane.unwatched_s

    def extension_s(self, source: str) -> float:
        """Return by how much the window is extended for a source that was dark: by as long as it may have been."""
        return AS_LONG_AGAIN * self.context.monitor.dark_in_a_row * self.every_s.get(source, 0.0)

    def extend(self) -> None:
        """Make the window longer for sources that have just gone dark for the first time, and tell people."""
        now = extended(self.history, self.context)
        for source in now:
            if source not in self.extended:
                before_s = self.lasts_s
                self.extended = (*self.extended, source)
                message = next(verdict.message for verdict in self.verdicts if verdict.clause == "MON-6")
                self.on_dark(source, f"{message}; the window is {show_span(self.lasts_s - before_s)} longer for it")

    def next_turn(self, now_s: float) -> float:
        """Return when there is something to do next besides reading the inbox: a look is due, or the end is there."""
        end_s = self.end_s
        if now_s < end_s:
            return min([end_s, *(lane.due_s for lane in self.lanes)])
        waits = [self.reached_s + lane.source.every_s for lane in self.lanes if lane.is_open()]
        turns = [lane.due_s for lane in self.lanes if lane.confirming and lane.started_s is None]
        last = max(waits, default=end_s)
        return min([last, *turns]) if now_s < last else now_s

    def launch(self, now_s: float) -> None:
        for lane in self.lanes:
            if lane.due_s > now_s + NOISE_S:
                continue
            end_s = self.end_s
            past_end = now_s >= end_s
            if past_end and not lane.is_due_before(end_s):
                continue
            lane.attend(now_s)
            if lane.started_s is None:
                lane.delivered = lane.delivered and not past_end
                self.poll(lane, now_s)
            elif lane.hangs_s(now_s) >= lane.source.patience_s:
                self.hang(lane, now_s)
            lane.next_tick(now_s)

    def hang(self, lane: PollSchedule, now_s: float) -> None:
        text = f"no answer for {lane.hangs_s(now_s):.0f} s"
        self.inbox.put(_Poll(lane, now_s, None, text, now_s, hangs=True))

    def give_up(self, now_s: float) -> Verdict | None:
        """Tell of looks that nobody watched for a while and that are still in flight at the end; return a breach."""
        for lane in self.lanes:
            if lane.unwatched_s:
                self.hang(lane, now_s)
        breaches = [self.take(self.inbox.get()) for lane in self.lanes if lane.unwatched_s]
        return next(filter(None, breaches), None)

    def poll(self, lane: PollSchedule, now_s: float) -> None:
        lane.started_s, lane.late_s = now_s, 0.0

        def work() -> None:
            reading, error = _poll(lane.source)
            self.inbox.put(_Poll(lane, now_s, reading, error, self.now_s()))

        try:
            self.start(work)
        except RuntimeError as error:
            self.inbox.put(_Poll(lane, now_s, None, f"the look could not be started: {error}", now_s))

    def take(self, look: _Poll) -> Verdict | None:
        """Add a look's sample, judge, and return the first breach that nobody holds."""
        lane = look.lane
        if not look.hangs:
            lane.started_s, lane.delivered = None, True
        at = format_utc(self.began_at + timedelta(seconds=look.started_s))
        # Rounded as the journal keeps them, so that what is judged again is the same.
        started_s, took_s = round(look.started_s, 3), round(look.ended_s - look.started_s, 3)
        unwatched_s, lane.unwatched_s = round(lane.unwatched_s, 3), 0.0
        sample = Sample(lane.source.name, started_s, at, look.reading, look.error, took_s, unwatched_s)
        sample = self.history.add(sample)
        self.on_sample(sample)
        now_s = self.now_s()
        if lane.source.name == SourceName.STATUS:
            lane.confirming = _is_bad(sample)
            if lane.confirming:
                lane.due_s = min(lane.due_s, now_s + self.context.monitor.confirm_after_s)
        self.verdicts = judge_again(self.verdicts, lane.source.name, self.history, self.context, now_s)
        self.on_verdicts(self.verdicts, now_s)
        if sample.error is not None:
            self.extend()
        return next((breach for breach in self.breaches() if not self.holds(breach)), None)

    def breaches(self) -> Iterator[Verdict]:
        """Yield the breaches that stand."""
        return (verdict for verdict in self.verdicts if verdict.state is State.BREACHED)

    def ended(self, breach: Verdict | None) -> WindowResult:
        watched_s = self.now_s()
        verdicts = judge(self.history, self.context, watched_s)
        ended_at = format_utc(self.clock.now())
        asked = _asked_to_stop(None if breach else self.stop.reason, watched_s, ended_at)
        return WindowResult(
            breach=asked if asked.state is State.BREACHED else breach,
            verdicts=(*verdicts, asked),
            started_at=format_utc(self.began_at),
            ended_at=ended_at,
            watched_s=watched_s,
            interrupted=None if breach else self.stop.reason,
            left_s=0.0 if breach or self.stop else max(0.0, self.lasts_s - max(watched_s, self.end_s)),
        )


def _asked_to_stop(reason: str | None, watched_s: float, at: str) -> Verdict:
    """MON-7: nobody asks for an abort."""
    state, span = State.HOLDING if reason is None else State.BREACHED, f"the first {show_span(watched_s)}"
    message = "nobody asked to stop" if reason is None else f"asked to stop after {show_span(watched_s)}: {reason}"
    return Verdict("MON-7", state, reason or NONE, NONE, 1, "signals", span, at, message)


def _poll(source: Source) -> tuple[Reading | None, str | None]:
    try:
        return source.poll(), None
    except RolloutError as error:
        return None, _one_line(str(error))
    except Exception as error:  # noqa: BLE001 - whatever a look raises is a failed look; the window goes on
        return None, _one_line(f"{type(error).__name__}: {error}")


def _one_line(text: str) -> str:
    return truncate(" ".join(text.split()), ERROR_KEPT)


def _is_bad(sample: Sample) -> bool:
    return isinstance(sample.reading, Connection) and sample.reading.status.casefold() in BAD_STATUS
