"""What the options of a command name: the journal, and one of its rollouts."""

from __future__ import annotations

import argparse
import os

from rollout.config.project import journal_in
from rollout.core.clock import SystemClock
from rollout.core.errors import RolloutError
from rollout.core.redaction import knowing
from rollout.journal.journal import Journal
from rollout.journal.record import RolloutRecord
from rollout.journal.records import find_record, records_in_flight


def open_journal(args: argparse.Namespace) -> Journal:
    """Open the journal that the options name; it is never created.

    Raises:
        JournalError: there is none.
    """
    # Only a run creates a journal.
    url = args.journal or journal_in(args.reports)
    return Journal.open(url, clock=SystemClock(), redact=knowing(os.environ).value, create=False)


def choose_rollout(journal: Journal, wanted: str | None) -> RolloutRecord:
    """Return the rollout of that id; without an id the only one in flight.

    Raises:
        RolloutError: there is no such rollout, or not exactly one in flight.
    """
    if wanted is not None:
        record = find_record(journal, wanted)
        if record is None:
            raise RolloutError(f"there is no rollout {wanted!r}; `rollout status --all` lists them")
        return record
    found = records_in_flight(journal)
    if len(found) != 1:
        ids = ", ".join(record.id for record in found) or "none"
        raise RolloutError(f"{len(found)} rollouts are in flight ({ids}); name one")
    return found[0]
