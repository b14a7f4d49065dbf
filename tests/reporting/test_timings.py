"""The moments, the first sign and the counted requests of a rollout, from its journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollout.context import RolloutContext
from rollout.journal.record import Kind
from rollout.reporting.timings import Counted, Moments, counted, first_bad, moments, seconds
from tests.support.rollouts import rollout_in


@pytest.fixture
def rollout(tmp_path: Path) -> RolloutContext:
    return rollout_in(tmp_path)


def seen(rollout: RolloutContext, source: str, at_s: float, **body: Any) -> None:
    """Journal a sample; its time is its second."""
    rollout.append(Kind.SAMPLE, source=source, at_s=at_s, at=f"at {at_s:g}", **body)


def breached(rollout: RolloutContext, clause: str, limit: object = None) -> None:
    rollout.append(Kind.VERDICT, clause=clause, decided=True, limit=limit, at="2026-11-23T12:00:30.000Z", message="m")


SIGNS = {
    "MON-1": [("status", {"status": "connected"}), ("status", {"status": "Degraded"})],
    "MON-2": [("metrics", {"total": 9, "failed": 4}), ("metrics", {"total": 12, "failed": 5})],
    "MON-2 own": [("synthetic", {"ok": True}), ("synthetic", {"ok": False})],
    "MON-3": [("metrics", {"p95_ms": 100.0}), ("metrics", {"p95_ms": 300.5})],
    "MON-3 own": [("synthetic", {"ok": True, "latency_ms": 200.0}), ("synthetic", {"ok": True, "latency_ms": 301.0})],
    "MON-4": [("alerts", {"alerts": [{"key": "OLD/x"}]}), ("alerts", {"alerts": [{"key": "old/x"}, {"key": "NEW/x"}]})],
    "MON-5": [("fallbacks", {"count": 3}), ("fallbacks", {"count": 4})],
    "MON-5 log": [("log", {}), ("log", {"lines": ["ERROR"]})],
    "MON-6": [("alerts", {"alerts": []}), ("alerts", {"error": "refused"})],
}


@pytest.mark.parametrize("case", SIGNS)
def test_the_first_sample_that_shows_the_breach_is_found(rollout: RolloutContext, case: str) -> None:
    """Each trigger has its own sign; a state from before the change is none."""
    (source, good), (_, bad) = SIGNS[case]
    rollout.append(Kind.ALERTS, keys=["OLD/x"])
    seen(rollout, source, 1, **good)
    breached(rollout, case[:5], 300.0)
    assert first_bad(rollout.record(), rollout.journal.entries(rollout.id)) is None
    seen(rollout, source, 2, **bad)
    seen(rollout, source, 3, **bad)
    found = first_bad(rollout.record(), rollout.journal.entries(rollout.id))
    assert found is not None
    assert found["at_s"] == 2


def test_without_a_breach_there_is_no_first_sign(rollout: RolloutContext) -> None:
    seen(rollout, "status", 1, status="offline")
    assert first_bad(rollout.record(), rollout.journal.entries(rollout.id)) is None


def test_requests_are_counted_window_by_window_users_apart_from_the_suites_own(rollout: RolloutContext) -> None:
    """A window counts from its own first poll; the suite's own requests are subtracted from the gateway's count."""
    for stage, failed in (("10 %", 0), ("100 %", 3)):
        rollout.append(Kind.WINDOW, began_at="2026-11-23T12:00:00.000Z", window_s=9, stage=stage)
        seen(rollout, "metrics", 0, total=100, failed=0, samples=0)
        seen(rollout, "synthetic", 1, ok=True, latency_ms=5.0)
        seen(rollout, "metrics", 2, total=151, failed=failed, samples=0)
    assert counted(rollout.journal.entries(rollout.id)) == Counted(users=100, users_failed=3, own=2, own_failed=0)


def test_requests_that_were_not_counted_are_not_zero(rollout: RolloutContext) -> None:
    assert counted(rollout.journal.entries(rollout.id)) == Counted(None, None, 0, 0)


def test_the_moments_of_a_rollback(rollout: RolloutContext) -> None:
    """From the first part of the change to the last proof; a proof that failed verifies nothing."""
    rollout.append(Kind.OPENED, digest="d")
    for step, direction in (("APP-2.1", "forward"), ("APP-1.2", "forward"), ("RBK-2.1", "back")):
        rollout.clock.wait(10)
        intent = rollout.append(Kind.INTENT, step=step, direction=direction, to="x:y")
        rollout.append(Kind.OUTCOME, intent=intent.seq, result="done", detail="")
    seen(rollout, "status", 4, status="offline")
    breached(rollout, "MON-1")
    for clause in ("RBK-2.2", "RBK-4.1", "RBK-4.2", "RBK-4.3"):
        rollout.clock.wait(1)
        rollout.append(Kind.STEP, clause=clause, outcome="passed", message="")
    day = "2026-11-23T12:00"
    found = moments(rollout.record(), rollout.journal.entries(rollout.id))
    assert found == Moments(
        opened=f"{day}:00.000Z",
        applied=f"{day}:10.000Z",
        first_bad="at 4",
        decided=f"{day}:30.000Z",
        back=f"{day}:30.000Z",
        seen_gone=f"{day}:34.000Z",
        verified=f"{day}:34.000Z",
    )
    assert seconds(found.decided, found.verified) == 4.0
    assert seconds(found.decided, "") is None
    rollout.append(Kind.STEP, clause="RBK-4.1", outcome="failed", message="")
    assert moments(rollout.record(), ()).verified == ""
