"""A pytest plugin (``-p tests.torture.meddler``) that interferes as foreign plugins and markers do.

``MEDDLE`` is JSON: ``{"how": …, "clause": "MON-1"}``. `how` is ``skip``, ``xfail``, ``xfail_norun`` or ``skip_all``
(markers that are added at collection), ``exit`` (`pytest.exit`), ``interrupt`` (KeyboardInterrupt in the check's body),
``crash`` (a hook that fails after the check: INTERNALERROR), or ``shouldfail`` (what a session timeout sets). With
``"at"`` it happens when the session ends, and in no check: `how` is ``raise``, ``exit`` or ``interrupt`` then, and `at`
``finish``, ``before finish``, ``after finish``, ``summary`` or ``unconfigure``.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

MEDDLE: dict[str, Any] = json.loads(os.environ["MEDDLE"])
MARKS = {
    "skip": pytest.mark.skip(reason="meddled with"),
    "skip_all": pytest.mark.skip(reason="meddled with"),
    "xfail": pytest.mark.xfail(reason="meddled with"),
    "xfail_norun": pytest.mark.xfail(reason="meddled with", run=False),
}


def _is_meant(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("clause")
    return marker is not None and (MEDDLE["how"] == "skip_all" or marker.args[0] == MEDDLE["clause"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Add the marker."""
    for item in items:
        if MEDDLE["how"] in MARKS and _is_meant(item):
            item.add_marker(MARKS[MEDDLE["how"]])


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """End the run in the middle of the check."""
    if not _is_meant(pyfuncitem):
        return
    if MEDDLE["how"] == "exit":
        pytest.exit("meddled with", returncode=0)
    if MEDDLE["how"] == "shouldfail":
        pyfuncitem.session.shouldfail = "meddled with"
    if MEDDLE["how"] == "interrupt":
        raise KeyboardInterrupt


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Note whether the report of the clause comes next."""
    MEDDLE["crash_now"] = MEDDLE["how"] == "crash" and _is_meant(item)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Crash."""
    if report.when == "teardown" and MEDDLE.get("crash_now"):
        MEDDLE["crash_now"] = False
        raise RuntimeError("meddled with")


def _break(place: str) -> None:
    """Raise the error of ``how`` at the place that ``at`` names."""
    if MEDDLE.get("at") != place:
        return
    if MEDDLE["how"] == "exit":
        pytest.exit("meddled with", returncode=0)
    raise KeyboardInterrupt if MEDDLE["how"] == "interrupt" else RuntimeError("meddled with")


def pytest_sessionfinish() -> None:
    """Fail at the end of the session, beside the plugins that write their files then."""
    _break("finish")


@pytest.hookimpl
def pytest_terminal_summary() -> None:
    """Fail before the closing block."""
    _break("summary")


def pytest_unconfigure() -> None:
    """Fail at the very end."""
    _break("unconfigure")


class _Around:
    """Wraps every other plugin's end."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self):
        """Fail before it, or after it."""
        _break("before finish")
        yield
        _break("after finish")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Register last, so that it wraps every other plugin."""
    session.config.pluginmanager.register(_Around())
