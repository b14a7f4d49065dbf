"""A folder with the files of a user who rolls out on a service behind a file, and the service itself.

A rollout here is on no sandbox, so its window is long: a test asserts all of one run that it can.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support import forks
from tests.support.file_subjects import FileService
from tests.support.runs import end_watchdogs, entries, inherited_environment

POLICY = """\
lab:
  window_at_least: 10s
  not_demanded: [PRE-2.1, PRE-2.2, PRE-2.3, PRE-3.1, PRE-3.2, PRE-4.1, PRE-4.2, PRE-4.3]
  approvals_at_least: 0
  operator_ack_max_age: none
"""
SCENARIO = """\
change: {activate: openai, model: gpt-4o}
target: lab
author: alice
monitor: {window: 40s, synthetic_every: 1s, p95: 2s}
"""
LONGEST_S = 180.0
_REQUESTS_BEFORE_THE_WINDOW = 3
_USERS_EVERY_S = 0.05


class Workplace:
    """The user's folder.

    Its commands are forked, and leave the report's page out, unless asked for (`tests.support.forks`).

    Attributes:
        folder: the folder.
        on: the service and its file.
        target: the target, as ``scenarios/targets.yaml`` has it.
        starts_real: whether each command is started as people start it.
    """

    def __init__(self, folder: Path, on: FileService, *, starts_real: bool = False, **target: Any) -> None:
        self.folder, self.on, self.starts_real = folder, on, starts_real
        self.target: dict[str, Any] = {
            "environment": "lab",
            "kind": "file",
            "url": on.url,
            "env_file": "none",
            "service": on.service,
            "settings": on.settings,
            **target,
        }
        self.write("rollout.toml", "")
        self.write("scenarios/policy.yaml", POLICY)
        self.write("scenarios/change.yaml", SCENARIO)

    def write(self, name: str, text: str) -> None:
        """Write a file of the user's."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def begin(self, module: str, *args: str, report: bool = False) -> forks.Child:
        """Begin a command in the folder."""
        self.write("scenarios/targets.yaml", yaml.safe_dump({"lab": self.target}, sort_keys=False))
        env = inherited_environment()
        env |= {"USER": "tester", "COLUMNS": "220", "PYTEST_ADDOPTS": "-p no:hypothesispytest -p no:anyio"}
        out = self.folder / "printed.txt"
        out.unlink(missing_ok=True)
        if self.starts_real:
            return forks.Started(module, args, out=out, env=env, cwd=self.folder)
        return forks.server().start(module, args, out=out, env=env, cwd=self.folder, report=report)

    def end(self, begun: forks.Child) -> tuple[int, str]:
        """Return the exit code of a command and what it printed, once it has ended."""
        return begun.wait(LONGEST_S), begun.text

    def run(self, *args: str) -> tuple[int, str]:
        """Run a command in the folder, and return its exit code and what it printed."""
        return self.end(self.begin(*args))

    def rollout(self, *, report: bool = False) -> forks.Child:
        """Begin a rollout."""
        return self.begin("pytest", "--scenario=scenarios/change.yaml", report=report)

    @property
    def reports(self) -> Path:
        """Where the runs write."""
        return self.folder / "reports"

    def steps(self) -> dict[str, dict[str, Any]]:
        """Return clause -> its step in the journal."""
        return {entry.body["clause"]: entry.body for entry in entries(self.reports) if entry.kind == "step"}

    def served(self, provider: str) -> int:
        """Return how many of the suite's completions it has answered as a provider, by the service's own records."""
        seen = self.on.folder.lines("requests.jsonl")
        return sum(each["synthetic"] and each["provider"] == provider for each in seen)

    def loaded(self) -> list[str]:
        """Return the providers that took effect, in order."""
        return [f"{each['provider']}:{each['model']}" for each in self.on.folder.lines("loaded.jsonl")]

    @contextmanager
    def users(self) -> Iterator[None]:
        """Let users ask for completions, twenty a second, for the duration of a block."""
        ended = threading.Event()

        def ask() -> None:
            with httpx.Client(base_url=self.on.url, trust_env=False) as client:
                while not ended.wait(_USERS_EVERY_S):
                    with suppress(httpx.TransportError):  # a restart
                        client.post("/v1/chat/completions", json={"messages": []})

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            yield
        finally:
            ended.set()
            asking.join()

    def await_watched(self, run: forks.Child) -> None:
        """Wait until the service has answered requests of the window; fail where the run ends before."""
        until = time.monotonic() + LONGEST_S
        while self.served("openai") < _REQUESTS_BEFORE_THE_WINDOW:
            assert run.code is None, self.end(run)[1]
            assert time.monotonic() < until, "the change is not watched"
            time.sleep(0.05)


@contextmanager
def workplace(
    folder: Path, codec: str, apply: str, *, ignores_signal: bool = False, starts_real: bool = False, **target: Any
) -> Iterator[Workplace]:
    """Give a user's folder and the running service; both end with the block."""
    service = FileService(folder / "service", codec, apply, ignores_signal=ignores_signal)
    found = Workplace(folder, service, starts_real=starts_real, **target)
    found.on.folder.start()
    try:
        yield found
    finally:
        # A watchdog that is rolling back would start the service again.
        end_watchdogs(found.reports)
        found.on.folder.stop()
