"""One source's turns in a window: when it is looked at, and how much of the time it was watched."""

from __future__ import annotations

import math

from rollout.monitoring.sources.registry import Source

# A look covers so many of its source's ticks: one may be missed.
COVERS = 2.0
# Floating-point noise must not make a tick due twice.
NOISE_S = 1e-6


class PollSchedule:
    """One source's turns.

    Attributes:
        due_s: when it is looked at next, in seconds of the window.
        seen_to_s: its latest turn in this call, None before the first.
        unwatched_s: how much of the time since its latest sample nobody watched.
        started_s: when the look in flight began, None while there is none.
        late_s: by how much this process came late to the turns since then.
        delivered: a look came back.
        confirming: the latest status was bad, and is read again before it counts.
    """

    def __init__(self, source: Source, due_s: float, unwatched_s: float) -> None:
        """Let the first turn be due then."""
        self.source = source
        self.due_s = due_s
        self.seen_to_s: float | None = None
        self.unwatched_s = unwatched_s
        self.started_s: float | None = None
        self.late_s = 0.0
        self.delivered = False
        self.confirming = False

    def attend(self, now_s: float) -> None:
        """Take its turn; a look in flight watches as long as this process lives to wait for it."""
        if self.seen_to_s is not None:
            gap_s = now_s - self.seen_to_s - COVERS * self.source.every_s
            self.unwatched_s += gap_s if gap_s > NOISE_S else 0.0
        self.late_s += max(0.0, now_s - self.due_s)
        self.seen_to_s = now_s

    def is_due_before(self, end_s: float) -> bool:
        """Tell whether a look is missing that must be taken although the end has come."""
        return self.confirming or self.seen_to_s is None or self.due_s < end_s - NOISE_S

    def hangs_s(self, now_s: float) -> float:
        """Return for how long its look is in flight, without the time in which this process stood still."""
        return 0.0 if self.started_s is None else now_s - self.started_s - self.late_s

    def next_tick(self, now_s: float) -> None:
        """Go on at the next tick of the source's own grid: ticks that were missed are skipped, not queued."""
        every = self.source.every_s
        self.due_s = every * (math.floor((now_s + NOISE_S) / every) + 1)

    def is_open(self) -> bool:
        """Tell whether the window's end waits for this source, a moment at most."""
        return self.confirming or (self.started_s is not None and not self.delivered)
