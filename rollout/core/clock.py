"""Time as an argument: the one place that reads the clock or waits.

Everything that needs the time takes a `Clock`. Tests hand in a simulated one, so that 24 hours pass in milliseconds
on the same code path.
"""

from __future__ import annotations

import queue
import time
from datetime import UTC, datetime
from typing import Protocol, TypeVar

T = TypeVar("T")

# How long a wait may miss a stop that a signal handler requests. Handlers only set a flag: an
# exception raised from a handler is swallowed by any `except Exception` around the code that it interrupts.
SLICE_S = 0.05


class StopFlag:
    """A sticky request to stop. Signal handlers set it; every wait and every next check reads it (safety rule 6).

    Attributes:
        reason: why, as a message for an operator; None while no stop is requested.
    """

    def __init__(self) -> None:
        """Start without a request."""
        self.reason: str | None = None

    def set(self, reason: str) -> None:
        """Request a stop; the first reason is the one that counts."""
        if self.reason is None:
            self.reason = reason

    def __bool__(self) -> bool:
        """Return whether a stop is requested."""
        return self.reason is not None


NEVER = StopFlag()
"""The flag of code that must not be interrupted, a rollback above all. It is never set."""


class Clock(Protocol):
    """The operations on time that the suite needs."""

    def now(self) -> datetime:
        """Return the wall-clock time, in UTC and aware of it."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""

    def wait(self, seconds: float, stop: StopFlag = NEVER) -> bool:
        """Wait; return False as soon as `stop` is set, True when the time has passed."""

    def receive(self, inbox: queue.SimpleQueue[T], seconds: float, stop: StopFlag = NEVER) -> T | None:
        """Return the next item of `inbox`, or None when the time has passed or `stop` is set."""


_SECONDS = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Counts while the machine is suspended too, where the system has such a clock: a lease ends meanwhile (rule 9)."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the wall-clock time, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds, those of a suspension included."""
        return time.clock_gettime(_SECONDS)

    def wait(self, seconds: float, stop: StopFlag = NEVER) -> bool:
        """Sleep in slices, so that a stop is noticed within `SLICE_S`."""
        end = time.monotonic() + seconds
        while not stop and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, SLICE_S))
        return not stop

    def receive(self, inbox: queue.SimpleQueue[T], seconds: float, stop: StopFlag = NEVER) -> T | None:
        """Wait for an item in slices, so that a stop is noticed within `SLICE_S`."""
        end = time.monotonic() + seconds
        while not stop:
            left = end - time.monotonic()
            try:
                return inbox.get(timeout=max(0.0, min(left, SLICE_S)))
            except queue.Empty:
                if left <= 0:
                    return None
        return None


def format_utc(moment: datetime) -> str:
    """Return a moment as every record has it: UTC, ISO 8601, milliseconds, ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
