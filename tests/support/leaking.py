"""A pytest plugin that lets the secret in LEAK out where a check, a library or a defect might.

pytest -p tests.support.leaking         # prints, logs, warns; puts it into a check's id
LEAK_IN="check, hook"                   # VER-1 raises it, and a hook does, which pytest calls an INTERNALERROR
"""

from __future__ import annotations

import logging
import os
import sys
import warnings

import pytest

LEAK, WHERE = os.environ["LEAK"], os.environ.get("LEAK_IN", "")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Put it into the id of one check."""
    if "PRE-1.1" in [mark.args[0] for mark in metafunc.definition.iter_markers("clause")]:
        metafunc.fixturenames.append("leak")
        metafunc.parametrize("leak", [LEAK])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item):
    """Say it wherever a check can."""
    sys.stdout.write(f"printed: {LEAK}\n")
    sys.stderr.write(f"printed as an error: {LEAK}\n")
    logging.getLogger("leaking").warning("logged: %s", LEAK)
    warnings.warn(f"warned: {LEAK}", stacklevel=1)
    item.user_properties.append(("property", LEAK))
    if "check" in WHERE and "VER-1" in str(item.get_closest_marker("clause")):
        raise ValueError(f"raised: {LEAK}")
    return (yield)


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Raise it outside of any check."""
    if "hook" in WHERE and "test_status" in nodeid:
        raise ValueError(f"raised by a hook: {LEAK}")
