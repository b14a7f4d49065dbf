"""``rollout status``: the rollouts in flight, what is owed to closed ones, and the history across rollouts (DOC-3)."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rollout.approvals.obligations import open_of
from rollout.cli.journal_options import open_journal
from rollout.cli.options import OPEN
from rollout.cli.since import read_since
from rollout.core.clock import SystemClock
from rollout.core.errors import ExitCode
from rollout.core.text import one_line
from rollout.core.visible import beneath, on_one_line
from rollout.journal.journal import Journal
from rollout.journal.record import RolloutRecord
from rollout.journal.records import records, unsettled_records

_COLUMNS = ("since", "rollout", "state", "change", "target", "by", "why")


@dataclass(frozen=True, slots=True)
class StatusQuery:
    """Which rollouts to show; None leaves out none.

    Attributes:
        target: the target's name.
        since: they were opened then or later.
        decision: how they ended, or `OPEN`.
        author: who asked for them; case does not matter.
    """

    target: str | None = None
    since: datetime | None = None
    decision: str | None = None
    author: str | None = None

    def __bool__(self) -> bool:
        """Return whether any filter is set."""
        return self != StatusQuery()

    def fits(self, record: RolloutRecord) -> bool:
        """Return whether a rollout passes the filters."""
        opened = record.opened
        return (
            self.target in (None, opened["target"]["name"])
            and self.decision in (None, str(record.decision or OPEN))
            and (self.author is None or self.author.casefold() == str(opened["author"]).casefold())
            and (self.since is None or datetime.fromisoformat(record.opened_at) >= self.since)
        )


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the rollouts as a table, for a terminal of any width; `owed` of a row lists its open obligations."""
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from rollout.reporting.timeline import clock  # noqa: PLC0415

    # Without obligations their column is left out: it would make the others narrower.
    columns = (*_COLUMNS, "owed") if any(row["owed"] for row in rows) else _COLUMNS
    table = Table(*columns)
    for row in rows:
        cells = {**row, "since": clock(str(row["since"])), "owed": "; ".join(row["owed"])}
        cells["state"] = row["ended"] or row["state"]
        # As text: a name in square brackets is no style.
        table.add_row(*(Text(one_line(cells[name] or "")) for name in columns))
    Console(file=beneath(sys.stdout)).print(table)


def run(args: argparse.Namespace) -> int:
    """Print the rollouts that the options ask for, and return 0.

    Raises:
        RolloutError: ``--since`` is neither a moment nor a duration.
    """
    if args.reconcile is not None:
        return _reconcile(args)
    with open_journal(args) as journal:
        now = journal.now()
        since = None if args.since is None else read_since(args.since, now)
        asked = StatusQuery(args.target, since, args.decision, args.author)
        everything = args.all or bool(asked)
        known = _history(journal) if everything else iter(unsettled_records(journal))
        found = [
            (_facts(journal, record), open_of(record))
            for record in known
            if asked.fits(record) and (everything or record.in_flight or _has_obligations(record))
        ]
    if args.json:
        print(json.dumps([facts | {"owed": [each.facts(now) for each in owed]} for facts, owed in found], indent=2))
    elif not found:
        none = "no rollout yet" if args.all else "no rollout is in flight, and nothing is owed"
        print("no such rollout" if asked else none)
    elif everything and sys.stdout.isatty():
        show([facts | {"owed": [each.brief(now) for each in owed]} for facts, owed in found])
    else:
        for facts, owed in found:
            lines = [f"{name:<8}{on_one_line(str(value))}" for name, value in facts.items() if value is not None]
            print("\n".join([*lines, *(f"owed    {each.describe(now)}" for each in owed)]), end="\n\n")
    return 0


def _reconcile(args: argparse.Namespace) -> int:
    from rollout.engine import drift  # noqa: PLC0415 - it loads the client of the gateway

    with open_journal(args) as journal:
        found = drift.reconcile(records(journal), args.reconcile, os.environ, SystemClock())
    print(json.dumps(found.facts(), indent=2) if args.json else drift.text(found), end="\n" if args.json else "")
    return ExitCode.CHECK_FAILED if found.outside else 0


def _history(journal: Journal) -> Iterator[RolloutRecord]:
    from rollout.cli.status_facts import read_history  # noqa: PLC0415 - see `_facts`

    return read_history(journal)


def _facts(journal: Journal, record: RolloutRecord) -> dict[str, object]:
    """Return what is shown of a rollout; what that loads takes longer than to find that there is nothing to show."""
    from rollout.cli.status_facts import collect_facts  # noqa: PLC0415 - see above
    from rollout.engine.cases import examine_case  # noqa: PLC0415

    return collect_facts(record, examine_case(journal, record) if record.in_flight else None)


def _has_obligations(record: RolloutRecord) -> bool:
    """Return whether a closed rollout still has an obligation, or evidence to be written."""
    return bool(open_of(record) or record.missing_evidence)
