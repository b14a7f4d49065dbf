"""The history reads a part of the journal, and shows what the whole of it shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rollout.cli.status_facts import _UNUSED, collect_facts, read_history
from rollout.journal.journal import Journal
from rollout.journal.record import Decision, Kind, RolloutRecord
from rollout.journal.records import records
from tests.support.clocks import SimulatedClock
from tests.support.reads import counted_reads

OPENED = {"digest": "d", "target": {"name": "t"}, "url": "u", "change": "openai:gpt-4o", "author": "alice"}
AT = "2026-11-23T12:00:00.000Z"
CLAUSE = {"clause": "CAN-1", "outcome": "passed", "message": "", "run": "run-1"}
UNUSED: Mapping[Kind, Mapping[str, Any]] = {
    Kind.CLAUSE: CLAUSE,
    Kind.PHASE: {"phase": "precheck", "passed": True, "problems": []},
    Kind.RESTARTED: {"took_s": 1.0},
    Kind.FINDING: {"clause": "EMG-1", "text": "x", "before": "a:b"},
    Kind.APPROVAL: {"role": "reviewer", "approver": "bob"},
    Kind.PAUSE: {"from": AT, "to": AT},
}
"""What the entries hold that the history does not read; any other kind holds anything."""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """An empty journal."""
    with Journal.open(str(tmp_path / "journal.sqlite"), clock=SimulatedClock()) as opened:
        yield opened


def write(journal: Journal, rollout: str, *parts: tuple[str, Mapping[str, Any]], step: str = "APP-1.2") -> None:
    """Enter a rollout that wrote once, with an entry of every kind that the history does not use."""
    journal.append(rollout, Kind.OPENED, OPENED)
    unused = [(kind, UNUSED.get(kind, {"a": 1})) for kind in sorted(_UNUSED)]
    intent = journal.append(rollout, Kind.INTENT, {"step": step, "direction": "forward", "to": "x:y", "fence": 1})
    done = (Kind.OUTCOME, {"intent": intent.seq, "result": "done", "detail": ""})
    journal.extend(rollout, [done, *unused, *parts])


def closed(decision: Decision, **more: Any) -> tuple[str, Mapping[str, Any]]:
    return Kind.CLOSED, {"decision": decision, "word": "w", "why": "because", "fence": 1, **more}


def spooled(kind: str, body: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    facts = {"kind": kind, "at": AT, "fence": 1, "spool": "1", "spooled": "0"}
    return Kind.RECONCILED, {**facts, "body": body}


def facts_of(record: RolloutRecord) -> dict[str, object]:
    return collect_facts(record, None)


def test_the_history_shows_what_all_of_the_journal_shows(journal: Journal):
    write(journal, "kept", closed(Decision.KEPT), (Kind.OWED, {"what": "review", "due": AT}))
    write(journal, "single", closed(Decision.NOTHING_APPLIED), step="CAN-1")
    write(journal, "in flight", (Kind.EVIDENCE, {"missing": ["the log"]}))
    write(journal, "spooled", spooled(*closed(Decision.KEPT)))
    newer = (Kind.NOTIFIED, {"fence": 2})
    write(journal, "overtaken", newer, spooled(*closed(Decision.KEPT)))
    verdict = {"clause": "MON-2", "decided": True, "state": "breached"}
    step = {"clause": "RBK-2.2", "outcome": "passed"}
    write(journal, "back", (Kind.VERDICT, verdict), (Kind.STEP, step), closed(Decision.ROLLED_BACK))

    shown = {record.id: facts_of(record) for record in read_history(journal)}

    assert shown == {record.id: facts_of(record) for record in records(journal)}
    assert list(shown) == ["kept", "single", "in flight", "spooled", "overtaken", "back"]
    states = [shown[id_]["closed"] is None for id_ in shown]
    assert states == [False, False, True, False, True, False]
    assert "seen gone" in str(shown["single"]["effect"])


def test_of_what_is_over_the_history_reads_nothing_that_it_does_not_show(journal: Journal):
    write(journal, "kept", closed(Decision.KEPT))
    kinds = len(journal.entries("kept"))
    assert counted_reads(journal, lambda read: list(read_history(read))).entries == kinds - len(_UNUSED)
