"""One proxy for all the rollouts of a worker: it takes longer to start than a rollout takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.litellm.lab import Lab
from tests.litellm.proxy import Proxy


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A running proxy; each rollout changes from where the one before it has left the alias."""
    with closing(Proxy(tmp_path_factory.mktemp("proxy"))) as found:
        found.start()
        yield found


@pytest.fixture
def lab(proxy: Proxy, tmp_path: Path) -> Iterator[Lab]:
    """An operator's folder for a rollout on the proxy."""
    with closing(Lab(proxy, tmp_path)) as found:
        yield found
