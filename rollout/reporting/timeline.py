"""What happened in a rollout, event by event, in words: the timeline of the report and of the post-mortem."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from rollout.core.clauses import CLAUSES
from rollout.journal.record import Decision, Entry, Kind, What
from rollout.journal.replay import what_of
from rollout.monitoring.extension import Extension
from rollout.monitoring.verdict import State

_DIRECTIONS = {"forward": "", "proof": "prove the rollback: ", "back": "roll back: "}
_VERBS = {
    What.PROVIDER: "activate ",
    What.WEIGHTS: "split the requests: ",
    What.ENVIRONMENT: "write ",
    What.LIMITS: "set ",
    What.RESTART: "",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        at: when, UTC.
        ended_at: when a write's outcome was known; `at` for everything else.
        kind: the entry's kind.
        status: ``passed``, ``failed``, ``skipped`` or ``broken``.
        text: a description.
    """

    at: str
    ended_at: str
    kind: Kind
    status: str
    text: str


def describe_events(entries: Sequence[Entry]) -> Iterator[Event]:
    """Yield the events of these entries in order; a spooled entry stands where its time belongs."""
    entries = _in_order(entries)
    is_cut = any(entry.kind == Kind.VERDICT and entry.body["decided"] for entry in entries)
    outcomes = {entry.body["intent"]: entry for entry in entries if entry.kind == Kind.OUTCOME}
    for entry in entries:
        if is_cut and entry.kind == Kind.VERDICT and not entry.body["decided"]:
            # The window did not reach its end, at which an inconclusive trigger would have counted.
            continue
        describe = _EVENTS.get(Kind(entry.kind))
        end = outcomes.get(entry.body.get("spool", entry.seq))
        words = None if describe is None else describe(entry.body, {} if end is None else end.body)
        if words is not None:
            yield Event(entry.at, entry.at if end is None else end.at, Kind(entry.kind), *words)


def _in_order(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Return the entries in the order of the journal, the spooled ones moved to where their times belong.

    The others are not sorted by time: the clock may have been set back, and the journal keeps their order.
    """
    found = [entry for entry in entries if "spool" not in entry.body]
    for entry in entries:
        if "spool" in entry.body:
            before = sum(1 for _ in takewhile(lambda other: other.at <= entry.at, found))  # noqa: B023 - used at once
            found.insert(before, entry)
    return found


def clock(at: str) -> str:
    """Return a time in UTC without its fraction: ``2026-11-23 13:44:30Z``; empty for none."""
    return f"{at[:10]} {at[11:19]}Z" if at else ""


EventText = tuple[str, str] | None
"""An event's status and its text; None for one that is left out."""

Body = Mapping[str, Any]


def _plain(status: str, text: str) -> Callable[[Body, Body], EventText]:
    """Return the description of an event whose text has parts of its entry, and nothing else."""

    def describe(body: Body, _: Body) -> EventText:
        return status, text.format_map(body)

    return describe


def _opened(body: Body, _: Body) -> EventText:
    return "passed", f"opened by {body['author']}: {body['change']}, ticket {body['ticket'] or 'none'}"


def _run(body: Body, _: Body) -> EventText:
    by = f", by {body['by']['name']}" if "by" in body else ""
    return "passed", f"run: {', '.join(body['phases'])}{by}{', refused' if body.get('refused') else ''}"


def _phase(body: Body, _: Body) -> EventText:
    if body["passed"]:
        return "passed", f"{body['phase']} passed"
    clauses = ", ".join(problem.split(":")[0] for problem in body["problems"])
    return "failed", f"{body['phase']} did not pass: {clauses}"


def _write(body: Body, outcome: Body) -> EventText:
    result = f"{outcome['result']} {outcome['detail']}".strip() if outcome else "no outcome is known"
    done = bool(outcome) and outcome["result"] == "done"
    words = _direction(body) + _VERBS[what_of(body)]
    return ("passed" if done else "broken"), f"{body['step']} {words}{body['to']}: {result}"


def _direction(body: Body) -> str:
    # An emergency undoes nothing: what it sends again is the same activation.
    return "once more: " if (body["direction"], body["step"]) == ("back", "EMG-1") else _DIRECTIONS[body["direction"]]


def _verdict(body: Body, _: Body) -> EventText:
    ends = f"after {body['watched_s']:.0f} s, the window ends: {body['message']}"
    if body["decided"]:
        return "failed", f"{body['clause']} breached {ends}"
    return None if State(body["state"]).allows_keeping else ("broken", f"{body['clause']} is {body['state']} {ends}")


def _hold(body: Body, _: Body) -> EventText:
    if body["until"] is None:
        return "passed", f"the hold is released by {body['by']}: {body['reason']}"
    return "broken", f"the rollback is held by {body['by']} until {body['until']}: {body['reason']}"


def _extended(body: Body, _: Body) -> EventText:
    return "skipped", str(Extension.from_record(body))


def _step(body: Body, _: Body) -> EventText:
    status = body["outcome"] if body["outcome"] in ("passed", "failed") else "skipped"
    return status, f"{body['clause']} {CLAUSES[body['clause']].title}: {body['message']}"


def _notified(body: Body, _: Body) -> EventText:
    status, words = ("passed", "notified") if body["accepted"] else ("failed", "NOT notified")
    return status, f"{words} ({body['event']}) {body['channel']}: {body['detail']}"


def _evidence(body: Body, _: Body) -> EventText:
    if not body["missing"]:
        return "passed", "the evidence is complete"
    return "broken", f"evidence could not be written: {'; '.join(body['missing'])}"


def _closed(body: Body, _: Body) -> EventText:
    return ("passed" if body["decision"] == Decision.KEPT else "failed"), f"{body['word']}: {body['why']}"


_EVENTS: Mapping[Kind, Callable[[Body, Body], EventText]] = {
    Kind.OPENED: _opened,
    Kind.RUN: _run,
    Kind.PHASE: _phase,
    Kind.INTENT: _write,
    Kind.VERDICT: _verdict,
    Kind.ABORT: _plain("failed", "abort asked for by {by}: {reason}"),
    Kind.HOLD: _hold,
    Kind.HELD: _plain("broken", "{clause} breached and not rolled back, {hold}: {message}"),
    Kind.EXTENDED: _extended,
    Kind.ROLLBACK: _plain("failed", "rollback begins: {reason}"),
    Kind.STEP: _step,
    Kind.NOTIFIED: _notified,
    Kind.OWED: _plain("broken", "{what} is owed by {due}"),
    Kind.SETTLED: _plain("passed", "{what} is settled by {by}"),
    Kind.EVIDENCE: _evidence,
    Kind.CLOSED: _closed,
}
