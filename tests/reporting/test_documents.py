"""What every document uses: the operations log, and the errors of the window (DOC-2, RBK-5.2)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rollout.context import RolloutContext
from rollout.journal.record import Kind
from rollout.reporting.documents import Seen, errors_seen, log_operation
from tests.support.rollouts import rollout_in

SECRET = "planted-secret-9f3c"


@pytest.fixture
def rollout(tmp_path: Path) -> RolloutContext:
    return rollout_in(tmp_path, secrets=[SECRET])


def test_an_operation_is_one_line_whatever_it_says(rollout):
    path = log_operation(rollout, f"KEPT:\nmany\nlines with {SECRET}")
    log_operation(rollout, "again")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert path == rollout.folder.parent / "operations.log"
    assert lines[0] == "2026-11-23T12:00:00.000Z r-1 KEPT: many lines with [redacted]"
    assert len(lines) == 2


def test_text_of_others_does_not_break_the_line(rollout):
    path = log_operation(rollout, "why: \x1b[2J\rforged 2026-11-23T12:00:00.000Z r-2 KEPT\u2028x")
    (line,) = path.read_text(encoding="utf-8").splitlines()
    assert line.endswith("why: \\x1b[2J forged 2026-11-23T12:00:00.000Z r-2 KEPT x")


def test_operations_of_several_writers_do_not_mix(rollout):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: log_operation(rollout, f"{number} " + "x" * 5000), range(40)))
    lines = (rollout.folder.parent / "operations.log").read_text(encoding="utf-8").splitlines()
    assert sorted(int(line.split()[2]) for line in lines) == list(range(40))
    assert {len(line.split()[3]) for line in lines} == {5000}


def test_each_error_is_listed_once_in_the_order_in_which_it_was_seen(rollout):
    assert errors_seen(rollout) == []
    for body in (
        {"source": "status", "status": "connected"},
        {"source": "synthetic", "ok": False, "reason": "HTTP 502"},
        {"source": "synthetic", "ok": False, "reason": "HTTP 502"},
        {"source": "alerts", "alerts": [{"key": "ERROR_SPIKE/openai"}]},
        {"source": "log", "matching": 1, "lines": ["boom"]},
    ):
        rollout.append(Kind.SAMPLE, **body)
    at = "2026-11-23T12:00:00.000Z"
    assert errors_seen(rollout) == [
        Seen(at, 2, "synthetic: HTTP 502"),
        Seen(at, 1, "alerts: alert ERROR_SPIKE/openai"),
        Seen(at, 1, "log: boom"),
    ]
