"""``rollout emergency``: the activation first, and everything heavy after it (EMG)."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress

from rollout.engine import emergency, late_report
from rollout.engine.emergency_order import Order


def run(args: argparse.Namespace) -> int:
    """Activate the safe provider, follow up, and return the exit code."""
    return emergency.run(args, _follow_up)


def _follow_up(order: Order, sent: emergency.Sent, env: Mapping[str, str], say: emergency.Say) -> int:
    from rollout.engine.emergency_followup import finish  # noqa: PLC0415 - everything heavy comes after the activation

    code = finish(order, sent, env, say)
    # The process of the report writes the page over all rollouts, which nothing of the emergency waits for.
    if not late_report.start(order.journal, order.id, order.reports, env):
        _write_index(order)
    return code


def _write_index(order: Order) -> None:
    """Write the page over all rollouts; the emergency is recorded, and a failure of the page changes no exit code."""
    from rollout.core.clock import SystemClock  # noqa: PLC0415 - with the journal
    from rollout.journal.journal import Journal  # noqa: PLC0415
    from rollout.reporting.html import index  # noqa: PLC0415

    with suppress(Exception), Journal.open(order.journal, clock=SystemClock(), create=False) as journal:
        index.write(journal, order.reports)
