"""An operator holds the automatic rollback of a window for a limited time, wherever the journal is reachable.

A hold is a journal entry: who, why, until when. While it is in force a breach is shown and does not end the window.
A breach that still stands when the hold ends or is released ends the window. At the end of the window, or of a call
that watches a slice of it, every standing breach counts.
An operator's abort, a signal and a lost lease are never held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from rollout.core.clock import format_utc
from rollout.core.errors import JournalError, RolloutError
from rollout.core.policy import Policy
from rollout.core.units import show_duration
from rollout.journal.journal import Journal
from rollout.journal.record import Kind, RolloutRecord
from rollout.monitoring.samples import SourceName
from rollout.monitoring.verdict import Verdict

if TYPE_CHECKING:
    # It loads the client of the gateway, and reading a record does without.
    from rollout.context import RolloutContext


@dataclass(frozen=True, slots=True)
class RollbackHold:
    """A hold in force.

    Attributes:
        by: the operator who holds.
        reason: why.
        until: when it expires, UTC.
        at: when it began, UTC, ISO 8601; it distinguishes one hold from the next.
    """

    by: str
    reason: str
    until: datetime
    at: str

    def __str__(self) -> str:
        """Return ``held by alice until 2026-11-24T12:15:00.000Z: the vendor is informed``."""
        return f"held by {self.by} until {format_utc(self.until)}: {self.reason}"


def in_force(holds: Sequence[Mapping[str, Any]], now: datetime, at_most_s: float) -> RollbackHold | None:
    """Return the hold that is in force at `now`, None if there is none.

    Args:
        holds: `RolloutRecord.holds`, in order; the latest hold or release counts.
        now: the time.
        at_most_s: the longest hold that the policy allows, in seconds; a hold ends then at the latest.
    """
    last = next((hold for hold in reversed(holds) if hold["kind"] == Kind.HOLD), None)
    if last is None or last["until"] is None:
        return None
    until = min(
        datetime.fromisoformat(last["until"]), datetime.fromisoformat(last["at"]) + timedelta(seconds=at_most_s)
    )
    return RollbackHold(last["by"], last["reason"], until, last["at"]) if now < until else None


def of_record(record: RolloutRecord, now: datetime) -> RollbackHold | None:
    """Return the hold in force for an open rollout, by the policy it was opened with; None if there is none."""
    return None if record.closed is not None else in_force(record.holds, now, _at_most_s(record))


def describe_holds(record: RolloutRecord) -> str:
    """Return which breaches were held, by whom and why; empty if none was."""
    return "; ".join(
        f"{hold['clause']} was breached at {hold['at']} and {hold['hold']}"
        for hold in record.holds
        if hold["kind"] == Kind.HELD
    )


def place(journal: Journal, record: RolloutRecord, *, by: str, reason: str, for_s: float) -> RollbackHold:
    """Hold the rollback of a rollout's window from now on; the new hold replaces an earlier one.

    Raises:
        RolloutError: there is nothing to hold, the reason is empty, or it is longer than the policy allows.
        JournalError: the hold is not in the journal and has no effect.
    """
    _refuse_idle(record)
    if not reason.strip():
        raise RolloutError("a hold needs a reason, for the record; state it with --reason")
    most = _at_most_s(record)
    if not 0 < for_s <= most:
        raise RolloutError(
            f"{show_duration(max(0.0, for_s))} cannot be held; above zero and at most {show_duration(most)} "
            "(the policy's hold_at_most) can be, and a hold may be renewed"
        )
    until = journal.now() + timedelta(seconds=for_s)
    entry = journal.append(record.id, Kind.HOLD, {"by": by, "reason": reason, "until": format_utc(until)})
    return RollbackHold(by, reason, until, entry.at)


def release(journal: Journal, record: RolloutRecord, *, by: str, reason: str) -> RollbackHold:
    """End the hold that is in force, and return it; a standing breach then rolls back at once.

    Raises:
        RolloutError: none is in force.
        JournalError: the release is not in the journal and has no effect.
    """
    _refuse_idle(record)
    hold = of_record(record, journal.now())
    if hold is None:
        raise RolloutError(f"the rollback of {record.id} is not held, so there is nothing to release")
    journal.append(record.id, Kind.HOLD, {"by": by, "reason": reason, "until": None})
    return hold


def _refuse_idle(record: RolloutRecord) -> None:
    if not record.in_flight:
        state = f"closed ({record.decision})" if record.closed is not None else "not applied"
        raise RolloutError(f"rollout {record.id} is {state}; there is no rollback to hold")


def _at_most_s(record: RolloutRecord) -> float:
    # A journal of an earlier version names no limit.
    return float(record.opened.get("policy", {}).get("hold_at_most_s", Policy("").hold_at_most_s))


class HoldDecision:
    """The holds of one window: the reading of its operator source, and whether a breach is held."""

    def __init__(self, rollout: RolloutContext) -> None:
        """Read nothing yet."""
        self._rollout = rollout
        self._latest: list[Mapping[str, Any]] = []
        self._journaled: set[tuple[str, str]] = set()

    def abort_asked(self) -> str | None:
        """Return who requested an abort and why, as the journal has it; None if there is no request.

        Raises:
            JournalError: the journal cannot be read.
        """
        entries = self._rollout.journal.entries(self._rollout.id, Kind.ABORT, Kind.HOLD)
        self._latest = [{**entry.body, "kind": entry.kind, "at": entry.at} for entry in entries]
        aborts = [entry.body for entry in entries if entry.kind == Kind.ABORT]
        return f"{aborts[0]['by']}: {aborts[0]['reason']}" if aborts else None

    def describe(self) -> str | None:
        """Return the text of the hold in force according to the latest poll, redacted; None if there is none."""
        hold = self._in_force()
        return None if hold is None else self._rollout.redactor.text(str(hold))

    def holds(self, breach: Verdict) -> bool:
        """Return whether this breach is held now; the journal is read again, and a held breach is recorded in it.

        Without a readable and writable journal no breach is held, because there would be no record of the hold.
        """
        if breach.source == SourceName.OPERATOR:
            return False
        try:
            self.abort_asked()
            hold = self._in_force()
            if hold is not None and (hold.at, breach.clause) not in self._journaled:
                self._rollout.append(Kind.HELD, clause=breach.clause, message=breach.message, hold=str(hold))
                self._journaled.add((hold.at, breach.clause))
        except JournalError:
            return False
        return hold is not None

    def _in_force(self) -> RollbackHold | None:
        return in_force(self._latest, self._rollout.clock.now(), self._rollout.policy.hold_at_most_s)
