"""``rollout hold``: hold the automatic rollback of a rollout that is being watched, or release it."""

from __future__ import annotations

import argparse

from rollout.cli.journal_options import add_rollout_id, choose_rollout, open_journal
from rollout.core.caller import caller
from rollout.core.errors import RolloutError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``rollout hold``, but ``--reports`` and ``--journal``, which every command has."""
    add_rollout_id(parser)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--for", dest="duration", metavar="DURATION", help="how long from now: 15m; the policy has a limit"
    )
    how.add_argument("--release", action="store_true", help="end the hold: a breach that stands rolls back at once")
    parser.add_argument("--reason", default="", help="why, for the record; a hold needs one")


def run(args: argparse.Namespace) -> int:
    """Hold or release, print what that means, and return 0.

    Raises:
        RolloutError: the duration is none, or the rollout cannot be held.
    """
    from rollout.core.units import duration  # noqa: PLC0415
    from rollout.monitoring import hold  # noqa: PLC0415 - with the journal

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
    print(f"{record.id} is {held}")
    print("until then, or until its window ends, a breach is shown and does not roll back; an abort still does:")
    print(f"  rollout abort {record.id}            rollout hold {record.id} --release")
    return 0
