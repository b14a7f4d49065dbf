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

OWN_STEPS = ("bench", "browser", "compatibility", "e2e", "litellm", "package", "torture")
"""The folders that are steps of their own in CI (`.ci/run`): `pytest tests` leaves out each that is not named."""

_LONG = ("torture", "bench", "e2e", "browser", "monitoring")
_LONGEST = (
    "test_a_case_of_each_kind",
    "test_the_commands_that_init_names_end_with_kept",
    "test_06_success_without_effect_that_is_read_back_as_done",
    "test_the_page_leads_to_a_change_that_is_kept_and_to_a_review_that_comes_too_early",
    "test_no_secret_is_anywhere_where_the_change_is_kept",
    "test_no_secret_is_anywhere_where_the_change_is_rolled_back",
    "test_no_secret_is_anywhere_where_the_run_is_killed",
    "test_what_is_searched_would_show_it",
    "test_4_a_frozen_journal_does_not_keep_a_failing_change_in_effect",
    "test_a_window_is_watched_in_three_calls_and_judged_as_one",
    "test_the_control_group_of_a_canary_comes_from_prometheus",
    "test_5_the_watchdog_knows_what_its_runner_wrote_although_the_journal_does_not",
    "test_12_a_disk_that_is_full_when_the_window_ends_is_no_plain_kept",
)
"""The tests that take 20 s and more on two quiet cores."""

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
    items[:] = _dealt_out(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def _dealt_out(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Return the tests in an order in which each worker's share, a stretch of them, begins with some of the longest."""
    names = {name: rank for rank, name in enumerate(_LONGEST)}
    longest = [item for item in items if item.name.partition("[")[0] in names]
    longest.sort(key=lambda item: names[item.name.partition("[")[0]])
    others = [item for item in items if item not in longest]
    dealt: list[pytest.Item] = []
    for worker in range(workers):
        first = longest[worker::workers]
        # As xdist cuts them: the last workers have one more where it does not come out even.
        size = (len(items) - len(dealt)) // (workers - worker) - len(first)
        dealt += first + others[: max(0, size)]
        del others[: max(0, size)]
    return dealt + others


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
