"""The rollouts in flight: which of them a process has in its hands, and which are stranded.

Loading it loads no client of the gateway: `rollout status` asks for it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rollout.core.clock import format_utc
from rollout.journal.journal import Journal
from rollout.journal.leases import LEASE_S, Lease
from rollout.journal.record import RolloutRecord
from rollout.journal.records import records_in_flight
from rollout.reporting.time_in_effect import is_emergency

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
