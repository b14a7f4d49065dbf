"""A journal that cannot be used says why, in one sentence, without a password."""

import os
import shutil
import sqlite3
import stat
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import event, update

from rollout.core.errors import JournalError
from rollout.journal import schema
from rollout.journal.journal import Journal
from rollout.journal.seen import JournalBehind

PASSWORD = "hunter2-of-the-url"


@pytest.fixture
def refused(clock):
    """Open a journal that must be refused; return the one line of its error."""

    def refusal(url, **options):
        with pytest.raises(JournalError) as caught:
            Journal.open(str(url), clock=clock, **options)
        assert "\n" not in str(caught.value)
        assert PASSWORD not in str(caught.value)
        assert caught.value.__cause__ is None
        return str(caught.value)

    return refusal


@pytest.fixture
def existing(sqlite_path, clock):
    """A SQLite journal of one entry."""
    with Journal.open(str(sqlite_path), clock=clock) as journal:
        journal.append("r-1", "note", {})
    return sqlite_path


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_folder_and_file_are_made_and_only_the_owner_may_ever_read_the_file(tmp_path, clock, monkeypatch):
    # Private from its first moment, not made private after it.
    monkeypatch.setattr(Path, "chmod", lambda *_: None)
    before = os.umask(0)
    try:
        Journal.open(str(tmp_path / "new" / "folder" / "j.sqlite"), clock=clock).close()
    finally:
        os.umask(before)

    assert mode(tmp_path / "new" / "folder" / "j.sqlite") == 0o600


def test_the_file_that_sqlite_rolls_back_from_is_the_owners_too(existing, clock):
    with Journal.open(str(existing), clock=clock) as journal, journal._store.write() as connection:
        connection.exec_driver_sql("DELETE FROM rollout_entry")
        beside = existing.with_name(existing.name + "-journal")
        assert mode(beside) == 0o600


def test_a_file_that_others_could_read_is_closed_to_them(existing, clock):
    existing.chmod(0o664)
    Journal.open(str(existing), clock=clock).close()

    assert mode(existing) == 0o600


def test_a_commit_is_flushed_with_the_folder_that_names_it(existing, clock):
    with Journal.open(str(existing), clock=clock) as journal:
        for access in (journal._store.read, journal._store.write):
            with access() as connection:
                assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 3
                assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"


def test_a_commit_waits_for_the_servers_disk_whatever_the_servers_default(postgres, clock):
    url = postgres.new_database()
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {engine.url.database} SET synchronous_commit = off")
        connection.exec_driver_sql(
            f"ALTER DATABASE {engine.url.database} SET default_transaction_isolation = 'repeatable read'"
        )
    engine.dispose()

    with Journal.open(url, clock=clock) as journal, journal._store.write() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"


@pytest.mark.parametrize("name", ["plain", "with space", "per%20cent", "question?mark", "ha#sh"])
def test_a_path_is_taken_as_it_is_written(tmp_path, clock, name):
    Journal.open(str(tmp_path / name), clock=clock).close()

    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_relative_path_stays_where_it_was_when_the_process_moves(tmp_path, clock, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Journal.open("sqlite:///j.sqlite", clock=clock) as journal:
        monkeypatch.chdir("/")
        assert journal.append("r-1", "note", {}).seq == 1
    assert (tmp_path / "j.sqlite").stat().st_size > 0


def test_an_existing_journal_is_opened_without_writing_to_it(existing, clock):
    before = existing.read_bytes()
    with Journal.open(str(existing), clock=clock) as journal:
        assert len(journal.raw_entries()) == 1

    assert existing.read_bytes() == before


def test_a_journal_that_must_exist_is_not_made(tmp_path, refused):
    assert refused(tmp_path / "none.sqlite", create=False) == (
        f"there is no journal at {tmp_path}/none.sqlite: there is no such file. "
        "Name an existing one with --journal, or its folder with --reports"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_is_no_journal_where_one_must_exist(url, refused, sqlite_path):
    sqlite3.connect(sqlite_path).executescript("CREATE TABLE a (b); DROP TABLE a;").connection.close()

    assert "this database holds none of its tables" in refused(url, create=False)


def test_a_path_below_a_file_is_refused(tmp_path, refused):
    (tmp_path / "file").touch()

    assert f"cannot be made ({tmp_path}/file: File exists)" in refused(tmp_path / "file" / "j.sqlite")


def test_a_folder_in_place_of_the_file_is_refused_and_left_as_it_is(tmp_path, refused):
    tmp_path.chmod(0o755)

    assert "this is not a file" in refused(tmp_path)
    assert mode(tmp_path) == 0o755


def test_a_folder_that_may_not_be_written_is_refused(public_folder, existing, clock, refused, ordinary_user):
    Journal.open(str(existing), clock=clock).close()
    public_folder.chmod(0o555)
    with ordinary_user():
        assert "/j.sqlite: Permission denied)" in refused(public_folder / "j.sqlite")


def test_a_file_that_may_not_be_written_can_be_verified_and_not_appended_to(public_folder, clock, ordinary_user):
    path = public_folder / "j.sqlite"
    with Journal.open(str(path), clock=clock) as journal:
        journal.append("r-1", "note", {})
    path.chmod(0o444)
    with ordinary_user(), Journal.open(str(path), clock=clock) as journal:
        assert len(journal.raw_entries()) == 1
        with pytest.raises(
            JournalError,
            match=r"cannot be written \(.*readonly.*\)\. Let this user write the file \(--journal names it\)",
        ):
            journal.append("r-1", "note", {})


def test_a_full_disk_is_a_sentence_and_the_chain_goes_on_when_there_is_space(existing, clock):
    with Journal.open(str(existing), clock=clock) as journal:
        pages = {"at most": 1}

        def limit(connection, *_):
            connection.execute(f"PRAGMA max_page_count={pages['at most']}")

        event.listen(journal._store._engine, "checkout", limit)
        with pytest.raises(JournalError, match=r"the disk is full \(database or disk is full\)\. Free some space"):
            journal.append("r-1", "note", {"padding": "x" * 100_000})
        pages["at most"] = 1000

        assert journal.append("r-1", "note", {}).seq == 2
        assert len(journal.raw_entries()) == 2


def test_a_file_that_is_no_database_is_refused(sqlite_path, refused):
    sqlite_path.write_text("change: {activate: openai, model: gpt-4o}\n" * 100)

    assert "this file is not a database" in refused(sqlite_path)


def test_a_damaged_file_is_a_sentence(existing, clock):
    with Journal.open(str(existing), clock=clock) as journal:
        for _ in range(50):
            journal.append("r-1", "note", {"padding": "x" * 1000})
        with existing.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (existing.stat().st_size - 4096))
        with pytest.raises(JournalError, match=r"the file is damaged \(.*\)\. Keep it as evidence"):
            len(journal.raw_entries())


def test_a_journal_that_is_deleted_under_a_run_is_not_made_anew(existing, clock):
    with Journal.open(str(existing), clock=clock) as journal:
        existing.unlink()
        with pytest.raises(JournalError, match="cannot be opened"):
            journal.append("r-1", "note", {})
    assert not existing.exists()


def test_calls_one_after_the_other_share_a_connection(existing, clock):
    with Journal.open(str(existing), clock=clock) as journal:
        journal.entries("r-1")
        opened = []
        event.listen(journal._store._engine, "connect", lambda *_: opened.append(1))
        for number in range(5):
            journal.append("r-1", "note", {"n": number})
            journal.entries("r-1")

        assert opened == []


def test_a_file_that_another_history_was_copied_over_is_read_anew(existing, clock, tmp_path):
    """SQLite itself sees no change here: inode, size and its own counter of changes are the same."""
    other = tmp_path / "other.sqlite"
    shutil.copyfile(existing, other)
    with Journal.open(str(other), clock=clock) as journal:
        journal.append("r-1", "note", {"by": "bob"})
    with Journal.open(str(existing), clock=clock) as journal:
        journal.append("r-1", "note", {"by": "ann"})
        assert other.stat().st_size == existing.stat().st_size
        existing.write_bytes(other.read_bytes())

        with pytest.raises(JournalBehind, match="entry 2 is another one than this process has seen there"):
            journal.entries("r-1")


def test_a_database_of_another_program_is_refused_and_left_as_it_is(sqlite_path, refused):
    with sqlite3.connect(sqlite_path) as connection:
        connection.execute("CREATE TABLE invoices (id INTEGER)")
    connection.close()
    before = sqlite_path.read_bytes()

    assert "is not a rollout journal, its tables are invoices." in refused(sqlite_path)
    assert sqlite_path.read_bytes() == before


def test_half_a_journal_is_refused(url, clock, vandal, refused):
    Journal.open(url, clock=clock).close()
    vandal("DROP TABLE rollout_entry")

    assert "is not a rollout journal, its tables are rollout_lease, rollout_meta." in refused(url)


def test_tables_of_the_same_name_and_another_shape_are_refused(url, vandal, refused):
    vandal(*(f"CREATE TABLE rollout_{name} (id INTEGER)" for name in ("entry", "lease", "meta")))

    assert "its tables are not those of a rollout journal" in refused(url)


def test_a_shared_database_may_hold_other_tables_on_a_server(postgres, clock):
    url = postgres.new_database()
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE invoices (id INTEGER)")
    engine.dispose()

    with Journal.open(url, clock=clock) as journal:
        assert journal.append("r-1", "note", {}).seq == 1


def test_a_newer_schema_is_refused(url, clock, vandal, refused):
    Journal.open(url, clock=clock).close()
    vandal(update(schema.meta).where(schema.meta.c.key == "schema_version").values(value="99"))

    assert f"its schema is version 99, and this program knows version {schema.SCHEMA_VERSION} at most" in refused(url)


@pytest.mark.parametrize("version", ["0", "one"])
def test_a_schema_version_that_never_was_is_refused(url, clock, vandal, refused, version):
    Journal.open(url, clock=clock).close()
    vandal(update(schema.meta).where(schema.meta.c.key == "schema_version").values(value=version))

    assert f"its schema version reads '{version}', which no rollout journal has" in refused(url)


def test_a_journal_that_stays_locked_is_refused_after_the_wait(url, clock):
    with Journal.open(url, clock=clock) as other, Journal.open(url, clock=clock, wait_s=0.2) as journal:
        begin = time.monotonic()
        with (
            other._store.write(),
            pytest.raises(JournalError, match=r"another process kept it locked for 0\.2 s\. End that process"),
        ):
            journal.append("r-1", "note", {})
        assert 0.2 <= time.monotonic() - begin < 3
        assert journal.append("r-1", "note", {}).seq == 1


def test_a_server_that_takes_too_long_is_a_sentence(postgres, clock):
    with Journal.open(postgres.new_database(), clock=clock, wait_s=0.2) as journal:

        def dawdle():
            with journal._store.write() as connection:
                connection.exec_driver_sql("SELECT pg_sleep(30)")

        with pytest.raises(JournalError, match=r"the server did not finish in time \(canceling statement"):
            dawdle()


def test_a_server_that_is_read_only_is_a_sentence_and_can_be_verified(postgres, clock):
    url = postgres.new_database()
    Journal.open(url, clock=clock).close()
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {engine.url.database} SET default_transaction_read_only = on")
    engine.dispose()

    with Journal.open(url, clock=clock) as journal:
        assert len(journal.raw_entries()) == 0
        with pytest.raises(JournalError, match=r"the server is read-only .* Name the primary server with --journal"):
            journal.append("r-1", "note", {})


def test_readers_are_not_held_up_by_a_writer(journal):
    journal.append("r-1", "note", {})
    with journal._store.write():
        assert len(journal.entries("r-1")) == 1


def test_an_operators_request_is_found_without_reading_the_samples(existing):
    """It is asked for at every poll of the operator, among the samples of a day."""
    query = schema.chosen("r-1", ("abort", "hold"))
    engine = sqlalchemy.create_engine(f"sqlite:///{existing}")
    text = str(query.compile(engine, compile_kwargs={"literal_binds": True}))
    with engine.connect() as connection:
        steps = [row.detail for row in connection.execute(sqlalchemy.text(f"EXPLAIN QUERY PLAN {text}"))]
    engine.dispose()
    assert "INDEX rollout_entry_by_kind (rollout=? AND kind=?" in steps[0], steps


def test_a_missing_driver_is_named_with_the_command_that_installs_it(monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "psycopg", None)

    message = refused(f"postgresql+psycopg://rollout:{PASSWORD}@db.example/journal")
    assert message.startswith("journal postgresql+psycopg://rollout:***@db.example/journal: the driver psycopg is not")
    assert "pip install" in message


@pytest.mark.usefixtures("postgres")
def test_a_server_that_is_not_there_is_a_sentence_without_the_password(refused):
    message = refused(
        f"postgresql+psycopg://rollout:{PASSWORD}@127.0.0.1:1/journal?application_name={PASSWORD}", wait_s=2
    )

    assert "Connection refused" in message or "connection refused" in message


def test_a_wrong_password_is_a_sentence_without_it(postgres, refused):
    url = f"postgres://rollout:{PASSWORD}@127.0.0.1:{postgres.port}/postgres"

    assert 'password authentication failed for user "rollout"' in refused(url)


def test_a_writer_needs_no_right_to_change_what_was_written(postgres, clock):
    url = postgres.new_database()
    Journal.open(url, clock=clock).close()
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE appender LOGIN PASSWORD '{PASSWORD}'")
        connection.exec_driver_sql("GRANT SELECT ON rollout_entry, rollout_meta, rollout_lease TO appender")
        connection.exec_driver_sql("GRANT INSERT ON rollout_entry TO appender")
    restricted = engine.url.set(username="appender", password=PASSWORD).render_as_string(hide_password=False)
    engine.dispose()

    with Journal.open(restricted, clock=clock) as journal:
        assert journal.append("r-1", "note", {}).seq == 1
        with pytest.raises(JournalError, match="this user lacks a right"):
            journal.acquire("staging", "r-1", "somebody", 60)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"mysql://rollout:{PASSWORD}@db/journal", "mysql is not supported"),
        ("sqlite://", "SQLite needs the path of a file"),
        ("sqlite:///:memory:", "SQLite needs the path of a file"),
        ("sqlite:////tmp/j.sqlite?mode=ro", "SQLite needs the path of a file, without options"),
        (f"postgresql+psycopg://rollout:{PASSWORD}@db:port/journal", "not a URL"),
        (f"postgresql://rollout:@{PASSWORD}@db/journal", "holds two @"),
        ("://", "not a URL"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_the_forms_that_can(refused, url, why):
    message = refused(url)

    assert why in message
    assert "write a path, sqlite:////absolute/path, or postgresql+psycopg://user:password@host:port/database" in message
