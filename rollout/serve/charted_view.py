"""The view of a window whose error rate and latency are kept as curves, for a chart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rollout.monitoring.live_heading import Heading
from rollout.monitoring.live_view import View
from rollout.monitoring.verdict import Verdict

CURVES = {"MON-2": ("error rate", "%", 100.0), "MON-3": ("P95", "ms", 1.0)}
"""Clause -> what its value is called, its unit, and by what the value is multiplied for it."""

MOST_POINTS = 600
"""With more points every second one is left out: a screen is no wider."""


@dataclass(slots=True)
class Curve:
    """The values of one trigger: (second of the window, value, limit), each in the unit of the curve."""

    clause: str
    points: list[tuple[float, float, float | None]] = field(default_factory=list)

    def add(self, at_s: float, verdict: Verdict) -> None:
        """Add the value of a verdict, where it is a number; two of one moment are one."""
        if not isinstance(verdict.value, float):
            return
        factor = CURVES[self.clause][2]
        limit = verdict.limit * factor if isinstance(verdict.limit, float) else None
        if self.points and self.points[-1][0] == at_s:
            self.points.pop()
        self.points.append((at_s, verdict.value * factor, limit))
        if len(self.points) > MOST_POINTS:
            del self.points[-2::-2]

    def facts(self) -> dict[str, Any]:
        """Return it as JSON types."""
        name, unit, _ = CURVES[self.clause]
        return {"clause": self.clause, "name": name, "unit": unit, "points": [list(point) for point in self.points]}


class ChartedView(View):
    """A view that prints nothing.

    Attributes:
        curves: those of `CURVES`, in order.
        stages_at_s: when each stage of a canary after the first began, in seconds of the window.
    """

    def __init__(self, heading: Heading) -> None:
        """Begin without a value."""
        super().__init__(heading)
        self.curves = tuple(Curve(clause) for clause in CURVES)
        self.stages_at_s: list[float] = []

    def verdicts(self, verdicts: tuple[Verdict, ...], now_s: float) -> None:
        """Keep the verdicts, and their values for the chart."""
        super().verdicts(verdicts, now_s)
        for curve in self.curves:
            for verdict in verdicts:
                if verdict.clause == curve.clause:
                    curve.add(round(self.page.now_s, 2), verdict)

    def stage(self, text: str, passed_s: float) -> None:
        """Mark where a stage begins."""
        super().stage(text, passed_s)
        if passed_s:
            self.stages_at_s.append(passed_s)

    def close(self) -> None:
        """Keep what is shown."""
