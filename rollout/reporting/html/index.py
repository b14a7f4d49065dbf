"""``reports/index.html``: every rollout of the journal on one page, the newest first; read without a script.

It is written from the journal at the end of every run and by `rollout report`, and links the files on this disk. The
population's files (`rollout.reporting.rollout_table`) are written beside it, from the same entries.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rollout.approvals.obligations import open_of
from rollout.core.caller import SHORT_COMMIT, Caller
from rollout.core.clauses import CLAUSES
from rollout.journal.journal import Journal
from rollout.journal.record import EVIDENCE_OWED, Decision, Entry, Kind, RolloutRecord
from rollout.journal.records import entries_by_rollout
from rollout.journal.replay import REPLAYED, replay
from rollout.monitoring.verdict import show_span
from rollout.reporting.exceptions import WITH_EXCEPTIONS, describe_exceptions
from rollout.reporting.rendering import render
from rollout.reporting.rollout_facts import RolloutFacts, facts_of, facts_of_record, numbers, targets_of
from rollout.reporting.rollout_table import CSV, JSON, replace_file, write_table
from rollout.reporting.timings import class_of, moments, seconds
from rollout.reporting.window_end import describe_unfinished, unfinished, what_it_could_tell

INDEX = "index.html"

DOCUMENTS = {
    "report.html": "report",
    "change-record.md": "change record",
    "post-mortem.md": "post-mortem",
    "summary.md": "summary",
    "junit.xml": "JUnit",
}
"""Document of a rollout -> its name on the page."""


NO_FACTS = RolloutFacts("")


@dataclass(frozen=True, slots=True)
class Line:
    """One rollout, as the page shows it.

    Attributes:
        id: the rollout's id.
        opened: when, UTC.
        target: where.
        change: the providers before and after.
        who: the author, who approved, and the ticket.
        state: how it stands: one of `STATES`.
        word: the verdict.
        why: the deciding value and its limit.
        trigger: the clause that decided; empty where none did.
        exceptions: what makes it no plain one, although it was kept.
        ended: what was not decided at the window's end, and what the window could tell; empty where it was decided.
        took: from its opening to its closing; empty while it is open.
        back_after: from the decision to roll back to the entry that shows the change gone; empty where none does.
        class_: the class of the change: ``standard``, ``normal`` or ``emergency``.
        owed: its open obligations, with their due dates.
        inapplicable: the clauses that are not applicable on its gateway, each with the reason.
        run_by: who ran it, one for each job, with the phases.
        facts: what it is filtered and counted by.
    """

    id: str
    opened: str
    target: str
    change: str
    who: tuple[str, ...]
    state: str
    word: str
    why: str
    trigger: str
    took: str
    back_after: str
    class_: str = ""
    exceptions: tuple[str, ...] = ()
    ended: str = ""
    owed: tuple[str, ...] = ()
    inapplicable: tuple[str, ...] = ()
    run_by: tuple[tuple[Caller, tuple[str, ...]], ...] = ()
    facts: RolloutFacts = NO_FACTS


STATES: Mapping[str, tuple[str, str]] = {
    "failed": ("✖", "rollback failed: a person is needed"),
    "open": ("…", "not closed yet"),
    "back": ("↩", "rolled back, verified"),
    "undecided": ("≈", "rolled back, verified: nothing breached, inconclusive to the end"),
    "excepted": ("✓!", "kept, with exceptions"),
    "kept": ("✓", "kept"),
    "nothing": ("-", "nothing applied"),
    "unknown": ("?", "cannot be read"),
}
"""State -> its sign, which no other state has, and what it means; what needs an operator comes first."""

_OF_A_DECISION = {
    Decision.KEPT: "kept",
    Decision.ROLLED_BACK: "back",
    Decision.ROLLBACK_FAILED: "failed",
    Decision.NOTHING_APPLIED: "nothing",
    None: "open",
}


_UNUSED = frozenset(
    {
        Kind.ABORT,
        Kind.ALERTS,
        Kind.ARMED,
        Kind.AUDIT,
        Kind.BASELINE,
        Kind.COUNTERS,
        Kind.DIAGNOSIS,
        Kind.EXTENDED,
        Kind.HANDOVER,
        Kind.HELD,
        Kind.HOLD,
        Kind.NOTIFIED,
        Kind.PAUSE,
        Kind.PHASE,
        Kind.PRUNED,
        Kind.RESTARTED,
        Kind.TRACES,
    }
)
"""The kinds of entries from which neither the page nor the population's files show anything."""


def state_of(record: RolloutRecord) -> str:
    """Return how a rollout stands, one of `STATES`."""
    if record.decision is Decision.ROLLED_BACK and unfinished(record):
        return "undecided"
    return "excepted" if describe_exceptions(record) else _OF_A_DECISION[record.decision]


def write(journal: Journal, reports: Path) -> Path:
    """Write the page over all rollouts of the journal and the population's files, and return the page's path.

    Raises:
        JournalError: the journal cannot be read.
        OSError: a file cannot be written.
    """
    now, head = journal.now(), journal.head_text()
    used = [kind for kind in REPLAYED if kind not in _UNUSED]
    found = [line(rollout, entries, now) for rollout, entries in entries_by_rollout(journal, kinds=used)][::-1]
    write_table([each.facts for each in found], reports, now, head)
    return replace_file(reports / INDEX, page(found, reports, now))


def line(rollout: str, entries: Sequence[Entry], now: datetime) -> Line:
    """Return one rollout as the page shows it at `now`; one of another version of the suite is shown as unreadable."""
    try:
        record = replay(rollout, entries)
        return replace(_line(record, entries, now), facts=facts_of_record(record, entries, now))
    except (KeyError, TypeError, ValueError) as error:
        why = f"written by another version of the suite: {error!r}"
        opened = entries[0].at if entries else ""
        facts = facts_of(rollout, entries, now)
        return Line(rollout, opened, "?", "?", (), "unknown", "CANNOT BE READ", why, "", "", "", facts=facts)


def _open_word(record: RolloutRecord) -> str:
    if record.awaits_evidence:
        return EVIDENCE_OWED
    return "IN FLIGHT" if record.in_flight else "OPEN"


def _line(record: RolloutRecord, entries: Sequence[Entry], now: datetime) -> Line:
    opened, closed = record.opened, record.closed or {}
    why = str(closed.get("why", ""))
    return Line(
        id=record.id,
        opened=record.opened_at,
        target=f"{opened['target']['name']} ({opened['url']})",
        change=f"{record.previous} → {opened['change']}",
        who=(opened["author"], f"approved by {record.approvers}", f"ticket {opened['ticket'] or 'none'}"),
        state=state_of(record),
        word=str(closed.get("word") or _open_word(record)),
        why=why or "; ".join(record.missing_evidence) or str(opened.get("reason", "")),
        trigger=_trigger(record, why),
        took=_took(record),
        back_after=_back_after(record, entries),
        class_=class_of(record),
        exceptions=describe_exceptions(record),
        ended=_ended(record),
        owed=tuple(each.describe(now) for each in open_of(record)),
        inapplicable=tuple(record.exceptions_of("not applicable")),
        run_by=tuple((each.caller, each.phases) for each in record.implementers),
    )


def _ended(record: RolloutRecord) -> str:
    left, missing = describe_unfinished(record), what_it_could_tell(record)
    return f"{left}; the window could tell: {missing}" if missing else left


def _took(record: RolloutRecord) -> str:
    if not record.closed_at:
        return ""
    took_s = seconds(record.opened_at, record.closed_at)
    return "not known: the clock was set back" if took_s is None else show_span(took_s)


def _trigger(record: RolloutRecord, why: str) -> str:
    first = why.partition(":")[0]
    if first in CLAUSES:
        return first
    return "" if record.breach is None else str(record.breach["clause"])


def _back_after(record: RolloutRecord, entries: Sequence[Entry]) -> str:
    """Return how long the change stayed in effect after the decision to roll back; empty where that is not known."""
    at = moments(record, entries)
    took_s = seconds(at.decided, at.seen_gone)
    return "" if took_s is None else f"{took_s:.1f} s"


# The page


def page(found: Sequence[Line], reports: Path, now: datetime) -> str:
    """Return the page.

    Args:
        found: the rollouts, in the order in which they are shown.
        reports: the folder that the page will lie in; documents are linked that are there.
        now: the time of the page.
    """
    facts = [each.facts for each in found]
    groups = targets_of(facts)
    folders = {path.parent.name for path in reports.glob("*/change-record.json")}
    return render(
        "index.html",
        found=found,
        numbers=numbers(facts),
        targets={name: numbers(group) for name, group in groups.items()},
        states_at={name: Counter(each.state for each in found if each.facts.target == name) for name in groups},
        choices=_choices(found),
        filtered=_filtered,
        files=(CSV, JSON),
        now=now.isoformat(),
        states=STATES,
        counted=Counter(each.state for each in found),
        owed=sum(len(each.owed) for each in found),
        documents=lambda rollout: documents_in(reports / rollout),
        releases=sorted((path.parent.name for path in reports.glob("release-*/report.html")), reverse=True),
        unknown=sorted(folders - {each.id for each in found}),
        digest=_digest,
        with_exceptions=WITH_EXCEPTIONS,
        short_commit=SHORT_COMMIT,
    )


def _choices(found: Sequence[Line]) -> dict[str, list[tuple[str, str]]]:
    """Return the values of each filter, as (value, text)."""
    states = {each.state for each in found}
    return {
        "target": [(name, name) for name in targets_of(each.facts for each in found)],
        "kind": [(kind, kind) for kind in sorted({kind for each in found for kind in each.facts.kinds})],
        "decision": [(state, meaning) for state, (_, meaning) in STATES.items() if state in states],
        "person": [(name, name) for name in sorted({name for each in found for name in each.facts.people})],
    }


def _filtered(each: Line) -> dict[str, Any]:
    """Return what the page's script filters and counts a rollout by."""
    facts = each.facts
    return {
        "target": [facts.target],
        "kind": facts.kinds,
        "decision": [each.state],
        "person": facts.people,
        "opened": each.opened[:10],
        "counted": facts.is_counted,
        "failed": facts.has_failed,
        "rolledBack": facts.is_counted and each.state in ("back", "undecided"),
        "back": facts.back_after_s,
        "lead": facts.lead_s,
    }


def documents_in(folder: Path) -> dict[str, str]:
    """Return the documents of a rollout that are in its folder, as `DOCUMENTS` has them."""
    return {file: name for file, name in DOCUMENTS.items() if (folder / file).is_file()}


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
