"""Real servers for the sandbox's tests, each stopped at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from rollout.core.clock import SystemClock
from rollout.sandbox.process import Running, start, stop
from rollout.sandbox.settings import SandboxSettings
from tests.support.forks import ROOT

SAMPLES = ROOT / "tests" / "gateway-samples"
CALM = SandboxSettings(users_per_s=0)
Started = Callable[..., Running]


def sample(name: str) -> dict[str, Any]:
    """Return a recorded exchange's ``response``."""
    return json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))["response"]


def client(running: Running, **headers: str) -> httpx.Client:
    """Return a client of the running sandbox."""
    return httpx.Client(base_url=running.url, headers=headers, timeout=10, trust_env=False)


def eventually(condition: Callable[[], object], within_s: float = 5.0) -> Any:
    """Return the condition's first true value; fail where there is none in time."""
    clock = SystemClock()
    until = clock.monotonic() + within_s
    while not (value := condition()):
        assert clock.monotonic() < until, f"nothing of the kind within {within_s} s"
        clock.wait(0.01)
    return value


class FakeClock(SystemClock):
    """A clock that advances only by its `elapsed_s`."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0

    def now(self) -> datetime:
        """Return noon of a day plus `elapsed_s`."""
        return datetime(2026, 11, 23, 12, 0, tzinfo=UTC) + timedelta(seconds=self.elapsed_s)

    def monotonic(self) -> float:
        """Return some seconds plus `elapsed_s`."""
        return 1000.0 + self.elapsed_s


@pytest.fixture
def fake_clock() -> FakeClock:
    return FakeClock()


@contextmanager
def _launching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    started: list[Running] = []

    def launched(directory: Path | None = None, **options: Any) -> Running:
        options.setdefault("settings", CALM)
        running = start(directory or tmp_path_factory.mktemp("sandbox"), **options)
        started.append(running)
        return running

    yield launched
    for running in started:
        stop(running)


@pytest.fixture
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """Start sandboxes, each in a fresh directory, without background users by default; ended with the test."""
    with _launching(tmp_path_factory) as launched:
        yield launched


@pytest.fixture(scope="session")
def launch_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """Start sandboxes that live until the session ends."""
    with _launching(tmp_path_factory) as launched:
        yield launched


@pytest.fixture(scope="session")
def shared(launch_for_all: Started) -> Running:
    """One sandbox for tests that restore its state."""
    return launch_for_all()


@pytest.fixture
def api(shared: Running) -> Iterator[httpx.Client]:
    """A client of the shared sandbox, whose first state is restored afterwards."""
    with client(shared) as http:
        yield http
        http.delete("/sandbox/faults")
        http.put("/sandbox/traffic", json={"users_per_s": 0})
        http.post("/api/v1/providers/ollama/activate", json={"model": "gemma3:4b"})


def ask(http: httpx.Client, prompt: str = "ping") -> httpx.Response:
    """Send one completion."""
    return http.post("/api/v1/chat/completions", json={"messages": [{"role": "user", "content": prompt}]})
