"""The closure's row, the one that counts: what was changed, kept or not, why, when, and what was not run.

It is told from the journal alone, so that it says the same after a run that was killed.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollout.core.clauses import CLAUSES, PHASES
from rollout.core.visible import show_all, show_controls
from rollout.journal.record import EVIDENCE_OWED, Decision
from rollout.reporting import timeline as timeline_events
from rollout.reporting.documents import describe_hold, never_documented
from rollout.reporting.html.markup import Part, element, html
from rollout.reporting.html.outcomes import Came
from rollout.reporting.html.rows import NOT_YET, Row, identify, millis, new_row
from rollout.reporting.html.story import Story
from rollout.reporting.timeline import clock
from rollout.reporting.timings import class_of, content_of, effect_of, is_emergency, moments, written

UNDECIDED = "UNDECIDED"
IN_FLIGHT = "IN FLIGHT"
OPEN = "OPEN"
_BAD_END = ("NOTHING APPLIED", "REFUSED")
_STATUSES = {Decision.KEPT: "passed", None: "skipped"}


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
    if record.awaits_evidence:
        return Verdict(EVIDENCE_OWED, "; ".join(record.missing_evidence), "skipped")
    if story.is_pending:
        word, _, why = (told or (IN_FLIGHT if record.in_flight else OPEN)).partition(": ")
        return Verdict(word, why, "failed" if word in _BAD_END else "skipped")
    mend = (
        f"the change may be in effect: take it back with `rollout rollback {record.id}`"
        if record.in_flight
        else written(record)
    )
    return Verdict(UNDECIDED, f"no run has come to a decision; {mend}", "broken")


def closure_row(story: Story, standing: Verdict, answers: Mapping[str, str], picture: bytes | None) -> Row:
    """Return the closure's row, without its attachments.

    Args:
        story: the rollout.
        standing: how it stands.
        answers: what `facts` returned.
        picture: the bake time as SVG; None without a window.
    """
    last = story.events[-1]
    row = new_row(story, None, standing.status, "" if standing.status == "passed" else str(standing), last.at)
    row |= {
        "name": str(standing),
        "descriptionHtml": _described(standing, answers, picture),
        "steps": list(timeline(story)),
    }
    if standing.status == "passed":
        row["name"] = f"{standing} · {story.previous} → {story.change}"
    identify(row, "")
    return row


def facts(story: Story, standing: Verdict, came: Sequence[Came]) -> Mapping[str, str]:
    """Return an auditor's questions and their answers; a question that does not arise is left out."""
    scenario, target, policy = story.request.scenario, story.request.target, story.request.policy
    answers = {
        "What": f"{story.previous} → {story.change} on {target.name} ({target.url}), policy {policy.name}",
        "Kept?": _kept(story, standing),
        "Why": standing.why,
        "When": "; ".join(_moments(story)),
        "Who": f"author {scenario.author}, approved by {story.record.approvers}, ticket {scenario.ticket or 'none'}",
        "Class": class_of(story.record),
        "Owed": "; ".join(f"{what}, by {clock(due)}" for what, due in story.record.owed.items()),
        "Diagnosis": _diagnosis(story),
        "Rollback held": "; ".join(map(describe_hold, story.record.holds)),
        "Not documented": "; ".join(never_documented(story.record)),
        "Evidence missing": "; ".join(story.record.missing_evidence),
        "Not run": _listed(not_run(came)) or "nothing: every clause that was planned has an outcome",
        "Waived": "; ".join(f"{each.clause.id} {each.message}" for each in came if each.outcome == "waived"),
        "Not demanded": _listed(sorted(story.left_out)) or "nothing: every clause was planned",
        "Baseline": _baseline(story),
        "Content": content_of(story.record),
    }
    return {question: answer for question, answer in answers.items() if answer}


def not_run(came: Iterable[Came]) -> list[str]:
    """Return the ids of the clauses that were planned and have no outcome of their own."""
    return [each.clause.id for each in came if each.outcome == "not run" or each.message.startswith(NOT_YET)]


def _described(standing: Verdict, answers: Mapping[str, str], picture: bytes | None) -> str:
    rows = (_table_row(question, answer) for question, answer in answers.items())
    if picture is None:
        return html(element("table", *rows))
    source = f"data:image/svg+xml;base64,{base64.b64encode(picture).decode()}"
    alt = f"The bake time, in a picture: {standing}"
    return html(element("table", *rows), element("img", alt=alt, style="max-width:100%", src=source))


def _table_row(question: str, answer: str) -> Part:
    name = element("td", element("b", question), style="vertical-align:top;padding:2px 14px 2px 0")
    return element("tr", name, element("td", answer, style="padding:2px 0;white-space:normal"))


def attachments(story: Story) -> Iterator[tuple[str, str, str]]:
    """Yield the decision's evidence as (name, media type, text)."""
    closed = story.record.closed
    if closed is None:
        return
    commands = "\n".join(closed["commands"])
    if commands:
        yield "What a person pastes now", "text/plain", show_controls(commands)
    if closed["rollback"]:
        yield "The rollback, step by step", "text/csv", _table(map(_step_row, closed["rollback"]))
    if closed["not_passed"]:
        missing = [{"clause": clause, "why": why} for clause, why in closed["not_passed"].items()]
        yield "Not passed", "text/csv", _table(missing)
    yield "Decision", "application/json", json.dumps(show_all(closed), indent=2, ensure_ascii=False)


def _step_row(step: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a step with its columns as people read them: a journal keeps them by the alphabet."""
    kept = {name: step.get(name, "") for name in ("clause", "step", "outcome", "seen")}
    return {"at": clock(step["at"]), **kept}


def timeline(story: Story) -> Iterator[Row]:
    """Yield what happened, in order, as steps whose names begin with the time in UTC."""
    for event in timeline_events.describe_events(story.events):
        name = f"{clock(event.at)} {event.text}"
        yield {
            "name": name,
            "status": event.status,
            "start": millis(event.at),
            "stop": millis(event.ended_at),
            "steps": [],
        }


def _kept(story: Story, standing: Verdict) -> str:
    record = story.record
    if record.decision is None:
        left = f"{story.change} may be in effect" if record.in_flight else written(record)
        return f"not decided: {standing.word}, {left}"
    failed = "the way back" if not is_emergency(record) else story.change
    return {
        Decision.KEPT: f"yes: {story.change} was active when it was closed",
        Decision.ROLLED_BACK: f"no: {_proof_of_return(story)}",
        Decision.ROLLBACK_FAILED: f"not known: {failed} is not verified, a person is needed",
        Decision.NOTHING_APPLIED: "nothing was applied",
    }[record.decision]


def _proof_of_return(story: Story) -> str:
    """Return the entry that shows the way back: the rollback's read-back, or the ending that another process wrote."""
    step, closed = story.record.steps.get("RBK-2.2", {}), story.record.closed or {}
    if step.get("outcome") == "passed":
        return f"taken back, and that is verified: {step['message']}"
    return f"{closed['word']}: {closed['why']}"


def _diagnosis(story: Story) -> str:
    found = story.record.diagnosis
    return "" if found is None else "; ".join(found["text"].splitlines())


def _moments(story: Story) -> Iterator[str]:
    at = moments(story.record, story.events)
    named = {
        "opened": at.opened,
        "applied": at.applied,
        "decided to roll back": at.decided,
        "way back answered": at.back,
        "seen gone": at.seen_gone,
        "closed": at.closed,
    }
    day = ""
    for name, moment in named.items():
        if moment:
            # The day once: a line of dates hides the times.
            yield f"{name} {clock(moment).removeprefix(day)}"
            day = f"{moment[:10]} "
    if effect := str(effect_of(story.record)):
        yield f"in effect {effect}"


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


def _table(rows: Iterable[Mapping[str, Any]]) -> str:
    rows = [show_all(row) for row in rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
