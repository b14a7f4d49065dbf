"""A clock for tests: waiting takes no time, and 24 hours pass on the code path that production takes."""

from __future__ import annotations

import heapq
import itertools
import queue
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from rollout.core.clock import NEVER, StopFlag

T = TypeVar("T")

BEGINNING = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class SimulatedClock:
    """Implements `rollout.core.clock.Clock`; time moves only in a wait, and then at once."""

    def __init__(self, start: datetime = BEGINNING) -> None:
        self._start = start
        self._passed_s = 0.0
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        """Return the simulated wall-clock time."""
        return self._start + timedelta(seconds=self._passed_s)

    def monotonic(self) -> float:
        """Return the simulated seconds since the clock was made."""
        return self._passed_s

    def later(self, seconds: float, event: Callable[[], None]) -> None:
        """Let `event` happen when so much time has passed, in the middle of whatever wait that falls into."""
        heapq.heappush(self._later, (self._passed_s + seconds, next(self._order), event))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.wait(seconds)

    def wait(self, seconds: float, stop: StopFlag = NEVER) -> bool:
        """Advance at once; stop at the event that sets `stop`."""
        end = self._passed_s + max(0.0, seconds)
        while not stop and self._step(end):
            pass
        return not stop

    def receive(self, inbox: queue.SimpleQueue[T], seconds: float, stop: StopFlag = NEVER) -> T | None:
        """Return what is in `inbox`, else advance to the event that fills it, or to the end."""
        end = self._passed_s + max(0.0, seconds)
        while not stop:
            try:
                return inbox.get_nowait()
            except queue.Empty:
                if not self._step(end):
                    return None
        return None

    def _step(self, end: float) -> bool:
        """Advance to the next event and let it happen, or to `end`; return whether an event happened."""
        if not self._later or self._later[0][0] > end:
            self._passed_s = max(self._passed_s, end)
            return False
        at, _, event = heapq.heappop(self._later)
        self._passed_s = max(self._passed_s, at)
        event()
        return True
