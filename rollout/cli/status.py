"""The history across rollouts: which of them somebody asked for, and a table of them for a terminal (DOC-3)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rollout.core.errors import RolloutError
from rollout.core.text import one_line
from rollout.core.units import duration
from rollout.core.visible import beneath
from rollout.journal.record import Decision, RolloutRecord
from rollout.reporting.timeline import clock

OPEN = "open"
"""What is asked for with ``--decision`` besides the decisions: a rollout that has none yet."""

_COLUMNS = ("since", "rollout", "state", "change", "target", "by", "why")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the filters; each of them asks for the closed rollouts too."""
    parser.add_argument("--target", metavar="NAME", help="only those at this target")
    parser.add_argument("--since", metavar="WHEN", help="only those since a day (2026-11-24), or so long ago (36h)")
    parser.add_argument("--decision", choices=[OPEN, *Decision], help="only those that ended so")
    parser.add_argument("--author", metavar="NAME", help="only those of this person")


@dataclass(frozen=True, slots=True)
class StatusQuery:
    """Which rollouts are asked for; None leaves out none.

    Attributes:
        target: the target's name.
        since: they were opened then or later.
        decision: how they ended, or `OPEN`.
        author: who asked for them, in whatever case.
    """

    target: str | None = None
    since: datetime | None = None
    decision: str | None = None
    author: str | None = None

    def __bool__(self) -> bool:
        """Tell whether anything is asked for."""
        return self != StatusQuery()

    def fits(self, record: RolloutRecord) -> bool:
        """Tell whether a rollout is one of them."""
        opened = record.opened
        return (
            self.target in (None, opened["target"]["name"])
            and self.decision in (None, str(record.decision or OPEN))
            and (self.author is None or self.author.casefold() == str(opened["author"]).casefold())
            and (self.since is None or datetime.fromisoformat(record.opened_at) >= self.since)
        )


def parse_query(args: argparse.Namespace, now: datetime) -> StatusQuery:
    """Return which rollouts the options ask for.

    Raises:
        RolloutError: ``--since`` says neither a moment nor a duration.
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
    """Print the rollouts as a table, for a terminal of whatever width; `owed` of a row is what people owe to it."""
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    rows = list(rows)
    # Where nothing is owed, its column would only make the others narrower.
    columns = (*_COLUMNS, "owed") if any(row["owed"] for row in rows) else _COLUMNS
    table = Table(*columns)
    for row in rows:
        told = {**row, "since": clock(str(row["since"])), "owed": "; ".join(row["owed"])}
        # As text: a name in square brackets is no style.
        table.add_row(*(Text(one_line(told[name] or "")) for name in columns))
    Console(file=beneath(sys.stdout)).print(table)
