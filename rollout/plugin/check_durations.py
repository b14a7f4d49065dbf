"""How long a check took: its setup and its body, or its own work where one fixture did the work of several checks."""

from __future__ import annotations

import pytest


class CheckDurations:
    """The durations of the check that is running."""

    def __init__(self) -> None:
        """Begin before the first check."""
        self._setup_s = 0.0
        self._own_s: float | None = None

    def keep_setup(self, report: pytest.TestReport) -> None:
        """Keep how long the setup took."""
        self._setup_s = report.duration

    def keep_own_work(self, seconds: float) -> None:
        """Keep how long the running check's own work took; it counts in the place of the setup, for this check."""
        self._own_s = seconds

    def total(self, report: pytest.TestReport) -> float:
        """Return how long the check took, in seconds."""
        took_s = (self._setup_s if self._own_s is None else self._own_s) + report.duration
        self._own_s = None
        return took_s
