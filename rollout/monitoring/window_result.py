"""The state of a window at the beginning of a call, and its result at the end of one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.verdict import Verdict


@dataclass(frozen=True, slots=True)
class StageResult:
    """The result of one stage of a canary.

    Attributes:
        clause: the clause of the stage.
        outcome: ``held``, ``failed``, ``in progress`` or ``not reached``.
        message: one sentence for the operator.
    """

    clause: str
    outcome: str
    message: str


@dataclass(frozen=True, slots=True)
class WindowResult:
    """The result of a window.

    Attributes:
        breach: the verdict that ended it; MON-7's if it was interrupted, None if it ran to its end.
        verdicts: MON-1 to MON-7, in this order, at the end.
        ended_at: when it ended, UTC, ISO 8601.
        watched_s: when it ended, in seconds of the window.
        interrupted: why it was interrupted, None if it was not.
        left_s: the seconds of the window that are left for a later call; 0 at its end.
        stages: a canary's stages, in order; empty where the change was made all at once.
        extended_s: by how many seconds the window went on because a verdict was undecided.
    """

    breach: Verdict | None
    verdicts: tuple[Verdict, ...]
    ended_at: str
    watched_s: float
    interrupted: str | None = None
    left_s: float = 0.0
    stages: tuple[StageResult, ...] = ()
    extended_s: float = 0.0

    @property
    def passed(self) -> bool:
        """Return whether every trigger holds at the window's end: no data is not a pass."""
        return not self.left_s and all(verdict.state.allows_keeping for verdict in self.verdicts)


@dataclass(frozen=True, slots=True)
class WindowState:
    """The state of a window at the beginning of a call.

    Attributes:
        began_at: when the window began.
        aggregates: its samples so far.
        left_at_s: when the latest call ended, in seconds of the window; None for the first call.
        extended_s: by how many seconds the window goes on so far because a verdict was undecided.
        extends: whether it goes on where a verdict is undecided at its end.
    """

    began_at: datetime
    aggregates: Aggregates
    left_at_s: float | None = None
    extended_s: float = 0.0
    extends: bool = True
