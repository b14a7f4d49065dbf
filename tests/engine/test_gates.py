"""The gates between phases open for a passed predecessor of this very content, and for nothing else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rollout.core.clauses import PHASES
from rollout.core.clock import format_utc
from rollout.core.errors import NotCleared, TryLater
from rollout.engine.gates import age_of, refusal, too_old
from rollout.journal.record import Decision, Kind, PhaseVerdict, RolloutRecord, Write
from tests.support.clocks import BEGINNING, SimulatedClock
from tests.support.rollouts import rollout_in

DIGEST = "0123456789abcdef" * 4
WRITE = Write(1, "2026-11-23T12:00:00.000Z", "APP-1.2", "forward", "openai:gpt-4o", "done")


def record(*passed: str, failed: str | None = None, **parts: Any) -> RolloutRecord:
    """Return a rollout whose phases have these verdicts."""
    one = RolloutRecord("r-1", opened_at="noon", **parts)
    for phase in (*passed, *([failed] if failed else [])):
        one.phases[phase] = PhaseVerdict(phase, phase != failed, "noon", ("PRE-2.1: no ticket",))
    return one


def closed(decision: Decision, *passed: str) -> RolloutRecord:
    return record(*passed, writes=[WRITE], closed={"decision": decision}, closed_at="one")


@pytest.mark.parametrize("phase", PHASES[1:])
def test_a_later_phase_needs_a_rollout_of_this_very_content(phase):
    refused = refusal([phase], None, DIGEST)
    assert isinstance(refused, NotCleared)
    predecessor = PHASES[PHASES.index(phase) - 1]
    assert f"{phase} needs a passed {predecessor} of this very content (SHA-256 0123456789ab)" in str(refused)


@pytest.mark.parametrize("phase", PHASES[1:])
def test_a_later_phase_needs_its_predecessor_passed_to_its_end(phase):
    index = PHASES.index(phase)
    before, predecessor = PHASES[: index - 1], PHASES[index - 1]
    never, not_passed = refusal([phase], record(*before), DIGEST), refusal([phase], record(failed=predecessor), DIGEST)
    assert isinstance(never, NotCleared)
    assert isinstance(not_passed, NotCleared)
    assert f"{predecessor}, which was never run to its end" in str(never)
    assert str(not_passed) == f"{predecessor} of rollout r-1 did not pass: PRE-2.1: no ticket"
    assert refusal([phase], record(*PHASES[:index]), DIGEST) is None


@pytest.mark.parametrize("decision", [Decision.ROLLED_BACK, Decision.ROLLBACK_FAILED])
def test_no_phase_goes_on_after_a_rollback_and_a_new_precheck_may_begin(decision):
    ended = closed(decision, *PHASES)
    assert all(isinstance(refusal([phase], ended, DIGEST), NotCleared) for phase in PHASES[1:])
    assert str(decision).replace("_", " ") in str(refusal(["apply"], ended, DIGEST))
    assert refusal(["precheck"], ended, DIGEST) is None


def test_a_kept_change_may_be_verified_again():
    assert refusal(["verify"], closed(Decision.KEPT, *PHASES), DIGEST) is None


def test_a_new_precheck_waits_while_its_own_content_is_in_flight_and_names_the_next_command():
    refused = refusal(PHASES, record("precheck", "apply", writes=[WRITE]), DIGEST)
    assert isinstance(refused, TryLater)
    assert "go on with `pytest -m verify`" in str(refused)
    assert "rollout rollback r-1" in str(refused)
    assert refusal(PHASES, record("precheck"), DIGEST) is None
    assert refusal(PHASES, None, DIGEST) is None


def test_a_kept_change_does_not_hold_up_a_new_precheck():
    assert refusal(["precheck"], closed(Decision.KEPT, *PHASES), DIGEST) is None


def test_a_write_that_was_refused_does_not_hold_up_a_new_precheck():
    refused = Write(1, "2026-11-23T12:00:00.000Z", "APP-1.2", "forward", "openai:gpt-4o", "refused")
    assert refusal(["precheck"], record("precheck", writes=[refused]), DIGEST) is None


def test_a_phase_of_a_change_in_flight_goes_on():
    assert refusal(["verify"], record("precheck", "apply", writes=[WRITE]), DIGEST) is None


@pytest.mark.parametrize(
    ("passed", "nxt"), [((), "precheck"), (("precheck", "apply", "verify"), "monitor"), (PHASES, "monitor")]
)
def test_the_next_phase_is_the_first_that_has_not_passed(passed: tuple[str, ...], nxt: str):
    assert f"go on with `pytest -m {nxt}`" in str(refusal(PHASES, record(*passed, writes=[WRITE]), DIGEST))


def test_a_clearance_expires_after_the_policy_s_age_and_not_at_it(tmp_path: Path):
    clock = SimulatedClock()
    rollout = rollout_in(tmp_path, clock=clock)
    rollout.append(Kind.PHASE, phase="precheck", passed=True, problems=[], run="run-1")
    clock.advance(3600)
    assert too_old(rollout, "precheck", 3600) is None
    clock.advance(60)
    assert too_old(rollout, "precheck", 3600) == "precheck passed 61 min ago; policy 'sandbox' accepts 60 min"


def test_an_age_is_taken_from_utc(tmp_path: Path):
    rollout = rollout_in(tmp_path)
    assert age_of(rollout, format_utc(BEGINNING - timedelta(minutes=5))) == 300
