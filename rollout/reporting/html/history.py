"""The history of a target's rollouts as Allure 3 reads it, made from the journal.

Allure's own history is a file that every report appends to: a report that is built twice would stand in it twice, and
one that is built elsewhere would miss it. The journal has the outcomes of the rollouts before, in their order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from rollout.core.clauses import CLAUSES
from rollout.journal.journal import Journal
from rollout.journal.record import Decision, Entry, Kind, RolloutRecord
from rollout.journal.replay import replay
from rollout.reporting.allure import CLOSURE_ROW
from rollout.reporting.html.rows import CLOSURE, STATUSES, identity_of, millis

AT_MOST = 20
"""How many rollouts before the present one are shown."""

_CLOSED = {Decision.KEPT: "passed", Decision.NOTHING_APPLIED: "failed"}
_READ = (Kind.OPENED, Kind.RUN, Kind.CLAUSE, Kind.CLOSED)


def history_of(journal: Journal, rollout: str) -> list[dict[str, Any]]:
    """Return the rollouts of the same target that were opened before this one, the oldest first, as Allure's points.

    Raises:
        JournalError: the journal cannot be read.
    """
    opened = journal.entries(None, Kind.OPENED)
    own = next(entry for entry in opened if entry.rollout == rollout)
    before = [entry for entry in opened if entry.seq < own.seq and _target(entry) == _target(own)]
    return [_point(_target(own), entry.rollout, journal.entries(entry.rollout, *_READ)) for entry in before[-AT_MOST:]]


def _target(opened: Entry) -> str:
    return str(opened.body.get("target", {}).get("name", ""))


def _point(target: str, rollout: str, entries: Iterable[Entry]) -> dict[str, Any]:
    record = replay(rollout, entries)
    results = [_result(record, target, *row) for row in _outcomes(record)]
    return {
        "uuid": rollout,
        "name": f"{(record.closed or {}).get('word', 'OPEN')} · {rollout}",
        "timestamp": millis(record.opened_at),
        "knownTestCaseIds": [each["historyId"].partition(".")[0] for each in results],
        "testResults": {each["historyId"]: each for each in results},
        "metrics": {},
        "url": "",
    }


def _outcomes(record: RolloutRecord) -> Iterable[tuple[str, str, str, str, str, float]]:
    """Yield identity, name, status, message, time and duration of each clause with an outcome, and of the closure."""
    for id_, each in record.clauses.items():
        name = str(CLAUSES[id_]) if id_ in CLAUSES else id_
        yield id_, name, STATUSES.get(each.outcome, "broken"), each.message, each.at, each.took_s
    if record.closed is not None and record.decision is not None:
        why = f"{record.closed['word']}: {record.closed['why']}"
        yield CLOSURE, CLOSURE_ROW, _CLOSED.get(record.decision, "failed"), why, record.closed_at, 0.0


def _result(
    record: RolloutRecord, target: str, what: str, name: str, status: str, message: str, at: str, took_s: float
) -> dict[str, Any]:
    history = history_id(identity_of(target, what))
    duration = round(took_s * 1000)
    return {
        "id": _md5(f"{record.id} {history}"),
        "name": name,
        "fullName": what,
        "status": status,
        "message": message,
        "start": millis(at) - duration,
        "stop": millis(at),
        "duration": duration,
        "labels": [],
        "url": "",
        "historyId": history,
        "reportLinks": [],
    }


def history_id(identity: str) -> str:
    """Return what Allure 3 makes of a row's ``testCaseId``, where no parameter distinguishes the row."""
    return f"{_md5(identity)}.{_md5('')}"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
