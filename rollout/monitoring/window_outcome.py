"""The outcome of a window that has ended, as the checks read it (MON)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from rollout.monitoring.verdict import State, Verdict, show_span
from rollout.monitoring.window_result import StageResult, WindowResult

IN_PROGRESS = "IN PROGRESS: "
"""The beginning of a trigger's row while its window is not over: neither passed nor failed."""


_WORST = ("held", "not reached", "in progress", "failed")


@dataclass(frozen=True, slots=True)
class Judged:
    """A trigger's verdict at the end of the window, as its check reads it."""

    verdict: Verdict
    holds: bool
    message: str


@dataclass(frozen=True, slots=True)
class Window:
    """A window that has ended.

    Attributes:
        watched: its result.
        cut: called with the reason when a clause is read that was not judged to the window's end; it raises.
    """

    watched: WindowResult
    cut: Callable[[str], None] = field(compare=False)

    def stage(self, clause: str) -> StageResult:
        """Return the worst result of the canary's stages of a clause; it is ``held`` only if each of them held."""
        __tracebackhide__ = True
        found = [stage for stage in self.watched.stages if stage.clause == clause]
        worst = max(found, key=lambda stage: _WORST.index(stage.outcome))
        if worst.outcome == "in progress":
            self.cut(f"{IN_PROGRESS}{worst.message}")
        if worst.outcome == "not reached":
            self.cut(IN_PROGRESS + worst.message if self.watched.left_s else worst.message)
        return replace(worst, message="; ".join(stage.message for stage in found))

    def verdict(self, clause: str) -> Judged:
        """Return the clause's verdict; only holding over the whole window is a pass."""
        __tracebackhide__ = True
        found = next(v for v in self.watched.verdicts if v.clause == clause)
        if self.watched.left_s and found.state is not State.BREACHED:
            self.cut(f"{IN_PROGRESS}{show_span(self.watched.left_s)} left; so far: {found.state}, {found.message}")
        breach = self.watched.breach
        if breach is not None and breach.clause != clause and found.state is not State.BREACHED:
            self.cut(
                f"{breach.clause} ended the window after {self.watched.watched_s:.0f} s; "
                f"until then: {found.state}, {found.message}"
            )
        word = "" if found.state in (State.HOLDING, State.BREACHED) else f"{found.state}, which is never a pass: "
        return Judged(found, found.state is State.HOLDING, f"{word}{found.message}")
