"""Who may write: one run at a time, also of one rollout; and what a rollout remembers when its journal is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollout.errors import JournalError
from rollout.journal import LeaseHeld, LeaseLost
from rollout.record import Decision, Kind, What
from rollout.workspace import LEASE_S, Rollout
from tests.support.rollouts import NEW, OLD, rollout_in


def another_run(rollout: Rollout, tmp_path: Path, **parts: Any) -> Rollout:
    """Return another process's part of the same rollout, on the same journal."""
    return rollout_in(tmp_path, journal=rollout.journal, clock=rollout.clock, **{"run": "run-2", **parts})


def test_two_runs_of_one_rollout_do_not_write_side_by_side(tmp_path: Path):
    """The same content started twice at once is a rival like any other."""
    first = rollout_in(tmp_path)
    first.claim()
    second = another_run(first, tmp_path)
    with pytest.raises(LeaseHeld, match="is being changed by rollout r-1"):
        second.claim()
    assert not first.superseded()


def test_the_next_run_takes_over_what_was_handed_over_to_it(tmp_path: Path):
    first = rollout_in(tmp_path)
    first.claim()
    first.write(Kind.HANDOVER, deadline="2026-11-23T13:00:00.000Z")
    second = another_run(first, tmp_path)
    second.claim()
    assert first.superseded()
    with pytest.raises(LeaseHeld):
        another_run(first, tmp_path, run="run-3").claim()


def test_a_run_takes_the_lease_that_has_run_out(tmp_path: Path):
    first = rollout_in(tmp_path)
    first.claim()
    first.clock.wait(LEASE_S + 1)
    another_run(first, tmp_path).claim()
    assert first.superseded()


def test_a_lease_that_died_with_its_closed_rollout_holds_nobody_up(tmp_path: Path):
    """The process was killed between the verdict and giving the lease back."""
    closed = rollout_in(tmp_path)
    closed.claim()
    closed.write(Kind.CLOSED, decision=Decision.KEPT)
    another_run(closed, tmp_path, id="r-2").claim()
    assert closed.superseded()


def test_a_closed_rollout_that_is_taken_back_holds_its_rivals_off(tmp_path: Path):
    """`rollout rollback` of a kept change writes under a newer token than the one it was closed under."""
    closed = rollout_in(tmp_path)
    closed.claim()
    closed.write(Kind.CLOSED, decision=Decision.KEPT)
    closed.release_lease()
    closed.take_lease()
    with pytest.raises(LeaseHeld):
        another_run(closed, tmp_path, id="r-2").claim()


def test_a_run_that_was_taken_over_announces_no_write(tmp_path: Path):
    """Not even while its own lease would last."""
    first = rollout_in(tmp_path)
    first.claim()
    another_run(first, tmp_path).take_lease()
    with pytest.raises(LeaseLost), first.announced("APP-1.2", "forward", str(NEW), what=What.PROVIDER):
        pytest.fail("the write must not be sent")
    assert not first.record().writes


def test_a_backup_that_was_taken_after_a_write_does_not_count(tmp_path: Path):
    """It would show the change as what the gateway was before."""
    rollout = rollout_in(tmp_path)
    rollout.write(Kind.BACKUP, previous=str(OLD))
    rollout.write(Kind.INTENT, step="APP-1.2", direction="forward", to=str(NEW))
    rollout.write(Kind.BACKUP, previous=str(NEW))
    assert rollout.record().backup["previous"] == str(OLD)  # type: ignore[index]


def test_a_rollout_knows_what_it_wrote_when_its_journal_is_gone(tmp_path: Path):
    rollout = rollout_in(tmp_path)
    rollout.record()
    rollout.write(Kind.BACKUP, previous=str(OLD))
    rollout.write(Kind.INTENT, step="APP-1.2", direction="forward", to=str(NEW))
    (tmp_path / "journal.sqlite").unlink()
    with pytest.raises(JournalError):
        rollout.record()
    known = rollout.known()
    assert known.wrote
    assert known.backup is not None
    rollout.note(Kind.CLOSED, decision=Decision.ROLLED_BACK)
    assert rollout.known().decision is Decision.ROLLED_BACK
