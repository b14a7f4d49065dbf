"""Requests that a run stops: signals, and the time limit of a check. Both set the stop flag, and nothing else."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from rollout.core.clock import StopFlag

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequests:
    """Sets the stop flag of a run; everything that waits reads it (MON-7)."""

    def __init__(self, stop: StopFlag) -> None:
        """Handle no signal yet."""
        self._stop = stop
        self._former: dict[int, Any] = {}
        self._timer: threading.Timer | None = None

    def handle_signals(self) -> None:
        """Turn signals into the sticky flag (safety rule 6)."""
        for number in SIGNALS:
            self._former[number] = signal.signal(number, self._on_signal)

    def restore_signals(self) -> None:
        """Put back the handlers that were in place before."""
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def start_time_limit(self, item: str, seconds: float) -> None:
        """Let pytest-timeout ask for a stop like a signal does: its own methods would cut a rollback in the middle."""
        self._timer = threading.Timer(
            seconds, self._stop.set, (f"pytest-timeout: {item} took longer than {seconds:g} s",)
        )
        self._timer.daemon = True
        self._timer.start()

    def cancel_time_limit(self) -> None:
        """End the time limit of the check."""
        if self._timer is not None:
            self._timer.cancel()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Set the sticky flag. Further signals change nothing."""
        self._stop.set(f"{signal.Signals(number).name} asked the run to stop")
