"""Every document that is written of a rollout, built from one journal, so that a test can compare them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rollout.cli.status_facts import collect_facts
from rollout.context import RolloutContext
from rollout.core.clauses import PHASES
from rollout.core.clock import StopFlag
from rollout.core.redaction import Redactor
from rollout.core.request import as_opened
from rollout.engine.closure import EXIT_CODES, WORDS, Closure, already_closed
from rollout.gateway.responses import Weights
from rollout.journal.chain import Entry
from rollout.journal.record import Decision, Kind, RolloutRecord
from rollout.plugin.terminal import RolloutReporter
from rollout.reporting import messages
from rollout.reporting.change_record import write_change_record
from rollout.reporting.html import index
from rollout.reporting.html.banner import banner
from rollout.reporting.html.outcomes import outcomes
from rollout.reporting.html.story import tell
from rollout.reporting.html.summary import summary
from rollout.reporting.html.verdict import closure_row, facts, verdict
from rollout.reporting.post_mortem import write_post_mortem
from rollout.reporting.timeline import describe_events
from tests.support.clocks import SimulatedClock
from tests.support.journals import ID, Book
from tests.support.stories import Calm


class Whole(Calm):
    """A gateway that splits no requests now."""

    def weights(self) -> Weights:
        """Return none."""
        return Weights({})


@dataclass(frozen=True, slots=True)
class Documents:
    """What is written of one rollout; a document that is not written of such a one is empty.

    Attributes:
        folded: the rollout, replayed from its entries.
        record: the change record's JSON.
        page: its Markdown.
        draft: the post-mortem.
        subject: the message's subject.
        letter: the message.
        line: the rollout's line on the page over all of them.
        standing: the report's verdict.
        answers: an auditor's questions, and their answers.
        report: the closure's row, the banner and the summary.
        status: the JSON of `rollout status`.
        terminal: the closing block.
        timeline: the moments of the events, in the order of the report.
        closure: the ending as a later run repeats it; None of one that is open.
    """

    folded: RolloutRecord
    record: Mapping[str, Any]
    page: str
    draft: str
    subject: str
    letter: str
    line: index.Line
    standing: Any
    answers: Mapping[str, str]
    report: str
    status: Mapping[str, Any]
    terminal: str
    timeline: tuple[str, ...]
    closure: Closure | None

    def texts(self) -> dict[str, str]:
        """Return everything that a person reads, by the document's name."""
        return {
            "change record": self.page,
            "change record, JSON": json.dumps({**self.record, "timeline": []}),
            "post-mortem": self.draft,
            "letter": f"{self.subject}\n{self.letter}",
            "index": str(self.line),
            "report": f"{self.standing}\n{self.report}\n{dict(self.answers)}",
            "status": str(self.status),
            "terminal": self.terminal,
        }


def rollout_of(entries: Sequence[Entry], folder: Path) -> RolloutContext:
    """Return the context of the rollout of these entries; its gateway has changed nothing but the provider."""
    book: Any = Book(entries)
    request = as_opened(book.entries()[0].body)
    gateway: Any = Whole()
    return RolloutContext(
        id=ID,
        run="run-1",
        scenario=request.scenario,
        target=request.target,
        policy=request.policy,
        digest=str(book.entries()[0].body["digest"]),
        folder=folder / ID,
        journal=book,
        gateway=gateway,
        clock=SimulatedClock(datetime.fromisoformat(entries[-1].at)),
        stop=StopFlag(),
        redactor=Redactor(()),
    )


def documents(entries: Sequence[Entry], folder: Path) -> Documents:
    """Return every document of this journal; the change record of an open rollout says that nothing was applied."""
    rollout = rollout_of(entries, folder)
    record = rollout.record()
    facts_ = _facts(record)
    told_record, page = _change_record(rollout, record, facts_)
    letter = messages.verdict(rollout, record, facts_, "look") if record.closed is not None else None
    closure = already_closed(record, {}) if record.closed is not None else None
    entries = rollout.journal.entries(ID)
    story = tell(ID, entries)
    standing, came = verdict(story, ""), outcomes(story)
    answers = facts(story, standing, came)
    row = closure_row(story, standing, answers, None)
    line = index.line(ID, [entry for entry in entries if entry.kind != Kind.SAMPLE], rollout.journal.now())
    status: Mapping[str, Any] = collect_facts(record, None)
    return Documents(
        folded=record,
        record=told_record,
        page=page,
        draft=_draft(rollout, record),
        subject="" if letter is None else letter.subject,
        letter="" if letter is None else letter.body,
        line=line,
        standing=standing,
        answers=answers,
        report=f"{row['name']}\n{row['descriptionHtml']}\n{banner(story, standing, answers, ())}"
        + summary(story, came, standing, answers),
        status=status,
        terminal="" if closure is None else _terminal(rollout, closure),
        timeline=tuple(event.at for event in describe_events(entries)),
        closure=closure,
    )


def _facts(record: RolloutRecord) -> dict[str, Any]:
    if record.closed is not None:
        return {key: record.closed[key] for key in ("decision", "word", "why", "not_passed", "rollback", "commands")}
    nothing = Decision.NOTHING_APPLIED
    return Closure(nothing, WORDS[nothing], "PRE-5.3: a critical alert is firing").facts()


def _change_record(
    rollout: RolloutContext, record: RolloutRecord, facts_: Mapping[str, Any]
) -> tuple[Mapping[str, Any], str]:
    if record.closed is None and record.wrote:
        return {}, ""
    path = write_change_record(rollout, record, facts_)
    return json.loads(path.read_text(encoding="utf-8")), path.with_suffix(".md").read_text(encoding="utf-8")


def _draft(rollout: RolloutContext, record: RolloutRecord) -> str:
    """Return the post-mortem, where a rollback has begun: it is drafted before the ending is written."""
    if not any(entry.kind == Kind.ROLLBACK for entry in rollout.journal.entries(ID)):
        return ""
    begins = max((n for n, step in enumerate(record.trail) if step["clause"] == "RBK-1.1"), default=0)
    latest = [step for step in record.trail[begins:] if step["clause"].startswith("RBK")]
    rows = [{"at": s["at"], "clause": s["clause"], "outcome": s["outcome"], "seen": s["message"]} for s in latest]
    return write_post_mortem(rollout, "why", rows).read_text(encoding="utf-8")


def _terminal(rollout: RolloutContext, closure: Closure) -> str:
    lines: list[str] = []
    reporter = SimpleNamespace(
        write_line=lambda line, **_: lines.append(line), write_sep=lambda _sign, line, **_: lines.append(line)
    )
    session: Any = SimpleNamespace(rollout=rollout, left_out={}, phases=PHASES)
    code = int(EXIT_CODES.get(closure.decision, 0))
    RolloutReporter(session).summary(reporter, closure, code, None)
    return "\n".join(lines)
