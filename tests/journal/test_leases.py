"""One rollout at a time may change a target, and a superseded process finds out."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from rollout.core.errors import JournalError, RolloutError, TryLater
from rollout.journal.journal import Journal
from rollout.journal.leases import LeaseHeld, LeaseLost


def test_a_free_target_is_leased_from_now_until_its_time_is_over(journal, clock):
    lease = journal.acquire("staging", "r-1", "ann@build-1", 60)

    assert (lease.target, lease.rollout, lease.holder, lease.token) == ("staging", "r-1", "ann@build-1", 1)
    assert lease.since == clock.now() - timedelta(microseconds=456)
    assert lease.until - lease.since == timedelta(seconds=60)
    assert journal.holder("staging") == lease


def test_the_error_of_a_rival_names_who_holds_it_since_when_until_when_and_what_to_do(journal, clock):
    lease = journal.acquire("staging", "r-1", "ann@build-1", 60)
    clock.advance(10)

    with pytest.raises(LeaseHeld) as caught:
        journal.acquire("staging", "r-2", "bob@build-2", 60)

    assert isinstance(caught.value, TryLater)
    assert caught.value.lease == lease
    assert str(caught.value) == (
        "staging is being changed by rollout r-1 (ann@build-1), since 2026-03-01T12:00:00.123Z, until "
        "2026-03-01T12:01:00.123Z. Call again after that, or have that rollout closed first: "
        "`rollout status` shows it, `rollout abort` ends it"
    )


def test_a_refused_rival_leaves_the_lease_and_its_token_alone(journal):
    lease = journal.acquire("staging", "r-1", "ann", 60)
    with pytest.raises(LeaseHeld):
        journal.acquire("staging", "r-2", "bob", 600)

    assert journal.holder("staging") == lease
    assert journal.newest_token("staging") == 1
    assert journal.renew(lease, 60) == lease


def test_targets_are_leased_apart(journal):
    journal.acquire("staging", "r-1", "ann", 60)
    journal.acquire("staging", "r-1", "ann", 60)

    assert journal.acquire("production", "r-2", "bob", 60).token == 1


def test_a_lease_ends_at_its_last_moment_and_not_before(journal, clock):
    lease = journal.acquire("staging", "r-1", "ann", 60)
    clock.moment = lease.until - timedelta(microseconds=1)
    assert journal.holder("staging") == lease
    clock.moment = lease.until

    assert journal.holder("staging") is None
    assert journal.acquire("staging", "r-2", "bob", 60).token == 2


def test_the_same_rollout_prolongs_its_lease_under_a_newer_token(journal, clock):
    first = journal.acquire("staging", "r-1", "apply", 60)
    clock.advance(30)
    second = journal.acquire("staging", "r-1", "monitor", 60)

    assert (second.token, second.holder) == (2, "monitor")
    assert second.since == first.since
    assert second.until == first.until + timedelta(seconds=30)


def test_no_lease_of_a_rollout_is_ever_shortened_by_itself(journal):
    first = journal.acquire("staging", "r-1", "apply", 600)
    second = journal.acquire("staging", "r-1", "monitor", 60)

    assert second.until == first.until
    assert journal.renew(second, 1).until == first.until


def test_a_lease_is_renewed_under_its_own_token(journal, clock):
    lease = journal.acquire("staging", "r-1", "ann", 60)
    clock.advance(50)
    renewed = journal.renew(lease, 60)

    assert renewed.token == lease.token
    assert renewed.until == lease.until + timedelta(seconds=50)
    assert journal.holder("staging") == renewed


def test_an_expired_lease_that_was_not_taken_can_be_renewed(journal, clock):
    lease = journal.acquire("staging", "r-1", "ann", 60)
    clock.advance(120)

    assert journal.renew(lease, 60).until == lease.until + timedelta(seconds=120)
    assert journal.holder("staging") is not None


def test_an_older_token_of_the_same_rollout_is_lost(journal):
    older = journal.acquire("staging", "r-1", "apply", 60)
    journal.acquire("staging", "r-1", "monitor", 60)

    with pytest.raises(LeaseLost, match=r"r-1 on staging \(token 1\) is lost: rollout r-1 \(monitor\) has token 2"):
        journal.renew(older, 60)


def test_a_lease_that_a_rival_took_after_it_expired_is_lost(journal, clock):
    lease = journal.acquire("staging", "r-1", "ann", 60)
    clock.advance(60)
    journal.acquire("staging", "r-2", "bob", 60)

    with pytest.raises(LeaseLost, match=r"rollout r-2 \(bob\) has token 2\. Change nothing on staging any more"):
        journal.renew(lease, 60)


def test_a_lease_that_was_given_back_is_free_and_cannot_be_renewed(journal):
    lease = journal.acquire("staging", "r-1", "ann", 60)
    journal.release(lease)

    assert journal.holder("staging") is None
    with pytest.raises(LeaseLost, match=r"was given back\. Acquire it again"):
        journal.renew(lease, 60)


def test_a_lease_that_is_lost_is_no_failure_of_the_journal():
    """A handler of `JournalError` must not catch the error of a superseded process."""
    assert issubclass(LeaseLost, RolloutError)
    assert not issubclass(LeaseLost, JournalError)


def test_a_lease_of_another_journal_is_unknown(journal, tmp_path, clock):
    with Journal.open(str(tmp_path / "other.sqlite"), clock=clock) as other:
        lease = other.acquire("staging", "r-1", "ann", 60)

    with pytest.raises(LeaseLost, match="the journal knows none"):
        journal.renew(lease, 60)


def test_tokens_grow_for_ever_also_over_releases(journal):
    tokens = []
    for rollout in ["r-1", "r-2", "r-2", "r-1"]:
        lease = journal.acquire("staging", rollout, "ann", 60)
        tokens.append(lease.token)
        journal.release(lease)

    assert tokens == [1, 2, 3, 4]
    assert journal.newest_token("staging") == 4
    assert journal.newest_token("production") == 0


def test_since_starts_anew_after_a_gap(journal, clock):
    journal.release(journal.acquire("staging", "r-1", "ann", 600))
    clock.advance(5)

    assert journal.acquire("staging", "r-1", "ann", 60).since == clock.now() - timedelta(microseconds=456)


def test_giving_back_twice_or_too_late_leaves_the_next_holder_alone(journal):
    first = journal.acquire("staging", "r-1", "ann", 60)
    journal.release(first)
    second = journal.acquire("staging", "r-2", "bob", 60)
    journal.release(first)

    assert journal.holder("staging") == second


def test_leases_write_no_entries(journal):
    journal.release(journal.acquire("staging", "r-1", "ann", 60))

    assert journal.entries() == ()


def test_of_twenty_threads_at_once_exactly_one_gets_the_target(journal):
    start = Barrier(20)

    def attempt(number):
        start.wait()
        try:
            return journal.acquire("staging", f"r-{number}", "thread", 60).rollout
        except TryLater:
            return None

    with ThreadPoolExecutor(20) as pool:
        winners = [winner for winner in pool.map(attempt, range(20)) if winner]

    assert len(winners) == 1
    assert journal.holder("staging").rollout == winners[0]


def test_of_six_processes_at_once_exactly_one_gets_the_target(url, start_worker):
    workers = [start_worker("acquire", url, f"r-{number}") for number in range(6)]
    assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 6
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    answers = sorted(worker.stdout.readline().strip() for worker in workers)

    assert answers[:5] == ["held"] * 5
    assert answers[5].startswith("r-")


def test_of_two_who_saw_the_same_token_the_second_is_refused(journal):
    """Also where it is the same rollout: its watchdog, and a `rollout recover`."""
    journal.acquire("staging", "r-1", "runner", 60)
    newest = journal.newest_token("staging")
    taken = journal.acquire("staging", "r-1", "watchdog", 60, after=newest)

    assert taken.token == newest + 1
    with pytest.raises(LeaseHeld) as caught:
        journal.acquire("staging", "r-1", "recover", 60, after=newest)
    assert caught.value.lease == taken
    assert journal.holder("staging") == taken


def test_a_token_that_was_seen_says_so_after_a_release_too(journal):
    seen = journal.newest_token("staging")
    journal.release(journal.acquire("staging", "r-1", "ann", 60, after=seen))

    with pytest.raises(LeaseHeld):
        journal.acquire("staging", "r-2", "bob", 60, after=seen)
    assert journal.acquire("staging", "r-2", "bob", 60, after=1).token == 2


def test_a_token_that_was_seen_is_no_right_to_what_another_rollout_holds(journal):
    held = journal.acquire("staging", "r-1", "ann", 60)

    with pytest.raises(LeaseHeld):
        journal.acquire("staging", "r-2", "bob", 60, after=held.token)


def test_a_target_is_taken_from_its_holder_with_a_newer_token(journal, clock):
    held = journal.acquire("staging", "r-1", "ann", 600)
    clock.advance(5)
    preempted = journal.acquire("staging", "e-1", "eve", 60, preempts=True)

    assert (preempted.token, preempted.rollout) == (2, "e-1")
    assert preempted.since == clock.now() - timedelta(microseconds=456)
    assert preempted.until == preempted.since + timedelta(seconds=60), "not what the former holder had left"
    assert journal.holder("staging") == preempted
    with pytest.raises(LeaseLost, match=r"rollout e-1 \(eve\) has token 2"):
        journal.renew(held, 60)


def test_a_lease_is_given_back_under_its_own_token_only(journal):
    older = journal.acquire("staging", "r-1", "apply", 60)
    newer = journal.acquire("staging", "r-1", "monitor", 60)
    journal.release(older)

    assert journal.holder("staging") == newer


def test_a_lease_is_renewed_on_its_own_target_only(journal, clock):
    lease = journal.acquire("staging", "r-1", "ann", 60)
    other = journal.acquire("production", "r-1", "ann", 60)
    clock.advance(30)
    journal.renew(lease, 60)

    assert journal.holder("production") == other


def test_a_lease_that_was_given_back_is_taken_anew_by_its_own_rollout(journal):
    journal.release(journal.acquire("staging", "r-1", "ann", 600))
    again = journal.acquire("staging", "r-1", "ann", 60)

    assert journal.renew(again, 60) == again
    assert journal.holder("staging") == again
