"""The states that reads of the gateway show: the present one, or an earlier one (`Timing.stale_reads_s`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from rollout.sandbox.routing import Routing
from rollout.sandbox.state import State

REMEMBERED = 1000
"""The most states that are remembered; with more writes within the lag, reads lag less."""

Limits = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class View:
    """Everything that a write changes and a read shows, at one moment; named as in `State` and `Routing`."""

    provider: str
    model: str
    config: Mapping[str, str]
    sources: Mapping[str, str]
    limits: Mapping[str, Limits]
    weights: Mapping[str, float]

    @classmethod
    def of(cls, state: State, routing: Routing) -> View:
        """Return the present state; later changes do not show in it."""
        return cls(
            state.provider,
            state.model,
            dict(state.config),
            dict(state.sources),
            {kind: dict(limits) for kind, limits in state.limits.items()},
            dict(routing.weights),
        )


class EarlierStates:
    """The states of one gateway since its start, each with the time from which on it was in effect."""

    def __init__(self, first: View) -> None:
        """Start with the loaded state; it counts for every earlier time, too."""
        self._states: deque[tuple[float, View]] = deque([(float("-inf"), first)], maxlen=REMEMBERED)

    def add(self, at_s: float, view: View) -> None:
        """Note the state from this moment on; `at_s` is the clock's monotonic time."""
        self._states.append((at_s, view))

    def at(self, moment_s: float) -> View:
        """Return the state at a moment of the clock's monotonic time; the oldest one for an older moment."""
        found = (view for since_s, view in reversed(self._states) if since_s <= moment_s)
        return next(found, self._states[0][1])
