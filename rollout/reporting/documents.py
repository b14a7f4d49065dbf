"""What every document of a rollout uses: how a document is written, the operations log, the errors of its window."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout.core.clauses import CLAUSES, is_document
from rollout.core.clock import format_utc
from rollout.core.errors import RolloutError
from rollout.core.text import one_line
from rollout.gateway.responses import Connection
from rollout.journal.record import Kind, RolloutRecord
from rollout.monitoring.samples import SourceName

if TYPE_CHECKING:
    # It loads the client of the gateway, and reading a record does without.
    from rollout.context import RolloutContext

OPERATIONS_LOG = "operations.log"
ERRORS_KEPT = 50
LONGEST_LINE = 20_000


def log_operation(rollout: RolloutContext, line: str) -> Path:
    """Append one line to the operations log beside all rollouts, and return its path (DOC-2)."""
    path = rollout.folder.parent / OPERATIONS_LOG
    text = one_line(rollout.redactor.text(line), LONGEST_LINE)
    path.parent.mkdir(parents=True, exist_ok=True)
    # One write per line in append mode: the lines of two runs side by side do not mix.
    with path.open("a", encoding="utf-8") as log:
        log.write(f"{format_utc(rollout.clock.now())} {rollout.id} {text}\n")
        log.flush()
        os.fsync(log.fileno())
    return path


@dataclass(frozen=True, slots=True)
class Seen:
    """An error, an alert or a log line of the window: when it was seen first, how often, and its text."""

    at: str
    times: int
    text: str

    def __str__(self) -> str:
        """Read as ``synthetic: HTTP 502``."""
        return self.text


def document(rollout: RolloutContext, clause: str, work: Callable[[], str]) -> Mapping[str, Any]:
    """Do one step of the documentation, journal it, and return it as a row; an exception of `work` is its failure."""
    try:
        outcome, seen = "passed", work()
    except Exception as error:  # noqa: BLE001 - a document that fails must not stop the closure
        outcome, seen = "failed", str(error) if isinstance(error, (OSError, RolloutError)) else repr(error)
    seen = rollout.redactor.text(seen)
    rollout.append_or_spool(Kind.STEP, clause=clause, outcome=outcome, message=seen)
    title = CLAUSES[clause].title
    return {"at": format_utc(rollout.clock.now()), "clause": clause, "step": title, "outcome": outcome, "seen": seen}


def undocumented(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return which of these documents could not be written, and why."""
    return tuple(f"{row['clause']} {row['step']}: {row['seen']}" for row in rows if row["outcome"] == "failed")


def never_documented(record: RolloutRecord) -> tuple[str, ...]:
    """Return which documents of a rollout could not be written, and why, from its record."""
    rows = ({**step, "step": CLAUSES[clause].title, "seen": step["message"]} for clause, step in record.steps.items())
    return undocumented(row for row in rows if is_document(row["clause"]))


def errors_seen(rollout: RolloutContext) -> list[Seen]:
    """Return the distinct errors of the window's samples, first seen first, at most `ERRORS_KEPT` (RBK-5.2)."""
    found: dict[str, Seen] = {}
    for entry in rollout.journal.entries(rollout.id, Kind.SAMPLE):
        body = entry.body
        texts = [body.get("error"), body.get("reason"), *body.get("lines", ())]
        texts += [f"alert {alert['key']}" for alert in body.get("alerts", ())]
        for text in (f"{body['source']}: {each}" for each in texts if each):
            before = found.get(text, Seen(body.get("at", entry.at), 0, text))
            found[text] = replace(before, times=before.times + 1)
    return list(found.values())[:ERRORS_KEPT]


def last_status(rollout: RolloutContext) -> Connection | None:
    """Return the new provider's latest status in the window; None if there is none.

    Raises:
        JournalError: the journal cannot be read.
    """
    for entry in reversed(rollout.journal.entries(rollout.id, Kind.SAMPLE)):
        body = entry.body
        if body["source"] == SourceName.STATUS and "status" in body:
            return Connection(body["status"], body.get("message"), body.get("reason_code"))
    return None


def describe_hold(hold: Mapping[str, Any]) -> str:
    """Return one entry of `RolloutRecord.holds` in words."""
    if hold["kind"] == Kind.HELD:
        return f"{hold['at']} {hold['clause']} breached and not rolled back, {hold['hold']}: {hold['message']}"
    if hold["until"] is None:
        return f"{hold['at']} released by {hold['by']}: {hold['reason']}"
    return f"{hold['at']} held by {hold['by']} until {hold['until']}: {hold['reason']}"
