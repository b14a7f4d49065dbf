"""Which checks a session runs, and for which project.

A checkout runs the checks at its top. A project that adopts the suite runs those of the package, and only where the
command line asks for a rollout: by the name of a phase under ``-m``, or with a scenario. Its own tests share pytest.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression

from rollout.config.project import Project, packaged_checks, read_project
from rollout.config.project_file import find_project_file, is_procedure
from rollout.core.clauses import LATER_PHASES, PHASES
from rollout.plugin.entry_point import project_starts

_OF_A_RUN = ("scenario", "activate", "rollout")
_COLLECTED = {"python_files": "test_*.py", "python_functions": "test"}
"""What the checks' files and functions are called; a project may call its own tests otherwise."""


def project_of(config: pytest.Config) -> Project:
    """Return the session's project. Raises InvalidInput where its file is wrong."""
    return read_project(*project_starts(config))


def checks_folder(config: pytest.Config) -> Path:
    """Return the folder of the checks: that of a checkout, otherwise that of the package."""
    own = config.rootpath / "checks"
    return own if is_procedure(own) else packaged_checks()


def has_packaged_checks(config: pytest.Config) -> bool:
    """Return whether the session belongs to a project whose checks are those of the package."""
    return not is_procedure(config.rootpath / "checks") and find_project_file(*project_starts(config)) is not None


def asks_for_run(option: Namespace) -> bool:
    """Return whether options ask for a rollout, a review or a release run by name."""
    return any(getattr(option, name, None) for name in _OF_A_RUN) or names_any_phase(option.markexpr)


def names_any_phase(markexpr: str) -> bool:
    """Return whether ``-m`` selects a phase by its name: ``not slow`` selects every phase, and names none."""
    try:
        expression = Expression.compile(markexpr) if markexpr else None
    except SyntaxError:
        # pytest refuses it with its own message.
        return False

    def selects(phase: str) -> bool:
        return expression is not None and expression.evaluate(lambda name, /, **_: name == phase)

    return not selects("") and any(map(selects, (*PHASES, *LATER_PHASES)))


def select_checks(config: pytest.Config) -> None:
    """Let a session that asks for a rollout, and for no path, collect the checks of the package; idempotent."""
    is_typed = config.args_source is pytest.Config.ArgsSource.ARGS
    if is_typed or not has_packaged_checks(config) or not asks_for_run(config.option):
        return
    config.args = [str(packaged_checks())]
    for setting, pattern in _COLLECTED.items():
        config.addinivalue_line(setting, pattern)
    # They are for the project's own tests: a warning of a library ends no rollout.
    config.getini("filterwarnings").clear()
