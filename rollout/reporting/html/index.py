"""``reports/index.html``: every rollout of the journal on one page, the newest first; read without a script.

It is written from the journal at the end of every run and by `rollout report`, and links the files on this disk.
"""

from __future__ import annotations

import base64
import hashlib
import os
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rollout.approvals.obligations import open_of
from rollout.core.clauses import CLAUSES
from rollout.journal.journal import Journal
from rollout.journal.record import EVIDENCE_OWED, Decision, Entry, RolloutRecord
from rollout.journal.replay import REPLAYED, replay
from rollout.monitoring.verdict import show_span
from rollout.reporting.html.markup import Part, element, html, link
from rollout.reporting.html.page_style import FILTER, STYLE
from rollout.reporting.timeline import clock
from rollout.reporting.timings import class_of, moments, seconds

INDEX = "index.html"

DOCUMENTS = {
    "report.html": "report",
    "change-record.md": "change record",
    "post-mortem.md": "post-mortem",
    "summary.md": "summary",
    "junit.xml": "JUnit",
}
"""Document of a rollout -> its name on the page."""


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
        took: from its opening to its closing; empty while it is open.
        back_after: from the decision to roll back to the entry that shows the change gone; empty where none does.
        class_: the class of the change: ``standard``, ``normal`` or ``emergency``.
        owed: its open obligations, with their due dates.
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
    owed: tuple[str, ...] = ()


STATES: Mapping[str, tuple[str, str]] = {
    "failed": ("✖", "rollback failed: a person is needed"),
    "open": ("…", "not closed yet"),
    "back": ("↩", "rolled back, verified"),
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


def state_of(record: RolloutRecord) -> str:
    """Return how a rollout stands, one of `STATES`."""
    return _OF_A_DECISION[record.decision]


def write(journal: Journal, reports: Path) -> Path:
    """Write the page over all rollouts of the journal, and return its path.

    Raises:
        JournalError: the journal cannot be read.
        OSError: the page cannot be written.
    """
    now = journal.now()
    found = [line(rollout, journal.entries(rollout, *REPLAYED), now) for rollout in reversed(journal.rollouts())]
    text = page(found, reports, now)
    reports.mkdir(parents=True, exist_ok=True)
    new = reports / f".{os.getpid()}-{INDEX}"
    new.write_text(text, encoding="utf-8", errors="xmlcharrefreplace")
    return new.replace(reports / INDEX)


def line(rollout: str, entries: Sequence[Entry], now: datetime) -> Line:
    """Return one rollout as the page shows it at `now`; one of another version of the suite is shown as unreadable."""
    try:
        return _line(replay(rollout, entries), entries, now)
    except (KeyError, TypeError, ValueError) as error:
        why = f"written by another version of the suite: {error!r}"
        opened = entries[0].at if entries else ""
        return Line(rollout, opened, "?", "?", (), "unknown", "CANNOT BE READ", why, "", "", "")


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
        who=_who(record),
        state=state_of(record),
        word=str(closed.get("word") or _open_word(record)),
        why=why or "; ".join(record.missing_evidence) or str(opened.get("reason", "")),
        trigger=_trigger(record, why),
        took=_took(record),
        back_after=_back_after(record, entries),
        class_=class_of(record),
        owed=tuple(each.describe(now) for each in open_of(record)),
    )


def _took(record: RolloutRecord) -> str:
    if not record.closed_at:
        return ""
    took_s = seconds(record.opened_at, record.closed_at)
    return "not known: the clock was set back" if took_s is None else show_span(took_s)


def _who(record: RolloutRecord) -> tuple[str, ...]:
    return record.opened["author"], f"approved by {record.approvers}", f"ticket {record.opened['ticket'] or 'none'}"


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
    policy = f"default-src 'none'; style-src '{_digest(STYLE)}'; script-src '{_digest(FILTER)}'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        # Text of others on the page can neither run a script nor use a network.
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"Rollouts ({len(found)})"),
        element("style", STYLE),
    )
    body = element("body", element("main", *_content(found, reports, now)), element("script", FILTER))
    return f"<!doctype html>\n{html(element('html', head, body, lang='en'))}\n"


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _content(found: Sequence[Line], reports: Path, now: datetime) -> Iterator[ET.Element]:
    yield element("h1", "Rollouts")
    yield element("p", f"{len(found)} in the journal as of {clock(now.isoformat())}. Times are UTC.")
    counted = Counter(each.state for each in found)
    counts = [_count(state, counted[state]) for state in STATES if counted[state]]
    if owed := sum(len(each.owed) for each in found):
        counts.append(element("li", f"{owed} owed by people"))
    yield element("ul", *counts, class_="counts")
    field = element("input", type="search", id="filter", autocomplete="off")
    hint = element("span", id="shown", role="status")
    yield element("p", element("label", "Show only rows with ", field), " ", hint, id="filtering", hidden="hidden")
    if found:
        # The roles are explicit, because a narrow screen shows the table as cards.
        yield element(
            "table",
            element("caption", "Every rollout, the newest first"),
            element("thead", element("tr", *(element("th", name, scope="col") for name in _COLUMNS), role="row")),
            element("tbody", *(_row(each, reports) for each in found), role="rowgroup"),
            role="table",
        )
    releases = sorted((path.parent.name for path in reports.glob("release-*/report.html")), reverse=True)
    if releases:
        yield element("h2", "Release readiness checks")
        yield element("ul", *(element("li", link(f"{name}/report.html", name)) for name in releases))
    unknown = sorted({path.parent.name for path in reports.glob("*/change-record.json")} - {each.id for each in found})
    if unknown:
        folders = (element("li", link(f"{name}/change-record.md", name)) for name in unknown)
        yield element("h2", "Folders that the journal does not know")
        yield element("ul", *folders)


def _count(state: str, count: int) -> ET.Element:
    sign, meaning = STATES[state]
    return element("li", element("span", sign, class_=f"sign {state}", aria_hidden="true"), f" {count} {meaning}")


_COLUMNS = ("Opened", "Verdict", "Change", "Who", "Took", "Documents")


def _row(each: Line, reports: Path) -> ET.Element:
    sign, _ = STATES[each.state]
    shape = element("span", sign, class_=f"sign {each.state}", aria_hidden="true")
    trigger = f" by {each.trigger}" if each.trigger else ""
    back = (element("div", f"back after {each.back_after}"),) if each.back_after else ()
    owed = [element("div", element("b", "Owed: "), text) for text in each.owed]
    cells: tuple[tuple[Part, ...], ...] = (
        tuple(element("span", part) for part in clock(each.opened).partition(" ")),
        (element("div", shape, " ", element("b", each.word), trigger), each.why, *owed),
        (each.change, element("div", f"on {each.target}"), element("div", f"class {each.class_ or 'unknown'}")),
        tuple(element("div", part) for part in each.who),
        (each.took or "still open", *back),
        tuple(_documents(each.id, reports)),
    )
    shown = [element("td", *parts, role="cell", data_label=name) for name, parts in zip(_COLUMNS, cells, strict=True)]
    return element("tr", *shown, role="row", class_=each.state, id=each.id)


def _documents(rollout: str, reports: Path) -> Iterable[Part]:
    yield element("div", rollout, class_="id")
    there = [(file, name) for file, name in DOCUMENTS.items() if (reports / rollout / file).is_file()]
    for file, name in there:
        yield link(f"{rollout}/{file}", name, aria_label=f"{name} of {rollout}")
        yield " "
    if not there:
        yield "nothing of it is on this disk"
