"""A person holds the automatic rollback of a window for a while, from anywhere the journal is reachable.

A hold is a journal entry: who, why, until when. While it is in force a breach is shown and does not end the window;
when it ends, or is released, the breach that stands then does, and at the end of the window, or of the call that
watches a slice of it, every standing breach does.
An operator's abort, a signal and a lost lease are never held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rollout.context import RolloutContext
from rollout.core.clock import format_utc
from rollout.core.errors import JournalError, RolloutError
from rollout.core.policy import Policy
from rollout.core.units import show_duration
from rollout.journal.journal import Journal
from rollout.journal.record import Kind, RolloutRecord
from rollout.monitoring.samples import SourceName
from rollout.monitoring.verdict import Verdict


@dataclass(frozen=True, slots=True)
class RollbackHold:
    """A hold in force.

    Attributes:
        by: who holds.
        reason: why.
        until: when it ends by itself, UTC.
        at: when it began, UTC, ISO 8601: with `by` it tells one hold from the next.
    """

    by: str
    reason: str
    until: datetime
    at: str

    def __str__(self) -> str:
        """Read as ``held by alice until 2026-11-24T12:15:00.000Z: the vendor is looking``."""
        return f"held by {self.by} until {format_utc(self.until)}: {self.reason}"


def in_force(holds: Iterable[Mapping[str, Any]], now: datetime, at_most_s: float) -> RollbackHold | None:
    """Return the hold that is in force at `now`, None if there is none.

    Args:
        holds: what `Record.holds` says, in order; the latest hold or release counts.
        now: the time.
        at_most_s: what the policy allows one hold; whatever an entry says, it ends so many seconds after it was made.
    """
    said = [hold for hold in holds if hold["kind"] == Kind.HOLD]
    if not said or said[-1]["until"] is None:
        return None
    last = said[-1]
    latest = datetime.fromisoformat(last["at"]) + timedelta(seconds=at_most_s)
    until = min(datetime.fromisoformat(last["until"]), latest)
    return RollbackHold(last["by"], last["reason"], until, last["at"]) if now < until else None


def of_record(record: RolloutRecord, now: datetime) -> RollbackHold | None:
    """Return the hold that is in force for a rollout that is open, by the policy that it was opened with."""
    return None if record.closed is not None else in_force(record.holds, now, _at_most_s(record))


def describe_holds(record: RolloutRecord) -> str:
    """Say which breaches were held, by whom and why; empty if none was."""
    held = [hold for hold in record.holds if hold["kind"] == Kind.HELD]
    return "; ".join(f"{h['clause']} was breached at {h['at']} and {h['hold']}" for h in held)


def place(journal: Journal, record: RolloutRecord, *, by: str, reason: str, for_s: float) -> RollbackHold:
    """Hold the rollback of a rollout's window from now on, in the place of an earlier hold.

    Raises:
        RolloutError: there is nothing to hold, the reason is empty, or it is longer than the policy allows.
        JournalError: the hold is not in the journal, so nobody heeds it.
    """
    _refuse_idle(record)
    if not reason.strip():
        raise RolloutError("a hold needs a reason, for the record; say it with --reason")
    most = _at_most_s(record)
    if not 0 < for_s <= most:
        raise RolloutError(
            f"{show_duration(max(0.0, for_s))} cannot be held; above zero and at most {show_duration(most)} "
            "(the policy's hold_at_most) can be, and a hold may be renewed while somebody looks"
        )
    until = journal.now() + timedelta(seconds=for_s)
    entry = journal.append(record.id, Kind.HOLD, {"by": by, "reason": reason, "until": format_utc(until)})
    return RollbackHold(by, reason, until, entry.at)


def release(journal: Journal, record: RolloutRecord, *, by: str, reason: str) -> RollbackHold:
    """End the hold that is in force, and return it; a breach that stands rolls back at once.

    Raises:
        RolloutError: none is in force.
        JournalError: the release is not in the journal, so nobody heeds it.
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
    """One window's view of the holds: what its operator source reads, and what a breach asks before it ends it."""

    def __init__(self, rollout: RolloutContext) -> None:
        """Begin with nothing read."""
        self._rollout = rollout
        self._latest: list[Mapping[str, Any]] = []
        self._noted: set[tuple[str, str]] = set()

    def abort_asked(self) -> str | None:
        """Return why an operator asked for an abort, from anywhere the journal is reachable; None if nobody did.

        Raises:
            JournalError: the journal cannot be read.
        """
        entries = self._rollout.journal.entries(self._rollout.id, Kind.ABORT, Kind.HOLD)
        self._latest = [{**entry.body, "kind": entry.kind, "at": entry.at} for entry in entries]
        asked = [entry.body for entry in entries if entry.kind == Kind.ABORT]
        return f"{asked[0]['by']}: {asked[0]['reason']}" if asked else None

    def describe(self) -> str | None:
        """Return the hold that was in force at the latest look, in words for people; None if there was none."""
        hold = self._in_force()
        return None if hold is None else self._rollout.redactor.text(str(hold))

    def holds(self, breach: Verdict) -> bool:
        """Tell whether a person holds this breach now; the journal is read again, and keeps what was held.

        A journal that cannot be read or written holds nothing: nobody could say later who held.
        """
        if breach.source == SourceName.OPERATOR:
            return False
        try:
            self.abort_asked()
            hold = self._in_force()
            if hold is not None and (hold.at, breach.clause) not in self._noted:
                self._rollout.append(Kind.HELD, clause=breach.clause, message=breach.message, hold=str(hold))
                self._noted.add((hold.at, breach.clause))
        except JournalError:
            return False
        return hold is not None

    def _in_force(self) -> RollbackHold | None:
        return in_force(self._latest, self._rollout.clock.now(), self._rollout.policy.hold_at_most_s)
