"""How the suite's own tests are run: most of them wait, for a window, a deadline or a process, and few compute."""

from __future__ import annotations

import os
from collections.abc import Iterator
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
