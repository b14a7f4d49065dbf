"""The post-mortem's draft: what a rollback was about, for people who were not there and finish it (RBK-5.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout.changes.rollback import PROOF
from rollout.context import RolloutContext
from rollout.core.clauses import CLAUSES
from rollout.core.errors import JournalError
from rollout.core.text import markdown, table
from rollout.journal.record import Entry, Kind, RolloutRecord
from rollout.monitoring.verdict import show_span
from rollout.reporting.documents import describe_hold, errors_seen
from rollout.reporting.timeline import clock, describe_events
from rollout.reporting.timings import Counted, Moments, counted, effect_of, entries_of, measured, moments, seconds

Steps = Sequence[Mapping[str, Any]]

SIGNS: Mapping[str, str] = {
    "MON-1": "first bad status",
    "MON-2": "first failed request",
    "MON-3": "first latency above the limit",
    "MON-4": "first look at the alert",
    "MON-5": "first sign",
    "MON-6": "first failed look",
}
"""Clause -> what the first sample is that shows its breach."""

_BRIEF = 1.0


def write_post_mortem(rollout: RolloutContext, why: str, steps: Steps) -> Path:
    """Draft ``post-mortem.md``, and return its path.

    Args:
        rollout: the rollout.
        why: the reason of the rollback.
        steps: the steps of the way back, as rows.

    Raises:
        OSError: it cannot be written.
    """
    record = rollout.last_known_record()
    entries = entries_of(rollout)
    rollout.folder.mkdir(parents=True, exist_ok=True)
    path = rollout.folder / "post-mortem.md"
    text = "\n".join(_draft(rollout, record, entries, why, steps)) + "\n"
    path.write_text(rollout.redactor.text(text), encoding="utf-8")
    return path


def _draft(
    rollout: RolloutContext, record: RolloutRecord, entries: Sequence[Entry], why: str, steps: Steps
) -> Iterator[str]:
    at, requests = moments(record, entries), counted(entries)
    failed = [row for row in steps if row["outcome"] == "failed"]
    yield f"# Post-mortem (draft): {markdown(rollout.change_text)} on {markdown(rollout.target.name)}"
    yield from ("", f"Drafted from the journal of rollout `{rollout.id}`, for people to finish. All times are UTC.")
    yield "`change-record.md` beside it has the whole record, `report.html` every check with its evidence."
    yield from ("", "## In short", "", *_in_short(rollout, record, at, why, failed))
    yield from ("", "## How long it took", "", *table(("from", "to", "took"), _durations(record, at)))
    yield from ("", "## Who was hit", "", *(f"- {line}" for line in _impact(rollout, record, requests)))
    yield from ("", "## Errors, alerts and log lines", "", *_captured(rollout, steps))
    if record.diagnosis is not None:
        yield from ("", "## Diagnosis", "", *(f"- {markdown(line)}" for line in record.diagnosis["text"].splitlines()))
    if record.holds:
        yield from (
            "",
            "## The rollback was held",
            "",
            *(f"- {markdown(describe_hold(hold))}" for hold in record.holds),
        )
    yield from ("", "## What happened, in order", "", *table(("at", "what happened"), _timeline(record, at, entries)))
    yield from ("", "## The rollback, step by step", "", *table(("at", "step", "outcome", "seen"), _steps(steps)))
    yield from (
        "",
        "## Open questions",
        "",
        *(f"- {question}" for question in _questions(record, at, requests, failed)),
    )


def _in_short(rollout: RolloutContext, record: RolloutRecord, at: Moments, why: str, failed: Steps) -> Iterator[str]:
    scenario = rollout.scenario
    began = f", announced at {clock(at.applied)}" if at.applied else "; the journal holds no write of it"
    said = (
        f"{scenario.author} (approved by {record.approvers}, ticket {scenario.ticket or 'none'}) changed "
        f"{rollout.target.name} from {record.previous} to {rollout.change_text}{began}."
    )
    effect = str(effect_of(record))
    if effect:
        said += f" In effect: {effect}."
    yield markdown(said)
    yield from ("", f"**Why it was taken back:** {markdown(why)}")
    if record.breach is not None:
        yield from ("", f"**What decided:** {markdown(measured(record.breach))}")
    yield ""
    if failed:
        missing = "; ".join(f"{CLAUSES[row['clause']]}: {row['seen']}" for row in failed)
        yield f"**The way back is NOT verified:** {markdown(missing)}"
    elif not at.verified:
        yield "**The way back is NOT verified:** the journal holds no proof of it"
    else:
        yield markdown(f"The way back is verified since {clock(at.verified)}: {_proof(steps=record.steps)}.")


def _proof(steps: Mapping[str, Mapping[str, Any]]) -> str:
    return "; ".join(str(steps[clause]["message"]) for clause in PROOF if clause in steps)


def _durations(record: RolloutRecord, at: Moments) -> Iterator[tuple[str, str, str]]:
    sign = SIGNS.get((record.breach or {}).get("clause", ""), "first sign")
    pairs = (
        ("the change was announced", at.applied, sign, at.first_bad),
        (sign, at.first_bad, "it was decided to roll back", at.decided),
        ("it was decided to roll back", at.decided, "the way back was answered", at.back),
        ("it was decided to roll back", at.decided, "the way back was verified", at.verified),
        ("the change was announced", at.applied, "it was seen gone", at.seen_gone),
    )
    for start, begins, end, ends in pairs:
        took = seconds(begins, ends)
        if took is not None:
            yield f"{start}, {clock(begins)}", f"{end}, {clock(ends)}", _span(took)


def _span(took_s: float) -> str:
    return show_span(took_s) if took_s >= 10 * _BRIEF else f"{took_s:.1f} s"


def _impact(rollout: RolloutContext, record: RolloutRecord, requests: Counted) -> Iterator[str]:
    if requests.users is None:
        yield "Users: nobody counted their requests while the change was in effect."
    else:
        yield f"Users: {requests.users_failed} of {requests.users} requests failed while the change was watched."
    if requests.own:
        yield f"The suite's own requests: {requests.own_failed} of {requests.own} failed."
    effect = str(effect_of(record))
    if effect:
        yield f"What failed before the watching began is not among these. The change was in effect: {effect}."
    impact = rollout.scenario.impact
    if impact is None:
        yield "There was no impact assessment."
    else:
        assessed = f"risk {impact.risk}; affects {impact.affects}; cost {impact.cost}"
        yield f"Assessed before the change: {markdown(assessed)}."


def _captured(rollout: RolloutContext, steps: Steps) -> Iterator[str]:
    yield from (f"Alerts before the way back: {markdown(row['seen'])}." for row in steps if row["clause"] == "RBK-1.2")
    yield ""
    try:
        found = [(clock(each.at), each.times, each.text) for each in errors_seen(rollout)]
    except JournalError as error:
        yield f"What the looks of the window saw cannot be read: {markdown(str(error))}."
        return
    yield from table(("first seen", "times", "what"), found) if found else ["No look of the window saw an error."]


def _timeline(record: RolloutRecord, at: Moments, entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    """Yield what happened; the steps of the way back have a table of their own."""
    events = [(event.at, event.text) for event in describe_events(entries) if event.kind != Kind.STEP]
    if at.first_bad:
        sign = SIGNS.get((record.breach or {}).get("clause", ""), "first sign")
        events.append((at.first_bad, f"{sign}, in hindsight"))
    yield from ((clock(moment), text) for moment, text in sorted(events, key=lambda event: event[0]))


def _steps(steps: Steps) -> Iterator[tuple[str, str, str, str]]:
    return ((clock(row["at"]), str(CLAUSES[row["clause"]]), row["outcome"], row["seen"]) for row in steps)


def _questions(record: RolloutRecord, at: Moments, requests: Counted, failed: Steps) -> Iterator[str]:
    if failed:
        yield "What is the gateway's state now, and who has put it right?"
    if requests.users is None:
        yield "How many users noticed? Nobody counted their requests."
    elif requests.users_failed:
        yield f"What did the users behind the {requests.users_failed} failed requests see, and are they told?"
    else:
        yield "Did users notice, and how many?"
    clause = (record.breach or {}).get("clause")
    if clause:
        yield f"What is the root cause of the breach of {clause} ({CLAUSES[clause].title})?"
    passed = [id_ for id_ in ("PRE-3.1", "PRE-3.2", "PRE-5.1", "VER-2") if record.passed(id_)]
    if passed:
        yield f"Why did {', '.join(passed)} pass, and which check would have shown it before users did?"
    late = seconds(at.first_bad, at.decided)
    if late is not None and late > 10 * _BRIEF:
        yield f"It took {_span(late)} from the first sign to the decision: is the limit, or the pace of looking, right?"
    yield "What has to be different before this change is tried again, and who sees to it by when?"
