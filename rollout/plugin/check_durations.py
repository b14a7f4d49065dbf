"""How long a check took: its setup and its body, or its own work where one fixture did the work of several checks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class CheckDurations:
    """The durations of the check that is running, in seconds.

    Attributes:
        setup_s: how long its setup took.
        own_s: how long its own work took; it counts in the place of the setup, for this check.
    """

    setup_s: float = 0.0
    own_s: float | None = None

    def total(self, body_s: float) -> float:
        """Return how long the check took whose body took so long."""
        took_s = (self.setup_s if self.own_s is None else self.own_s) + body_s
        self.own_s = None
        return took_s
