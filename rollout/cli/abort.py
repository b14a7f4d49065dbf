"""``rollout abort``: ask a rollout that is being watched to roll back (MON-5)."""

from __future__ import annotations

import argparse

from rollout.cli.journal_options import choose_rollout, open_journal
from rollout.core.caller import caller
from rollout.core.errors import RolloutError
from rollout.journal.record import Kind


def run(args: argparse.Namespace) -> int:
    """Write the request for a rollback into the journal, and return 0.

    Raises:
        RolloutError: the rollout is closed.
    """
    with open_journal(args) as journal:
        record = choose_rollout(journal, args.id)
        if record.closed is not None:
            raise RolloutError(f"rollout {record.id} is closed ({record.decision}); `rollout rollback` rolls it back")
        journal.append(record.id, Kind.ABORT, {"by": caller(), "reason": args.reason})
    print(f"asked {record.id} to roll back; the process that watches it does so within seconds")
    return 0
