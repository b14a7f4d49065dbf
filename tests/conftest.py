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

OWN_STEPS = ("browser", "compatibility", "e2e", "package", "torture")
"""The folders that are steps of their own in CI (`.ci/run`): `pytest tests` leaves out each that is not named."""

_LONG = ("torture", "e2e", "browser", "monitoring")
_HERE = Path(__file__).parent


def left_out(config: pytest.Config) -> list[str]:
    """Return the folders of `OWN_STEPS` that no argument of the command line names."""
    named = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    # An argument above all of them, such as `tests`, names none of them.
    return [name for name in OWN_STEPS if not any(path.resolve().is_relative_to(_HERE / name) for path in named)]


def pytest_configure() -> None:
    """Let hypothesis measure no time: the machine is busy with other tests."""
    # Before any test module is imported: a test's own settings start from the profile of that moment.
    from hypothesis import HealthCheck, settings

    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the folders of `OWN_STEPS` that are not named."""
    is_own_step = collection_path.parent == _HERE and collection_path.name in OWN_STEPS
    return True if is_own_step and collection_path.name in left_out(config) else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what this run leaves out, if it is a run of all tests."""
    if len(folders := left_out(config)) == len(OWN_STEPS) and "tests" in {Path(each).name for each in config.args}:
        terminalreporter.write_line(
            f"left out: {', '.join(f'tests/{name}' for name in folders)}; name them to run them"
        )


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:  # noqa: ARG001 - the hook's signature
    """Answer `-n auto` with two workers for each core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 2 * cores


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> WorkStealingScheduling:
    """Let a worker that has nothing to do take over from one that has: tests take from a millisecond to a minute."""
    return WorkStealingScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, the longest first, so that no worker is left with it in the end."""
    ranks = {name: rank for rank, name in enumerate(_LONG)}
    items.sort(key=lambda item: ranks.get(item.path.parent.name, len(ranks)))


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder in memory, where the machine has one: a journal waits for the disk at each entry."""
    memory = Path("/dev/shm")  # noqa: S108 - a fresh folder below it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def undoing(in_memory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what begins a rollout on a scripted gateway (`tests.support.undoing`), its journal in memory."""
    from tests.support.undoing import Undoing  # a session without such a test does not need it

    labs: list[Undoing] = []

    def begin(*changes: Any, **parts: Any) -> Undoing:
        own = in_memory / f"lab-{len(labs)}"
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
