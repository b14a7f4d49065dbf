"""The entry that announces a write or ends a rollout is written under the newest token, or not at all."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from rollout.core.errors import JournalError, RolloutError
from rollout.journal.endings import AlreadyEnded
from rollout.journal.leases import LeaseLost

KEPT, BACK = {"decision": "kept"}, {"decision": "rolled_back"}


@pytest.fixture
def lease(journal):
    """The lease of r-1 on staging, token 1."""
    return journal.acquire("staging", "r-1", "ann", 60)


def kinds(journal, rollout="r-1"):
    return [entry.kind for entry in journal.entries(rollout)]


def spooled(journal, fence, kind="closed", **body):
    """Append an ending that could not be written in time, as kind ``reconciled``."""
    journal.append(
        "r-1", "reconciled", {"kind": kind, "at": "2026-03-01T11:00:00.000Z", "number": 3, "fence": fence, "body": body}
    )


def test_the_holder_announces_under_its_token(journal, lease):
    entry = journal.append_held(lease, "r-1", "intent", {"to": "openai:gpt-4o", "fence": 99})

    assert journal.entries() == (entry,)
    assert (entry.kind, entry.body) == ("intent", {"to": "openai:gpt-4o", "fence": 1})
    assert len(journal.raw_entries()) == 1


def test_the_holder_of_a_target_writes_for_the_rollouts_that_it_took_over(journal, lease):
    assert journal.append_held(lease, "r-0", "step", {}).rollout == "r-0"
    assert journal.append_ending(lease, "r-0", BACK).body == {**BACK, "fence": 1}


def test_an_expired_lease_that_was_not_taken_is_still_its_holders(journal, lease, clock):
    clock.advance(120)

    assert journal.append_held(lease, "r-1", "intent", {}).seq == 1
    assert journal.append_ending(lease, "r-1", BACK).seq == 2


@pytest.mark.parametrize("how", ["taken", "renewed by itself", "released", "seized"])
def test_a_process_that_lost_its_lease_writes_nothing(journal, lease, clock, how):
    if how == "taken":
        clock.advance(60)
        journal.acquire("staging", "r-2", "bob", 60)
    elif how == "renewed by itself":
        journal.acquire("staging", "r-1", "monitor", 60)
    elif how == "released":
        journal.release(lease)
    else:
        journal.acquire("staging", "e-1", "eve", 60, preempts=True)

    with pytest.raises(LeaseLost):
        journal.append_held(lease, "r-1", "intent", {})
    with pytest.raises(LeaseLost):
        journal.append_ending(lease, "r-1", KEPT)
    assert journal.entries() == ()


def test_a_body_is_redacted_there_too(journal, lease):
    journal.redact_with(lambda body: {**body, "token": "***"})

    assert journal.append_held(lease, "r-1", "intent", {"token": "x"}).body["token"] == "***"
    assert journal.append_ending(lease, "r-1", {"token": "x"}).body["token"] == "***"


def test_the_same_holder_ends_a_rollout_once(journal, lease):
    ending = journal.append_ending(lease, "r-1", KEPT)

    with pytest.raises(AlreadyEnded) as caught:
        journal.append_ending(lease, "r-1", BACK)
    assert kinds(journal) == ["closed"]
    assert str(caught.value).startswith(f"rollout r-1 has ended: kept at {ending.at} (entry 1, token 1). This process")
    assert (caught.value.rollout, caught.value.ending.decision, caught.value.ending.fence) == ("r-1", "kept", 1)
    assert isinstance(caught.value, RolloutError)
    assert not isinstance(caught.value, JournalError)


def test_a_later_rollback_under_a_newer_token_ends_it_anew_and_once(journal, lease):
    journal.append_ending(lease, "r-1", KEPT)
    journal.release(lease)
    newer = journal.acquire("staging", "r-1", "rollback", 60)

    assert journal.append_ending(newer, "r-1", BACK).body["fence"] == 2
    with pytest.raises(AlreadyEnded, match=r"rolled_back at .* \(entry 2, token 2\)"):
        journal.append_ending(newer, "r-1", BACK)


def test_an_ending_of_another_rollout_is_no_obstacle(journal, lease):
    journal.append_ending(lease, "r-0", BACK)

    assert journal.append_ending(lease, "r-1", KEPT).seq == 2


def test_an_ending_that_was_entered_later_counts(journal, lease):
    spooled(journal, 1, decision="rolled_back")

    with pytest.raises(AlreadyEnded, match=r"rolled_back at 2026-03-01T11:00:00.000Z \(entry 1, token 1\)"):
        journal.append_ending(lease, "r-1", KEPT)
    assert journal.append_ending(journal.acquire("staging", "r-1", "x", 60), "r-1", KEPT).seq == 2


def test_other_entries_that_were_entered_later_do_not_count(journal, lease):
    spooled(journal, 1, kind="rollback")

    assert journal.append_ending(lease, "r-1", KEPT).seq == 2


def test_a_run_that_never_got_a_lease_ends_a_rollout_that_wrote_nothing_once(journal):
    entry = journal.append_ending(None, "r-1", {"decision": "nothing_applied"})

    assert entry.body == {"decision": "nothing_applied", "fence": 0}
    with pytest.raises(AlreadyEnded, match="This process has no lease"):
        journal.append_ending(None, "r-1", {"decision": "nothing_applied"})


@pytest.mark.parametrize("later", [False, True])
def test_without_a_lease_a_rollout_that_announced_a_write_is_another_runs(journal, lease, later):
    if later:
        spooled(journal, 1, kind="intent")
    else:
        journal.append_held(lease, "r-1", "intent", {})

    with pytest.raises(LeaseLost, match=r"has announced a write \(entry 1\) and not ended, so another run owns it"):
        journal.append_ending(None, "r-1", {"decision": "nothing_applied"})
    journal.append_ending(lease, "r-1", BACK)
    with pytest.raises(AlreadyEnded):
        journal.append_ending(None, "r-1", {"decision": "nothing_applied"})


def test_a_rollout_that_ended_with_nothing_applied_can_still_end_under_a_lease(journal, lease):
    journal.append_ending(None, "r-1", {"decision": "nothing_applied"})

    assert journal.append_ending(lease, "r-1", BACK).body["fence"] == 1


def test_of_twenty_threads_that_end_one_rollout_exactly_one_does(journal, lease):
    start = Barrier(20)

    def attempt(number):
        start.wait()
        try:
            return journal.append_ending(lease, "r-1", {"decision": "kept", "number": number})
        except AlreadyEnded as error:
            return error.ending.seq

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(attempt, range(20)))

    (ending,) = journal.entries()
    assert [answer for answer in answers if answer != 1] == [ending]


def test_of_three_processes_that_end_sixty_rollouts_each_is_ended_by_one(journal, lease, url, start_worker):
    names = [f"r-{number}" for number in range(60)]
    workers = [start_worker("end", url, lease.token, ",".join(names)) for _ in range(3)]
    assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 3
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    granted = [name for worker in workers for name in worker.stdout.readline().strip().split(",") if name]

    assert sorted(granted) == sorted(names)
    assert sorted(entry.rollout for entry in journal.entries(None, "closed")) == sorted(names)
    assert len(journal.raw_entries()) == 60


@pytest.mark.parametrize("number", range(5))
def test_no_intent_of_an_older_token_follows_a_lease_that_was_preempted(journal, lease, url, start_worker, number):
    worker = start_worker("announce", url, lease.token, "r-1")
    assert worker.stdout.readline() == "ready\n"
    worker.stdin.write("go\n")
    worker.stdin.flush()
    for _ in range(3 * number + 1):
        worker.stdout.readline()
    token = journal.acquire("staging", "e-1", "eve", 60, preempts=True).token
    marker = journal.append("e-1", "opened", {"fence": token}).seq
    lines = worker.stdout.read().split()

    assert lines[-1] == "lost"
    assert all(entry.seq < marker for entry in journal.entries("r-1", "intent"))
