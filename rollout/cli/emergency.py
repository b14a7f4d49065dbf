"""``rollout emergency``: the activation first, and everything heavy after it (EMG)."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout.engine.emergency import Say, Sent
    from rollout.engine.emergency_order import Order


HELP = "go to the target's safe provider at once, without prechecks (EMG)"


def run(args: argparse.Namespace) -> int:
    """Activate the safe provider, follow up, and return the exit code."""
    from rollout.engine import emergency  # noqa: PLC0415 - this command's own

    return emergency.run(args, _follow_up)


def _follow_up(order: Order, sent: Sent, env: Mapping[str, str], say: Say) -> int:
    from rollout.engine.emergency_followup import finish  # noqa: PLC0415 - everything heavy comes after the activation

    code = finish(order, sent, env, say)
    with suppress(Exception):
        # The emergency is over and recorded; a failure of the index does not change its exit code.
        _reindex(order)
    return code


def _reindex(order: Order) -> None:
    from rollout.core.clock import SystemClock  # noqa: PLC0415 - with the journal
    from rollout.journal.journal import Journal  # noqa: PLC0415
    from rollout.reporting.html.index import write  # noqa: PLC0415

    with Journal.open(order.journal, clock=SystemClock(), create=False) as journal:
        write(journal, order.reports)
