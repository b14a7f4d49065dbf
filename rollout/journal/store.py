"""The database of a journal: SQLite or PostgreSQL, one writer at a time, and every failure in one sentence."""

from __future__ import annotations

import math
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote
from weakref import WeakSet

from sqlalchemy import URL, Connection, Dialect, Engine, QueuePool, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError

from rollout.core.errors import JournalAbsent, JournalError
from rollout.journal import schema
from rollout.journal.deadline import SPARE_S
from rollout.journal.schema import absent

# Any fixed number: all journals of one database take turns on it. A lock on a table would need more rights than
# SELECT and INSERT, and an append-only grant is worth having.
_ADVISORY_LOCK = 0x726F6C6C6F7574

# Code prefixes of SQLite and SQLSTATEs of PostgreSQL, with why and how to mend; the last one fits every other code.
_REASONS = (
    ("SQLITE_BUSY", "another process kept it locked for {wait_s:g} s. End that process, then call again"),
    ("SQLITE_FULL", "the disk is full (database or disk is full). Free some space, then call again"),
    (
        "SQLITE_READONLY",
        "it cannot be written ({detail}). Let this user write the file (--journal names it) and its folder",
    ),
    (
        "SQLITE_CANTOPEN",
        "it cannot be opened ({detail}). Check that file (--journal names it) and folder may be written",
    ),
    ("SQLITE_CORRUPT", "the file is damaged ({detail}). Keep it as evidence, and name a new one with --journal"),
    ("SQLITE_IOERR", "the disk failed ({detail}). Check the disk and the space left on it"),
    ("SQLITE_ERROR", "its tables are not those of a rollout journal ({detail}). Name another one with --journal"),
    ("55P03", "another process kept it locked for {wait_s:g} s. End that process, then call again"),
    ("57014", "the server did not finish in time ({detail}). Check the server, then call again"),
    ("53100", "the server's disk is full ({detail}). Free some space, then call again"),
    ("25P03", "this process paused in the middle of a write, and the server ended it ({detail}). Call again"),
    ("25006", "the server is read-only ({detail}). Name the primary server with --journal"),
    ("42501", "this user lacks a right ({detail}). Grant it, or name another user in the URL"),
    ("42P01", "its tables are not those of a rollout journal ({detail}). Name another one with --journal"),
    ("42703", "its tables are not those of a rollout journal ({detail}). Name another one with --journal"),
    ("", "{detail}. Check that the database is reachable and undamaged, then call again"),
)


class Store:
    """One database: reads that block no other call, and writes that take turns over all threads and processes.

    It is reached at the first call: `prepare`, `read` or `write`.

    Attributes:
        where: its path or URL, without a password, for messages.
        is_file: True where it is a file of this host (SQLite).
        patience_s: after how long a call that has not ended is stuck.
    """

    where: str = ""
    patience_s: float = SPARE_S

    def __init__(self, url: str, *, wait_s: float) -> None:
        self._wait_s = wait_s
        self.patience_s = wait_s + SPARE_S
        self._url = _parsed(url)
        self._secret = str(self._url.password or "")
        self.is_file = self._url.drivername == "sqlite"
        self._path = Path(self._url.database or "").expanduser().absolute()
        shown = self._url.set(query={}).render_as_string(hide_password=True)
        self.where = str(self._path) if self.is_file else shown
        # By process: a connection that a fork inherits is its parent's.
        self._open: dict[int, tuple[Engine, set[Any]]] = {}
        self._abandoned: WeakSet[threading.Thread] = WeakSet()

    def prepare(self, *, host: str, created: str, create: bool) -> None:
        """Check that the database holds a journal that this program reads; make an empty one where there is none.

        Args:
            host: what is noted in a new one as its host.
            created: what is noted as the moment of its making.
            create: False makes nothing and changes nothing: no folder, no file, no table, no permission.

        Raises:
            JournalError: there is none and none is to be made, or it is something else, damaged, or of a newer version.
        """
        if self.is_file:
            (_make_file if create else _find_file)(self._path)
        with self.read() as connection:
            is_there = schema.is_present(connection, self.where)
        if not is_there and not create:
            raise absent(self.where, "this database holds none of its tables", JournalAbsent)
        if not is_there:
            with self.write() as connection:
                # Checked again under the lock: two first runs at once make the tables once.
                if not schema.is_present(connection, self.where):
                    schema.create(connection, host, created)
        if create and self.is_file:
            # The files that SQLite puts beside it inherit its mode. A journal on a read-only medium, or of another
            # owner, can still be read.
            with suppress(OSError):
                self._path.chmod(self._path.stat().st_mode & 0o700)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection on which each statement sees one consistent moment.

        Raises:
            JournalError: the database cannot be read.
        """
        with self._in_words(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection that no other writer shares the journal with; on disk when the block has been left.

        An exception in the block undoes everything that was written in it.

        Raises:
            JournalError: the database cannot be written, or stayed locked for longer than the wait.
        """
        with self._in_words(), self._engine.begin() as connection:
            self._take_turn(connection)
            yield connection
            self._refuse_abandoned()

    def abandon(self, thread: threading.Thread) -> None:
        """Cut the connections off, so that what a stuck thread has under way is not committed later; never blocks.

        A commit that a server or a disk has already received cannot be cut off.
        """
        self._abandoned.add(thread)
        engine, connections = self._open.pop(os.getpid(), (None, set()))
        for connection in list(connections):
            _disconnect(connection)
        if engine is not None:
            engine.dispose()

    def close(self) -> None:
        """Close every connection."""
        engine, _ = self._open.pop(os.getpid(), (None, None))
        if engine is not None:
            engine.dispose()

    @property
    def _engine(self) -> Engine:
        opened = self._open.get(os.getpid())
        if opened is None:
            connections: set[Any] = set()
            engine = self._sqlite(self._path) if self.is_file else self._postgresql(self._url, connections)
            opened = self._open.setdefault(os.getpid(), (engine, connections))
        return opened[0]

    def _refuse_abandoned(self) -> None:
        if threading.current_thread() in self._abandoned:
            raise JournalError(f"journal {self.where}: this call was given up, so it writes nothing")

    def _take_turn(self, connection: Connection) -> None:
        self._refuse_abandoned()
        if self.is_file:
            # SQLite's default transaction starts as a reader: two of them forked the chain.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            return
        limits = {"lock": self._wait_s, "statement": self._wait_s + SPARE_S / 2, "idle": SPARE_S}
        # Local to the transaction, so that a connection pooler before the server changes nothing.
        connection.execute(
            text(
                "SELECT set_config('lock_timeout', :lock, true), set_config('statement_timeout', :statement, true), "
                # A server that was stopped before it read the COMMIT must not execute it after the call was given up.
                "set_config('idle_in_transaction_session_timeout', :idle, true), "
                "set_config('synchronous_commit', 'on', true)"
            ),
            {name: str(int(seconds * 1000)) for name, seconds in limits.items()},
        )
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})

    def _sqlite(self, path: Path) -> Engine:
        def connect() -> sqlite3.Connection:
            # mode=rw: a journal that was deleted under a run must not be made anew, empty. isolation_level=None: this
            # class alone says BEGIN.
            connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode=rw",
                uri=True,
                timeout=self._wait_s,
                isolation_level=None,
                check_same_thread=False,
            )
            # A byte that is damaged must not keep the walk along the chain from naming its entry.
            connection.text_factory = partial(str, encoding="utf-8", errors="backslashreplace")
            return connection

        # One call is made at a time: its connection is kept for the next, and one beside it is closed after its call.
        engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=1, max_overflow=-1)
        event.listen(engine, "connect", _flush_to_disk)
        _keep_while_untouched(engine, path)
        return engine

    def _postgresql(self, url: URL, connections: set[Any]) -> Engine:
        # Longer than the deadline of a call: after a silence that the deadline ends, further calls fail at once, and
        # after one that the driver ends each call would wait anew.
        seconds = math.ceil(self.patience_s) + 1
        options = {"connect_timeout": seconds, "tcp_user_timeout": seconds * 1000, "keepalives_idle": seconds}
        try:
            engine = create_engine(
                url,
                # The driver's own options in the URL win.
                connect_args={key: value for key, value in options.items() if key not in url.query},
                # A snapshot must not be older than the lock, or the head of the chain would be stale.
                isolation_level="READ COMMITTED",
                pool_pre_ping=True,
                max_overflow=-1,
            )
        except ImportError:
            raise JournalError(
                f"journal {self.where}: the driver psycopg is not installed. Run: pip install 'psycopg[binary]'"
            ) from None

        def connect(dialect: Dialect, _record: Any, args: Any, options: Any) -> Any:
            connection = dialect.connect(*args, **options)
            connections.add(connection)
            return connection

        event.listen(engine, "do_connect", connect)
        event.listen(engine, "close", lambda connection, _record: connections.discard(connection))
        return engine

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            # Not chained: a driver's error may carry the connection's parameters.
            raise self._sentence(error.orig) from None

    def _sentence(self, error: object) -> JournalError:
        detail = next(iter(str(error).strip().splitlines()), type(error).__name__)
        if self._secret:
            detail = detail.replace(self._secret, "***")
        code = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None) or ""
        if code == "SQLITE_NOTADB":
            return absent(self.where, "this file is not a database")
        reason = next(reason for prefix, reason in _REASONS if code.startswith(prefix))
        return JournalError(f"journal {self.where}: {reason.format(detail=detail, wait_s=self._wait_s)}")


def _disconnect(connection: Any) -> None:
    """End a connection to a server from outside, whatever its own thread does with it."""
    with suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)


def _flush_to_disk(connection: sqlite3.Connection, _record: Any) -> None:
    # EXTRA, not FULL: with FULL, a power cut right after the commit can restore the rollback file and with it the
    # state before, because the folder was not flushed.
    connection.execute("PRAGMA synchronous=EXTRA")


def _keep_while_untouched(engine: Engine, path: Path) -> None:
    """Let a call use the connection of the call before it, unless the file was written or replaced in between.

    SQLite knows what its other users have written, but not that a file was deleted, moved or copied over. Between calls
    a connection holds no lock, so that a fork that inherits it takes none away.
    """

    def note(_connection: Any, record: Any) -> None:
        record.info[_KEPT] = _state_of(path)

    def compare(_connection: Any, record: Any, _fairy: Any) -> None:
        state = _state_of(path)
        if not state or record.info.get(_KEPT, state) != state:
            raise DisconnectionError

    event.listen(engine, "checkin", note)
    event.listen(engine, "checkout", compare)


_KEPT = "state of the file after the call"


def _state_of(path: Path) -> tuple[int, ...]:
    """Return what every change of a file changes; empty where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns


def _parsed(url: str) -> URL:
    """Return the URL of a supported database; a plain path is SQLite's.

    Raises:
        JournalError: it is no URL, of another database, or names no file. Never repeats a password.
    """
    if "://" not in url:
        return URL.create("sqlite", database=url)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise JournalError(f"--journal is not a URL: {_FORMS}; special characters in a password as %40, %3A") from None
    kind = parsed.drivername.partition("+")[0]
    if kind in {"postgresql", "postgres"}:
        if "@" in (parsed.host or ""):
            raise JournalError(f"--journal holds two @: {_FORMS}; write the one in the password as %40")
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "sqlite":
        raise JournalError(f"--journal: {parsed.drivername} is not supported: {_FORMS}")
    if parsed.query or parsed.database in {None, "", ":memory:"}:
        raise JournalError(f"--journal: SQLite needs the path of a file, without options: {_FORMS}")
    return parsed


_FORMS = "write a path, sqlite:////absolute/path, or postgresql+psycopg://user:password@host:port/database"


def _find_file(path: Path) -> None:
    """Check that a file is there that may hold a journal, without opening it: closing it would drop SQLite's locks."""
    try:
        if not path.exists():
            raise absent(str(path), "there is no such file", JournalAbsent)
        if not path.is_file():
            raise absent(str(path), "this is not a file")
        if path.stat().st_size == 0:
            raise absent(str(path), "this file is empty")
    except OSError as error:
        raise JournalError(
            f"journal {path}: it cannot be read ({error.filename}: {error.strerror}). "
            "Make the file and its folder readable for this user"
        ) from None


def _make_file(path: Path) -> None:
    """Make the file where there is none, readable for its owner only from its first moment."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Never opened if it exists: closing any handle on a file drops the locks that SQLite holds on it.
            with suppress(FileExistsError):
                path.touch(mode=0o600, exist_ok=False)
        if not path.is_file():
            raise absent(str(path), "this is not a file")
    except OSError as error:
        raise JournalError(
            f"journal {path}: it cannot be made ({error.filename}: {error.strerror}). "
            "Name a file in a writable folder with --journal"
        ) from None
