"""Run the suite as people do, and read what it leaves: exit code, listing, Allure results, journal, gateway.

    with Lab(tmp_path) as lab:                         # a gateway of its own, and a liar in front of it
        lab.liar.rule("/alerts", answer(500))
        run = lab.run("-m", "precheck")
        assert run.code == 1 and "500" in run.result("PRE-2.5").message
        assert lab.writes() == []

A lab's scenario, target and policy are small and strict: every clause is demanded, and a window takes three seconds.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import signal
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from rollout.core.clock import SystemClock
from rollout.core.errors import JournalError
from rollout.journal.chain import Entry
from rollout.journal.journal import Journal
from rollout.journal.record import Kind, RolloutRecord
from rollout.journal.replay import replay
from rollout.reporting.allure import NOT_RUN
from rollout.sandbox.process import Running, find, stop
from rollout.sandbox.settings import SandboxSettings
from tests.support import forks
from tests.support.liar import Behaviour, Liar, Visit

ROOT = forks.ROOT
LONGEST_RUN_S = 90.0
POLL_S = 0.02
# A clone that only runs rollouts has no hypothesis, whose plugin takes longer to load than the suite itself.
BARE = ("-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:cacheprovider", "-p", "no:pytest_cov")
WITHOUT_REPORT = ("-p", "bench.without_report")
# What a run inherits. Everything else, CI's variables and proxies above all, stays out.
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")

SCENARIO: Mapping[str, Any] = {
    "target": "lab",
    "change": {"activate": "openai", "model": "gpt-4o"},
    "ticket": "LAB-1",
    "author": "alice",
    "approved_by": ["bob"],
    "impact": {"risk": "none", "affects": "nobody", "cost": "none"},
    "operator": {"name": "carol", "contact": "carol@example.com"},
    "notify": ["log"],
    "monitor": {
        "window": "3s",
        "metrics_every": "200ms",
        "alerts_every": "200ms",
        "log_every": "500ms",
        "synthetic_every": "200ms",
        "way_back_every": "1s",
        "confirm_after": "100ms",
        "stable_polls": 2,
        "min_requests": 5,
        "min_samples": 5,
        # Fifteen requests in the window cannot exclude twice the 5 % of the procedure; six exclude 40 %.
        "error_rate": 0.2,
        # A machine that is busy with other tests answers slowly; what is slow on purpose is a second slower.
        "latency_factor": 5,
        # Polls this close together time out after 600 ms: on a busy machine one sometimes does.
        "dark_share": 0.5,
    },
}
# Only the policy of this name lets a scenario be looser than the procedure; here it demands every clause.
POLICY: Mapping[str, Any] = {"sandbox": {"window_at_least": "3s", "not_demanded": [], "outside_window": "block"}}


def eventually(condition: Callable[[], Any], what: str, within_s: float = 30.0) -> Any:
    """Return the condition's first true value; fail when there is none in time."""
    until = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < until, f"not within {within_s:g} s: {what}"
        time.sleep(POLL_S)
    return value


@dataclass(frozen=True, slots=True)
class Result:
    """One check's row in the Allure results.

    Attributes:
        clause: ``PRE-1.1``; ``Closure`` for the decision.
        status: ``passed``, ``failed``, ``broken`` or ``skipped``.
        message: why, as the report shows it.
        labels: type -> value.
        attachments: name -> content.
    """

    clause: str
    status: str
    message: str
    labels: Mapping[str, str]
    attachments: Mapping[str, str]

    def facts(self, name: str) -> Mapping[str, str]:
        """Return a table of facts: what -> value."""
        return {row["what"]: row["value"] for row in csv.DictReader(io.StringIO(self.attachments[name]))}


@dataclass(frozen=True)
class Run:
    """One process of the suite that has ended.

    Attributes:
        code: its exit code.
        out: what it printed, both streams.
        reports: the reports' folder.
    """

    code: int
    out: str
    reports: Path

    @property
    def id(self) -> str:
        """The rollout's id, from the header."""
        return self._of(r"^rollout: (\S+) \(")

    @property
    def word(self) -> str:
        """The verdict: the first words of the closing block."""
        return self._of(r"^=+ ([A-Z ]+(?:, verified|, EVIDENCE OWED)?)(?:, EVIDENCE MISSING)?: ")

    @property
    def why(self) -> str:
        """The reason in the closing block."""
        return self._of(r"^why: (.*)$")

    @property
    def folder(self) -> Path:
        """The rollout's folder."""
        return self.reports / self.id

    @cached_property
    def results(self) -> Mapping[str, Result]:
        """Clause -> its row in the newest directory of Allure results."""
        runs = self.folder / "allure-results"
        newest = max(runs.iterdir(), key=lambda folder: folder.stat().st_mtime_ns)
        return results_in(newest)

    def result(self, clause: str) -> Result:
        """Return a clause's row."""
        return self.results[clause]

    @property
    def failed(self) -> Mapping[str, str]:
        """Clause -> reason of every check that ran and did not pass, the closure apart.

        Allure calls an assertion that does not hold failed, and whatever else is raised broken.
        """
        bad = {c: r.message for c, r in self.results.items() if r.status in {"failed", "broken"}}
        return {c: why for c, why in bad.items() if NOT_RUN not in why and c != "Closure"}

    @property
    def record(self) -> RolloutRecord:
        """The rollout as the journal records it now."""
        return replay(self.id, entries(self.reports, self.id))

    def record_entries(self, kind: str) -> list[Entry]:
        """Return the journal's entries of one kind."""
        return [entry for entry in entries(self.reports, self.id) if entry.kind == kind]

    def _of(self, pattern: str) -> str:
        found = re.search(pattern, self.out, re.MULTILINE)
        assert found, f"no {pattern!r} in:\n{self.out}"
        return found[1]


def results_in(folder: Path) -> Mapping[str, Result]:
    """Return clause -> its row, of a directory of Allure results."""
    found = [_result(path) for path in folder.glob("*-result.json")]
    assert len({each.clause for each in found}) == len(found), "a clause has two results"
    return {each.clause: each for each in found}


def entries(reports: Path, rollout: str | None = None) -> tuple[Entry, ...]:
    """Return the journal's entries, of one rollout or of all."""
    with Journal.open(str(reports / "journal.sqlite"), clock=SystemClock(), create=False) as journal:
        return journal.entries(rollout)


class Process:
    """The suite at work, in a process of its own that never waits for a terminal.

    It is forked with its imports done (`tests.support.forks`), unless it is to be a `real` one. Where nobody reads the
    report, it is left out: it costs as much as the run.
    """

    def __init__(
        self,
        reports: Path,
        *args: str,
        module: str = "pytest",
        env: Mapping[str, str] | None = None,
        real: bool = False,
        report: bool = False,
    ):
        """Start ``python -m MODULE ARGS --reports=…`` from the project's root."""
        reports.mkdir(parents=True, exist_ok=True)
        self.reports = reports
        self._out = reports / f"output-{time.monotonic_ns()}.txt"
        arguments = (*(BARE if module == "pytest" else ()), *args, f"--reports={reports}")
        self._child: forks.Child
        if real:
            left_out = () if report else WITHOUT_REPORT
            self._child = forks.Started(module, (*left_out, *arguments), out=self._out, env=_environment(env))
        else:
            self._child = forks.server().start(module, arguments, out=self._out, env=_environment(env), report=report)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._child.pid

    @property
    def out(self) -> str:
        """What it printed so far."""
        return self._child.text

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._child.kill(number)

    def until(self, kind: str, *, at_least: int = 1, within_s: float = 30.0) -> None:
        """Return when the journal holds so many entries of the kind."""
        what = f"{at_least} entries {kind!r} in the journal\n{self.out}"
        eventually(lambda: self._count(kind) >= at_least, what, within_s)

    def end(self, within_s: float = LONGEST_RUN_S) -> Run:
        """Wait for its end."""
        code = self._child.wait(within_s)
        out = self.out
        self._out.unlink()
        return Run(code, out, self.reports)

    def kill(self) -> None:
        """End it whatever it does."""
        self._child.kill()
        self._child.wait(LONGEST_RUN_S)

    def _count(self, kind: str) -> int:
        assert self._child.code is None, f"it has ended already:\n{self.out}"
        try:
            return sum(entry.kind == kind for entry in entries(self.reports))
        except JournalError:
            return 0  # it is only being made


def run(reports: Path, *args: str, **how: Any) -> Run:
    """Run ``pytest --reports=…`` with these arguments to its end, as `Process` does."""
    return Process(reports, *args, **how).end()


@contextmanager
def reports_in(folder: Path) -> Iterator[Path]:
    """Give a reports' folder; the on-demand gateways that its runs left are stopped afterwards."""
    reports = folder / "reports"
    try:
        yield reports
    finally:
        for running in on_demand(reports):
            stop(running)


def on_demand(reports: Path) -> list[Running]:
    """Return the on-demand gateways that still run."""
    return [running for folder in reports.glob("sandbox/*") if (running := find(folder)) is not None]


@dataclass(frozen=True, slots=True)
class State:
    """What a gateway is: the bytes of its `.env`, the active provider and model, its limits, and its weights."""

    env: bytes
    active: str
    limits: str
    weights: str


class Lab:
    """A gateway of its own, a liar in front of it, and a strict scenario that goes to the liar.

    Attributes:
        scenario: the scenario's content; change it before a run.
        target: the target's.
        policy: the policy's file.
        reports: where the runs write.
        liar: the proxy.
        sandbox: the gateway behind it.
    """

    def __init__(self, folder: Path, *, token: str | None = None, **settings: Any) -> None:
        """Prepare; the gateway starts with the ``with`` block.

        Args:
            folder: an empty directory.
            token: the bearer token that the gateway asks for; it is in the runs' environment then.
            settings: the sandbox's, such as ``users_per_s``.
        """
        self.folder, self.reports = folder, folder / "reports"
        self.scenario, self.policy = deepcopy(dict(SCENARIO)), deepcopy(dict(POLICY))
        self.env: dict[str, str] = {}
        self._token = token
        self._settings = SandboxSettings.from_mapping({"users_per_s": 0, **settings})
        self._process: Process | None = None

    def __enter__(self) -> Self:
        """Start the gateway and the liar."""
        name = "LAB_GATEWAY_TOKEN" if self._token else None
        if name and self._token:
            self.env[name] = self._token
        self.sandbox = self._start_gateway(("--token-env", name) if name else ())
        self.liar = Liar(self.sandbox.url)
        self.liar.__enter__()
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        self.direct = httpx.Client(base_url=self.sandbox.url, headers=headers, timeout=10, trust_env=False)
        self.target: dict[str, Any] = {
            "url": self.liar.url,
            "staging": f"{self.liar.url}/twin",
            "environment": "sandbox",
            "timeouts": {"read": "10s", "chat": "10s", "activate": "2s"},
        }
        if name:
            self.target |= {"token_env": name, "staging_token_env": name}
        return self

    def _start_gateway(self, options: Sequence[str]) -> Running:
        """Start it as `rollout.sandbox.process.start` does, only forked."""
        folder = self.folder / "gateway"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings = self.folder / "settings.json"
        settings.write_text(json.dumps(asdict(self._settings)), encoding="utf-8")
        args = ("--dir", str(folder), "--settings", str(settings), *options)
        out = self.folder / "gateway.txt"
        self._gateway = forks.server().start(
            "rollout.sandbox", args, out=out, env={**os.environ, **self.env}, session=True
        )
        found: Running = eventually(lambda: find(folder), "the gateway answers")
        return found

    def __exit__(self, *_: object) -> None:
        """Stop whatever still runs."""
        if self._process is not None:
            self._process.kill()
        self.direct.close()
        self.liar.__exit__()
        # A gateway that was restarted is another process than the lab's.
        stop(find(self.sandbox.directory) or self.sandbox)
        self._gateway.kill()
        end_watchdogs(self.reports)

    # Runs

    def options(self) -> list[str]:
        """Write scenario, targets and policy, and return the options that name them."""
        files = {"lab": self.scenario, "targets": {"lab": self.target}, "policy": self.policy}
        for name, content in files.items():
            (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return [f"--scenario={self.folder / 'lab.yaml'}"]

    def begin(self, *args: str, **how: Any) -> Process:
        """Start a run of the scenario as it is now; `how` as for `Process`."""
        self._process = Process(self.reports, *self.options(), *args, env=self.env, **how)
        return self._process

    def run(self, *args: str, **how: Any) -> Run:
        """Run the scenario as it is now, to its end; `how` as for `Process`."""
        return self.begin(*args, **how).end()

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send the run that was begun last a signal."""
        assert self._process is not None
        self._process.signal(number)

    # The gateway, past the liar

    def state(self) -> State:
        """Return the state of the gateway."""
        # Two reads: an activation may land between them.
        config = eventually(self._agreed, "the provider that is configured and the active one are the same", 5)
        limits = self.direct.get("/api/v1/governance/status").json()["cost_limits"]
        kept = {scope: (limit["soft_limit_usd"], limit["hard_limit_usd"]) for scope, limit in limits.items()}
        weights = self.direct.get("/api/v1/routing/weights").json()["weights"]
        where = f"{config['ACTIVE_PROVIDER']}:{config['LLM_MODEL_NAME']}"
        return State(self.sandbox.env_file.read_bytes(), where, json.dumps(kept), json.dumps(weights))

    def _agreed(self) -> Mapping[str, str] | None:
        config: Mapping[str, str] = self.direct.get("/api/v1/config/runtime").json()["config"]
        active = self.direct.get("/api/v1/providers").json()["active_provider"]
        return config if config["ACTIVE_PROVIDER"] == active else None

    def writes(self) -> list[str]:
        """Return the providers that the suite activated on the gateway, in order; limits and weights count as well."""
        seen = self.direct.get("/sandbox/requests").json()
        ours = [each for each in seen if each["method"] in ("POST", "PUT") and each["user"] == "rollout"]
        writes = [each["path"] for each in ours if re.search(r"/(activate|limits|weights)$", each["path"])]
        return [path.removeprefix("/api/v1/providers/").removesuffix("/activate") for path in writes]

    def faults(self, *faults: Mapping[str, Any]) -> None:
        """Set faults on the gateway, in place of earlier ones."""
        self.direct.put("/sandbox/faults", json=list(faults)).raise_for_status()

    def alert(self, alert_type: str, provider: str, message: str = "by hand") -> None:
        """Let a critical alert fire."""
        alert = {"severity": "critical", "alert_type": alert_type, "provider": provider, "message": message}
        self.direct.post("/sandbox/alerts", json=alert).raise_for_status()

    def intrude(self, provider: str = "vllm", model: str = "gemma-3-4b-it") -> None:
        """Activate a provider outside the suite."""
        self.direct.post(f"/api/v1/providers/{provider}/activate", json={"model": model}).raise_for_status()

    def once(self, path: str, action: Callable[[], object], *, method: str | None = None, nth: int = 1) -> None:
        """Do something after the nth request to `path` was answered by the gateway, before the suite hears of it."""
        self.liar.rule(path, then(action), method=method, nth=nth)


def end_watchdogs(reports: Path) -> None:
    """End the watchdogs of changes that were handed over to a phase that never came: they would wait an hour."""
    if not (reports / "journal.sqlite").exists():
        return
    with contextlib.suppress(JournalError):
        for entry in entries(reports):
            if entry.kind == Kind.ARMED:
                _end_watchdog(entry.body["pid"])


def _end_watchdog(pid: int) -> None:
    with contextlib.suppress(OSError):
        # The number may have passed to another process since.
        if "rollout.engine.watchdog" in Path(f"/proc/{pid}/cmdline").read_text(errors="replace"):
            os.kill(pid, signal.SIGKILL)


def then(action: Callable[[], object]) -> Behaviour:
    """Forward, do the action, and pass the answer on."""

    async def behaviour(visit: Visit) -> None:
        reply = await visit.forward()
        action()
        await visit.reply(reply)

    return behaviour


def junit(path: Path) -> Mapping[str, int]:
    """Return the counts of a junit.xml."""
    root = ET.parse(path).getroot()  # noqa: S314 - written by the run under test
    return {name: int(root.get(name, "-1")) for name in ("tests", "failures", "errors", "skipped")}


def inherited_environment() -> dict[str, str]:
    """Return what a run inherits of this process's environment."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    return (
        inherited_environment()
        | {"USER": "tester", "COLUMNS": "200", "TERM": "dumb", "PYTHONDONTWRITEBYTECODE": "1"}
        | dict(extra or {})
    )


def _result(path: Path) -> Result:
    body = json.loads(path.read_text(encoding="utf-8"))
    labels = {label["name"]: label["value"] for label in body["labels"]}
    attachments = {
        each["name"]: (path.parent / each["source"]).read_text(encoding="utf-8") for each in body.get("attachments", ())
    }
    clause = re.split(r"[ :]", labels["story"])[0]
    return Result(clause, body["status"], body.get("statusDetails", {}).get("message", ""), labels, attachments)
