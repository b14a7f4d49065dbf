"""The documents of a rollout: complete, readable, and without a secret (DOC, RBK-5)."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rollout.documents import errors_seen, log_operation, write_change_record, write_post_mortem
from rollout.record import Kind
from rollout.workspace import Rollout
from tests.support.rollouts import rollout_in

SECRET = "planted-secret-9f3c"
CLOSURE: dict[str, Any] = {"decision": "rolled_back", "word": "ROLLED BACK, verified", "why": f"MON-2 | saw {SECRET}"}


@pytest.fixture
def rollout(tmp_path: Path) -> Rollout:
    return rollout_in(tmp_path, secrets=[SECRET])


def test_an_operation_is_one_line_whatever_it_says(rollout):
    path = log_operation(rollout, f"KEPT:\nmany\nlines with {SECRET}")
    log_operation(rollout, "again")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert path == rollout.folder.parent / "operations.log"
    assert lines[0] == "2026-11-23T12:00:00.000Z r-1 KEPT: many lines with [redacted]"
    assert len(lines) == 2


def test_operations_of_several_writers_do_not_mix(rollout):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: log_operation(rollout, f"{number} " + "x" * 5000), range(40)))
    lines = (rollout.folder.parent / "operations.log").read_text(encoding="utf-8").splitlines()
    assert sorted(int(line.split()[2]) for line in lines) == list(range(40))
    assert {len(line.split()[3]) for line in lines} == {5000}


def written(rollout: Rollout) -> Path:
    rollout.write(Kind.OPENED, digest=rollout.digest, scenario={"approved_by": ["bob"]})
    intent = rollout.write(Kind.INTENT, step="APP-1.2", direction="forward", to="openai:gpt-4o")
    rollout.write(Kind.OUTCOME, intent=intent.seq, result="done", detail="")
    message = f"12:00:00 | ERROR | a:b - {SECRET}\nsecond line"
    rollout.write(Kind.CLAUSE, run="run-1", clause="MON-5", outcome="failed", message=message)
    return write_change_record(rollout, rollout.record(), CLOSURE)


def test_the_change_record_says_what_who_when_why_and_what_came_of_it(rollout):
    told = json.loads(written(rollout).read_text(encoding="utf-8"))
    assert told["what"] == ["openai:gpt-4o"]
    assert told["who"] == {"author": "alice", "approved_by": ["bob"], "in_words": "bob"}
    assert (told["ticket"], told["digest"], told["decision"]) == ("T-1", "d" * 64, "rolled_back")
    assert told["opened"] == "2026-11-23T12:00:00.000Z"
    assert told["clauses"]["MON-5"][0] == "failed"
    assert [write[1:] for write in told["writes"]] == [["APP-1.2", "forward", "openai:gpt-4o", "done"]]


def test_the_change_record_reads_as_tables_whatever_a_message_holds(rollout):
    """A bar or a line break in a message must not break its row."""
    text = written(rollout).with_suffix(".md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = [len(row.replace("\\|", "").split("|")) - 2 for row in rows]
    assert cells == [2] * 14 + [3] * 3
    assert "| Result | **ROLLED BACK, verified** |" in rows
    assert rows[-1].startswith("| MON-5 | failed | ")
    assert rows[-1].endswith("second line |")


def test_no_secret_is_in_any_document(rollout):
    written(rollout)
    write_post_mortem(rollout, f"because of {SECRET}", [])
    log_operation(rollout, SECRET)
    files = [path for path in rollout.folder.parent.rglob("*") if path.is_file()]
    assert len(files) >= 4
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_the_post_mortem_has_the_reason_the_errors_the_writes_and_the_way_back(rollout):
    written(rollout)
    rollout.write(Kind.SAMPLE, source="status", error="refused")
    step = {"at": "noon", "clause": "RBK-2.1", "outcome": "passed", "seen": "ollama is active"}
    text = write_post_mortem(rollout, "MON-1: offline", [step]).read_text(encoding="utf-8")
    for line in (
        "**Why it was rolled back:** MON-1: offline",
        "- status: refused",
        "- noon RBK-2.1 passed: ollama is active",
    ):
        assert line in text.splitlines()
    assert "APP-1.2 forward → openai:gpt-4o: done" in text


def test_each_error_is_told_once_in_the_order_in_which_it_was_seen(rollout):
    assert errors_seen(rollout) == []
    for body in (
        {"source": "status", "status": "connected"},
        {"source": "synthetic", "ok": False, "reason": "HTTP 502"},
        {"source": "synthetic", "ok": False, "reason": "HTTP 502"},
        {"source": "alerts", "alerts": [{"key": "ERROR_SPIKE/openai"}]},
        {"source": "log", "matching": 1, "lines": ["boom"]},
    ):
        rollout.write(Kind.SAMPLE, **body)
    assert errors_seen(rollout) == ["synthetic: HTTP 502", "alerts: alert ERROR_SPIKE/openai", "log: boom"]
