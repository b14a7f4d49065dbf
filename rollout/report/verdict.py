"""The closure's row, the one that counts: what was changed, kept or not, why, when, and what was not run.

It is told from the journal alone, so that it says the same after a run that was killed.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rollout.clauses import CLAUSES, PHASES
from rollout.record import Decision, Entry, Kind
from rollout.report.rows import Row, identify, millis, new_row
from rollout.report.story import Story

UNDECIDED = "UNDECIDED"
IN_FLIGHT = "IN FLIGHT"
OPEN = "OPEN"
_STATUSES = {Decision.KEPT: "passed", None: "skipped"}
_DIRECTIONS = {"forward": "activate", "proof": "prove the way back: activate", "back": "take back: activate"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the rollout stands.

    Attributes:
        word: the first thing that people read.
        why: the deciding value and its limit, or what is missing.
        status: the row's status in the report.
    """

    word: str
    why: str
    status: str

    def __str__(self) -> str:
        """Read as ``KEPT: every clause of the plan passed``."""
        return f"{self.word}: {self.why}" if self.why else self.word


def verdict(story: Story, told: str) -> Verdict:
    """Return how the rollout stands.

    Args:
        story: the rollout.
        told: what the last run's closure said, ``CLEARED: every precheck passed``; empty if it said nothing.
    """
    record = story.record
    if record.closed is not None:
        return Verdict(record.closed["word"], record.closed["why"], _STATUSES.get(record.decision, "failed"))
    if story.is_pending:
        word, _, why = (told or (IN_FLIGHT if record.in_flight else OPEN)).partition(": ")
        return Verdict(word, why, "skipped" if word in ("CLEARED", IN_FLIGHT, OPEN) else "failed")
    mend = (
        f"the change may be in effect: take it back with `rollout rollback {record.id}`"
        if record.in_flight
        else "nothing was written to the gateway"
    )
    return Verdict(UNDECIDED, f"no run has come to a decision; {mend}", "broken")


def closure_row(story: Story, standing: Verdict, not_run: Sequence[str]) -> Row:
    """Return the closure's row, without its attachments.

    Args:
        story: the rollout.
        standing: how it stands.
        not_run: the ids of the clauses that have no outcome of their own.
    """
    last = story.events[-1]
    row = new_row(story, None, standing.status, "" if standing.status == "passed" else str(standing), last.at)
    row |= {"name": str(standing), "description": summary(story, standing, not_run), "steps": list(timeline(story))}
    if standing.status == "passed":
        row["name"] = f"{standing} · {story.previous} → {story.change}"
    identify(row, "")
    return row


def summary(story: Story, standing: Verdict, not_run: Sequence[str]) -> str:
    """Return the answers to an auditor's questions, as Markdown."""
    scenario, target = story.request.scenario, story.request.target
    facts = {
        "What": f"{story.previous} → {story.change} on {target.name} ({target.url}), policy {story.request.policy.name}",
        "Kept?": _kept(story, standing),
        "Why": standing.why,
        "When": "; ".join(_moments(story)),
        "Who": f"author {scenario.author}, approved by {', '.join(scenario.approved_by) or 'nobody'}, "
        f"ticket {scenario.ticket or 'none'}",
        "Not run": _listed(not_run) or "nothing: every clause that was planned has an outcome",
        "Not owed": _listed(sorted(story.left_out)) or "nothing: every clause was planned",
        "Baseline": _baseline(story),
        "Content": f"SHA-256 {story.record.opened['digest']}",
    }
    rows = "\n".join(f"| **{name}** | {_cell(text)} |" for name, text in facts.items() if text)
    return f"| | |\n|---|---|\n{rows}\n"


def attachments(story: Story) -> Iterator[tuple[str, str, str]]:
    """Yield the decision's evidence as (name, media type, text)."""
    closed = story.record.closed
    if closed is None:
        return
    commands = "\n".join(closed["commands"])
    if commands:
        yield "What a person pastes now", "text/plain", commands
    if closed["rollback"]:
        yield "The way back, step by step", "text/csv", _table(closed["rollback"])
    if closed["not_passed"]:
        missing = [{"clause": clause, "why": why} for clause, why in closed["not_passed"].items()]
        yield "Not passed", "text/csv", _table(missing)
    yield "Decision", "application/json", json.dumps(closed, indent=2, ensure_ascii=False)


def timeline(story: Story) -> Iterator[Row]:
    """Yield what happened, in order, as steps whose names begin with the time in UTC."""
    outcomes = {entry.body["intent"]: entry for entry in story.events if entry.kind == Kind.OUTCOME}
    for entry in story.events:
        told = _event(entry, outcomes)
        if told is not None:
            status, text = told
            end = outcomes[entry.seq].at if entry.seq in outcomes else entry.at
            name = f"{_clock(entry.at)} {text}"
            yield {"name": name, "status": status, "start": millis(entry.at), "stop": millis(end), "steps": []}


def _event(entry: Entry, outcomes: Mapping[int, Entry]) -> tuple[str, str] | None:
    body = entry.body
    match entry.kind:
        case Kind.OPENED:
            return "passed", f"opened by {body['author']}: {body['change']}, ticket {body['ticket'] or 'none'}"
        case Kind.RUN:
            return "passed", f"run: {', '.join(body['phases'])}"
        case Kind.PHASE:
            return ("passed" if body["passed"] else "failed"), (
                f"{body['phase']} {'passed' if body['passed'] else 'did not pass: ' + '; '.join(body['problems'])}"
            )
        case Kind.INTENT:
            end = outcomes.get(entry.seq)
            result = "no outcome is known" if end is None else f"{end.body['result']} {end.body['detail']}".strip()
            done = end is not None and end.body["result"] == "done"
            return ("passed" if done else "broken"), (
                f"{body['step']} {_DIRECTIONS.get(body['direction'], body['direction'])} {body['to']}: {result}"
            )
        case Kind.VERDICT if body["decided"] or body["clause"] == "MON-7":
            ended = f"the window ended after {body['watched_s']:.0f} s"
            if body["decided"]:
                return "failed", f"{body['clause']} breached, {ended}: {body['message']}"
            return "passed", ended
        case Kind.ABORT:
            return "failed", f"abort asked for by {body['by']}: {body['reason']}"
        case Kind.ROLLBACK:
            return "failed", f"rollback begins: {body['reason']}"
        case Kind.STEP:
            status = {"passed": "passed", "failed": "failed"}.get(body["outcome"], "skipped")
            return status, f"{body['clause']} {CLAUSES[body['clause']].title}: {body['message']}"
        case Kind.NOTIFIED:
            return ("passed" if body["accepted"] else "failed"), (
                f"notified ({body['event']}) {body['channel']}: {body['detail']}"
            )
        case Kind.CLOSED:
            return ("passed" if body["decision"] == Decision.KEPT else "failed"), f"{body['word']}: {body['why']}"
    return None


def _kept(story: Story, standing: Verdict) -> str:
    record = story.record
    match record.decision:
        case Decision.KEPT:
            return f"**yes**, {story.change} is active"
        case Decision.ROLLED_BACK:
            return f"**no**: taken back to {_back_to(story)}, and that is verified"
        case Decision.ROLLBACK_FAILED:
            return "**no, and the way back is not verified: a person is needed**"
        case Decision.NOTHING_APPLIED:
            return "**nothing was applied**"
    if record.in_flight:
        return f"**not decided**: {standing.word}, {story.change} may be in effect"
    return f"**not decided**: {standing.word}, nothing was written"


def _back_to(story: Story) -> str:
    back = [write.to for write in story.record.writes if write.direction == "back" and write.result == "done"]
    return back[-1] if back else story.previous


def _moments(story: Story) -> Iterator[str]:
    record = story.record
    yield f"opened {_clock(record.opened_at)}"
    forward = [write for write in record.writes if write.direction == "forward" and write.result != "refused"]
    if forward:
        yield f"applied {_clock(forward[-1].at)}"
    breach = next((e for e in story.events if e.kind == Kind.VERDICT and e.body["decided"]), None)
    if breach is not None:
        yield f"breached {_clock(breach.body['at'] or breach.at)}"
    back = [write for write in record.writes if write.direction == "back" and write.result == "done"]
    if back:
        yield f"back {_clock(back[-1].at)}"
    if record.closed_at:
        yield f"closed {_clock(record.closed_at)}"
    if forward and back:
        seconds = (datetime.fromisoformat(back[-1].at) - datetime.fromisoformat(forward[-1].at)).total_seconds()
        yield f"in effect for {seconds:.0f} s"


def _baseline(story: Story) -> str:
    base = story.record.baseline
    if base is None:
        return ""
    parts = [
        f"{name} P95 {base[f'{key}_p95_ms']:.0f} ms ({base[f'{key}_samples']} requests)"
        for name, key in (("users'", "users"), ("the suite's own", "synthetic"))
        if base.get(f"{key}_p95_ms") is not None
    ]
    return f"{base['provider']}: {', '.join(parts)}" if parts else ""


def _listed(clauses: Sequence[str]) -> str:
    """Group ids by phase: a reader wants to see at once whether a whole phase is missing."""
    groups = [(phase, [id_ for id_ in clauses if CLAUSES[id_].phase == phase]) for phase in PHASES]
    return "; ".join(f"{phase}: {', '.join(ids)}" for phase, ids in groups if ids)


def _clock(at: str) -> str:
    return f"{at[:10]} {at[11:19]}Z"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _table(rows: Iterable[Mapping[str, Any]]) -> str:
    rows = list(rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
