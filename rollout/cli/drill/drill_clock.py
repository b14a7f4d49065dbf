"""The drill's own time."""

from __future__ import annotations

import math
import queue
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from rollout.core.clock import NEVER, Clock, StopFlag

T = TypeVar("T")


class DrillClock(Clock):
    """The drill's own time: a wait takes none, and ends at the next thing that happens."""

    def __init__(self) -> None:
        self._began = datetime.now(UTC)
        self._passed_s = 0.0
        self._event: tuple[float, Callable[[], object]] = (math.inf, lambda: None)

    def at(self, seconds: float, event: Callable[[], object]) -> None:
        """Let one event happen then."""
        self._event = (seconds, event)

    def now(self) -> datetime:
        """Return the time."""
        return self._began + timedelta(seconds=self._passed_s)

    def monotonic(self) -> float:
        """Return the seconds that have passed."""
        return self._passed_s

    def wait(self, seconds: float, stop: StopFlag = NEVER) -> bool:
        """Let so many seconds pass, or those until the event sets `stop`."""
        end = self._passed_s + max(0.0, seconds)
        due_s, event = self._event
        if due_s <= end:
            self._passed_s, self._event = max(self._passed_s, due_s), (math.inf, event)
            event()
        if not stop:
            self._passed_s = end
        return not stop

    def receive(self, inbox: queue.SimpleQueue[T], seconds: float, stop: StopFlag = NEVER) -> T | None:
        """Return what is in the inbox; where it is empty, let the seconds pass."""
        try:
            return inbox.get_nowait()
        except queue.Empty:
            self.wait(seconds, stop)
            return None
