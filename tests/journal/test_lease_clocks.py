"""While a lease runs its holder is the sole owner: by the wall clock and by the monotonic one, whichever ends first."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rollout.changes import provider
from rollout.context import RolloutContext
from rollout.core.errors import JournalError
from rollout.journal.leases import LEASE_S, LeaseLost
from rollout.journal.record import Kind, What
from rollout.journal.spool import SPOOL
from tests.support.decisions import Faulty, apply, begun, live, successor
from tests.support.rollouts import NEW, OLD


def set_back(rollout: RolloutContext, hours: float) -> None:
    """Set the wall clock back, or forward where it is negative; the monotonic one goes on."""
    clock: Any = rollout.clock
    clock._start -= timedelta(hours=hours)


@pytest.fixture
def rollout(tmp_path: Path) -> RolloutContext:
    """A rollout that has just taken its lease."""
    return begun(tmp_path)


def test_it_runs_until_its_last_moment(rollout: RolloutContext):
    rollout.clock.wait(LEASE_S - 1)
    assert rollout.lease_runs()
    rollout.clock.wait(1)
    assert not rollout.lease_runs()


def test_a_wall_clock_that_was_set_back_does_not_prolong_it(rollout: RolloutContext):
    set_back(rollout, 2)
    rollout.clock.wait(LEASE_S - 1)
    assert rollout.lease_runs()
    rollout.clock.wait(1)
    assert not rollout.lease_runs()


def test_a_wall_clock_that_was_set_forward_ends_it(rollout: RolloutContext):
    """On other machines, whose clocks were right, the lease may have ended."""
    set_back(rollout, -2)
    assert not rollout.lease_runs()


def test_what_the_journal_took_to_grant_it_is_not_added(rollout: RolloutContext):
    asked_s = rollout.clock.monotonic()
    lease = rollout.journal.renew(rollout.lease, 300)  # type: ignore[arg-type]
    rollout.clock.wait(10)
    set_back(rollout, 10 / 3600)
    rollout.adopt(lease, asked_s)
    rollout.clock.wait(289)
    assert rollout.lease_runs()
    rollout.clock.wait(1)
    assert not rollout.lease_runs()


def test_without_a_lease_none_runs(rollout: RolloutContext):
    rollout.release_lease()
    assert not rollout.lease_runs()


@pytest.mark.parametrize("hours", [2, -2, -24 * 400])
def test_a_clock_that_jumps_stops_no_write(rollout: RolloutContext, hours: float):
    """The lease is renewed when it ends by either clock, for a forward write and for a rollback's."""
    set_back(rollout, hours)
    for _ in range(4):
        rollout.clock.wait(LEASE_S)
        apply(rollout)
        provider.activate(rollout, rollout.gateway, OLD, step="RBK-2.1", direction="back")
    assert len(live(rollout).writes) == 8


def test_a_renewal_runs_no_longer_than_it_was_asked_for(rollout: RolloutContext):
    """By a wall clock that was set back it would run for hours, on another machine's for a minute."""
    set_back(rollout, 2)
    rollout.clock.wait(LEASE_S)
    rollout.hold_lease()
    rollout.clock.wait(LEASE_S - 1)
    assert rollout.lease_runs()
    rollout.clock.wait(1)
    assert not rollout.lease_runs()


def test_it_is_renewed_when_it_would_end_before_the_write_does(rollout: RolloutContext):
    before = rollout.lease
    rollout.hold_lease(LEASE_S - 1)
    assert rollout.lease == before
    rollout.clock.wait(2)
    rollout.hold_lease(LEASE_S - 1)
    assert rollout.lease is not None
    assert before is not None
    assert rollout.lease.until == before.until + timedelta(seconds=2)


# Writes


def announced(rollout: RolloutContext, direction: str = "forward") -> Any:
    return rollout.journaled_write("X-1", direction, str(NEW), what=What.PROVIDER)


def test_without_a_lease_nothing_is_announced(rollout: RolloutContext):
    rollout.release_lease()
    with pytest.raises(LeaseLost, match="holds no lease on"), announced(rollout):
        pytest.fail("the write must not be sent")
    assert not rollout.record().writes


@pytest.mark.parametrize("direction", ["forward", "proof"])
def test_a_forward_write_whose_intent_is_not_on_disk_is_not_sent(rollout: RolloutContext, direction: str):
    Faulty(rollout, "append_held")
    with pytest.raises(JournalError), announced(rollout, direction):
        pytest.fail("the write must not be sent")
    assert not (rollout.folder / SPOOL).exists()


@pytest.mark.parametrize("after_s", [0, LEASE_S - 1])
def test_a_rollbacks_write_is_spooled_while_the_lease_runs(rollout: RolloutContext, after_s: float):
    """Also where it should be renewed first, and cannot be."""
    Faulty(rollout)
    rollout.clock.wait(after_s)
    with announced(rollout, "back"):
        pass
    assert [write.result for write in rollout.last_known_record().writes] == ["done"]
    assert (rollout.folder / SPOOL).exists()


def test_a_rollbacks_write_is_neither_spooled_nor_sent_once_the_lease_has_ended(rollout: RolloutContext):
    Faulty(rollout)
    rollout.clock.wait(LEASE_S)
    with pytest.raises(JournalError), announced(rollout, "back"):
        pytest.fail("the write must not be sent")
    assert not (rollout.folder / SPOOL).exists()


def test_a_process_that_was_paused_between_intent_and_send_sends_nothing(
    rollout: RolloutContext, monkeypatch: pytest.MonkeyPatch
):
    original = type(rollout)._intent

    def paused(self: RolloutContext, body: Any) -> Any:
        seq = original(self, body)
        rollout.clock.wait(2 * rollout.target.timeouts.activate_s + LEASE_S)
        return seq

    monkeypatch.setattr(RolloutContext, "_intent", paused)
    with pytest.raises(LeaseLost, match="sent nothing"), announced(rollout):
        pytest.fail("the write must not be sent")
    (write,) = rollout.record().writes
    assert (write.result, write.may_have_landed) == ("refused", False)


@pytest.mark.parametrize("direction", ["forward", "proof", "back"])
def test_a_superseded_process_announces_nothing_and_knows_it_from_then_on(rollout: RolloutContext, direction: str):
    successor(rollout)
    with pytest.raises(LeaseLost), announced(rollout, direction):
        pytest.fail("the write must not be sent")
    assert rollout.successor is not None
    before = rollout.journal.head()
    rollout.append_or_spool(Kind.STEP, clause="RBK-1.1", outcome="passed", message="")
    with pytest.raises(LeaseLost):
        rollout.append(Kind.PHASE, phase="apply", passed=True, problems=[], run=rollout.run)
    assert rollout.journal.head() == before
    assert not (rollout.folder / SPOOL).exists()


@pytest.mark.parametrize("kind", [Kind.INTENT, Kind.HANDOVER, Kind.ROLLBACK])
def test_what_announces_a_write_is_compared_with_the_token(rollout: RolloutContext, kind: Kind):
    """It has not read the token since: the comparison and the entry are one transaction."""
    successor(rollout)
    with pytest.raises(LeaseLost):
        rollout.append(kind, step="X", direction="forward", to="x:y", deadline="noon", reason="x")
    assert rollout.journal.entries(rollout.id, kind) == ()


# Giving back


def test_a_lease_is_given_back_once_and_a_newer_one_is_left(rollout: RolloutContext):
    newer = successor(rollout).lease
    rollout.release_lease()
    assert rollout.lease is None
    assert rollout.journal.holder(rollout.lease_target) == newer
    rollout.release_lease()


def test_giving_back_does_not_fail_with_the_journal(rollout: RolloutContext):
    Faulty(rollout)
    rollout.release_lease()
    assert rollout.lease is None
