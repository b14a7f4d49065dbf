"""The options of the command line, in one record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a run.

    Attributes:
        scenario: the scenario's file; None with `activate`.
        activate: ``PROVIDER:MODEL``, a scenario from the command line.
        ticket: ``--ticket``, which overrides the file's.
        target: ``--target``.
        gateway: ``--gateway``, a URL.
        journal: URL or path of the journal.
        reports: the reports' folder.
        scenarios: the folder with targets and policy.
        phases: the requested phases, in order.
        for_s: ``--for``: watch for so long and leave the rest of the window to a later call; None watches it all.
        policy: ``--policy``, the file in the place of ``policy.yaml``; None uses that beside the scenario.
    """

    scenario: Path | None
    activate: str | None
    ticket: str | None
    target: str | None
    gateway: str | None
    journal: str
    reports: Path
    scenarios: Path
    phases: tuple[str, ...]
    for_s: float | None = None
    policy: Path | None = None


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """The options of ``pytest -m review``.

    Attributes:
        rollout: the rollout's id; None takes the latest whose review is due.
        target: only rollouts on this target.
        gateway: only rollouts on this URL.
        documentation: where the updated documentation is.
        learnings: where the learnings are.
        journal: URL or path of the journal.
        reports: the reports' folder.
    """

    rollout: str | None
    target: str | None
    gateway: str | None
    documentation: str | None
    learnings: str | None
    journal: str
    reports: Path


@dataclass(frozen=True, slots=True)
class ReleaseOptions:
    """The options of ``pytest -m release``.

    Attributes:
        target: the target's name; None with `gateway`.
        gateway: its base URL; None takes the target's.
        reports: the reports' folder.
        scenarios: the folder with targets and policy.
        policy: ``--policy``, the file in the place of ``policy.yaml``; None takes that.
    """

    target: str | None
    gateway: str | None
    reports: Path
    scenarios: Path
    policy: Path | None = None
