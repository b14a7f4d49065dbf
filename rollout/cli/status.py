"""``rollout status``: the rollouts in flight, what is owed to closed ones, and the history across rollouts (DOC-3)."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rollout.cli.journal_options import open_journal
from rollout.core.errors import ExitCode, RolloutError
from rollout.core.text import one_line
from rollout.core.units import duration
from rollout.core.visible import beneath, on_one_line
from rollout.journal.record import Decision, RolloutRecord
from rollout.reporting.timeline import clock

if TYPE_CHECKING:
    from rollout.engine.recovery import Case

OPEN = "open"
"""The value of ``--decision`` besides the decisions: a rollout that has none yet."""

_COLUMNS = ("since", "rollout", "state", "change", "target", "by", "why")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``rollout status``; each of its filters asks for the closed rollouts too."""
    parser.add_argument("--all", action="store_true", help="show the closed ones too")
    parser.add_argument("--target", metavar="NAME", help="only those at this target")
    parser.add_argument("--since", metavar="WHEN", help="only those since a day (2026-11-24), or so long ago (36h)")
    parser.add_argument("--decision", choices=[OPEN, *Decision], help="only those that ended so")
    parser.add_argument("--author", metavar="NAME", help="only those of this person")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument(
        "--reconcile", metavar="TARGET", help="list the changes at this target that no rollout made; 1 if there are any"
    )


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


def parse_query(args: argparse.Namespace, now: datetime) -> StatusQuery:
    """Return the query of the options.

    Raises:
        RolloutError: ``--since`` is neither a moment nor a duration.
    """
    since = None if args.since is None else _moment(args.since, now)
    return StatusQuery(args.target, since, args.decision, args.author)


def _moment(words: str, now: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(words)
    except ValueError:
        moment = None
    try:
        # Without a zone it is UTC, as everything in the journal.
        return now - timedelta(seconds=duration(words)) if moment is None else _aware(moment)
    except (ValueError, OverflowError):
        raise RolloutError(
            f"--since: {words!r} is neither a moment nor a duration; write one such as 2026-11-24 or 36h"
        ) from None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def show(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print the rollouts as a table, for a terminal of any width; `owed` of a row lists its open obligations."""
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    rows = list(rows)
    # Without obligations their column is left out: it would make the others narrower.
    columns = (*_COLUMNS, "owed") if any(row["owed"] for row in rows) else _COLUMNS
    table = Table(*columns)
    for row in rows:
        cells = {**row, "since": clock(str(row["since"])), "owed": "; ".join(row["owed"])}
        # As text: a name in square brackets is no style.
        table.add_row(*(Text(one_line(cells[name] or "")) for name in columns))
    Console(file=beneath(sys.stdout)).print(table)


def run(args: argparse.Namespace) -> int:
    """Print the rollouts that the options ask for, and return 0."""
    if args.reconcile is not None:
        return _reconcile(args)
    from rollout.approvals.obligations import open_of  # noqa: PLC0415 - heavy
    from rollout.engine.recovery import in_flight  # noqa: PLC0415 - heavy
    from rollout.journal.records import records  # noqa: PLC0415 - heavy

    with open_journal(args) as journal:
        cases, now = {case.record.id: case for case in in_flight(journal)}, journal.now()
        asked = parse_query(args, now)
        everything = args.all or bool(asked)
        known = [record for record in records(journal) if everything or record.id in cases or _has_obligations(record)]
        known = [record for record in known if asked.fits(record)]
        obligations = [open_of(record) for record in known]
        shown = [collect_facts(record, cases.get(record.id)) for record in known]
    if args.json:
        document = [
            facts | {"owed": [each.facts(now) for each in pending]}
            for facts, pending in zip(shown, obligations, strict=True)
        ]
        print(json.dumps(document, indent=2))
        return 0
    if everything and shown and sys.stdout.isatty():
        show(
            [
                facts | {"owed": [each.brief(now) for each in pending]}
                for facts, pending in zip(shown, obligations, strict=True)
            ]
        )
        return 0
    for facts, pending in zip(shown, obligations, strict=True):
        lines = [f"{name:<8}{on_one_line(str(value))}" for name, value in facts.items() if value is not None]
        print("\n".join([*lines, *(f"owed    {each.describe(now)}" for each in pending)]), end="\n\n")
    if not shown:
        none = "no rollout yet" if args.all else "no rollout is in flight, and nothing is owed"
        print("no such rollout" if asked else none)
    return 0


def _reconcile(args: argparse.Namespace) -> int:
    from rollout.core.clock import SystemClock  # noqa: PLC0415
    from rollout.engine import drift  # noqa: PLC0415 - heavy
    from rollout.journal.records import records  # noqa: PLC0415

    with open_journal(args) as journal:
        found = drift.reconcile(records(journal), args.reconcile, os.environ, SystemClock())
    print(json.dumps(found.facts(), indent=2) if args.json else drift.text(found), end="\n" if args.json else "")
    return ExitCode.CHECK_FAILED if found.outside else 0


def _has_obligations(record: RolloutRecord) -> bool:
    """Return whether a closed rollout still has an obligation, or evidence to be written."""
    from rollout.approvals.obligations import open_of  # noqa: PLC0415 - heavy

    return bool(open_of(record) or record.missing_evidence)


def _state(record: RolloutRecord, case: Case | None) -> str:
    if record.awaits_evidence:
        return "kept, evidence owed"
    return "in flight" if case else str(record.decision or "open").replace("_", " ")


def collect_facts(record: RolloutRecord, case: Case | None) -> dict[str, object]:
    """Return what is known of a rollout: what, where, since when, by whom, until when, and what to do."""
    from rollout.reporting.time_in_effect import effect_of  # noqa: PLC0415 - with the journal

    return {
        "rollout": record.id,
        "state": _state(record, case),
        "change": record.opened["change"],
        "target": f"{record.opened['target']['name']} at {record.opened['url']}",
        "by": record.opened["author"],
        "since": record.opened_at,
        "closed": record.closed_at or None,
        "missing": "; ".join(record.missing_evidence) or None,
        "effect": str(effect_of(record)) or None,
        "held": case.why if case else None,
        "hold": _held(record),
        "why": (record.closed or {}).get("why"),
        "next": None if case is None else f"rollout {'recover' if case.stranded else f'abort {record.id}'}",
    }


def _held(record: RolloutRecord) -> str | None:
    from rollout.core.clock import SystemClock  # noqa: PLC0415 - with the journal
    from rollout.monitoring.hold import of_record  # noqa: PLC0415

    hold = of_record(record, SystemClock().now())
    return None if hold is None else f"the rollback is {hold}"
