"""The outcome of a test of a connection, as a driver words it itself."""

from __future__ import annotations

from rollout.gateway.responses import ConnectionTest


def report_test(message: str, status: str, *, succeeded: bool = True) -> ConnectionTest:
    """Return the outcome of a test.

    Args:
        message: what was tested, or why it failed.
        status: ``connected``, ``offline``, or ``unknown`` where nothing tests a connection.
        succeeded: whether the provider may be activated.
    """
    return ConnectionTest(succeeded, status, None, message)
