"""What every document of a rollout draws on: the operations log, what went wrong in its window, and who held it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rollout.clock import stamp
from rollout.gateway.answers import Connection
from rollout.lines import one_line
from rollout.record import Kind
from rollout.samples import Name
from rollout.workspace import Rollout

OPERATIONS_LOG = "operations.log"
ERRORS_KEPT = 50
LONGEST_LINE = 20_000


def log_operation(rollout: Rollout, line: str) -> Path:
    """Append one line to the operations log beside all rollouts, and return its path (DOC-2)."""
    path = rollout.folder.parent / OPERATIONS_LOG
    text = one_line(rollout.redactor.text(line), LONGEST_LINE)
    path.parent.mkdir(parents=True, exist_ok=True)
    # One write of a line in append mode: two runs side by side do not mix.
    with path.open("a", encoding="utf-8") as log:
        log.write(f"{stamp(rollout.clock.now())} {rollout.id} {text}\n")
        log.flush()
        os.fsync(log.fileno())
    return path


@dataclass(frozen=True, slots=True)
class Seen:
    """An error, an alert or a log line of the window: when it was seen first, how often, and what it says."""

    at: str
    times: int
    text: str

    def __str__(self) -> str:
        """Read as ``synthetic: HTTP 502``."""
        return self.text


def errors_seen(rollout: Rollout) -> list[Seen]:
    """Return the different errors that the window's samples hold, first seen first, at most `ERRORS_KEPT` (RBK-5.2)."""
    found: dict[str, Seen] = {}
    for entry in rollout.journal.entries(rollout.id, Kind.SAMPLE):
        body = entry.body
        told = [body.get("error"), body.get("reason"), *body.get("lines", ())]
        told += [f"alert {alert['key']}" for alert in body.get("alerts", ())]
        for text in (f"{body['source']}: {each}" for each in told if each):
            before = found.get(text, Seen(body.get("at", entry.at), 0, text))
            found[text] = replace(before, times=before.times + 1)
    return list(found.values())[:ERRORS_KEPT]


def last_status(rollout: Rollout) -> Connection | None:
    """Return the new provider's status as it was seen last in the window; None if it never was.

    Raises:
        JournalError: the journal cannot be read.
    """
    for entry in reversed(rollout.journal.entries(rollout.id, Kind.SAMPLE)):
        body = entry.body
        if body["source"] == Name.STATUS and "status" in body:
            return Connection(body["status"], body.get("message"), body.get("reason_code"))
    return None


def hold_words(hold: Mapping[str, Any]) -> str:
    """Return one entry of `Record.holds` in words."""
    if hold["kind"] == Kind.HELD:
        return f"{hold['at']} {hold['clause']} breached and not rolled back, {hold['hold']}: {hold['message']}"
    if hold["until"] is None:
        return f"{hold['at']} released by {hold['by']}: {hold['reason']}"
    return f"{hold['at']} held by {hold['by']} until {hold['until']}: {hold['reason']}"
