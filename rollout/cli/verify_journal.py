"""``rollout verify-journal``: check that the record is as it was written, and that it follows."""

from __future__ import annotations

import argparse

from rollout.audit import command
from rollout.cli.journal_options import open_journal


def run(args: argparse.Namespace) -> int:
    """Examine the journal that the options name, print the findings, and return 0 where nothing was altered, else 1."""
    with open_journal(args) as journal:
        return command.run(args, journal)
