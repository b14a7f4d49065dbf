"""A journal that lost confirmed entries fails; it does not answer as if they had never been written."""

import shutil

import pytest
from sqlalchemy import delete, event, insert, update

from rollout.core.errors import JournalError
from rollout.journal import schema
from rollout.journal.chain import Entry
from rollout.journal.journal import Journal
from rollout.journal.seen import JournalBehind

CALLS = {
    "append": lambda journal, _lease: journal.append("r-1", "note", {}),
    "extend": lambda journal, _lease: journal.extend("r-1", [("note", {}), ("note", {})]),
    "append_held": lambda journal, lease: journal.append_held(lease, "r-1", "intent", {}),
    "append_ending": lambda journal, lease: journal.append_ending(lease, "r-1", {}),
    "entries": lambda journal, _lease: journal.entries("r-1"),
    "rollouts": lambda journal, _lease: journal.rollouts(),
    "head": lambda journal, _lease: journal.head(),
    "raw_entries": lambda journal, _lease: journal.raw_entries(),
}
OF_LEASES = {
    "acquire": lambda journal, _lease: journal.acquire("staging", "r-1", "ann", 60),
    "preempt_lease": lambda journal, _lease: journal.acquire("staging", "r-1", "ann", 60, preempts=True),
    "renew": lambda journal, lease: journal.renew(lease, 60),
    "release": lambda journal, lease: journal.release(lease),
    "holder": lambda journal, _lease: journal.holder("staging"),
    "newest_token": lambda journal, _lease: journal.newest_token("staging"),
}


@pytest.fixture
def lease(journal):
    """The second lease of r-1 on staging, token 2, in a journal of five entries."""
    journal.extend("r-1", [("note", {"number": number}) for number in range(5)])
    journal.acquire("staging", "r-1", "ann", 60)
    return journal.acquire("staging", "r-1", "ann", 60)


def cut(after):
    return delete(schema.entry).where(schema.entry.c.seq > after)


def behind(call, journal, lease=None):
    with pytest.raises(JournalBehind) as caught:
        (CALLS | OF_LEASES)[call](journal, lease)
    assert isinstance(caught.value, JournalError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_journal_that_lost_its_tail_is_named_by_every_call(journal, lease, vandal):
    vandal(cut(3))

    for call in CALLS | OF_LEASES:
        message = behind(call, journal, lease)
        assert "it ends with entry 3, and entries 4 to 5 are missing, which this process has seen" in message
        assert "restore the one that holds what is missing" in message


def test_nothing_is_written_into_a_journal_that_lost_its_tail(journal, lease, vandal, url, clock):
    vandal(cut(3))
    for call in CALLS | OF_LEASES:
        behind(call, journal, lease)

    with Journal.open(url, clock=clock) as fresh:
        assert len(fresh.entries()) == 3
        assert fresh.newest_token("staging") == 2
        assert fresh.holder("staging") == lease


def test_a_tail_that_was_written_anew_is_named_by_every_call(journal, lease, vandal, url, clock):
    vandal(cut(3))
    with Journal.open(url, clock=clock) as other:
        other.extend("r-2", [("note", {})] * 4)

    for call in CALLS | OF_LEASES:
        assert "entry 5 is another one than this process has seen there" in behind(call, journal, lease)


@pytest.mark.usefixtures("lease")
def test_one_entry_that_is_missing_is_named_alone(journal, vandal):
    vandal(cut(4))

    assert "it ends with entry 4, and entry 5 is missing" in behind("entries", journal)


@pytest.mark.usefixtures("lease")
def test_what_was_only_read_is_remembered_too(journal, url, clock, vandal):
    for call in ("entries", "head", "raw_entries"):
        with Journal.open(url, clock=clock) as reader:
            assert reader._seen.head is None
            CALLS[call](reader, None)
            assert reader._seen.head == journal.head()
    vandal(cut(4))
    behind("rollouts", journal)


@pytest.mark.usefixtures("lease")
def test_an_older_entry_that_is_read_replaces_no_newer_one(journal):
    newest = journal.append("r-2", "note", {})
    journal.entries("r-1")

    assert journal._seen.head == (newest.seq, newest.hash)


@pytest.mark.usefixtures("lease")
def test_another_process_can_be_given_what_this_one_has_seen(journal, url, clock, vandal):
    with Journal.open(url, clock=clock) as watchdog:
        watchdog.remember(*journal._seen.head)
        assert len(watchdog.entries()) == 5
        watchdog.remember(1, "0" * 64)
        assert watchdog._seen.head == journal._seen.head
        vandal(cut(2))
        assert "entries 3 to 5 are missing" in behind("entries", watchdog)


@pytest.mark.usefixtures("lease")
def test_a_journal_that_grew_is_fine(journal, url, clock):
    with Journal.open(url, clock=clock) as other:
        other.extend("r-2", [("note", {})] * 3)
        newer = other.acquire("staging", "r-2", "eve", 60, preempts=True)

    assert len(journal.entries()) == 8
    assert journal.newest_token("staging") == newer.token
    assert journal.append("r-1", "note", {}).seq == 9


@pytest.mark.usefixtures("lease")
def test_a_write_that_failed_is_not_expected(journal):
    with pytest.raises(TypeError):
        journal.append("r-1", "note", {"thing": object()})

    assert journal._seen.head[0] == 5
    assert journal.append("r-1", "note", {}).seq == 6


@pytest.mark.parametrize("gone", [True, False])
def test_a_table_of_leases_that_went_back_is_named_where_a_lease_is_read(journal, lease, vandal, gone):
    vandal(delete(schema.lease) if gone else update(schema.lease).values(token=1, rollout="r-0", holder="old"))

    for call in (*OF_LEASES, "append_held", "append_ending"):
        message = behind(call, journal, lease)
        assert f"the newest token of staging is {0 if gone else 1}, and this process was granted token 2" in message


@pytest.mark.usefixtures("lease")
def test_a_lease_table_of_a_target_that_was_never_granted_is_not_expected_to_hold_it(journal):
    assert journal.newest_token("production") == 0


@pytest.mark.usefixtures("lease")
def test_a_journal_that_went_back_can_be_verified_by_a_new_process(url, clock, vandal):
    vandal(cut(3))
    with Journal.open(url, clock=clock) as fresh:
        assert len(fresh.raw_entries()) == 3
        assert fresh.append("r-2", "note", {}).seq == 4


@pytest.mark.usefixtures("lease")
def test_a_journal_that_is_given_back_what_it_lost_goes_on(journal, vandal):
    lost = journal.entries()[3:]
    vandal(cut(3))
    behind("entries", journal)
    vandal(*(insert(schema.entry).values(**row(entry)) for entry in lost))

    assert journal.append("r-1", "note", {}).seq == 6
    assert len(journal.raw_entries()) == 6


def row(entry: Entry):
    from rollout.core.canonical_json import canonical

    names = ("seq", "rollout", "at", "kind", "prev", "hash")
    return {name: getattr(entry, name) for name in names} | {"body": canonical(entry.body).decode()}


def test_a_file_that_was_put_back_from_a_copy_is_named(sqlite_path, clock, tmp_path):
    with Journal.open(str(sqlite_path), clock=clock) as journal:
        journal.append("r-1", "note", {})
        shutil.copyfile(sqlite_path, tmp_path / "copy")
        journal.append("r-1", "intent", {})
        (tmp_path / "copy").replace(sqlite_path)

        assert "it ends with entry 1, and entry 2 is missing" in behind("append", journal)


def test_a_file_that_was_deleted_and_made_anew_is_named(sqlite_path, clock):
    with Journal.open(str(sqlite_path), clock=clock) as journal:
        journal.extend("r-1", [("note", {}), ("note", {})])
        sqlite_path.unlink()
        Journal.open(str(sqlite_path), clock=clock).close()

        assert "it ends with entry 0, and entries 1 to 2 are missing" in behind("entries", journal)


def test_the_comparison_costs_one_query_at_most(journal, url, clock):
    queries = []

    def statements(one, call):
        # A lease of its own for each, for an ending stands after the first.
        lease = one.acquire("staging", "r-1", "ann", 60, preempts=True)
        queries.clear()
        (CALLS | OF_LEASES)[call](one, lease)
        return len([each for each in queries if "rollout_" in each])

    def listen(one):
        event.listen(one._store._engine, "before_cursor_execute", lambda *facts: queries.append(facts[2]))
        return one

    listen(journal).append("r-1", "note", {})
    for call in CALLS | OF_LEASES:
        with Journal.open(url, clock=clock) as fresh:
            forgetful = listen(fresh)
            forgetful._seen.compare = lambda *_: None
            assert statements(journal, call) == statements(forgetful, call) + 1, call
