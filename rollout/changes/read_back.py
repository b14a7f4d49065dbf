"""Reading a write back: until it shows, with a remedy for each deadline that passes (APP-1.2, RBK-2.1, EMG-2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rollout.context import RolloutContext
from rollout.core.clock import NEVER, Clock, StopFlag
from rollout.core.errors import RolloutError

READ_BACK_S = 5.0
"""A read-back that still shows the old state after so many seconds calls for a remedy."""

EVERY_S = 0.25

Problem = Callable[[], str]
"""Reads the gateway and returns why it is not as it should be; empty as soon as it is."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """A remedy for a write that shows no effect.

    Attributes:
        name: ``once more`` or ``restart``.
        work: does it and returns what happened.
    """

    name: str
    work: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Tried:
    """A remedy that was tried.

    Attributes:
        name: the remedy's.
        because: the problem that it was tried for.
        outcome: what happened.
        failed: whether it raised.
    """

    name: str
    because: str
    outcome: str
    failed: bool


def await_effect(problem: Problem, within_s: float, *, clock: Clock, stop: StopFlag = NEVER) -> str:
    """Read until nothing is wrong any more or the time has passed, and return what is wrong then; empty for nothing.

    Args:
        problem: reads; its errors are raised here.
        within_s: seconds from now; 0 reads once.
        clock: times the waiting.
        stop: ends it at once.
    """
    until = clock.monotonic() + within_s
    while True:
        found = problem()
        left_s = until - clock.monotonic()
        if not found or left_s <= 0 or not clock.wait(min(EVERY_S, left_s), stop):
            return found


def await_shown(rollout: RolloutContext, problem: Problem, *, stop: StopFlag | None = None) -> str:
    """Read back a write of a rollout for as long as the target's reads may lag behind; return what is wrong then.

    Args:
        rollout: its target says how far reads lag (`stale_for_s`).
        problem: as in `await_effect`.
        stop: ends it at once; None takes the run's own flag.
    """
    ends = rollout.stop if stop is None else stop
    return await_effect(problem, rollout.target.stale_for_s, clock=rollout.clock, stop=ends)


def remedied(
    problem: Problem, remedies: Sequence[Remedy], *, within_s: float, clock: Clock
) -> tuple[str, tuple[Tried, ...]]:
    """Read back, and try one remedy after another as long as the old state stays; what is right is left alone.

    Args:
        problem: as in `await_effect`.
        remedies: in the order in which they are tried.
        within_s: how long each read-back goes on, in seconds.
        clock: times the waiting.

    Returns:
        what is still wrong, empty for nothing; and what was tried.
    """
    tried: list[Tried] = []
    found = await_effect(problem, within_s, clock=clock)
    for remedy in remedies:
        if not found:
            break
        try:
            tried.append(Tried(remedy.name, found, remedy.work(), failed=False))
        except RolloutError as error:
            tried.append(Tried(remedy.name, found, str(error), failed=True))
        found = await_effect(problem, within_s, clock=clock)
    return found, tuple(tried)
