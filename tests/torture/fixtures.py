"""Fixtures for tests that kill: a test module asks for them with ``pytest_plugins = ["tests.torture.fixtures"]``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture.support import Bench
from tests.torture.zygote import Zygote


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """The parent of every process that a test kills."""
    with Zygote() as parent:
        yield parent


@pytest.fixture
def bench(zygote: Zygote, tmp_path: Path) -> Iterator[Bench]:
    """A gateway, a liar and a fast scenario."""
    with Bench(zygote, tmp_path) as made:
        yield made
