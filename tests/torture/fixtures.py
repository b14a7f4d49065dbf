"""Fixtures for tests that kill: a test module requests them with ``pytest_plugins = ["tests.torture.fixtures"]``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import forks
from tests.support.forks import Server
from tests.torture.support import Bench


@pytest.fixture(scope="session")
def server() -> Server:
    """The parent of every process that a test kills."""
    return forks.server()


@pytest.fixture
def bench(server: Server, tmp_path: Path) -> Iterator[Bench]:
    """A gateway, a liar and a fast scenario."""
    with Bench(server, tmp_path) as made:
        yield made
