"""The replay of a rollout's journal entries into its `RolloutRecord`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from rollout.core.caller import Caller
from rollout.core.clauses import PHASES
from rollout.journal.record import (
    EMERGENCY,
    ClauseOutcome,
    Entry,
    Implementer,
    Kind,
    PhaseVerdict,
    RolloutRecord,
    What,
    Write,
)

REPLAYED = tuple(kind for kind in Kind if kind not in (Kind.SAMPLE, Kind.MANIFEST, Kind.SEAL))
"""The kinds that `replay` reads: neither the samples of a window nor the lists of files."""

_LATEST = frozenset(
    {
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
    match entry.kind:
        case Kind.OPENED:
            record.opened, record.opened_at = body, entry.at
            _add_implementer(record, body, (EMERGENCY,))
        case Kind.CLAUSE:
            record.clauses[body["clause"]] = outcome_of(entry)
        case Kind.PHASE:
            record.phases[body["phase"]] = PhaseVerdict(
                phase=body["phase"], passed=bool(body["passed"]), at=entry.at, problems=tuple(body["problems"])
            )
        case Kind.INTENT:
            record.writes = [*record.writes, _announced(entry)]
        case Kind.OUTCOME:
            record.writes = [
                _concluded(write, entry) if write.seq == body["intent"] else write for write in record.writes
            ]
        case Kind.BACKUP:
            # A backup that was taken after a write does not hold the state before the change.
            record.backup = record.backup if record.writes else body
        case kind if kind in _LATEST:
            setattr(record, kind, body)
        case _:
            _apply_note(record, entry)


def _apply_note(record: RolloutRecord, entry: Entry) -> None:
    """Apply what people did or were told, and what was found missing."""
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
        case Kind.RUN if not body.get("refused"):
            _add_implementer(record, body, tuple(phase for phase in body["phases"] if phase in PHASES))
        case Kind.ABORT:
            record.abort = record.abort or body
        case Kind.LEGAL_HOLD:
            record.legal_hold = {**body, "at": entry.at} if body["is_placed"] else None
        case Kind.HOLD | Kind.HELD:
            record.holds.append({**body, "kind": str(entry.kind), "at": entry.at})
        case _:
            _apply_progress(record, entry)


def _add_implementer(record: RolloutRecord, body: Mapping[str, Any], phases: tuple[str, ...]) -> None:
    """Add who ran these phases; the same job once. An entry of an earlier version does not say who."""
    if not phases or "by" not in body:
        return
    caller = Caller.recorded(body["by"])
    known = {each.caller: each.phases for each in record.implementers}
    known[caller] = tuple(dict.fromkeys((*known.get(caller, ()), *phases)))
    record.implementers = tuple(Implementer(*each) for each in known.items())


def _apply_progress(record: RolloutRecord, entry: Entry) -> None:
    """Apply a part of the window, a step of the rollback, a start-up, or the ending.

    An ending that was spooled does not count where an owner with a newer token has written since (safety rule 8).
    """
    body = entry.body
    match entry.kind:
        case Kind.PAUSE:
            record.pauses = (*record.pauses, body)
        case Kind.EXTENDED:
            record.extension = body
        case Kind.WINDOW:
            record.window = {**body, "seq": entry.seq}
            record.pauses, record.extension, record.verdicts = (), None, {}
        case Kind.VERDICT:
            # A window that is judged is no longer paused.
            record.pauses, record.extension = (), None
            record.breach = body if body["decided"] else record.breach
            record.verdicts[body["clause"]] = body
            if body.get("stage"):
                record.judged.setdefault(body["stage"], {})[body["clause"]] = body
        case Kind.STEP:
            # A spooled step is appended late; its moment decides its place.
            later = [step for step in record.trail if "spool" in body and step["at"] > entry.at]
            record.trail.insert(len(record.trail) - len(later), {**body, "at": entry.at})
            record.steps = {step["clause"]: step for step in record.trail}
        case Kind.RESTARTED:
            record.startup_s = max(record.startup_s, body["took_s"])
        case Kind.CLOSED if "spool" not in body or (record.closed is None and body["fence"] >= record.fence):
            record.closed, record.closed_at = body, entry.at


def outcome_of(entry: Entry) -> ClauseOutcome:
    """Return the outcome that an entry of kind `CLAUSE` records."""
    body = entry.body
    return ClauseOutcome(
        clause=body["clause"],
        outcome=body["outcome"],
        message=body["message"],
        at=entry.at,
        run=body["run"],
        took_s=body.get("took_s", 0.0),
    )


def _announced(entry: Entry) -> Write:
    body = entry.body
    return Write(
        seq=body.get("spool", entry.seq),
        at=entry.at,
        step=body["step"],
        direction=body["direction"],
        to=body["to"],
        digest=body.get("digest"),
        what=what_of(body),
    )


def _concluded(write: Write, entry: Entry) -> Write:
    return replace(write, result=entry.body["result"], detail=entry.body["detail"], ended_at=entry.at)


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
