"""The entry point of group `pytest11`: it loads the suite's plugin in a project that adopts the suite, and only there.

Every pytest session of the environment imports this module, so it imports almost nothing. A `conftest.py` may load
`rollout.plugin.hooks` itself, as this repository's does: pytest registers a plugin of that name once.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.config.project_file import find_project_file, is_procedure

HOOKS = "rollout.plugin.hooks"
CONFORMANCE = "rollout.testing."


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Load the hooks before any `conftest.py`: their options must be known before the command line is read.

    The conformance kit of drivers is named as a package, and belongs to no project.

    Raises:
        pytest.UsageError: an option removes them, and ``-m`` asks for a phase.
    """
    if any(name.startswith(CONFORMANCE) for name in early_config.known_args_namespace.file_or_dir):
        early_config.pluginmanager.import_plugin("rollout.testing.plugin")
        return
    if not find_project_file(*project_starts(early_config)):
        return
    if early_config.pluginmanager.is_blocked(HOOKS):
        _refuse_phase(early_config.known_args_namespace.markexpr)
    early_config.pluginmanager.import_plugin(HOOKS)


def _refuse_phase(markexpr: str) -> None:
    """Refuse a session that asks for checks, and lists or passes others without the plugin."""
    from rollout.plugin.selection import names_any_phase  # noqa: PLC0415 - a project's own tests do without

    if names_any_phase(markexpr):
        raise pytest.UsageError(
            f"NOTHING CHECKED: -m {markexpr!r} asks for checks, and -p no:{HOOKS} removes the plugin that judges them; "
            "nothing was run. Take it out of the command line, PYTEST_ADDOPTS or the ini file"
        )


def project_starts(config: pytest.Config) -> tuple[Path, ...]:
    """Return the folders from which the session's project is searched: where pytest was called, then its root.

    The root of a checkout elsewhere comes first: its checks are what the command line names. Any other root may be the
    folder of a scenario, which pytest takes for that of the tests where its option is written with a space.
    """
    here, root = config.invocation_params.dir, config.rootpath
    is_elsewhere = is_procedure(root / "checks") and not here.is_relative_to(root)
    return (root, here) if is_elsewhere else (here, root)
