"""The options of the command line, in one record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of every kind of run.

    Attributes:
        target: ``--target``, a name; None takes the scenario's, or for a review rollouts on any.
        gateway: ``--gateway``, a URL; None takes the target's.
        reports: the reports' folder.
    """

    target: str | None
    gateway: str | None
    reports: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(RunOptions):
    """The options of a rollout's run.

    Attributes:
        scenario: the scenario's file; None with `activate`.
        activate: ``PROVIDER:MODEL``, a scenario from the command line.
        ticket: ``--ticket``, which overrides the file's.
        journal: URL or path of the journal.
        scenarios: the folder with targets and policy.
        targets: the file in the place of ``targets.yaml`` in that folder; None uses that one.
        phases: the requested phases, in order.
        for_s: ``--for``: watch for so long and leave the rest of the window to a later call; None watches it all.
        policy: ``--policy``, the file in the place of ``policy.yaml``; None uses that beside the scenario.
    """

    scenario: Path | None
    activate: str | None
    ticket: str | None
    journal: str
    scenarios: Path
    phases: tuple[str, ...]
    for_s: float | None = None
    targets: Path | None = None
    policy: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewOptions(RunOptions):
    """The options of ``pytest -m review``.

    Attributes:
        rollout: the rollout's id; None takes the latest whose review is due.
        documentation: where the updated documentation is.
        learnings: where the learnings are.
        journal: URL or path of the journal.
    """

    rollout: str | None
    documentation: str | None
    learnings: str | None
    journal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseOptions(RunOptions):
    """The options of ``pytest -m release``.

    Attributes:
        scenarios: the folder with targets and policy.
        targets: the file in the place of ``targets.yaml`` in that folder; None uses that one.
        policy: ``--policy``, the file in the place of ``policy.yaml``; None takes that.
    """

    scenarios: Path
    targets: Path | None = None
    policy: Path | None = None
