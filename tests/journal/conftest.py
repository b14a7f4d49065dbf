"""The journal's tests run twice: on SQLite, and on a real PostgreSQL server that they start themselves."""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy

from rollout.journal.journal import Journal

NOBODY = 65534


class ManualClock:
    """A `Clock` that stands still until a test moves it."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)

    def now(self):
        """Return the moment that was set."""
        return self.moment

    def monotonic(self):
        """Return the same moment in seconds."""
        return self.moment.timestamp()

    def wait(self, seconds, stop=None):
        """Pass the time at once."""
        self.advance(seconds)
        return not stop

    def receive(self, inbox, seconds, stop=None):
        """Refuse: the journal receives nothing."""
        raise NotImplementedError

    def advance(self, seconds):
        """Move the time on."""
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def sqlite_path(tmp_path):
    return tmp_path / "journal.sqlite"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, sqlite_path):
    """The URL of a journal that is not there yet, on each database in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{sqlite_path}"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def journal(url, clock):
    with Journal.open(url, clock=clock) as journal:
        yield journal


@pytest.fixture
def vandal(url):
    """Execute statements past the journal, as any client with access to the database can."""
    engine = sqlalchemy.create_engine(url)

    def execute(*statements):
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(sqlalchemy.text(statement) if isinstance(statement, str) else statement)

    yield execute
    engine.dispose()


@pytest.fixture
def start_worker():
    """Start `worker.py` with arguments; a process that still runs at the end is killed."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("worker.py"), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def public_folder():
    """A folder that another user can reach (pytest's own are private), and may not write to."""
    folder = Path(tempfile.mkdtemp(prefix="rollout-journal-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def ordinary_user():
    """A context in which permissions count, also where the tests run as root."""

    @contextmanager
    def unprivileged():
        if os.geteuid() != 0:
            yield
            return
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)

    return unprivileged
