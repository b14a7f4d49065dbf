"""The replay of a rollout's journal entries into its `RolloutRecord`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from rollout.journal.record import ClauseOutcome, Entry, Kind, PhaseVerdict, RolloutRecord, What, Write

REPLAYED = tuple(kind for kind in Kind if kind not in (Kind.SAMPLE, Kind.MANIFEST, Kind.SEAL))
"""The kinds that `replay` reads: neither the samples of a window nor the lists of files."""

_LATEST = frozenset(
    {
        Kind.BACKUP,
        Kind.BASELINE,
        Kind.COUNTERS,
        Kind.ALERTS,
        Kind.AUDIT,
        Kind.ARMED,
        Kind.HANDOVER,
        Kind.DIAGNOSIS,
        Kind.TRACES,
        Kind.EVIDENCE,
    }
)
"""Kinds of which the latest entry counts, as the record's attribute of the same name."""

_PLACE = re.compile(r"[^:\s]+:\S+")
_STEPS = {"APP-2.1": What.ENVIRONMENT, "RBK-3.1": What.ENVIRONMENT, "APP-2.2": What.RESTART, "RBK-3.2": What.RESTART}


def replay(rollout: str, entries: Iterable[Entry]) -> RolloutRecord:
    """Return the record of a rollout, given its entries in order."""
    record = RolloutRecord(rollout)
    for entry in entries:
        apply_entry(record, entry)
    return record


def apply_entry(record: RolloutRecord, entry: Entry) -> None:
    """Apply the next entry to the record."""
    body = entry.body
    record.fence = max(record.fence, 0 if "spool" in body else body.get("fence", 0))
    if entry.kind in _LATEST:
        _replace(record, entry)
        return
    if entry.kind in (Kind.INTENT, Kind.OUTCOME):
        record.writes = _written(record.writes, entry)
        return
    match entry.kind:
        case Kind.OPENED:
            record.opened, record.opened_at = body, entry.at
        case Kind.CLAUSE | Kind.PHASE:
            _judge(record, entry)
        case Kind.FINDING | Kind.NOTIFIED | Kind.APPROVAL | Kind.HOLD | Kind.HELD | Kind.OWED | Kind.SETTLED:
            _append(record, entry)
        case Kind.ABORT:
            record.abort = record.abort or body
        case Kind.WINDOW | Kind.PAUSE | Kind.VERDICT:
            _watch(record, entry)
        case Kind.STEP | Kind.RESTARTED | Kind.CLOSED:
            _finish(record, entry)


def _finish(record: RolloutRecord, entry: Entry) -> None:
    """Apply a step of the rollback, a start-up, or the ending.

    An ending that was spooled does not count where an owner with a newer token has written since (safety rule 8).
    """
    body = entry.body
    if entry.kind == Kind.STEP:
        # A spooled step is appended late; its moment decides its place.
        later = [step for step in record.trail if "spool" in body and step["at"] > entry.at]
        record.trail.insert(len(record.trail) - len(later), {**body, "at": entry.at})
        record.steps = {step["clause"]: step for step in record.trail}
    elif entry.kind == Kind.RESTARTED:
        record.startup_s = max(record.startup_s, body["took_s"])
    elif "spool" not in body or (record.closed is None and body["fence"] >= record.fence):
        record.closed, record.closed_at = entry.body, entry.at


def _append(record: RolloutRecord, entry: Entry) -> None:
    body = entry.body
    match entry.kind:
        case Kind.NOTIFIED:
            record.notified.append(body)
        case Kind.FINDING:
            record.findings[body["clause"]] = body["text"]
            record.recalled = body.get("before", record.recalled)
        case Kind.APPROVAL:
            record.approvals.append(body)
        case Kind.OWED:
            record.owed[body["what"]] = body["due"]
        case Kind.SETTLED:
            record.owed.pop(body["what"], None)
        case _:
            record.holds.append({**body, "kind": str(entry.kind), "at": entry.at})


def _replace(record: RolloutRecord, entry: Entry) -> None:
    # A backup that was taken after a write does not hold the state before the change.
    if entry.kind != Kind.BACKUP or not record.writes:
        setattr(record, entry.kind, entry.body)


def _watch(record: RolloutRecord, entry: Entry) -> None:
    body = entry.body
    if entry.kind == Kind.PAUSE:
        record.pauses = (*record.pauses, body)
        return
    # A window that begins or is judged is no longer paused.
    record.pauses = ()
    if entry.kind == Kind.WINDOW:
        record.window = {**body, "seq": entry.seq}
    else:
        record.breach = body if body["decided"] else record.breach
        if body.get("stage"):
            record.judged.setdefault(body["stage"], {})[body["clause"]] = body


def _judge(record: RolloutRecord, entry: Entry) -> None:
    body = entry.body
    if entry.kind == Kind.CLAUSE:
        record.clauses[body["clause"]] = outcome_of(entry)
    else:
        verdict = PhaseVerdict(body["phase"], bool(body["passed"]), entry.at, tuple(body["problems"]))
        record.phases[verdict.phase] = verdict


def outcome_of(entry: Entry) -> ClauseOutcome:
    """Return the outcome that an entry of kind `CLAUSE` records."""
    body = entry.body
    took_s = body.get("took_s", 0.0)
    return ClauseOutcome(body["clause"], body["outcome"], body["message"], entry.at, body["run"], took_s)


def _written(writes: list[Write], entry: Entry) -> list[Write]:
    body = entry.body
    if entry.kind == Kind.INTENT:
        what = what_of(body)
        seq = body.get("spool", entry.seq)
        announced = Write(
            seq, entry.at, body["step"], body["direction"], body["to"], digest=body.get("digest"), what=what
        )
        return [*writes, announced]
    return [_concluded(write, entry) for write in writes]


def what_of(intent: Mapping[str, Any]) -> What:
    """Return what an intent writes; one of version 0.1 and an emergency's first one do not state it."""
    if "what" in intent:
        return What(intent["what"])
    step, to = intent["step"], intent["to"]
    if step in _STEPS:
        return _STEPS[step]
    if to == "restart":
        return What.RESTART
    if " limits of " in to:
        return What.LIMITS
    return What.PROVIDER if _PLACE.fullmatch(to) else What.WEIGHTS


def _concluded(write: Write, entry: Entry) -> Write:
    body = entry.body
    if write.seq != body["intent"]:
        return write
    return replace(write, result=body["result"], detail=body["detail"], ended_at=entry.at)
