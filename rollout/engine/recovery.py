"""`rollout recover`: roll back, once, each rollout whose runner and watchdog are gone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rollout.context import RolloutContext
from rollout.core.clock import format_utc
from rollout.core.errors import RolloutError, TryLater
from rollout.engine.closure import WORDS, Closure
from rollout.engine.emergency_followup import close_emergency
from rollout.engine.journaled_rollout import end_embedded, reopened
from rollout.engine.rollback_closure import roll_back_and_close
from rollout.journal.journal import Journal
from rollout.journal.leases import LEASE_S, Lease
from rollout.journal.record import Decision, RolloutRecord
from rollout.journal.records import records_in_flight
from rollout.journal.spool import reconcile
from rollout.reporting.timings import is_emergency

OUR_PROCESSES = ("pytest", "rollout")
"""Words on the command line of each process that may hold a lease."""

WATCHDOGS = ("rollout.engine.watchdog", "rollout.watchdog")
"""The watchdog's module, and that of version 0.1: a watchdog that outlives an upgrade counts as alive."""


@dataclass(frozen=True, slots=True)
class Case:
    """A rollout in flight.

    Attributes:
        record: the rollout.
        stranded: whether no process watches it any more.
        why: why it is, or which process does, until when.
        token: the newest fencing token at that time.
        holder: the process that has it in its hands, run and host; empty where none does, or its next phase is due.
        until: until when that process holds it, unless it goes on.
    """

    record: RolloutRecord
    stranded: bool
    why: str
    token: int
    holder: str = ""
    until: datetime | None = None


def in_flight(journal: Journal) -> list[Case]:
    """Return every rollout in flight, and whether it may be rolled back."""
    return [examine_case(journal, record) for record in records_in_flight(journal)]


def recover(journal: Journal, case: Case, reports: Path, env: Mapping[str, str]) -> Closure:
    """Roll back a stranded rollout, or close a stranded emergency; of two processes that try at once, one does."""
    try:
        # The spool may hold the closure of an earlier rollback.
        reconcile(journal, reports)
        with reopened(journal, case.record, reports, env) as rollout:
            return _roll_back(rollout, case, env)
    except RolloutError as error:
        return Closure(
            Decision.ROLLBACK_FAILED,
            WORDS[Decision.ROLLBACK_FAILED],
            f"{case.why}; and it cannot be rolled back: {error}",
        )


def _roll_back(rollout: RolloutContext, case: Case, env: Mapping[str, str]) -> Closure:
    try:
        rollout.take_lease(after=case.token)
    except TryLater as error:
        return Closure(None, "LEFT ALONE", f"another process has just begun: {error}")
    closure = Closure(None, "LEFT ALONE", "it is closed by now")
    if rollout.record().closed is None:
        why = f"recover: {case.why}"
        settles = is_emergency(case.record)
        closure = close_emergency(rollout, why, env) if settles else roll_back_and_close(rollout, why, {}, env)
    rollout.release_lease()
    end_embedded(rollout)
    return closure


def examine_case(journal: Journal, record: RolloutRecord) -> Case:
    """Return whether a rollout in flight may be rolled back, and who has it in its hands."""
    place, now = str(record.opened["url"]), journal.now()
    token, lease = journal.newest_token(place), journal.holder(place)
    deadline = _deadline(record, token)
    if is_emergency(record) and now < (until := datetime.fromisoformat(record.opened_at) + timedelta(seconds=LEASE_S)):
        why = "it began less than a minute ago"
        return Case(record, stranded=False, why=why, token=token, holder="emergency", until=until)
    if deadline is not None and deadline > now:
        return Case(record, stranded=False, why=f"its next phase has until {format_utc(deadline)}", token=token)
    if lease is None:
        return Case(
            record, stranded=True, why="its lease has run out: its runner and its watchdog are gone", token=token
        )
    if lease.rollout == record.id and _is_dead(journal, lease) and _both_dead(journal, record):
        return Case(record, stranded=True, why="its runner and its watchdog on this host are gone", token=token)
    why = f"{lease.holder} holds it until {format_utc(lease.until)}"
    return Case(record, stranded=False, why=why, token=token, holder=lease.holder, until=lease.until)


def _deadline(record: RolloutRecord, token: int) -> datetime | None:
    """Return until when the next phase must have begun, if the newest token is still that of the handover."""
    if record.handover is None or record.handover["fence"] != token:
        return None
    return datetime.fromisoformat(record.handover["deadline"]).astimezone(UTC)


def _both_dead(journal: Journal, record: RolloutRecord) -> bool:
    armed = record.armed
    if armed is None or armed["host"] != journal.host:
        return False
    return not _lives(armed["runner"], "pytest") and not any(_lives(armed["pid"], name) for name in WATCHDOGS)


def _is_dead(journal: Journal, lease: Lease) -> bool:
    """Return whether the process that took the lease is gone; one on another host counts as alive."""
    run, _, host = lease.holder.rpartition("@")
    pid = run.rpartition("-")[2]
    return host == journal.host and pid.isdecimal() and not any(_lives(int(pid), name) for name in OUR_PROCESSES)


def _lives(pid: int, what: str) -> bool:
    """Return whether the process lives; a pid that has passed to another program does not count."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # A zombie has an empty command line: it is dead, and its parent has not waited for it yet.
        return what in Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return Path("/proc/self").exists() is False
