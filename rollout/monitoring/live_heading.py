"""What a view of a window shows from its beginning: which rollout it is, and how to stop it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rollout.core.clauses import PHASES
from rollout.core.scenario import Scenario
from rollout.journal.record import RolloutRecord

_MILLISECONDS = re.compile(r"(?<=T\d\d:\d\d:\d\d)\.\d{3}(?=Z)")


@dataclass(frozen=True, slots=True)
class Heading:
    """What a view shows from the beginning of the window.

    Attributes:
        rollout: the rollout's id.
        target: the target's name.
        previous: the previous provider, ``ollama:llama3``.
        change: the new provider, ``openai:gpt-4o``.
        ticket: the ticket, None where there is none.
        window_s: the length of the window in seconds.
        phases: a line for each phase so far, ``precheck 21 of 21 passed``.
        is_here: whether the process that shows it is the one that watches.
    """

    rollout: str
    target: str
    previous: str
    change: str
    ticket: str | None
    window_s: float
    phases: tuple[str, ...] = ()
    is_here: bool = True

    def how_to_stop(self) -> str:
        """Return the ways to stop it, before the command."""
        return "Ctrl-C rolls back, or run:" if self.is_here else "Ctrl-C ends this view only; to roll back, run:"

    def abort(self) -> str:
        """Return the command that rolls it back."""
        return f"rollout abort {self.rollout}"


def heading_of(record: RolloutRecord, scenario: Scenario) -> Heading:
    """Return the heading of a rollout that a process elsewhere watches.

    Args:
        record: the rollout; it has a backup.
        scenario: its scenario.
    """
    return Heading(
        rollout=record.id,
        target=record.opened["target"]["name"],
        previous=record.previous,
        change=record.opened["change"],
        ticket=record.opened["ticket"],
        window_s=scenario.monitor.window_s,
        phases=describe_phases(record),
        is_here=False,
    )


def describe_phases(record: RolloutRecord) -> tuple[str, ...]:
    """Return a line for each phase that has passed, and when."""
    return tuple(
        f"{phase} passed at {to_seconds(record.phases[phase].at)}"
        for phase in PHASES
        if phase in record.phases and record.phases[phase].passed
    )


def to_seconds(text: str) -> str:
    """Return the text with its times of day, ``2026-11-24T12:15:00.000Z``, to the second."""
    return _MILLISECONDS.sub("", text)
