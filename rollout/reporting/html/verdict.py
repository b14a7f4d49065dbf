"""The closure's row: what was changed, whether it was kept, why, when, and what was not run.

It is made from the journal alone, so that it is the same after a run that was killed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollout.core.clauses import CLAUSES, PHASES
from rollout.core.units import truncate
from rollout.core.visible import show_all, show_controls
from rollout.journal.record import EMERGENCY, EVIDENCE_OWED, Decision
from rollout.monitoring.verdict import show_span
from rollout.reporting import timeline as timeline_events
from rollout.reporting.allure import to_csv
from rollout.reporting.deciding_values import describe_baseline
from rollout.reporting.documents import describe_hold, never_documented
from rollout.reporting.exceptions import WITH_EXCEPTIONS, describe_exceptions
from rollout.reporting.html.outcomes import ClauseResult
from rollout.reporting.html.people import describe_approvals, describe_runs
from rollout.reporting.html.rows import CLOSURE, NOT_YET, Row, identify, millis, new_row
from rollout.reporting.html.story import Story
from rollout.reporting.rendering import render
from rollout.reporting.timeline import clock
from rollout.reporting.timings import (
    class_of,
    content_of,
    effect_of,
    is_emergency,
    measured,
    moments,
    seconds,
    written,
)
from rollout.reporting.window_end import describe_ending, describe_shares, what_it_could_tell

UNDECIDED = "UNDECIDED"
IN_FLIGHT = "IN FLIGHT"
OPEN = "OPEN"
_LONGEST_REASON = 160
_BAD_END = ("NOTHING APPLIED", "REFUSED")
_STATUSES = {Decision.KEPT: "passed", None: "skipped"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of a rollout, or its state while it is open.

    Attributes:
        word: the verdict, such as ``KEPT``.
        why: the deciding value and its limit, or what is missing.
        status: the row's status in the report.
        exceptions: what makes a change that was kept no plain one, such as ``waived PRE-4.4``; empty otherwise.
    """

    word: str
    why: str
    status: str
    exceptions: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The verdict with its qualification: ``KEPT`` or ``KEPT, WITH EXCEPTIONS``."""
        return f"{self.word}, {WITH_EXCEPTIONS}" if self.exceptions else self.word

    def __str__(self) -> str:
        """Read as ``KEPT: every clause of the plan passed``."""
        return f"{self.title}: {self.why}" if self.why else self.title


def verdict(story: Story, last_message: str) -> Verdict:
    """Return the verdict of the rollout.

    Args:
        story: the rollout.
        last_message: the message of the last run's closure, ``CLEARED: every precheck passed``; empty if it has none.
    """
    record = story.record
    if record.closed is not None:
        status = _STATUSES.get(record.decision, "failed")
        return Verdict(record.closed["word"], record.closed["why"], status, describe_exceptions(record))
    if record.awaits_evidence:
        return Verdict(EVIDENCE_OWED, "; ".join(record.missing_evidence), "skipped")
    if story.is_pending:
        word, _, why = (last_message or (IN_FLIGHT if record.in_flight else OPEN)).partition(": ")
        return Verdict(word, why, "failed" if word in _BAD_END else "skipped")
    mend = (
        f"the change may be in effect: roll it back with `rollout rollback {record.id}`"
        if record.in_flight
        else written(record)
    )
    return Verdict(UNDECIDED, f"no run has come to a decision; {mend}", "broken")


def closure_row(story: Story, standing: Verdict, answers: Mapping[str, str], chart: bytes | None) -> Row:
    """Return the closure's row, without its attachments.

    Args:
        story: the rollout.
        standing: its verdict.
        answers: what `facts` returned.
        chart: the chart of the bake time as SVG; None without a window.
    """
    last = story.events[-1]
    row = new_row(story, None, standing.status, "" if standing.status == "passed" else str(standing), last.at)
    row |= {
        "name": str(standing),
        "descriptionHtml": render(
            "closure.html", answers=answers, standing=standing, chart=chart and base64.b64encode(chart).decode()
        ),
        "steps": list(timeline(story)),
    }
    if standing.status == "passed":
        row["name"] = f"{standing} · {story.previous} → {story.change}"
    identify(row, story.request.target.name, CLOSURE)
    return row


def facts(story: Story, standing: Verdict, clauses: Sequence[ClauseResult]) -> Mapping[str, str]:
    """Return an auditor's questions and their answers; a question that does not arise is left out."""
    scenario, target, policy = story.request.scenario, story.request.target, story.request.policy
    answers = {
        "What": f"{story.previous} → {story.change} on {target.name} ({target.url}), policy {policy.name}",
        "Kept?": _kept(story, standing),
        "Why": standing.why,
        "Exceptions": "; ".join(standing.exceptions),
        "Decided by": _deciding(story),
        "Failed": "; ".join(f"{each.clause}: {_brief(each.message)}" for each in clauses if each.outcome == "failed"),
        "Ended": describe_ending(story.record),
        "It could tell": what_it_could_tell(story.record),
        "Judged": "; ".join(f"{clause} {words}" for clause, words in describe_shares(story.record).items()),
        "When": "; ".join(_moments(story)),
        "Who": f"author {scenario.author}; approved by {describe_approvals(story.record)}",
        "Run by": describe_runs(story.record),
        "Ticket": "; ".join(_reasons(story)),
        "Class": class_of(story.record),
        "Owed": "; ".join(f"{what}, by {clock(due)}" for what, due in story.record.owed.items()),
        "Diagnosis": "; ".join((story.record.diagnosis or {"text": ""})["text"].splitlines()),
        "Rollback held": "; ".join(map(describe_hold, story.record.holds)),
        "Not documented": "; ".join(never_documented(story.record)),
        "Evidence missing": "; ".join(story.record.missing_evidence),
        "Not run": _listed(not_run(clauses)) or "nothing: every clause that was planned has an outcome",
        "Waived": "; ".join(f"{each.clause.id} {each.message}" for each in clauses if each.outcome == "waived"),
        "Not applicable": "; ".join(
            f"{each.clause.id} {each.message}" for each in clauses if each.outcome == "not applicable"
        ),
        "Not demanded": _listed(sorted(story.left_out)) or "nothing: every clause was planned",
        "Baseline": _baseline(story),
        "Content": content_of(story.record),
    }
    return {question: answer for question, answer in answers.items() if answer}


def not_run(clauses: Iterable[ClauseResult]) -> list[str]:
    """Return the ids of the clauses that were planned and have no outcome of their own."""
    return [each.clause.id for each in clauses if each.outcome == "not run" or each.message.startswith(NOT_YET)]


def attachments(story: Story) -> Iterator[tuple[str, str, str]]:
    """Yield the decision's evidence as (name, media type, text)."""
    closed = story.record.closed
    if closed is None:
        return
    commands = "\n".join(closed["commands"])
    if commands:
        yield "Manual commands", "text/plain", show_controls(commands)
    if closed["rollback"]:
        yield (
            "The rollback, step by step",
            "text/csv",
            to_csv(show_all([_step_row(step) for step in closed["rollback"]])),
        )
    if closed["not_passed"]:
        missing = [{"clause": clause, "why": why} for clause, why in closed["not_passed"].items()]
        yield "Not passed", "text/csv", to_csv(show_all(missing))
    yield "Decision", "application/json", json.dumps(show_all(closed), indent=2, ensure_ascii=False)


def _step_row(step: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a step with its columns in reading order: the journal keeps them in alphabetical order."""
    kept = {name: step.get(name, "") for name in ("clause", "step", "outcome", "seen")}
    return {"at": clock(step["at"]), **kept}


def timeline(story: Story) -> Iterator[Row]:
    """Yield what happened, in order, as steps whose names begin with the time in UTC."""
    for event in timeline_events.describe_events(story.events):
        yield {
            "name": f"{clock(event.at)} {event.text}",
            "status": event.status,
            "start": millis(event.at),
            "stop": millis(event.ended_at),
            "steps": [],
        }


def _deciding(story: Story) -> str:
    """Return the trigger that ended the window, its value, limit and samples; empty where none did."""
    breach = story.record.breach
    return "" if breach is None else f"{CLAUSES[breach['clause']]}: {measured(breach)}"


def _reasons(story: Story) -> Iterator[str]:
    """Yield why the change was asked for: the ticket, the reason of an emergency, and the impact assessment."""
    scenario = story.request.scenario
    yield scenario.ticket or "none"
    if reason := story.record.opened.get("reason"):
        yield f"reason: {reason}"
    if impact := scenario.impact:
        yield f"risk {impact.risk}; affects {impact.affects}; cost {impact.cost}"


def _brief(message: str) -> str:
    """Return the first line of a message, cut: the clause's own row has all of it."""
    return truncate(message.partition("\n")[0], _LONGEST_REASON)


def _kept(story: Story, standing: Verdict) -> str:
    record = story.record
    if record.decision is None:
        left = f"{story.change} may be in effect" if record.in_flight else written(record)
        return f"not decided: {standing.word}, {left}"
    failed = "the rollback" if not is_emergency(record) else story.change
    return {
        Decision.KEPT: f"yes: {story.change} was active when it was closed",
        Decision.ROLLED_BACK: f"no: {_proof_of_return(story)}",
        Decision.ROLLBACK_FAILED: f"not known: {failed} is not verified, a person is needed",
        Decision.NOTHING_APPLIED: "nothing was applied",
    }[record.decision]


def _proof_of_return(story: Story) -> str:
    """Return the proof of the rollback: its read-back, or the closing entry of another process."""
    step, closed = story.record.steps.get("RBK-2.2", {}), story.record.closed or {}
    if step.get("outcome") == "passed":
        return f"rolled back and verified: {step['message']}"
    return f"{closed['word']}: {closed['why']}"


def _moments(story: Story) -> Iterator[str]:
    at = moments(story.record, story.events)
    named = {
        "opened": at.opened,
        "applied": at.applied,
        "decided to roll back": at.decided,
        "rollback applied": at.back,
        "seen gone": at.seen_gone,
        "closed": at.closed,
    }
    day = ""
    for name, moment in named.items():
        if moment:
            # The day is shown once per line.
            yield f"{name} {clock(moment).removeprefix(day)}"
            day = f"{moment[:10]} "
    took_s = seconds(at.opened, at.closed)
    if took_s is not None:
        yield f"took {show_span(took_s)}"
    if effect := str(effect_of(story.record)):
        yield f"in effect {effect}"


def _baseline(story: Story) -> str:
    measured_p95 = describe_baseline(story.record)
    return f"{(story.record.baseline or {})['provider']}: {measured_p95}" if measured_p95 else ""


def _listed(clauses: Sequence[str]) -> str:
    """Return the ids grouped by phase."""
    groups = [(phase, [id_ for id_ in clauses if CLAUSES[id_].phase == phase]) for phase in (*PHASES, EMERGENCY)]
    return "; ".join(f"{phase}: {', '.join(ids)}" for phase, ids in groups if ids)
