"""A user's folder with a scenario for a LiteLLM proxy, users who ask it for completions, and runs of the suite."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from rollout.core.errors import JournalError
from rollout.core.scenario import ProviderChange
from rollout.journal.chain import Entry
from rollout.journal.record import Kind
from tests.litellm.proxy import (
    FIRST,
    FIRST_SHARE,
    GROUP,
    MASTER_KEY,
    SECOND,
    SECOND_SHARE,
    SHARED,
    STARTS_WITHIN_S,
    TOKEN_ENV,
    Proxy,
)
from tests.support.runs import end_watchdogs, entries, inherited_environment

RUNS_WITHIN_S = 500
POLL_S = 0.5
"""How often the journal is read; reading takes time that the run needs."""

USERS = 4
"""So many users ask at a time during a canary, whose first stage gives the new provider a tenth of the requests."""

SAMPLES = 5
"""So many samples of a window show that it is watched."""

MONITOR = {
    # So many requests of the suite's own exclude twice the procedure's 5 % of failures.
    "window": "40s",
    "metrics_every": "1s",
    "alerts_every": "5s",
    "synthetic_every": "1s",
    "way_back_every": "5s",
    # A machine that is busy with other tests answers slowly; what is slow on purpose takes longer than this.
    "p95": "5s",
}
POLICY = {
    "lab": {
        "window_at_least": "10s",
        "not_demanded": [
            *("PRE-2.1", "PRE-2.2", "PRE-2.3", "PRE-3.1", "PRE-3.2", "PRE-4.1", "PRE-4.2", "PRE-4.3"),
        ],
        "approvals_at_least": 0,
        "operator_ack_max_age": "none",
    }
}


class Users:
    """Users who ask for completions all the time, each one after another."""

    def __init__(self, url: str, model: str, number: int) -> None:
        self._url, self._model, self._ended = url, model, threading.Event()
        self.answers: list[int] = []
        """The status of each answer; 0 where there was none."""
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(number)]
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        """Ask no more."""
        self._ended.set()
        for each in self._threads:
            each.join(60)

    def _ask(self) -> None:
        body = {"model": self._model, "messages": [{"role": "user", "content": "hello"}]}
        headers = {"Authorization": f"Bearer {MASTER_KEY}"}
        with httpx.Client(base_url=self._url, headers=headers, timeout=30) as client:
            while not self._ended.wait(0.2):
                status = 0
                with contextlib.suppress(httpx.HTTPError):
                    status = client.post("/v1/chat/completions", json=body).status_code
                self.answers.append(status)


class Lab:
    """A running proxy, and the folder of an operator who rolls out on it.

    Attributes:
        proxy: the proxy.
        folder: the operator's.
        scenario: what the next run's scenario says.
        settings: the settings of the target.
        asked_for: the model that users ask for, and how many ask for it at a time.
        proves_way_back: whether the way back is proven by doing it.
    """

    def __init__(self, proxy: Proxy, folder: Path) -> None:
        self.proxy, self.folder = proxy, folder
        self.old = FIRST if proxy.answered_by() == FIRST.provider else SECOND
        # As the running proxy has it: the rollout before may have left another file.
        proxy.configure(self.old.provider)
        self.new: ProviderChange = SECOND if self.old is FIRST else FIRST
        self.scenario: dict[str, Any] = {
            "change": {"activate": self.new.provider, "model": self.new.model},
            "target": "proxy",
            "author": "alice",
            "monitor": dict(MONITOR),
        }
        self.settings = proxy.settings(examination="paid")
        self.asked_for = (GROUP, 1)
        self.proves_way_back = False
        self._runs: list[subprocess.Popen[str]] = []

    @property
    def failing(self) -> Any:
        """The upstream of the provider that the change leads to."""
        return self.proxy.upstreams[self.new.provider]

    def begin(self, *args: str) -> subprocess.Popen[str]:
        """Write the files, and begin a run."""
        return self.command("pytest", "--scenario=scenarios/proxy.yaml", *args)

    def command(self, *args: str) -> subprocess.Popen[str]:
        """Write the files, and begin a command: ``pytest`` or ``rollout``, with its arguments."""
        self._write()
        env = inherited_environment()
        env |= {"USER": "tester", "COLUMNS": "220", TOKEN_ENV: MASTER_KEY, "XDG_STATE_HOME": str(self.folder / "state")}
        env["PYTEST_ADDOPTS"] = "-p no:hypothesispytest -p no:anyio -p no:pytest_cov"
        run = subprocess.Popen(
            [sys.executable, "-m", *args],
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._runs.append(run)
        return run

    def run(self, *args: str) -> tuple[int, str]:
        """Run the suite, and return its exit code and what it printed."""
        return self.end(self.begin(*args))

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Wait for a run."""
        printed, _ = process.communicate(timeout=RUNS_WITHIN_S)
        return process.returncode, printed

    def await_window(self, run: subprocess.Popen[str]) -> None:
        """Wait until the change of a run is in effect and watched; a run that ends before is a failure."""
        until = time.monotonic() + RUNS_WITHIN_S
        while sum(entry.kind == Kind.SAMPLE for entry in self._entries()) < SAMPLES:
            assert time.monotonic() < until, "the change is not watched"
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.wait(POLL_S)
                raise AssertionError(self.end(run)[1])

    def is_closed(self) -> bool:
        """Return whether the journal says how the rollout ended."""
        return any(entry.kind == Kind.CLOSED for entry in self._entries())

    def await_journal(self, run: subprocess.Popen[str], holds: Callable[[Entry], bool]) -> None:
        """Wait until the journal has such an entry; a run that ends before is a failure."""
        until = time.monotonic() + RUNS_WITHIN_S
        while not any(map(holds, self._entries())):
            assert time.monotonic() < until, "the journal has no such entry"
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.wait(POLL_S)
                raise AssertionError(self.end(run)[1])

    def _entries(self) -> tuple[Entry, ...]:
        # There is none yet, or it is being made.
        with contextlib.suppress(JournalError):
            return entries(self.reports)
        return ()

    @property
    def reports(self) -> Path:
        """Where the runs write."""
        return self.folder / "reports"

    @contextmanager
    def users(self) -> Iterator[Users]:
        """Users for the duration of a block."""
        users = Users(self.proxy.url, *self.asked_for)
        try:
            yield users
        finally:
            users.stop()

    def close(self) -> None:
        """Mend the upstreams, and end what a test that failed has left behind."""
        for run in self._runs:
            if run.poll() is None:
                run.kill()
                run.communicate()
        for each in self.proxy.upstreams.values():
            each.heal()
        end_watchdogs(self.reports)

    def _write(self) -> None:
        target = {
            "environment": "lab",
            "kind": "litellm",
            "url": self.proxy.url,
            "token_env": TOKEN_ENV,
            "env_file": "none",
            "startup": f"{STARTS_WITHIN_S}s",
            # A proxy that has just been started, on a machine that is busy with other tests, takes its time.
            "timeouts": {"read": "20s", "chat": "60s", "activate": "60s"},
            "latency_bound": "15s",
            # It would restart the proxy once more; the kept change does it.
            "prove_way_back": self.proves_way_back,
            "service": {"stop": list(self.proxy.command("stop")), "start": list(self.proxy.command("start"))},
            "settings": self.settings,
        }
        (self.folder / "scenarios").mkdir(exist_ok=True)
        (self.folder / "rollout.toml").write_text("", encoding="utf-8")
        for name, content in (("proxy", self.scenario), ("policy", POLICY), ("targets", {"proxy": target})):
            # JSON is YAML, and every line of it is one that an error can name.
            path = self.folder / "scenarios" / f"{name}.yaml"
            path.write_text(yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=False), encoding="utf-8")


class CanaryLab(Lab):
    """The same proxy, whose model_name `SHARED` splits its requests by weights.

    Attributes:
        counted: the requests that each deployment's upstream had seen when the lab began.
    """

    def __init__(self, proxy: Proxy, folder: Path) -> None:
        super().__init__(proxy, folder)
        self.old, self.new = FIRST_SHARE, SECOND_SHARE
        if proxy.weighted == self.new.provider:
            self.old, self.new = self.new, self.old
        # A paid examination of the previous provider is a request too, and would count among its share.
        self.settings = proxy.shared_settings()
        self.asked_for = (SHARED, USERS)
        lasting = {"10%": "35s", "25%": "15s", "50%": "10s", "100%": "10s"}
        stages = [{"share": share, "for": lasts} for share, lasts in lasting.items()]
        self.scenario |= {
            "change": {"activate": self.new.provider, "model": self.new.model},
            "strategy": {"stages": stages, "stabilise": "10s"},
            "monitor": {key: value for key, value in MONITOR.items() if key != "window"},
        }

    @property
    def failing(self) -> Any:
        """The upstream of the deployment that the change leads to."""
        return self.proxy.upstream_of(self.new.provider)

    def await_stage(self, run: subprocess.Popen[str], stage: str) -> None:
        """Wait until a stage is watched."""
        self.await_journal(run, lambda entry: _begins(entry, stage))

    def has_begun(self, stage: str) -> bool:
        """Return whether a stage was watched."""
        return any(_begins(entry, stage) for entry in self._entries())

    def await_end_of(self, run: subprocess.Popen[str], stage: str) -> None:
        """Wait until a stage has been judged at its end."""
        self.await_journal(run, lambda entry: entry.kind == Kind.VERDICT and entry.body.get("stage") == stage)


def _begins(entry: Entry, stage: str) -> bool:
    return entry.kind == Kind.WINDOW and entry.body.get("stage") == stage
