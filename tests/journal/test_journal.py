"""Every entry is kept, in order, also of several writers at once."""

import signal
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum

import pytest
import sqlalchemy

from rollout.core.errors import JournalError
from rollout.journal.journal import Journal

SECRET = "sk-planted-secret-0123456789"


class Kind(StrEnum):
    """Kinds of entries, as the read model has them."""

    ABORT = "abort"


def test_what_was_appended_is_read_back_equal(journal):
    written = journal.append("r-1", "note", {"a": [1, 2.5, None, True, {"ü": "☃"}], "nul": "\x00", "tuple": (1, 2)})

    assert journal.entries() == (written,)
    assert written.body == {"a": [1, 2.5, None, True, {"ü": "☃"}], "nul": "\x00", "tuple": [1, 2]}


def test_entries_written_side_by_side_continue_one_chain(journal):
    first = journal.append("r-1", "note", {"number": 0})
    written = journal.extend("r-1", [("note", {"number": 1}), ("sample", {"number": 2})])

    assert journal.entries() == (first, *written)
    assert [entry.body["number"] for entry in written] == [1, 2]
    assert len(journal.raw_entries()) == 3


def test_of_entries_written_side_by_side_all_are_kept_or_none(journal):
    with pytest.raises(TypeError, match="no canonical form for object"):
        journal.extend("r-1", [("note", {}), ("note", {"thing": object()})])

    assert journal.entries() == ()


def test_an_entry_is_stamped_by_the_clock_in_utc(journal, clock):
    first = journal.append("r-1", "note", {})
    clock.advance(1.5)
    second = journal.append("r-1", "note", {})

    assert (first.at, second.at) == ("2026-03-01T12:00:00.123Z", "2026-03-01T12:00:01.623Z")


def test_numbers_that_json_lacks_are_kept_as_words(journal):
    journal.append("r-1", "sample", {"p95_ms": float("nan"), "rates": [float("inf"), float("-inf")]})

    assert journal.entries()[0].body == {"p95_ms": "nan", "rates": ["inf", "-inf"]}
    assert len(journal.raw_entries()) == 1


def test_text_that_utf8_lacks_is_kept_as_an_escape(journal):
    journal.append("r-1", "error", {"said \udcff": "caf\udce9"})

    assert journal.entries()[0].body == {"said \\udcff": "caf\\udce9"}
    assert len(journal.raw_entries()) == 1


def test_a_body_without_a_canonical_form_is_refused_and_nothing_is_written(journal):
    with pytest.raises(TypeError, match="no canonical form for object"):
        journal.append("r-1", "note", {"thing": object()})

    assert journal.entries() == ()


def test_kinds_may_be_members_of_an_enumeration(journal):
    written = journal.append("r-1", Kind.ABORT, {"kind": Kind.ABORT})

    assert journal.entries("r-1", Kind.ABORT) == (written,)
    assert type(written.kind) is str
    assert len(journal.raw_entries()) == 1


def test_entries_are_chosen_by_rollout_and_kinds_in_the_order_of_writing(journal):
    for rollout, kind in [("b", "intent"), ("a", "intent"), ("b", "outcome"), ("b", "note"), ("a", "outcome")]:
        journal.append(rollout, kind, {})

    assert [entry.seq for entry in journal.entries()] == [1, 2, 3, 4, 5]
    assert [entry.seq for entry in journal.entries("b")] == [1, 3, 4]
    assert [entry.seq for entry in journal.entries("b", "intent", "note")] == [1, 4]
    assert [entry.seq for entry in journal.entries(None, "outcome")] == [3, 5]
    assert journal.entries("nobody") == ()
    assert journal.rollouts() == ("b", "a")


def test_a_journal_is_the_same_for_the_next_process(url, clock):
    with Journal.open(url, clock=clock) as first:
        written = first.append("r-1", "note", {"n": 1})
    with Journal.open(url, clock=clock) as second:
        assert second.entries() == (written,)
        assert second.append("r-1", "note", {}).prev == written.hash


def test_a_body_is_redacted_before_it_is_written(url, clock):
    def redact(value):
        return {key: "***" if part == SECRET else part for key, part in value.items()}

    with Journal.open(url, clock=clock, redact=redact) as journal:
        written = journal.append("r-1", "note", {"token": SECRET, "model": "gpt-4o"})

    assert written.body == {"token": "***", "model": "gpt-4o"}
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        assert SECRET not in str(connection.exec_driver_sql("SELECT * FROM rollout_entry").all())
    engine.dispose()


def test_no_byte_of_a_redacted_secret_reaches_the_disk(sqlite_path, clock):
    with Journal.open(str(sqlite_path), clock=clock, redact=lambda body: {**body, "token": "***"}) as journal:
        journal.append("r-1", "note", {"token": SECRET, "model": "gpt-4o"})

    on_disk = b"".join(file.read_bytes() for file in sqlite_path.parent.iterdir())
    assert SECRET.encode() not in on_disk
    assert b"gpt-4o" in on_disk


def test_a_process_that_continues_a_rollout_redacts_with_the_secrets_that_it_has_learnt(sqlite_path, clock):
    with Journal.open(str(sqlite_path), clock=clock) as journal:
        journal.redact_with(lambda body: {**body, "token": "***"})
        assert journal.append("r-1", "note", {"token": "plain"}).body["token"] == "***"


def test_three_processes_write_one_unbroken_chain(url, clock, start_worker):
    # Nothing exists yet: they also race for making the tables.
    workers = [start_worker("append", url, name, 100) for name in "abc"]
    assert [worker.wait(timeout=100) for worker in workers] == [0, 0, 0]

    with Journal.open(url, clock=clock, create=False) as journal:
        assert len(journal.raw_entries()) == 300
        for name in "abc":
            assert [entry.body["number"] for entry in journal.entries(name)] == list(range(100))


def test_twenty_threads_write_one_unbroken_chain_through_one_journal(journal):
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda number: journal.append("r-1", "note", {"number": number}), range(100)))

    assert len(journal.raw_entries()) == 100
    assert {entry.body["number"] for entry in journal.entries()} == set(range(100))


@pytest.mark.parametrize("after", [1, 4, 9])
def test_a_writer_killed_in_mid_write_leaves_a_chain_with_every_confirmed_entry(url, clock, start_worker, after):
    worker = start_worker("append-forever", url)
    numbers = [int(worker.stdout.readline()) for _ in range(after)]
    worker.send_signal(signal.SIGKILL)
    numbers += [int(line) for line in worker.stdout.read().split("\n")[:-1]]

    with Journal.open(url, clock=clock) as journal:
        entries = len(journal.raw_entries())
        assert entries in {numbers[-1], numbers[-1] + 1}
        assert journal.append("r-1", "note", {}).seq == entries + 1
        assert len(journal.raw_entries()) == entries + 1


def test_a_write_that_is_interrupted_leaves_no_trace(journal):
    journal.append("r-1", "note", {"n": 1})

    def interrupted():
        with journal._store.write() as connection:
            connection.exec_driver_sql("DELETE FROM rollout_entry")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert journal.append("r-1", "note", {"n": 2}).seq == 2
    assert len(journal.raw_entries()) == 2


def test_another_host_is_named_until_it_claims_the_file(sqlite_path, clock):
    with Journal.open(str(sqlite_path), clock=clock, host="build-1") as journal:
        assert journal.foreign_host() is None
    with Journal.open(str(sqlite_path), clock=clock, host="build-2") as journal:
        assert journal.foreign_host() == "build-1"
        journal.lock_host()
        assert journal.foreign_host() is None
    with Journal.open(str(sqlite_path), clock=clock, host="build-1") as journal:
        assert journal.foreign_host() == "build-2"


def test_a_shared_server_belongs_to_no_host(postgres, clock):
    url = postgres.new_database()
    Journal.open(url, clock=clock, host="build-1").close()

    with Journal.open(url, clock=clock, host="build-2") as journal:
        assert journal.foreign_host() is None


def test_two_clients_of_one_server_continue_one_chain(postgres, clock):
    url = postgres.new_database()
    with Journal.open(url, clock=clock, host="stage-1") as one, Journal.open(url, clock=clock, host="stage-2") as two:
        first = one.append("r-1", "note", {})
        second = two.append("r-1", "note", {})

        assert second.prev == first.hash
        assert one.entries() == two.entries() == (first, second)


def test_a_server_that_is_gone_is_a_sentence_and_its_return_is_noticed(postgres, clock):
    with Journal.open(postgres.new_database(), clock=clock, wait_s=2) as journal:
        journal.append("r-1", "note", {})
        postgres.stop()
        try:
            with pytest.raises(JournalError, match="Check that the database is reachable") as caught:
                journal.append("r-1", "note", {})
            with pytest.raises(JournalError):
                journal.entries()
        finally:
            postgres.start()

        assert "\n" not in str(caught.value)
        assert journal.append("r-1", "note", {}).seq == 2
        assert len(journal.raw_entries()) == 2


def test_a_server_that_was_restarted_between_two_calls_goes_unnoticed(postgres, clock):
    with Journal.open(postgres.new_database(), clock=clock) as journal:
        journal.append("r-1", "note", {})
        postgres.stop()
        postgres.start()

        assert journal.append("r-1", "note", {}).seq == 2
