"""The documents of a rollout: operations log, change record, post-mortem draft (DOC-1 to 3, RBK-5)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout.canonical import plain
from rollout.clock import stamp
from rollout.gateway.answers import Connection
from rollout.record import Kind, Record
from rollout.samples import Name
from rollout.workspace import Rollout

OPERATIONS_LOG = "operations.log"
ERRORS_KEPT = 50


def log_operation(rollout: Rollout, line: str) -> Path:
    """Append one line to the operations log beside all rollouts, and return its path (DOC-2)."""
    path = rollout.folder.parent / OPERATIONS_LOG
    text = rollout.redactor.text(line).replace("\n", " ")
    path.parent.mkdir(parents=True, exist_ok=True)
    # One write of a line in append mode: two runs side by side do not mix.
    with path.open("a", encoding="utf-8") as log:
        log.write(f"{stamp(rollout.clock.now())} {rollout.id} {text}\n")
        log.flush()
        os.fsync(log.fileno())
    return path


def write_change_record(rollout: Rollout, record: Record, closure: Mapping[str, Any]) -> Path:
    """Write ``change-record.json`` and ``.md``: what, who, when, why, result, deciding evidence (DOC-1)."""
    facts = {
        "rollout": rollout.id,
        "what": [str(change) for change in rollout.scenario.changes],
        "target": {"name": rollout.target.name, "url": rollout.target.url, "environment": rollout.policy.name},
        "before": None if record.backup is None else record.backup["previous"],
        "who": {
            "author": rollout.scenario.author,
            "approved_by": list(record.approved_by),
            "in_words": record.approvers,
        },
        "ticket": rollout.scenario.ticket,
        "class": str(rollout.scenario.change_class),
        "exceptions": record.exceptions,
        "waivers": plain(rollout.scenario.waivers),
        "owed": dict(record.owed),
        "opened": record.opened_at,
        "closed": record.closed_at,
        "digest": rollout.digest,
        **closure,
        "clauses": {id_: [outcome.outcome, outcome.message] for id_, outcome in record.clauses.items()},
        "approvals": record.approvals,
        "holds": record.holds,
        "writes": [[write.at, write.step, write.direction, write.to, write.result] for write in record.writes],
    }
    facts = rollout.redactor.value(facts)
    rollout.folder.mkdir(parents=True, exist_ok=True)
    path = rollout.folder / "change-record.json"
    path.write_text(json.dumps(facts, indent=2, ensure_ascii=False), encoding="utf-8")
    path.with_suffix(".md").write_text(_markdown(facts), encoding="utf-8")
    return path


def errors_seen(rollout: Rollout) -> list[str]:
    """Return the different errors that the window's samples hold, first seen first, at most `ERRORS_KEPT` (RBK-5.2)."""
    found: dict[str, None] = {}
    for entry in rollout.journal.entries(rollout.id, Kind.SAMPLE):
        body = entry.body
        told = [body.get("error"), body.get("reason"), *body.get("lines", ())]
        told += [f"alert {alert['key']}" for alert in body.get("alerts", ())]
        found |= {f"{body['source']}: {text}": None for text in told if text}
    return list(found)[:ERRORS_KEPT]


def last_status(rollout: Rollout) -> Connection | None:
    """Return the new provider's status as it was seen last in the window; None if it never was.

    Raises:
        JournalError: the journal cannot be read.
    """
    for entry in reversed(rollout.journal.entries(rollout.id, Kind.SAMPLE)):
        body = entry.body
        if body["source"] == Name.STATUS and "status" in body:
            return Connection(body["status"], body.get("message"), body.get("reason_code"))
    return None


def write_post_mortem(rollout: Rollout, why: str, steps: Sequence[Mapping[str, Any]]) -> Path:
    """Draft ``post-mortem.md``: timeline, errors and open questions, for people to finish (RBK-5.3)."""
    rows = [
        f"- {at} {step} {direction} → {to}: {result or 'unknown'}"
        for at, step, direction, to, result in _writes(rollout)
    ]
    way_back = [f"- {step['at']} {step['clause']} {step['outcome']}: {step['seen']}" for step in steps]
    questions = ("What did users notice, and how many?", "Why did no precheck show it?", "What would have?")
    text = "\n".join(
        (
            f"# Post-mortem (draft): {rollout.id}",
            "",
            f"**Why it was rolled back:** {why}",
            "",
            "## Errors seen",
            *([f"- {error}" for error in errors_seen(rollout)] or ["- none"]),
            "",
            *_diagnosis(rollout),
            *_held(rollout),
            "## Writes to the gateway",
            *rows,
            "",
            "## The way back",
            *way_back,
            "",
            "## Open questions",
            *(f"- {question}" for question in questions),
            "",
        )
    )
    path = rollout.folder / "post-mortem.md"
    rollout.folder.mkdir(parents=True, exist_ok=True)
    path.write_text(rollout.redactor.text(text), encoding="utf-8")
    return path


def hold_words(hold: Mapping[str, Any]) -> str:
    """Return one entry of `Record.holds` in words."""
    if hold["kind"] == Kind.HELD:
        return f"{hold['at']} {hold['clause']} breached and not rolled back, {hold['hold']}: {hold['message']}"
    if hold["until"] is None:
        return f"{hold['at']} released by {hold['by']}: {hold['reason']}"
    return f"{hold['at']} held by {hold['by']} until {hold['until']}: {hold['reason']}"


def _diagnosis(rollout: Rollout) -> list[str]:
    found = rollout.known().diagnosis
    return [] if found is None else ["## Diagnosis", *(f"- {line}" for line in found["text"].splitlines()), ""]


def _held(rollout: Rollout) -> list[str]:
    holds = rollout.record().holds
    return ["## The rollback was held", *(f"- {hold_words(hold)}" for hold in holds), ""] if holds else []


def _writes(rollout: Rollout) -> list[tuple[str, str, str, str, str | None]]:
    return [(w.at, w.step, w.direction, w.to, w.result) for w in rollout.record().writes]


def _markdown(facts: Mapping[str, Any]) -> str:
    before = facts["before"]
    rows = (
        ("Result", f"**{facts['word']}**"),
        ("Why", facts["why"]),
        *(("NOT GREEN", exception) for exception in facts["exceptions"]),
        ("Change", ", ".join(facts["what"])),
        ("Before", "unknown" if before is None else f"{before['provider']}:{before['model']}"),
        ("Target", f"{facts['target']['name']} ({facts['target']['url']}), policy {facts['target']['environment']}"),
        ("Author", facts["who"]["author"]),
        ("Approved by", facts["who"]["in_words"]),
        ("Ticket", facts["ticket"] or "none"),
        ("Class", facts["class"]),
        *(("Owed", f"{what}, by {due}") for what, due in facts["owed"].items()),
        ("Opened", facts["opened"]),
        ("Closed", facts["closed"] or "still open"),
        *(("Rollback held", hold_words(hold)) for hold in facts["holds"]),
        ("Content", f"SHA-256 {facts['digest']}"),
    )
    lines = [f"# Change record: {facts['rollout']}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {_cell(value)} |" for name, value in rows]
    lines += ["", "## Clauses", "", "| clause | outcome | seen |", "|---|---|---|"]
    lines += [f"| {id_} | {outcome} | {_cell(message)} |" for id_, (outcome, message) in facts["clauses"].items()]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
