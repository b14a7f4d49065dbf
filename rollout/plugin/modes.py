"""The kinds of run besides a rollout, as the command line asks for them: ``-m review`` and ``-m release``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from rollout.config.project import Project, journal_in
from rollout.core.clauses import LATER_PHASES, PHASES
from rollout.core.clock import StopFlag
from rollout.core.errors import ExitCode, TryLater
from rollout.core.options import ReleaseOptions, ReviewOptions
from rollout.plugin.run import SuiteRun

REVIEW, RELEASE = LATER_PHASES
_OPTIONS = {"rollout": "--rollout", "documentation": "--documentation", "learnings": "--learnings"}
_OF_A_ROLLOUT = {"scenario": "--scenario", "activate": "--activate", "ticket": "--ticket", "watch_for": "--for"}
_LONGEST = 2000


def add_options(group: Any) -> None:
    """Add the options of these kinds of run alone."""
    group.addoption("--rollout", metavar="ID", help="-m review: which rollout (default: the latest that owes a review)")
    group.addoption("--documentation", metavar="URL", help="-m review: where the updated documentation is (REV-4)")
    group.addoption("--learnings", metavar="URL", help="-m review: where the learnings are (REV-5)")


def wanted(option: Any, selects: Callable[[str], bool]) -> str | None:
    """Return which kind of run ``-m`` asks for by its name; None for a rollout.

    Args:
        option: the options.
        selects: returns whether ``-m`` selects a marker of that name.

    Raises:
        pytest.UsageError: it asks for several at once, or an option does not belong to it.
    """
    # `-m "not apply"` selects every kind, and names none.
    named = [] if selects("") else [kind for kind in LATER_PHASES if selects(kind)]
    phases = [phase for phase in PHASES if selects(phase)]
    if len(named) > 1 or (named and phases):
        raise pytest.UsageError(
            f"-m {option.markexpr!r} asks for {' and '.join([*phases, *named])} at once; {' and '.join(named)} "
            f"{'are runs' if len(named) > 1 else 'is a run'} of {'their' if len(named) > 1 else 'its'} own"
        )
    kind = named[0] if named else None
    foreign = ({} if kind == REVIEW else _OPTIONS) | (_OF_A_ROLLOUT if kind else {})
    if odd := [name for attribute, name in foreign.items() if getattr(option, attribute)]:
        raise pytest.UsageError(f"{', '.join(odd)} {'says' if len(odd) == 1 else 'say'} nothing to {_what(kind)}")
    return kind


def open_suite_run(kind: str, option: Any, project: Project, reports: Path) -> SuiteRun:
    """Open the run: everything is validated before the first request.

    Args:
        kind: which kind of run.
        option: the options.
        project: the session's project.
        reports: the folder that evidence goes to.

    Raises:
        RolloutError: something is wrong with what was asked for.
        pytest.UsageError: a link is none.
        pytest.exit.Exception: it may be held later only; exit code 13.
    """
    try:
        if kind == REVIEW:
            return _review(option, project, reports)
        return _release(option, project, reports)
    except TryLater as error:
        pytest.exit(f"TRY LATER: {error}", returncode=ExitCode.TRY_LATER)


def link(value: str | None, option: str) -> str | None:
    """Return a link that people can follow; the suite does not follow it.

    Raises:
        pytest.UsageError: it is none.
    """
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None
    except ValueError:
        usable = False
    if not usable or not value.isprintable() or " " in value or len(value) > _LONGEST:
        # Not shown where it may carry a name or password, which is before an @.
        shown = "what is given" if "@" in value else repr(value[:_LONGEST])
        raise pytest.UsageError(
            f"{option}: {shown} is no link; write one such as https://wiki.example.com/gateway, without a password"
        )
    return value


def _review(option: Any, project: Project, reports: Path) -> SuiteRun:
    from rollout.plugin.review_run import open_review  # noqa: PLC0415 - of this kind of run alone

    return open_review(
        ReviewOptions(
            rollout=option.rollout,
            target=option.target,
            gateway=option.gateway,
            documentation=link(option.documentation, "--documentation"),
            learnings=link(option.learnings, "--learnings"),
            journal=option.journal or project.journal or journal_in(reports),
            reports=reports,
        ),
        flag=StopFlag(),
        env=os.environ,
    )


def _release(option: Any, project: Project, reports: Path) -> SuiteRun:
    from rollout.plugin.release_run import open_release  # noqa: PLC0415 - of this kind of run alone

    return open_release(
        ReleaseOptions(
            target=option.target,
            gateway=option.gateway,
            reports=reports,
            scenarios=project.scenarios,
            targets=project.targets,
            policy=Path(option.policy).absolute() if option.policy else project.policy,
        ),
        env=os.environ,
    )


def _what(kind: str | None) -> str:
    return "a rollout; leave out or add -m review" if kind is None else f"-m {kind}; leave out"
