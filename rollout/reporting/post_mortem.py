"""The draft of the post-mortem of a rollback, which operators complete (RBK-5.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from rollout.context import RolloutContext
from rollout.core.clauses import CLAUSES, PROOF
from rollout.core.errors import JournalError
from rollout.journal.record import Entry, Kind, RolloutRecord
from rollout.monitoring.verdict import show_span
from rollout.reporting.documents import describe_hold, errors_seen
from rollout.reporting.rendering import render
from rollout.reporting.timeline import clock, describe_events
from rollout.reporting.timings import Moments, counted, effect_of, entries_of, measured, moments, seconds
from rollout.reporting.window_end import describe_shares, describe_unfinished, what_it_could_tell

Steps = Sequence[Mapping[str, Any]]

SIGNS: Mapping[str, str] = {
    "MON-1": "first bad status",
    "MON-2": "first failed request",
    "MON-3": "first latency above the limit",
    "MON-4": "first poll with the alert",
    "MON-5": "first sign",
    "MON-6": "first failed poll",
}
"""Clause -> the name of the first sample that shows its breach."""

CHART = "bake.svg"
"""The chart of the window, which is drawn beside the report."""

FILL_IN = "(a person fills this in)"
"""Stands where the journal does not hold the answer."""

_BRIEF_S = 10.0


def write_post_mortem(rollout: RolloutContext, why: str, steps: Steps) -> Path:
    """Draft ``post-mortem.md``, and return its path.

    Args:
        rollout: the rollout.
        why: the reason of the rollback.
        steps: the steps of the rollback, as rows.

    Raises:
        OSError: it cannot be written.
    """
    record = rollout.last_known_record()
    text = render("post-mortem.md", rollout=rollout, record=record, why=why, **_facts(rollout, record, steps))
    rollout.folder.mkdir(parents=True, exist_ok=True)
    path = rollout.folder / "post-mortem.md"
    path.write_text(rollout.redactor.text(text), encoding="utf-8")
    return path


def _facts(rollout: RolloutContext, record: RolloutRecord, steps: Steps) -> dict[str, Any]:
    """Return the values of the template."""
    entries = entries_of(rollout)
    at = moments(record, entries)
    sign = SIGNS.get((record.breach or {}).get("clause", ""), "first sign")
    failed = [f"{CLAUSES[row['clause']]}: {row['seen']}" for row in steps if row["outcome"] == "failed"]
    late = seconds(at.first_bad, at.decided)
    errors, unreadable = _read_errors(rollout)
    return {
        "scenario": rollout.scenario,
        "at": at,
        "effect": str(effect_of(record)),
        "deciding": "" if record.breach is None else measured(record.breach),
        "unfinished": describe_unfinished(record),
        "could_tell": what_it_could_tell(record),
        "shares": describe_shares(record),
        "failed": failed,
        "proof": [record.steps[clause]["message"] for clause in PROOF if clause in record.steps],
        "durations": _durations(sign, at),
        "requests": counted(entries),
        "alerts": [row["seen"] for row in steps if row["clause"] == "RBK-1.2"],
        "errors": errors,
        "unreadable": unreadable,
        "timeline": _timeline(sign, at, entries),
        "steps": [(clock(row["at"]), CLAUSES[row["clause"]], row["outcome"], row["seen"]) for row in steps],
        "clauses": CLAUSES,
        "passed": [id_ for id_ in ("PRE-3.1", "PRE-3.2", "PRE-5.1", "VER-2") if record.passed(id_)],
        "late": _span(late) if late is not None and late > _BRIEF_S else "",
        "describe_hold": describe_hold,
        "chart": CHART if any(entry.kind == Kind.SAMPLE for entry in entries) else "",
        "fill_in": FILL_IN,
        "factors": list(_factors(record, sign, late)),
        "actions": [(action, FILL_IN, FILL_IN) for action in _actions(record, counted(entries).users_failed, failed)],
    }


def _factors(record: RolloutRecord, sign: str, late_s: float | None) -> Iterator[str]:
    """Yield what the journal shows of how it came to the rollback and how long it lasted."""
    if record.breach is not None:
        yield f"{CLAUSES[record.breach['clause']]}: {measured(record.breach)}"
    yield from (f"{CLAUSES[clause]}: {finding}" for clause, finding in record.findings.items())
    yield from (f"{exception} before the change" for exception in record.exceptions)
    if late_s is not None:
        yield f"from the {sign} to the decision it took {_span(late_s)}"
    if record.holds:
        yield "the automatic rollback was held"


def _actions(record: RolloutRecord, users_failed: int | None, failed: Sequence[str]) -> Iterator[str]:
    """Yield what is to be done, as far as the journal shows it; a person adds to it."""
    if failed:
        yield "establish the gateway's state, and put it right"
    if record.breach is not None:
        yield f"find the root cause of the breach of {record.breach['clause']}"
    if users_failed:
        yield f"inform the users behind the {users_failed} failed requests"
    yield "state what has to be different before this change is tried again"
    yield FILL_IN


def _read_errors(rollout: RolloutContext) -> tuple[list[tuple[str, int, str]], str]:
    """Return the errors that the polls of the window saw, or why they cannot be read."""
    try:
        return [(clock(each.at), each.times, each.text) for each in errors_seen(rollout)], ""
    except JournalError as error:
        return [], str(error)


def _durations(sign: str, at: Moments) -> Iterator[tuple[str, str, str]]:
    pairs = (
        ("the change was announced", at.applied, sign, at.first_bad),
        (sign, at.first_bad, "it was decided to roll back", at.decided),
        ("it was decided to roll back", at.decided, "the rollback was applied", at.back),
        ("it was decided to roll back", at.decided, "the rollback was verified", at.verified),
        ("the change was announced", at.applied, "it was seen gone", at.seen_gone),
    )
    for start, begins, end, ends in pairs:
        took = seconds(begins, ends)
        if took is not None:
            yield f"{start}, {clock(begins)}", f"{end}, {clock(ends)}", _span(took)


def _span(took_s: float) -> str:
    return show_span(took_s) if took_s >= _BRIEF_S else f"{took_s:.1f} s"


def _timeline(sign: str, at: Moments, entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """Return the events as (time, text); the steps of the rollback have a table of their own."""
    events = [(event.at, event.text) for event in describe_events(entries) if event.kind != Kind.STEP]
    if at.first_bad:
        events.append((at.first_bad, f"{sign}, in hindsight"))
    return [(clock(moment), text) for moment, text in sorted(events, key=itemgetter(0))]
