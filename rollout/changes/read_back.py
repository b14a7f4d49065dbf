"""Reading a write back: until it shows, with a remedy for each deadline that passes (APP-1.2, RBK-2.1, EMG-2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rollout.context import RolloutContext
from rollout.core.clock import NEVER, Clock, StopFlag
from rollout.core.errors import GatewayError, RolloutError

READ_BACK_S = 5.0
"""A read-back that still shows the old state after so many seconds calls for a remedy."""

EVERY_S = 0.25

Problem = Callable[[], str]
"""Reads the gateway and returns why it is not as it should be; empty as soon as it is."""


Remedies = Mapping[str, Callable[[], str]]
"""Remedies for a write that shows no effect, by name (``once more``, ``restart``); each returns what happened."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A remedy that was tried.

    Attributes:
        name: the remedy's.
        because: the problem that it was tried for.
        outcome: what happened, as `attempt` returns it.
    """

    name: str
    because: str
    outcome: str


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
    return await_effect(
        problem, rollout.target.stale_for_s, clock=rollout.clock, stop=rollout.stop if stop is None else stop
    )


def require_shown(rollout: RolloutContext, call: str, problem: Problem, *, stop: StopFlag | None = None) -> None:
    """Read back a write of a rollout as `await_shown` does.

    Args:
        rollout: its target says how far reads lag (`stale_for_s`).
        call: the call that the error names.
        problem: as in `await_effect`.
        stop: ends it at once; None takes the run's own flag.

    Raises:
        GatewayError: something is still wrong then.
    """
    found = await_shown(rollout, problem, stop=stop)
    if found:
        raise GatewayError(call, found)


def remedied(problem: Problem, remedies: Remedies, *, within_s: float, clock: Clock) -> tuple[str, tuple[Tried, ...]]:
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
    for name, work in remedies.items():
        if not found:
            break
        tried.append(Tried(name, found, attempt(work)))
        found = await_effect(problem, within_s, clock=clock)
    return found, tuple(tried)


def attempt(work: Callable[[], str]) -> str:
    """Return what the work returns, or ``failed:`` and why."""
    try:
        return work()
    except RolloutError as error:
        return f"failed: {error}"
