"""Loads the plugin of a checkout whose package is not installed; where it is, the entry point has done so."""

import pytest


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Load the plugin before the command line is read; once, whoever loads it.

    The name `pytest_plugins` would do the same, and pytest refuses it where a project elsewhere runs these checks.
    """
    pluginmanager.import_plugin("rollout.plugin.hooks")
