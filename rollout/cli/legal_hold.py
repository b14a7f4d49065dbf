"""``rollout legal-hold``: keep a rollout's evidence from being pruned, or release it."""

from __future__ import annotations

import argparse
import sys

from rollout.audit.legal_hold import place_legal_hold, release_legal_hold
from rollout.cli.journal_options import choose_rollout, open_journal
from rollout.core.caller import caller
from rollout.core.visible import on_one_line
from rollout.journal.chain import Entry
from rollout.journal.record import Kind


def run(args: argparse.Namespace) -> int:
    """Place or release a legal hold, print what that means, and return 0.

    Raises:
        RolloutError: there is no such rollout, no reason, or nothing to place or release.
    """
    with open_journal(args) as journal:
        record = choose_rollout(journal, args.id)
        if args.release:
            release_legal_hold(journal, record, by=caller(), reason=args.reason)
            sys.stdout.write(f"{record.id} is released: `rollout prune` may archive it as its policy says\n")
        else:
            place_legal_hold(journal, record, by=caller(), reason=args.reason)
            sys.stdout.write(f"{record.id} is under a legal hold: `rollout prune` leaves it where it is\n")
            # Read after the hold is in the journal: `rollout prune` removes nothing after it.
            for entry in journal.entries(record.id, Kind.PRUNED):
                sys.stdout.write(f"{_of_archive(entry)}\n")
    return 0


def _of_archive(entry: Entry) -> str:
    archive, at = on_one_line(str(entry.body["archive"])), entry.at
    return f"its folder was archived as {archive} at {at}: no command removes that file; keep it where it is safe"
