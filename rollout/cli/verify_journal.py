"""``rollout verify-journal``: check that the record is as it was written, and that it follows."""

from __future__ import annotations

import argparse

from rollout.audit import command
from rollout.cli.journal_options import open_journal
from rollout.cli.progress import Progress


def run(args: argparse.Namespace) -> int:
    """Examine the journal or the archive that the options name, and print the findings.

    Returns:
        0 where nothing was altered, else 1.
    """
    if args.archive is not None:
        return command.print_findings(args, command.examine_file(args))
    with open_journal(args) as journal:
        with Progress() as progress:
            examination = command.examine_journal(args, journal, progress.step)
        return command.print_findings(args, examination)
