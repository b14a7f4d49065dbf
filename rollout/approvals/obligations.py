"""Obligations to a rollout that is closed: an approval after the fact, a review; each has a due date.

An obligation is two journal entries: `Kind.OWED` opens it, `Kind.SETTLED` ends it. It counts from the first write on:
a rollout that changed nothing has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from rollout.core.clock import format_utc
from rollout.core.errors import RolloutError
from rollout.journal.journal import Journal
from rollout.journal.record import Kind, RolloutRecord

if TYPE_CHECKING:
    # It loads the client of the gateway, and reading a record does without.
    from rollout.context import RolloutContext


class ObligationKind(StrEnum):
    """The kinds of obligation."""

    APPROVAL = "retrospective approval"
    REVIEW = "review"


SETTLED_BY: Mapping[ObligationKind, str] = MappingProxyType(
    {
        ObligationKind.APPROVAL: "rollout approve {rollout}",
        ObligationKind.REVIEW: "pytest -m review --rollout={rollout} --documentation=URL --learnings=URL",
    }
)
"""Kind of obligation -> the command that fulfils it; ``{rollout}`` stands for the rollout's id."""


@dataclass(frozen=True, slots=True)
class Obligation:
    """An obligation that is open.

    Attributes:
        what: its kind.
        due: until when, UTC.
        command: the command that fulfils it.
    """

    what: ObligationKind
    due: datetime
    command: str

    def is_overdue(self, now: datetime) -> bool:
        """Return whether it was due before `now`."""
        return now > self.due

    def facts(self, now: datetime) -> dict[str, object]:
        """Return it as JSON types."""
        return {
            "what": str(self.what),
            "due": format_utc(self.due),
            "overdue": self.is_overdue(now),
            "settle": self.command,
        }

    def describe(self, now: datetime) -> str:
        """Return such as ``retrospective approval OVERDUE since 2026-11-24T12:00:00.000Z: rollout approve ID``."""
        return f"{self.brief(now)}: {self.command}"

    def brief(self, now: datetime) -> str:
        """Return such as ``retrospective approval OVERDUE since 2026-11-24T12:00:00.000Z``."""
        word = "OVERDUE since" if self.is_overdue(now) else "due by"
        return f"{self.what} {word} {format_utc(self.due)}"


def open_obligation(rollout: RolloutContext, what: ObligationKind, within_s: float) -> datetime:
    """Open an obligation, due in `within_s` seconds, and return when; a later one replaces an earlier one."""
    due = rollout.clock.now() + timedelta(seconds=within_s)
    rollout.append_or_spool(Kind.OWED, what=what, due=format_utc(due))
    return due


def fulfil(journal: Journal, record: RolloutRecord, what: ObligationKind, *, by: str) -> None:
    """Fulfil an obligation.

    Raises:
        RolloutError: there is no such obligation.
        JournalError: it is not in the journal, so it stays open.
    """
    if not any(each.what == what for each in open_of(record)):
        raise RolloutError(f"no {what} is owed to rollout {record.id}; `rollout status` lists what is")
    journal.append(record.id, Kind.SETTLED, {"what": what, "by": by})


def open_of(record: RolloutRecord) -> tuple[Obligation, ...]:
    """Return the open obligations to a rollout, the soonest due first."""
    if not record.wrote:
        return ()
    found = (
        Obligation(
            ObligationKind(what),
            datetime.fromisoformat(due).astimezone(UTC),
            SETTLED_BY[ObligationKind(what)].format(rollout=record.id),
        )
        for what, due in record.owed.items()
    )
    return tuple(sorted(found, key=lambda each: each.due))
