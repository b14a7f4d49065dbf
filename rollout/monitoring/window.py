"""The bake time: every source at its own pace, every sample judged, the first breach ends the window at once.

A window is watched time: it is extended by the time that was not watched, and beyond its limit that is no data
(MON-6). A poll covers twice its source's pace, so that a late poll extends nothing.
A window goes on where a verdict is undecided at its end, and is judged again (`rollout.monitoring.extension`).
One loop reads one queue of results. Each poll runs in a thread of its own, so that none delays another. A poll that
never returns delays nothing and counts as failed.
"""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from rollout.core.clock import Clock, StopFlag, format_utc
from rollout.core.errors import RolloutError
from rollout.core.scenario import AT_MOST
from rollout.core.units import truncate
from rollout.gateway.responses import Connection
from rollout.monitoring.aggregates import BAD_STATUS, Aggregates
from rollout.monitoring.behaviour import is_to_confirm
from rollout.monitoring.data_quality import AS_LONG_AGAIN, NOT_JUDGED, extended, unwatched
from rollout.monitoring.extension import Extension, again_s, describe_undecided
from rollout.monitoring.poll_schedule import NOISE_S, PollSchedule
from rollout.monitoring.samples import Context, Reading, Sample, SourceName
from rollout.monitoring.sources.registry import Source
from rollout.monitoring.triggers import judge, judge_again
from rollout.monitoring.verdict import NONE, State, Verdict, show_span
from rollout.monitoring.window_result import WindowResult, WindowState

Start = Callable[[Callable[[], None]], None]
OnSample = Callable[[Sample], None]
Holds = Callable[[Verdict], bool]
OnVerdicts = Callable[[tuple[Verdict, ...], float], None]
OnUnavailable = Callable[[str, str], None]
OnExtended = Callable[[Extension], None]
OnOverrun = Callable[[str], None]

ERROR_KEPT = 300
WAKES_EVERY_S = 0.25
"""While a poll is in flight the loop wakes at least so often: a wake-up that comes late measures this machine."""


def start_thread(work: Callable[[], None]) -> None:
    """Run `work` in a daemon thread, so that a poll that hangs does not keep the process alive.

    Raises:
        RuntimeError: the machine has no thread left.
    """
    threading.Thread(target=work, name="rollout-poll", daemon=True).start()


def watch(
    sources: Sequence[Source],
    context: Context,
    *,
    clock: Clock,
    stop: StopFlag,
    window_s: float,
    on_sample: OnSample,
    on_verdicts: OnVerdicts,
    on_unavailable: OnUnavailable = lambda _source, _message: None,
    on_extended: OnExtended = lambda _extension: None,
    on_overrun: OnOverrun = lambda _message: None,
    state: WindowState | None = None,
    for_s: float | None = None,
    start: Start = start_thread,
    holds: Holds | None = None,
) -> WindowResult:
    """Watch for `window_s` seconds, or until the first breach, or until `stop` is set.

    A window longer than a job is watched in slices: each call continues where the call before ended. The time between
    two calls, and the time in which this process stands still, is not watched and extends the window. With the
    extensions for unavailable sources and undecided verdicts it is at most twice as long. Each call polls every source,
    however little is left.

    Args:
        sources: what to poll; each is polled once at the beginning.
        context: what the triggers judge by besides the samples.
        clock: the time.
        stop: ends the window at once (MON-7).
        window_s: the length of the window; for the triggers it replaces the context's.
        on_sample: receives each sample; an error that it raises ends the window and is raised here.
        on_verdicts: receives the verdicts of MON-1 to MON-6 after each sample, and the seconds watched so far.
        on_unavailable: receives the name of a source and a message when the window is extended for it, once each.
        on_extended: receives each extension for an undecided verdict.
        on_overrun: receives a message where this machine keeps less than half the pace of a source, once a call.
        state: the state of the window; None begins one.
        for_s: watch for so many seconds and leave the rest to a later call; None watches to the window's end.
        start: runs a poll; tests run it in place.
        holds: returns whether an operator holds this breach, so that it does not end the window now; called after each
            sample while the breach stands. At the end of the window, or of this call, every standing breach counts.
            None holds none.

    Returns:
        the result; at the window's end only `State.HOLDING` is a pass.
    """
    return _Window(
        sources,
        context,
        clock=clock,
        stop=stop,
        window_s=window_s,
        on_sample=on_sample,
        on_verdicts=on_verdicts,
        on_unavailable=on_unavailable,
        on_extended=on_extended,
        on_overrun=on_overrun,
        state=state or WindowState(clock.now(), Aggregates(source.name for source in sources)),
        for_s=for_s,
        start=start,
        holds=holds,
    ).run()


@dataclass(frozen=True, slots=True)
class _Poll:
    """The result of one poll."""

    schedule: PollSchedule
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
        on_unavailable: OnUnavailable,
        on_extended: OnExtended,
        on_overrun: OnOverrun,
        state: WindowState,
        for_s: float | None,
        start: Start,
        holds: Holds | None,
    ) -> None:
        self.context, self.clock, self.stop = replace(context, window_s=window_s), clock, stop
        self.on_sample, self.on_verdicts, self.on_unavailable = on_sample, on_verdicts, on_unavailable
        self.on_extended, self.on_overrun, self.is_overrun = on_extended, on_overrun, False
        self.start, self.holds = start, holds
        self.began_at, self.aggregates = state.began_at, state.aggregates
        self.extends, self.extended_s = state.extends, state.extended_s
        # A wall clock that was set back between two calls must not lead to a time before the window.
        self.from_s = from_s = max(0.0, (clock.now() - state.began_at).total_seconds())
        self.began = clock.monotonic() - from_s
        self.every_s = {source.name: source.every_s for source in sources}
        self.extended = extended(self.aggregates, context)
        self.leave_s = math.inf if for_s is None else from_s + for_s
        self.reached_s = math.inf
        self.schedules: list[PollSchedule] = []
        self.judged: list[PollSchedule] = []
        left_at_s = from_s if state.left_at_s is None else state.left_at_s
        # In a window that an earlier call has watched to its end, each source is polled once more.
        gap_s = max(0.0, from_s - left_at_s) if left_at_s < self.lasts_s - NOISE_S else 0.0
        self.schedules = [PollSchedule(source, from_s, gap_s) for source in sources]
        self.judged = [schedule for schedule in self.schedules if schedule.source.name not in NOT_JUDGED]
        self.results: queue.SimpleQueue[_Poll] = queue.SimpleQueue()
        self.verdicts = judge(self.aggregates, context, from_s)

    def run(self) -> WindowResult:
        while not self.stop:
            now_s = self.now_s()
            is_past_end = now_s >= self.end_s
            self.reached_s = min(self.reached_s, now_s) if is_past_end else math.inf
            if is_past_end and (held := next(self.breaches(), None)) is not None:
                # A hold ends with the window and with the call: after them the breach is not watched.
                return self.ended(held)
            self.launch(now_s)
            wait_s = self.next_turn(now_s) - now_s
            if wait_s <= 0 and now_s >= self.end_s and self.results.empty():
                if self.extend_undecided(now_s):
                    continue
                return self.ended(self.give_up(now_s))
            poll = self.receive(now_s, max(0.0, wait_s))
            if poll is not None and (breach := self.take(poll)) is not None:
                return self.ended(breach)
        return self.ended(None)

    def receive(self, now_s: float, wait_s: float) -> _Poll | None:
        """Wait for the result of a poll; measure by how much the wake-up is late for the polls in flight."""
        in_flight = [schedule for schedule in self.schedules if schedule.started_s is not None]
        until_s = now_s + (min(wait_s, WAKES_EVERY_S) if in_flight else wait_s)
        poll = self.clock.receive(self.results, max(0.0, until_s - self.now_s()), self.stop)
        late_s = self.now_s() - until_s
        for schedule in in_flight:
            schedule.delay(late_s if late_s > NOISE_S else 0.0)
        return poll

    def now_s(self) -> float:
        return self.clock.monotonic() - self.began

    @property
    def end_s(self) -> float:
        """When this call ends, in seconds of the window."""
        return min(max(self.lasts_s, self.from_s), self.leave_s)

    @property
    def lasts_s(self) -> float:
        """When the window ends, with its extensions, which are at most as long as the window itself."""
        gap_s = max(map(self.unwatched_s, self.judged), default=0.0) if self.schedules else unwatched(self.aggregates)
        # For each source that was unavailable.
        polls = AS_LONG_AGAIN * self.context.monitor.dark_in_a_row
        longer_s = sum(polls * self.every_s.get(source, 0.0) for source in self.extended) + gap_s + self.extended_s
        return min(self.context.lasts_s + longer_s, self.at_most_s)

    @property
    def at_most_s(self) -> float:
        """When the window ends at the latest, if every source is watched until then."""
        return AT_MOST * self.context.lasts_s

    def unwatched_s(self, schedule: PollSchedule) -> float:
        """Return how many seconds of the window this source was not watched."""
        seen = self.aggregates.polls.get(schedule.source.name)
        return (0.0 if seen is None else seen.unwatched_s) + schedule.unwatched_s

    def extend(self) -> None:
        """Extend the window for each source that is unavailable for the first time, and report it."""
        for source in extended(self.aggregates, self.context):
            if source not in self.extended:
                before_s = self.lasts_s
                self.extended = (*self.extended, source)
                message = next(verdict.message for verdict in self.verdicts if verdict.clause == "MON-6")
                self.on_unavailable(
                    source, f"{message}; the window is {show_span(self.lasts_s - before_s)} longer for it"
                )

    def extend_undecided(self, now_s: float) -> bool:
        """Let the window go on where a verdict is undecided at its end; return whether it does."""
        lasts_s, until_s = self.lasts_s, min(now_s + again_s(self.context.lasts_s), self.at_most_s)
        if not self.extends or now_s < lasts_s or until_s <= now_s + NOISE_S:
            return False
        self.verdicts = judge(self.aggregates, self.context, now_s)
        why = describe_undecided(self.verdicts)
        if why:
            self.extended_s += until_s - lasts_s
            self.on_extended(Extension(now_s, until_s, self.at_most_s, self.extended_s, why))
        return bool(why)

    def next_turn(self, now_s: float) -> float:
        """Return when the next poll is due or this call ends, in seconds of the window."""
        end_s = self.end_s
        if now_s < end_s:
            return min([end_s, *(schedule.due_s for schedule in self.schedules)])
        waits = [self.reached_s + schedule.source.every_s for schedule in self.schedules if schedule.is_open()]
        turns = [schedule.due_s for schedule in self.schedules if schedule.confirming and schedule.started_s is None]
        last = max(waits, default=end_s)
        return min([last, *turns]) if now_s < last else now_s

    def launch(self, now_s: float) -> None:
        for schedule in self.schedules:
            if schedule.due_s > now_s + NOISE_S:
                continue
            end_s = self.end_s
            past_end = now_s >= end_s
            if past_end and not schedule.is_due_before(end_s):
                continue
            schedule.attend(now_s)
            self.check_pace(schedule)
            if schedule.started_s is None:
                schedule.delivered = schedule.delivered and not past_end
                self.poll(schedule, now_s)
            elif schedule.hangs_s(now_s) >= schedule.source.patience_s:
                self.hang(schedule, now_s)
            schedule.next_tick(now_s)

    def check_pace(self, schedule: PollSchedule) -> None:
        """Report, once, that this machine is too busy to keep half the pace of a source."""
        if self.is_overrun or not schedule.is_overrun():
            return
        self.is_overrun, ticks = True, schedule.on_time
        self.on_overrun(
            f"this machine is too busy to watch: {sum(ticks)} of the latest {len(ticks)} polls of "
            f"{schedule.source.name} came in time, of which one is due every {schedule.source.every_s:g} s; "
            "give it more processor time, or poll less often"
        )

    def hang(self, schedule: PollSchedule, now_s: float) -> None:
        error = f"no answer for {schedule.hangs_s(now_s):.0f} s"
        self.results.put(_Poll(schedule, now_s, None, error, now_s, hangs=True))

    def give_up(self, now_s: float) -> Verdict | None:
        """Add a failed poll for each source with unwatched time whose poll is in flight at the end; return a breach."""
        for schedule in self.schedules:
            if schedule.unwatched_s:
                self.hang(schedule, now_s)
        breaches = [self.take(self.results.get()) for schedule in self.schedules if schedule.unwatched_s]
        return next(filter(None, breaches), None)

    def poll(self, schedule: PollSchedule, now_s: float) -> None:
        schedule.begin_poll(now_s)

        def work() -> None:
            reading, error = _poll(schedule.source)
            self.results.put(_Poll(schedule, now_s, reading, error, self.now_s()))

        try:
            self.start(work)
        except RuntimeError as error:
            self.results.put(_Poll(schedule, now_s, None, f"the poll could not be started: {error}", now_s))

    def take(self, poll: _Poll) -> Verdict | None:
        """Add the sample of a poll, judge, and return the first breach that is not held."""
        schedule = poll.schedule
        # A poll that has not returned measures no latency.
        late_s = 0.0 if poll.hangs else max(schedule.late_s, self.now_s() - poll.ended_s)
        if not poll.hangs:
            schedule.started_s, schedule.delivered = None, True
        # Rounded as the journal keeps them, so that the audit judges the same numbers.
        sample = self.aggregates.add(
            Sample(
                source=schedule.source.name,
                at_s=round(poll.started_s, 3),
                at=format_utc(self.began_at + timedelta(seconds=poll.started_s)),
                reading=poll.reading,
                error=poll.error,
                took_s=round(poll.ended_s - poll.started_s, 3),
                unwatched_s=round(schedule.unwatched_s, 3),
                late_s=round(late_s, 3),
            )
        )
        schedule.unwatched_s = 0.0
        self.on_sample(sample)
        now_s = self.now_s()
        if schedule.source.name == SourceName.STATUS:
            schedule.confirming = _is_bad(sample)
            if schedule.confirming:
                schedule.due_s = min(schedule.due_s, now_s + self.context.monitor.confirm_after_s)
        elif schedule.source.name == SourceName.SYNTHETIC:
            schedule.confirming = is_to_confirm(self.aggregates, self.context, sample)
            if schedule.confirming:
                schedule.due_s = min(schedule.due_s, now_s)
        self.verdicts = judge_again(self.verdicts, schedule.source.name, self.aggregates, self.context, now_s)
        self.on_verdicts(self.verdicts, now_s)
        if sample.error is not None:
            self.extend()
        return next((breach for breach in self.breaches() if self.holds is None or not self.holds(breach)), None)

    def breaches(self) -> Iterator[Verdict]:
        """Yield the standing breaches."""
        return (verdict for verdict in self.verdicts if verdict.state is State.BREACHED)

    def ended(self, breach: Verdict | None) -> WindowResult:
        watched_s = self.now_s()
        ended_at = format_utc(self.clock.now())
        asked = _asked_to_stop(None if breach else self.stop.reason, watched_s, ended_at)
        return WindowResult(
            breach=asked if asked.state is State.BREACHED else breach,
            verdicts=(*judge(self.aggregates, self.context, watched_s), asked),
            ended_at=ended_at,
            watched_s=watched_s,
            interrupted=None if breach else self.stop.reason,
            left_s=0.0 if breach or self.stop else max(0.0, self.lasts_s - max(watched_s, self.end_s)),
            extended_s=self.extended_s,
        )


def _asked_to_stop(reason: str | None, watched_s: float, at: str) -> Verdict:
    """Judge MON-7: no abort is requested."""
    after = show_span(watched_s)
    return Verdict(
        clause="MON-7",
        state=State.HOLDING if reason is None else State.BREACHED,
        value=reason or NONE,
        limit=NONE,
        samples=1,
        source="signals",
        span=f"the first {after}",
        at=at,
        message="nobody asked to stop" if reason is None else f"asked to stop after {after}: {reason}",
    )


def _poll(source: Source) -> tuple[Reading | None, str | None]:
    try:
        return source.poll(), None
    except RolloutError as error:
        text = str(error)
    except Exception as error:  # noqa: BLE001 - any error of a poll is a failed poll; the window continues
        text = f"{type(error).__name__}: {error}"
    return None, truncate(" ".join(text.split()), ERROR_KEPT)


def _is_bad(sample: Sample) -> bool:
    return isinstance(sample.reading, Connection) and sample.reading.status.casefold() in BAD_STATUS
