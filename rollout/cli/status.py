"""``rollout status``: the rollouts in flight, what is owed to closed ones, and the history across rollouts (DOC-3)."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

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
from rollout.monitoring.extension import Extension
from rollout.monitoring.hold import of_record
from rollout.reporting.time_in_effect import effect_of
from rollout.reporting.timeline import clock
from rollout.reporting.window_end import describe_end, what_it_could_tell

if TYPE_CHECKING:
    from rollout.engine.recovery import Case

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
        known = records(journal) if everything else unsettled_records(journal)
        found = [
            (collect_facts(record, _case(journal, record)), open_of(record))
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


def _case(journal: Journal, record: RolloutRecord) -> Case | None:
    """Return who has a rollout in flight in its hands; None for any other."""
    if not record.in_flight:
        return None
    from rollout.engine.recovery import examine_case  # noqa: PLC0415 - it loads what a rollback needs

    return examine_case(journal, record)


def _has_obligations(record: RolloutRecord) -> bool:
    """Return whether a closed rollout still has an obligation, or evidence to be written."""
    return bool(open_of(record) or record.missing_evidence)


def _state(record: RolloutRecord, case: Case | None) -> str:
    if record.awaits_evidence:
        return "kept, evidence owed"
    return "in flight" if case else str(record.decision or "open").replace("_", " ")


def collect_facts(record: RolloutRecord, case: Case | None) -> dict[str, object]:
    """Return what is known of a rollout: what, where, since when, by whom, until when, and what to do."""
    return {
        "rollout": record.id,
        "state": _state(record, case),
        "change": record.opened["change"],
        "target": f"{record.opened['target']['name']} at {record.opened['url']}",
        "by": record.opened["author"],
        "run_by": record.run_by or None,
        "since": record.opened_at,
        "closed": record.closed_at or None,
        "missing": "; ".join(record.missing_evidence) or None,
        "effect": str(effect_of(record)) or None,
        "held": case.why if case else None,
        "hold": _held(record),
        "window": None if record.extension is None else str(Extension.from_record(record.extension)),
        "why": (record.closed or {}).get("why"),
        "ended": describe_end(record, record.decision) or None,
        "power": what_it_could_tell(record) or None,
        "next": None if case is None else f"rollout {'recover' if case.stranded else f'abort {record.id}'}",
    }


def _held(record: RolloutRecord) -> str | None:
    hold = of_record(record, SystemClock().now())
    return None if hold is None else f"the rollback is {hold}"
