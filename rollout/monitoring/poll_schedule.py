"""The schedule of one source in a window: when it is polled, how late, and how long it was not watched."""

from __future__ import annotations

import math
from collections import deque

from rollout.monitoring.sources.registry import Source

# A poll covers so many of its source's ticks, so that one may be missed.
COVERS = 2.0
# Floating-point noise must not make a tick due twice.
NOISE_S = 1e-6
# Whether a machine keeps half its pace is said of so many ticks, and not of fewer than the half of them.
_TICKS = 20


class PollSchedule:
    """The schedule of one source; all times are seconds of the window.

    Attributes:
        due_s: when the next poll is due.
        seen_to_s: its latest turn in this call, None before the first.
        unwatched_s: the seconds since its latest sample that were not watched.
        started_s: when the poll in flight began, None while there is none.
        late_s: the longest delay of this process for that poll: of its start, or while it is in flight.
        stood_still_s: the sum of the delays while it is in flight.
        delivered: a poll has returned.
        confirming: the latest status or answer was bad, and is read or asked for again before it counts.
        on_time: of each of the latest ticks, whether its turn came within half the pace.
    """

    def __init__(self, source: Source, due_s: float, unwatched_s: float) -> None:
        """Schedule the first poll at `due_s`."""
        self.source = source
        self.due_s = due_s
        self.seen_to_s: float | None = None
        self.unwatched_s = unwatched_s
        self.started_s: float | None = None
        self.late_s = 0.0
        self.stood_still_s = 0.0
        self.delivered = False
        self.confirming = False
        self.on_time: deque[bool] = deque(maxlen=_TICKS)

    def attend(self, now_s: float) -> None:
        """Take a turn; a poll in flight counts as watching while this process waits for it."""
        every_s = self.source.every_s
        if self.seen_to_s is not None:
            gap_s = now_s - self.seen_to_s - COVERS * every_s
            self.unwatched_s += gap_s if gap_s > NOISE_S else 0.0
        missed = math.floor((now_s + NOISE_S) / every_s) - math.floor((self.due_s + NOISE_S) / every_s)
        self.on_time.extend([False] * min(missed, _TICKS))
        self.on_time.append(now_s - self.due_s <= every_s / 2)
        self.seen_to_s = now_s

    def begin_poll(self, now_s: float) -> None:
        """Begin the poll that is due."""
        self.started_s, self.late_s, self.stood_still_s = now_s, max(0.0, now_s - self.due_s), 0.0

    def delay(self, late_s: float) -> None:
        """Note that this process stood still for so long while a poll is in flight."""
        self.late_s = max(self.late_s, late_s)
        self.stood_still_s += late_s

    def is_overrun(self) -> bool:
        """Return whether fewer than half of the latest ticks had their turn in time."""
        return len(self.on_time) >= _TICKS / 2 and sum(self.on_time) < len(self.on_time) / 2

    def is_due_before(self, end_s: float) -> bool:
        """Return whether a poll is still due although the end is reached."""
        return self.confirming or self.seen_to_s is None or self.due_s < end_s - NOISE_S

    def hangs_s(self, now_s: float) -> float:
        """Return for how many seconds its poll is in flight, without the time in which this process stood still."""
        return 0.0 if self.started_s is None else now_s - self.started_s - self.stood_still_s

    def next_tick(self, now_s: float) -> None:
        """Schedule the next tick of the source's own grid: missed ticks are skipped, not queued."""
        every = self.source.every_s
        self.due_s = every * (math.floor((now_s + NOISE_S) / every) + 1)

    def is_open(self) -> bool:
        """Return whether the window's end waits for this source, one poll interval at most."""
        return self.confirming or (self.started_s is not None and not self.delivered)
