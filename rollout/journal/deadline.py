"""A deadline for every call to a journal, and signals that are handled meanwhile.

A server that is stopped, a network that drops packets and a disk that hangs block their caller in code that no
exception reaches. So a thread makes the calls, one after the other, and the caller waits for it. When a call misses its
deadline, the thread is abandoned with its connection, and further calls fail at once until one of them, after a pause,
finds that the journal answers again.

A process that stands still (SIGSTOP, a paused machine) makes no call. A deadline that passes meanwhile is no fault of
the journal: the call is waited for a little longer.

The time here is the machine's: a deadline that a test could move would not be one.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, TypeVar

from rollout.core.errors import JournalError

T = TypeVar("T")

SPARE_S = 2.0
"""How much longer a call may take than it waits for another writer."""
PAUSE_S = 5.0
"""How long calls fail at once after one missed its deadline, before one of them is tried again."""
PROBE_S = 2.0
"""How long that one is waited for, and a call during which this process stood still."""
STOOD_STILL_S = 1.0
"""A wait that ends so much later than it should shows that this process stood still."""


@dataclass(slots=True)
class _Job:
    """One call.

    Attributes:
        work: the function to call.
        patience_s: how long it is waited for.
        late_at: until when (`monotonic`) it is waited for.
        future: its result or error.
    """

    work: Callable[[], Any]
    patience_s: float
    late_at: float
    future: Future[Any] = field(default_factory=Future)


class _Line:
    """A thread, and the calls that it makes one after the other.

    Attributes:
        jobs: those that wait; None ends the thread.
        current: the one that is being made.
        abandoned: the thread was given up; its results are dropped.
    """

    def __init__(self, state: _State) -> None:
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.current: _Job | None = None
        self.abandoned = False
        self.thread = threading.Thread(target=_take_turns, args=(self, state), name="rollout-journal", daemon=True)

    def unfinished(self) -> Iterator[_Job]:
        """Yield the call that is being made, and take those that wait."""
        if self.current is not None:
            yield self.current
        with suppress(Empty):
            yield from iter(self.jobs.get_nowait, None)


@dataclass(slots=True)
class _State:
    """The calls of one process.

    Attributes:
        line: its thread; None before the first call, and after one was given up.
        retry_at: when (`monotonic`) a call may be tried again; None while the journal answers.
        probe: the call that is tried.
        unawaited: the calls without a waiting caller, in order, with the threads that make them.
        is_watched: whether a timer runs for them.
        lock: guards all of it; reentrant, because a signal's handler may interrupt its holder.
    """

    line: _Line | None = None
    retry_at: float | None = None
    probe: _Job | None = None
    unawaited: deque[tuple[_Line, _Job]] = field(default_factory=deque)
    is_watched: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)


class Deadline:
    """Makes the calls to one journal, in the order in which they are submitted.

    Every failure of a call is raised as it is; one that does not end in time as a `JournalError`.

    Attributes:
        patience_s: how long a call is waited for, from its submission on.
        pause_s: see `PAUSE_S`.
        probe_s: see `PROBE_S`.
    """

    def __init__(self, where: str, patience_s: float, abandon: Callable[[threading.Thread], None]) -> None:
        """Start nothing yet.

        Args:
            where: the journal's path or URL, for messages.
            patience_s: as the attribute.
            abandon: prevents a thread that was given up from writing anything more; must not block.
        """
        self.patience_s, self.pause_s, self.probe_s = patience_s, PAUSE_S, PROBE_S
        self._where = where
        self._abandon = abandon
        # By process: a fork inherits neither the thread nor a lock that it could rely on.
        self._states: dict[int, _State] = {}

    def call(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises.

        Raises:
            JournalError: it did not end in time, or was not tried because an earlier one did not.
        """
        state = self._state()
        if state.line is not None and state.line.thread is threading.current_thread():
            return work()
        line, job = self._submit(state, work)
        while True:
            try:
                return job.future.result(max(0.0, job.late_at - monotonic()))  # type: ignore[no-any-return]
            except TimeoutError:
                if job.future.done() or not self._postpone(job):
                    break
        self._give_up(state, line, job)
        return job.future.result()  # type: ignore[no-any-return]

    def soon(self, work: Callable[[], T]) -> Future[T]:
        """Return the future of `work` without waiting for it; within the deadline it has a result or an error."""
        state = self._state()
        try:
            line, job = self._submit(state, work)
        except JournalError as error:
            failed: Future[T] = Future()
            failed.set_exception(error)
            return failed
        with state.lock:
            _forget_done(state)
            state.unawaited.append((line, job))
            was_watched, state.is_watched = state.is_watched, True
        if not was_watched:
            self._watch(state)
        return job.future

    def _watch(self, state: _State) -> None:
        """Give up the calls without a waiting caller when they are late: one timer serves all of them."""
        while True:
            with state.lock:
                _forget_done(state)
                if not state.unawaited:
                    state.is_watched = False
                    return
                line, job = state.unawaited[0]
                self._postpone(job)
                left_s = job.late_at - monotonic()
                if left_s <= 0:
                    state.unawaited.popleft()
            if left_s > 0:
                timer = threading.Timer(left_s, self._watch, (state,))
                timer.daemon = True
                timer.start()
                return
            self._give_up(state, line, job)

    def _postpone(self, job: _Job) -> bool:
        """Move the deadline of a call during which this process stood still; return whether it did."""
        now = monotonic()
        if now - job.late_at < STOOD_STILL_S:
            return False
        job.late_at = now + self.probe_s
        return True

    def close(self) -> None:
        """Wait, within the deadline, for the submitted calls, and end the thread; a later call starts one."""
        state = self._state()
        if state.line is None:
            return
        with suppress(JournalError):
            self.call(lambda: None)
        with state.lock:
            line, state.line = state.line, None
        if line is not None:
            line.jobs.put(None)

    def _state(self) -> _State:
        return self._states.setdefault(os.getpid(), _State())

    def _submit(self, state: _State, work: Callable[[], Any]) -> tuple[_Line, _Job]:
        with state.lock:
            patience_s = self._patience_s(state)
            job = _Job(work, patience_s, monotonic() + patience_s)
            state.probe = None if state.retry_at is None else job
            line = state.line or self._started(state)
            line.jobs.put(job)
            return line, job

    def _patience_s(self, state: _State) -> float:
        """Return how long the next call is waited for.

        Raises:
            JournalError: it is not tried, because an earlier one did not end in time.
        """
        if state.retry_at is None:
            return self.patience_s
        if state.probe is not None and state.line is not None and monotonic() >= state.probe.late_at:
            # The caller that waited for it was interrupted.
            self._give_up(state, state.line, state.probe)
        if state.probe is not None or monotonic() < state.retry_at:
            raise self._silent("it did not answer an earlier call")
        return min(self.patience_s, self.probe_s)

    def _started(self, state: _State) -> _Line:
        line = state.line = _Line(state)
        # A journal that was not closed ends its thread when it is garbage collected.
        weakref.finalize(self, line.jobs.put, None).atexit = False
        line.thread.start()
        return line

    def _give_up(self, state: _State, line: _Line, job: _Job) -> None:
        """Give up a thread whose call missed its deadline, with every call that waits behind it."""
        with state.lock:
            if line.abandoned or job.future.done():
                return
            line.abandoned = True
            if state.line is line:
                state.line, state.probe, state.retry_at = None, None, monotonic() + self.pause_s
            unfinished = list(line.unfinished())
        try:
            self._abandon(line.thread)
        finally:
            line.jobs.put(None)
            for each in unfinished:
                _fail(each, self._silent(f"it did not answer within {job.patience_s:g} s"))

    def _silent(self, what: str) -> JournalError:
        return JournalError(
            f"journal {self._where}: {what}; calls fail at once, and every {self.pause_s:g} s one asks again. "
            "Check the server, the network and the disk"
        )


def _forget_done(state: _State) -> None:
    """Drop the calls that have ended: the caller holds their futures."""
    while state.unawaited and state.unawaited[0][1].future.done():
        state.unawaited.popleft()


def _take_turns(line: _Line, state: _State) -> None:
    while (job := line.jobs.get()) is not None:
        with state.lock:
            begins = not line.abandoned and job.future.set_running_or_notify_cancel()
            line.current = job if begins else None
            if state.probe is job and not begins:
                state.probe = None
        if begins:
            _make(job, line, state)
        elif line.abandoned:
            _fail(job, JournalError("the journal did not answer a call before this one; call again"))
        # What the call has returned must not be kept until the next one.
        del job


def _make(job: _Job, line: _Line, state: _State) -> None:
    try:
        settle = partial(job.future.set_result, job.work())
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised at the caller
        settle = partial(job.future.set_exception, error)
    with state.lock:
        line.current = None
        if not line.abandoned:
            state.retry_at = state.probe = None
    with suppress(InvalidStateError):
        settle()


def _fail(job: _Job, error: JournalError) -> None:
    with suppress(InvalidStateError):
        job.future.set_exception(error)
