"""Judges of a test's own in the place of the triggers', so that a window is undecided for as long as the test says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from rollout.monitoring.verdict import Judge, State, Verdict

Decide: TypeAlias = Callable[[Callable[[float], Verdict]], None]
"""Puts a judge in the place of MON-2's: seconds of the window -> its verdict; MON-3 to MON-5 hold."""

UNDECIDED = Verdict(
    clause="MON-2",
    state=State.INCONCLUSIVE,
    value=0.04,
    limit=0.05,
    samples=100,
    source="users",
    span="the window",
    at="",
    message="error rate 4.0 % cannot be told from the limit",
    undecided=True,
)
HOLDS = replace(UNDECIDED, state=State.HOLDING, message="error rate 4.0 % is not above 5 %", undecided=False)


def judging(triggers: Any, judge: Callable[[float], Verdict]) -> Any:
    """Return the triggers with this judge for MON-2, and some for MON-3 to MON-5 that hold."""
    status, (_, errors), *others, data = triggers
    return (
        status,
        (lambda _aggregates, _context, now_s: judge(now_s), errors),
        *((_holding(f"MON-{clause}"), reads) for clause, (_, reads) in enumerate(others, 3)),
        data,
    )


def _holding(clause: str) -> Judge:
    return lambda _aggregates, _context, _now_s: replace(HOLDS, clause=clause)
