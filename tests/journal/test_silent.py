"""A journal that does not answer costs a bounded time: server, network or disk."""

import os
import signal
import threading
import time

import pytest
from sqlalchemy import event

from rollout.core.errors import JournalError
from rollout.journal import store
from rollout.journal.journal import Journal
from rollout.journal.leases import LeaseHeld
from tests.journal import postgres_server
from tests.journal.postgres_server import PASSWORD, PostgresServer
from tests.journal.silent_proxy import SilentProxy

WAIT_S = 0.2
PATIENCE_S = WAIT_S + 2
AT_ONCE_S = 0.1


@pytest.fixture(scope="module")
def own_server():
    """A server that no other test uses while it is stopped."""
    if postgres_server.missing():
        pytest.skip(postgres_server.missing())
    server = PostgresServer()
    server.start()
    yield server
    server.thaw()
    server.remove()


@pytest.fixture
def frozen(own_server):
    """A server that can be frozen; it goes on when the test is over."""
    yield own_server
    own_server.thaw()


@pytest.fixture
def proxy(postgres):
    proxy = SilentProxy(postgres.port)
    yield proxy
    proxy.close()


@pytest.fixture
def behind_proxy(postgres, proxy):
    """The URL of a new journal, through the proxy."""
    return postgres.new_database().replace(f":{postgres.port}/", f":{proxy.port}/")


def silent(call):
    """Return the sentence that a call fails with, which takes no longer than its deadline."""
    began = time.monotonic()
    with pytest.raises(JournalError) as caught:
        call()
    assert time.monotonic() - began < PATIENCE_S + 1
    assert "\n" not in str(caught.value)
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


def at_once(call):
    began = time.monotonic()
    with pytest.raises(JournalError):
        call()
    assert time.monotonic() - began < AT_ONCE_S


def after_the_pause(journal):
    time.sleep(journal._deadline.pause_s)
    return journal


def open_(url, clock):
    journal = Journal.open(url, clock=clock, wait_s=WAIT_S)
    journal._deadline.pause_s = 0.3
    return journal


def test_a_server_that_is_stopped_costs_the_deadline_once_and_is_noticed_when_it_goes_on(frozen, clock):
    with open_(frozen.new_database(), clock) as journal:
        journal.append("r-1", "note", {"n": 1})
        frozen.freeze()
        assert "did not answer within 2.2 s" in silent(lambda: journal.append("r-1", "note", {"n": 2}))
        for call in (journal.entries, lambda: journal.append("r-1", "note", {}), lambda: journal.newest_token("x")):
            at_once(call)
        assert "did not answer within 2 s" in silent(after_the_pause(journal).head)
        frozen.thaw()

        assert after_the_pause(journal).append("r-1", "note", {"n": 3}).seq == 2
        assert [entry.body["n"] for entry in journal.raw_entries()] == [1, 3]


def test_a_commit_that_a_stopped_server_has_not_read_is_not_executed_when_it_goes_on(frozen, clock):
    """It waits in the server's own buffer, also after the connection is gone."""
    url = frozen.new_database()
    with open_(url, clock) as journal:
        journal.append("r-1", "note", {"n": 1})
        event.listen(journal._store._engine, "commit", lambda _connection: frozen.freeze())
        silent(lambda: journal.append("r-1", "intent", {"n": 2}))
    frozen.thaw()

    with Journal.open(url, clock=clock) as fresh:
        assert fresh.append("r-1", "note", {"n": 3}).seq == 2
        assert [entry.body["n"] for entry in fresh.raw_entries()] == [1, 3]


def test_a_server_that_is_stopped_does_not_delay_a_call_that_does_not_wait(frozen, clock):
    with open_(frozen.new_database(), clock) as journal:
        frozen.freeze()
        began = time.monotonic()
        samples = [journal.append_soon("r-1", "sample", {"n": number}) for number in range(3)]
        assert time.monotonic() - began < AT_ONCE_S
        assert all("did not answer" in str(sample.exception(PATIENCE_S + 1)) for sample in samples)
        at_once(journal.entries)
        frozen.thaw()


def test_a_network_that_loses_packets_costs_the_deadline(behind_proxy, proxy, clock):
    with open_(behind_proxy, clock) as journal:
        journal.append("r-1", "note", {"n": 1})
        proxy.silent, worker = True, journal._deadline._state().line.thread
        assert "did not answer within 2.2 s" in silent(lambda: journal.append("r-1", "note", {"n": 2}))
        at_once(journal.entries)
        # Its connection was cut off: nothing is left that waits, or that could come through later.
        worker.join(5)
        assert not worker.is_alive()
        proxy.silent = False

        assert after_the_pause(journal).append("r-1", "note", {"n": 3}).seq == 2


def test_a_server_that_accepts_and_never_answers_costs_the_deadline_to_open(behind_proxy, proxy, clock):
    proxy.silent = True

    silent(lambda: open_(behind_proxy, clock))


def test_a_process_that_waits_for_a_silent_journal_handles_a_signal_and_can_end(behind_proxy, proxy, start_worker):
    worker = start_worker("wait", behind_proxy)
    assert worker.stdout.readline() == "ready\n"
    proxy.silent = True
    worker.stdin.write("go\n")
    worker.stdin.flush()
    assert worker.stdout.readline() == "asking\n"
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.stdout.readline() == "heard\n"
    assert time.monotonic() - began < 1

    assert "did not answer within 3 s" in worker.stdout.readline()
    reported = time.monotonic()
    assert worker.wait(timeout=30) == 0
    assert time.monotonic() - reported < 3


class Hung:
    """A file system that hangs in one call until the end of the test."""

    def __init__(self) -> None:
        self.go, self.hangs = threading.Event(), True

    def around(self, call):
        """Return the call, which hangs."""

        def hanging(*args, **kwargs):
            if self.hangs:
                assert self.go.wait(30)
            return call(*args, **kwargs)

        return hanging


@pytest.fixture
def hung():
    hung = Hung()
    yield hung
    hung.go.set()


def test_a_file_system_that_hangs_costs_the_deadline_and_is_noticed_when_it_goes_on(
    sqlite_path, clock, hung, monkeypatch
):
    with open_(str(sqlite_path), clock) as journal:
        journal.append("r-1", "note", {"n": 1})
        with monkeypatch.context() as patch:
            patch.setattr(store, "_state_of", hung.around(store._state_of))
            assert f"journal {sqlite_path}: it did not answer within 2.2 s" in silent(journal.entries)
            at_once(lambda: journal.append("r-1", "note", {}))
        hung.go.set()

        assert after_the_pause(journal).append("r-1", "note", {"n": 2}).seq == 2


def test_a_file_system_that_hangs_costs_the_deadline_to_open(sqlite_path, clock, hung, monkeypatch):
    monkeypatch.setattr(store, "_make_file", hung.around(store._make_file))

    assert "did not answer within 2.2 s" in silent(lambda: open_(str(sqlite_path), clock))


def test_what_was_given_up_before_its_commit_is_never_written(url, clock):
    go = threading.Event()
    with open_(url, clock) as journal:
        journal.append("r-1", "note", {"n": 1})
        engine, hanging = journal._store._engine, threading.Event()

        def hang(_connection, _cursor, statement, *_):
            if statement.startswith("INSERT INTO rollout_entry"):
                hanging.set()
                assert go.wait(30)

        event.listen(engine, "after_cursor_execute", hang)
        worker = journal._deadline._state().line.thread
        silent(lambda: journal.append("r-1", "intent", {"n": 2}))
        assert hanging.is_set()
        go.set()
        worker.join(10)

        assert not worker.is_alive()
        assert after_the_pause(journal).append("r-1", "note", {"n": 3}).seq == 2
        assert [entry.body["n"] for entry in journal.raw_entries()] == [1, 3]


def test_what_is_appended_without_waiting_is_there_for_every_later_call_with_the_time_of_its_own(journal, clock):
    futures = []
    for number in range(20):
        futures.append(journal.append_soon("r-1", "sample", {"n": number}))
        clock.advance(1)
    after = journal.append("r-1", "note", {"n": 20})

    assert [entry.body["n"] for entry in journal.entries()] == [*range(21)]
    assert [future.result(0) for future in futures] == list(journal.entries("r-1", "sample"))
    assert [entry.at for entry in journal.entries()][::10] == [
        "2026-03-01T12:00:00.123Z",
        "2026-03-01T12:00:10.123Z",
        after.at,
    ]


def test_closing_writes_what_was_to_be_appended_soon(url, clock):
    journal = Journal.open(url, clock=clock)
    for number in range(20):
        journal.append_soon("r-1", "sample", {"n": number})
    journal.close()

    with Journal.open(url, clock=clock) as later:
        assert len(later.raw_entries()) == 20


def test_a_body_without_a_canonical_form_is_refused_at_once(journal):
    with pytest.raises(TypeError, match="no canonical form for object"):
        journal.append_soon("r-1", "note", {"thing": object()})


def test_what_the_journal_says_is_raised_as_it_is(journal):
    lease = journal.acquire("staging", "r-1", "ann", 60)

    with pytest.raises(LeaseHeld) as caught:
        journal.acquire("staging", "r-2", "bob", 60)
    assert caught.value.lease == lease


def test_a_fork_shares_the_chain_and_no_connection(journal):
    journal.append("r-1", "note", {"n": 0})
    pid = os.fork()
    if not pid:
        try:
            for number in range(20):
                journal.append("child", "note", {"n": number})
        finally:
            os._exit(0)
    for number in range(20):
        journal.append("parent", "note", {"n": number})
    os.waitpid(pid, 0)

    assert [len(journal.entries(name)) for name in ("child", "parent")] == [20, 20]
    assert len(journal.raw_entries()) == 41


def test_the_price_of_the_thread_is_small_beside_that_of_a_call(journal):
    """An append waits for the disk, or for the server."""
    journal.append("r-1", "note", {})
    costs = []
    for number in range(30):
        began = time.perf_counter()
        journal._deadline.call(lambda: None)
        handed_over = time.perf_counter()
        journal.append("r-1", "note", {"n": number})
        costs.append((handed_over - began, time.perf_counter() - handed_over))
    handing, calling = (sorted(each)[len(costs) // 4] for each in zip(*costs, strict=True))

    assert handing < 0.3 * calling
