"""A LiteLLM from PyPI in an environment of its own: installed once on a machine, and kept in the user's cache."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.support import environments

REQUIREMENTS = ("litellm[proxy]==1.108.*", "prometheus_client==0.26.*")
REQUIRED = "ROLLOUT_REQUIRE_LITELLM"
"""With this variable a LiteLLM that cannot be had is a failure, and no skip."""


def litellm_python() -> Path:
    """Return the interpreter of an environment with LiteLLM; the test is skipped, with the reason, where there is none.

    One process installs, and the others wait for it.
    """
    folder, why = _installed()
    if why and os.environ.get(REQUIRED):
        pytest.fail(f"{REQUIRED} is set, but LiteLLM cannot be installed: {why}")
    if why:
        pytest.skip(f"LiteLLM cannot be installed: {why}")
    return environments.python_of(folder)


@cache
def _installed() -> tuple[Path, str]:
    """Return the environment's folder, and why there is none; a process tries once."""
    folder = environments.cached("rollout-litellm") / f"1.108-py{sys.version_info.major}{sys.version_info.minor}"
    return folder, environments.install(folder, REQUIREMENTS)
