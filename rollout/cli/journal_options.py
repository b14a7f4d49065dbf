"""The options of every command that reads a journal, and what they name: the journal and one of its rollouts."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.core.errors import RolloutError

if TYPE_CHECKING:
    from rollout.journal.journal import Journal
    from rollout.journal.record import RolloutRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--reports`` and ``--journal``."""
    parser.add_argument("--reports", metavar="DIR", default="reports", help="where evidence is (default: reports)")
    parser.add_argument("--journal", metavar="URL", help="where the state lives (default: REPORTS/journal.sqlite)")


def add_rollout_id(parser: argparse.ArgumentParser) -> None:
    """Add the id of a rollout."""
    parser.add_argument("id", nargs="?", help="the rollout's id (default: the only one in flight)")


def open_journal(args: argparse.Namespace) -> Journal:
    """Open the journal that the options name; it is never created.

    Raises:
        JournalError: there is none.
    """
    from rollout.core.clock import SystemClock  # noqa: PLC0415 - SQLAlchemy is heavy
    from rollout.core.redaction import knowing  # noqa: PLC0415
    from rollout.journal.journal import Journal  # noqa: PLC0415

    url = args.journal or f"sqlite:///{Path(args.reports).absolute() / 'journal.sqlite'}"
    # Only a run creates a journal.
    return Journal.open(url, clock=SystemClock(), redact=knowing(os.environ).value, create=False)


def choose_rollout(journal: Journal, wanted: str | None) -> RolloutRecord:
    """Return the rollout of that id; without an id the only one in flight.

    Raises:
        RolloutError: there is no such rollout, or not exactly one in flight.
    """
    from rollout.journal.records import records  # noqa: PLC0415 - heavy

    known = records(journal)
    if wanted is not None:
        found = [record for record in known if record.id == wanted]
        if not found:
            raise RolloutError(f"there is no rollout {wanted!r}; `rollout status --all` lists them")
        return found[0]
    in_flight = [record for record in known if record.in_flight]
    if len(in_flight) != 1:
        ids = ", ".join(record.id for record in in_flight) or "none"
        raise RolloutError(f"{len(in_flight)} rollouts are in flight ({ids}); name one")
    return in_flight[0]
