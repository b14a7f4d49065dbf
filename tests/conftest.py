"""How the suite's own tests are run: most of them wait, for a window, a deadline or a process, and few compute."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import WorkStealingScheduling

from tests.journal import postgres_server
from tests.journal.postgres_server import PostgresServer

_LONG = frozenset({"torture", "e2e", "browser", "monitoring"})


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:  # noqa: ARG001 - the hook's signature
    """Answer `-n auto` with two workers for each core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 2 * cores


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> WorkStealingScheduling:
    """Let a worker that has nothing to do take over from one that has: tests take from a millisecond to a minute."""
    return WorkStealingScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker is left with it in the end."""
    items.sort(key=lambda item: item.path.parent.name not in _LONG)


@pytest.fixture
def undoing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what begins a rollout on a scripted gateway (`tests.support.undoing`), its journal in memory."""
    from tests.support.undoing import Undoing  # a session without such a test does not need it

    in_memory = Path("/dev/shm")  # noqa: S108 - a fresh folder below it
    labs: list[Undoing] = []
    with tempfile.TemporaryDirectory(dir=in_memory if in_memory.is_dir() else None) as folder:

        def begin(*changes: Any, **parts: Any) -> Undoing:
            own = Path(folder) / str(len(labs))
            own.mkdir()
            lab = Undoing(own, *changes, **parts)
            labs.append(lab)
            monkeypatch.setattr("rollout.gateway.host.commands.restart", lab.restart)
            return lab

        yield begin
        for lab in labs:
            lab.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server, one a worker; skipped where it is missing, unless the environment insists."""
    lacking = postgres_server.missing()
    if lacking and os.environ.get("ROLLOUT_REQUIRE_POSTGRESQL"):
        pytest.fail(f"ROLLOUT_REQUIRE_POSTGRESQL is set, but {lacking}")
    if lacking:
        pytest.skip(f"PostgreSQL: {lacking}")
    server = PostgresServer()
    server.start()
    yield server
    server.remove()
