"""``rollout hold``: hold the automatic rollback of a rollout that is being watched, or release it."""

from __future__ import annotations

import argparse

from rollout.cli.journal_options import choose_rollout, open_journal
from rollout.core.caller import caller
from rollout.core.errors import RolloutError
from rollout.core.units import duration
from rollout.monitoring import hold


def run(args: argparse.Namespace) -> int:
    """Hold or release, print what that means, and return 0.

    Raises:
        RolloutError: the duration is none, or the rollout cannot be held.
    """
    by = caller()
    with open_journal(args) as journal:
        record = choose_rollout(journal, args.id)
        if args.release:
            hold.release(journal, record, by=by, reason=args.reason or "no reason given")
            print(f"released {record.id}: a breach that stands rolls back within seconds")
            return 0
        try:
            for_s = duration(args.duration)
        except ValueError as error:
            raise RolloutError(f"--for: {error}") from None
        held = hold.place(journal, record, by=by, reason=args.reason, for_s=for_s)
    print(
        f"{record.id} is {held}\n"
        "until then, or until its window ends, a breach is shown and does not roll back; an abort still does:\n"
        f"  rollout abort {record.id}            rollout hold {record.id} --release"
    )
    return 0
