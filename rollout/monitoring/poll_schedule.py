"""The schedule of one source in a window: when it is polled, and how long it was not watched."""

from __future__ import annotations

import math

from rollout.monitoring.sources.registry import Source

# A poll covers so many of its source's ticks, so that one may be missed.
COVERS = 2.0
# Floating-point noise must not make a tick due twice.
NOISE_S = 1e-6


class PollSchedule:
    """The schedule of one source; all times are seconds of the window.

    Attributes:
        due_s: when the next poll is due.
        seen_to_s: its latest turn in this call, None before the first.
        unwatched_s: the seconds since its latest sample that were not watched.
        started_s: when the poll in flight began, None while there is none.
        late_s: by how many seconds the turns since then were late.
        delivered: a poll has returned.
        confirming: the latest status or answer was bad, and is read or asked for again before it counts.
    """

    def __init__(self, source: Source, due_s: float, unwatched_s: float) -> None:
        """Schedule the first poll at `due_s`."""
        self.source = source
        self.due_s = due_s
        self.seen_to_s: float | None = None
        self.unwatched_s = unwatched_s
        self.started_s: float | None = None
        self.late_s = 0.0
        self.delivered = False
        self.confirming = False

    def attend(self, now_s: float) -> None:
        """Take a turn; a poll in flight counts as watching while this process waits for it."""
        if self.seen_to_s is not None:
            gap_s = now_s - self.seen_to_s - COVERS * self.source.every_s
            self.unwatched_s += gap_s if gap_s > NOISE_S else 0.0
        self.late_s += max(0.0, now_s - self.due_s)
        self.seen_to_s = now_s

    def is_due_before(self, end_s: float) -> bool:
        """Return whether a poll is still due although the end is reached."""
        return self.confirming or self.seen_to_s is None or self.due_s < end_s - NOISE_S

    def hangs_s(self, now_s: float) -> float:
        """Return for how many seconds its poll is in flight, without the time in which this process stood still."""
        return 0.0 if self.started_s is None else now_s - self.started_s - self.late_s

    def next_tick(self, now_s: float) -> None:
        """Schedule the next tick of the source's own grid: missed ticks are skipped, not queued."""
        every = self.source.every_s
        self.due_s = every * (math.floor((now_s + NOISE_S) / every) + 1)

    def is_open(self) -> bool:
        """Return whether the window's end waits for this source, one poll interval at most."""
        return self.confirming or (self.started_s is not None and not self.delivered)
