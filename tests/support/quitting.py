"""A pytest plugin (``-p tests.support.quitting``) that lets a session end with 0 before a check has run.

``QUIT`` says how: ``configure`` (`pytest.exit` while the session is configured), ``main`` (it answers in the session's
place), ``system exit`` (likewise, by SystemExit), ``empty`` (it takes every check away), ``collect only`` (it sets that
option, and it was not given).
"""

from __future__ import annotations

import os

import pytest

HOW = os.environ["QUIT"]


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """End the session, or set the option."""
    if HOW == "configure":
        pytest.exit("nothing to see here", returncode=0)
    if HOW == "collect only":
        config.option.collectonly = True


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main() -> int | None:
    """Answer in the place of the session."""
    if HOW == "system exit":
        raise SystemExit(0)
    return 0 if HOW == "main" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Take every check away."""
    if HOW == "empty":
        items.clear()
