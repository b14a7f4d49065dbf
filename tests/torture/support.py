"""A gateway, a liar and a fast scenario for one case, and the assertions that hold after every case."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from rollout.audit.verification import Question, examine
from rollout.core.clock import SystemClock
from rollout.core.errors import JournalError
from rollout.journal.chain import Entry
from rollout.journal.journal import Journal
from rollout.journal.record import Decision, Kind, RolloutRecord
from rollout.journal.replay import replay
from rollout.sandbox.process import Running, find, stop
from tests.support.forks import ROOT, Child, Server, Started
from tests.support.kinds import ENVIRONMENT, LIMITS, LIMITS_BEFORE, PROVIDER
from tests.support.liar import Behaviour, Liar, Visit, edited
from tests.support.runs import BARE, POLICY, SCENARIO, WITHOUT_REPORT, eventually, inherited_environment

ACTIVATE_S = 6.0
"""The seconds that an activation may take: longer than the 5 s after which a late effect lands."""

SERVICE_S = 8.0
"""The seconds that a command of the service may take."""

SLOWED_S = 2.0
"""The seconds that a slowed command of the service takes."""

SETTLES_WITHIN_S = 60.0
"""Enough for a watchdog that waits for a lost activation, and then rolls back with every call at its deadline."""

MONITOR: Mapping[str, Any] = {
    **SCENARIO["monitor"],
    "window": "1s",
    "metrics_every": "300ms",
    "alerts_every": "300ms",
    # A busy machine may answer no more than that in a second; two requests exclude twice the error rate.
    "min_requests": 2,
    "min_samples": 4,
    "synthetic_every": "100ms",
    "error_rate": 0.4,
    "dark_share": 0.9,
    "dark_in_a_row": 2,
    # A busy machine answers slowly; latency is not tested here.
    "latency_factor": 50,
}
BREACH: Mapping[str, Any] = {"provider": "openai", "since": "activation", "after_s": 3, "error_share": 1}
"""What makes a run roll back: MON-2, not before a busy machine has verified the change."""

REWRITING = ROOT / "tests" / "torture" / "rewriting"
"""The folder whose `sitecustomize` rewrites constants for a case."""

WRITES = ("/activate", "governance/limits", "routing/weights")
"""The ends of the paths of writing requests; all but the last are never read."""

STAGE_S = 1.5
"""The seconds of a canary's stage."""

BREACHED_STAGE_S = 10.0
"""The seconds of the stage in which a canary exceeds its limits."""

BUSY = 80
"""Requests a second by users: with fewer, a canary's share cannot be judged."""

NEVER_WROTE = frozenset({1, 2, 3, 4, 5, 13})
AFTER_A_WRITE = frozenset({0, 10, 11, 12})


class Shape(StrEnum):
    """What a rollout changes, and how."""

    PROVIDER = "provider"
    ENVIRONMENT = "environment"
    THREE = "three"
    """Provider, environment and limits."""
    CANARY = "canary"
    """The provider, first for half of the requests."""

    @property
    def restarts(self) -> bool:
        """Whether the service is restarted."""
        return self in {Shape.ENVIRONMENT, Shape.THREE}

    @property
    def moves(self) -> bool:
        """Whether the active provider is changed."""
        return self is not Shape.ENVIRONMENT


CHANGES: Mapping[Shape, Any] = {
    Shape.PROVIDER: PROVIDER,
    Shape.ENVIRONMENT: ENVIRONMENT,
    Shape.THREE: [PROVIDER, ENVIRONMENT, LIMITS],
    Shape.CANARY: PROVIDER,
}


@dataclass(frozen=True)
class Gateway:
    """The state of a gateway: what a rollout may change, and what it must not change."""

    active: str
    config: Mapping[str, str]
    limits: Mapping[str, Any]
    env: bytes
    weights: Mapping[str, float]
    pending: str | None = None

    def against(self, other: Gateway) -> str:
        """Return how the other differs; empty if it does not."""
        parts = ("active", "config", "limits", "env", "weights", "pending")
        return "; ".join(
            f"{part}: {getattr(self, part)!r} is now {getattr(other, part)!r}"
            for part in parts
            if getattr(self, part) != getattr(other, part)
        )


class Bench:
    """One case's own gateway and liar.

    Attributes:
        folder: everything of the case.
        reports: the reports' folder of its runs.
        liar: the proxy between the runs and the gateway.
        sandbox: the gateway.
        before: the gateway's state at the beginning.
        intruded: its state after a concurrent change.
        scenario: the scenario's content; change it before a run.
        target: the target's content; likewise.
        journal_url: the journal's URL; empty for the file among the reports.
        real_watchdog: whether a run starts its watchdog from nothing, as it always does.
    """

    def __init__(
        self,
        server: Server,
        folder: Path,
        *,
        breach: bool = False,
        shape: Shape = Shape.PROVIDER,
        settings: Mapping[str, Any] | None = None,
        service: bool = False,
        rewrites: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Prepare.

        Args:
            server: forks the processes.
            folder: an empty directory.
            breach: lets the run roll back in the window, or with a wrong environment in verify.
            shape: what is changed.
            settings: further settings of the gateway.
            service: lets the target state how its service is restarted, in every shape.
            rewrites: what is rewritten in the sources of the suite (tests.torture.rewriting); its processes are then
                started from nothing.
        """
        self.journal_url, self._service, self._rewrites = "", service or shape.restarts, tuple(rewrites)
        self.real_watchdog = False
        self.server, self.folder, self.reports = server, folder, folder / "reports"
        self.shape, self._wrong = shape, breach and not shape.moves
        self.scenario: dict[str, Any] = {**deepcopy(dict(SCENARIO)), "monitor": dict(MONITOR)}
        self.scenario["change"] = deepcopy(CHANGES[shape])
        if shape is Shape.CANARY:
            first_s = BREACHED_STAGE_S if breach else STAGE_S
            stages = [{"share": "50%", "for": f"{first_s:g}s"}, {"share": "100%", "for": f"{STAGE_S:g}s"}]
            self.scenario["strategy"] = {"stages": stages, "stabilise": f"{STAGE_S:g}s"}
            del self.scenario["monitor"]["window"]
        elif breach:
            self.scenario["monitor"]["window"] = "10s"
        self.policy: dict[str, Any] = deepcopy(dict(POLICY))
        self.policy["sandbox"]["window_at_least"] = "1s"
        self._settings = {
            "users_per_s": BUSY if shape is Shape.CANARY else 0,
            "faults": [dict(BREACH)] if breach and shape.moves else [],
            "limits": dict(LIMITS_BEFORE),
            **(settings or {}),
        }
        self._children: list[Child] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start the gateway and the liar."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start_gateway()
        self.liar = self._stack.enter_context(Liar(self.sandbox.url))
        self.direct = self._stack.enter_context(httpx.Client(base_url=self.sandbox.url, timeout=10, trust_env=False))
        self.target: dict[str, Any] = {
            "url": self.liar.url,
            "staging": f"{self.liar.url}/twin",
            "environment": "sandbox",
            "timeouts": {"read": "1s", "chat": "2s", "activate": f"{ACTIVATE_S:g}s"},
        }
        if self._service:
            about = self.direct.get("/sandbox/about").json()
            self.target["service"] = {"stop": about["stop"], "start": about["start"], "timeout": f"{SERVICE_S:g}s"}
        self.before = self.intruded = self.look()
        if self._wrong:
            self.liar.rule("/chat", edited(self._another_model))
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no process behind."""
        for child in self._children:
            child.kill()
        self.kill_watchdogs()
        self._stack.close()
        for pid in self._living(str(self._program)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        restarted = find(self.folder / "gateway")
        if restarted is not None:
            stop(restarted)
        for child in self._children:
            child.wait(10)

    def _another_model(self, answer: Any) -> Any:
        """Name another model in the answer while the environment differs from the one before."""
        return answer if self.sandbox.env_file.read_bytes() == self.before.env else {**answer, "model": "gpt-3.5"}

    # Processes

    def start_gateway(self, port: int = 0) -> None:
        """Start the gateway, with the state that it had."""
        known = find(self.folder / "gateway")
        assert known is None, f"it runs already: {known}"
        settings = self.folder / "settings.json"
        settings.write_text(json.dumps(self._settings), encoding="utf-8")
        args = ["--dir", str(self.folder / "gateway"), "--port", str(port), "--settings", str(settings)]
        self._child("rollout.sandbox", args, {})
        what = "the gateway answers"
        self.sandbox: Running = eventually(lambda: find(self.folder / "gateway"), what)
        with httpx.Client(base_url=self.sandbox.url, timeout=10, trust_env=False) as asking:
            eventually(lambda: asking.get("/health").status_code == httpx.codes.OK, what, SETTLES_WITHIN_S)

    def kill_gateway(self) -> int:
        """Kill the gateway, which is another process than the first after a restart, and return its port."""
        os.kill(find(self.folder / "gateway").pid, signal.SIGKILL)  # type: ignore[union-attr]
        eventually(lambda: find(self.folder / "gateway") is None, "the gateway is gone")
        return int(self.sandbox.url.rpartition(":")[2])

    def options(self) -> list[str]:
        """Write scenario, targets and policy, and return the options that name them."""
        files = {"torture": self.scenario, "targets": {"lab": self.target}, "policy": self.policy}
        for name, content in files.items():
            (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return [f"--scenario={self.folder / 'torture.yaml'}"]

    def begin(
        self,
        *args: str,
        entry: int | str | None = None,
        do: str = "",
        env: Mapping[str, str] | None = None,
        fsize: int | None = None,
    ) -> Child:
        """Start a run; with `entry`, `do` happens to it right after its nth journal entry (tests.torture.killer)."""
        self.reports.mkdir(exist_ok=True)
        options = [f"--reports={self.reports}", *self._journal, *BARE, *(WITHOUT_REPORT if self._rewrites else ())]
        fault = {}
        if entry is not None:
            fault = {"TORTURE_ENTRY": str(entry), "TORTURE_DO": do, "TORTURE_REACHED": str(self.folder / "reached")}
            fault["TORTURE_GO"] = str(self.folder / "go")
            options += ["-p", "tests.torture.killer"]
        return self._child("pytest", [*options, *self.options(), *args], {**fault, **(env or {})}, fsize)

    def beside(self, args: list[str]) -> Child:
        """Start another run, whose options are complete except for the journal."""
        return self._child("pytest", [*args, *self._journal], {})

    def command(self, *args: str) -> Child:
        """Start ``rollout ARGS --reports=…``."""
        return self._child("rollout", [*args, f"--reports={self.reports}", *self._journal], {})

    @property
    def _journal(self) -> list[str]:
        return [f"--journal={self.journal_url}"] if self.journal_url else []

    def recover(self) -> int:
        """Run ``rollout recover`` to its end."""
        child = self.command("recover")
        code = child.wait(SETTLES_WITHIN_S)
        assert "Traceback" not in child.text, child.text
        return code

    def _child(self, module: str, args: list[str], env: Mapping[str, str], fsize: int | None = None) -> Child:
        inherited = {**inherited_environment(), "COLUMNS": "120", **env}
        out = self.folder / f"{module}-{len(self._children)}.txt"
        child: Child
        if self._rewrites:
            rewritten = {"PYTHONPATH": str(REWRITING), "TORTURE_REWRITE": json.dumps(self._rewrites)}
            child = Started(module, args, out=out, env={**inherited, **rewritten})
        else:
            child = self.server.start(
                module,
                args,
                out=out,
                env=inherited,
                session=True,
                real_watchdog=self.real_watchdog,
                file_bytes=fsize,
            )
        self._children.append(child)
        return child

    @property
    def output(self) -> str:
        """The output of every process."""
        return "\n".join(f"--- {child.out.name}\n{child.text}" for child in self._children)

    @property
    def reached(self) -> str:
        """The entry at which something happened to the run; empty if it never got there."""
        path = self.folder / "reached"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def watchdogs(self) -> list[int]:
        """Return the watchdogs of this case that live."""
        return [pid for pid in self._living("rollout.engine.watchdog") if self._is_ours(pid)]

    def _is_ours(self, pid: int) -> bool:
        try:
            return str(self.reports) in str(Path(f"/proc/{pid}/fd/2").readlink())
        except OSError:
            return False

    def kill_watchdogs(self) -> None:
        """Kill every watchdog of this case."""
        for pid in self.watchdogs():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def slowed(self, command: str, nth: int) -> Path:
        """Let the nth ``stop`` or ``start`` of the service wait before it acts; return the file that it creates.

        It runs on when its caller is gone.
        """
        reached, program = self.folder / f"{command}-runs", self._program
        program.write_text(
            "import pathlib, sys, time\n"
            "calls, reached, nth, *command = sys.argv[1:]\n"
            "with open(calls, 'a+') as file:\n"
            "    file.write('.'); file.flush(); file.seek(0)\n"
            "    mine = len(file.read()) == int(nth)\n"
            "if mine:\n"
            "    pathlib.Path(reached).touch()\n"
            f"    time.sleep({SLOWED_S})\n"
            "import subprocess\n"
            "sys.exit(subprocess.run(command).returncode)\n",
            encoding="utf-8",
        )
        own = [sys.executable, str(program), str(self.folder / f"{command}-calls"), str(reached), str(nth)]
        self.target["service"][command] = [*own, *self.target["service"][command]]
        return reached

    def await_commands(self) -> None:
        """Return when no slowed command runs any more."""
        eventually(lambda: not self._living(str(self._program)), "the command ends", SETTLES_WITHIN_S)

    @property
    def _program(self) -> Path:
        return self.folder / "slowed.py"

    @staticmethod
    def _living(argument: str) -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if argument.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
        return found

    def settle(self) -> None:
        """Return when no watchdog of this case is left."""
        eventually(lambda: not self.watchdogs(), f"the watchdog leaves\n{self.output}", SETTLES_WITHIN_S)

    # The gateway, without the liar

    def look(self) -> Gateway:
        """Return the gateway's real state, which its reads may not show."""
        state = self.state()
        limits = {
            f"{kind} {scope}": limit for kind in ("cost", "rate") for scope, limit in state[f"{kind}_limits"].items()
        }
        env = self.sandbox.env_file.read_bytes()
        return Gateway(state["active"], state["config"], limits, env, state["weights"], state["pending"])

    def state(self) -> dict[str, Any]:
        """Return the embedded gateway's own state: what is in effect, what was activated, and which provider served."""
        return dict(self.direct.get("/sandbox/state").raise_for_status().json())

    def activate(self, provider: str, model: str) -> None:
        """Activate a provider as another operator does."""
        self.direct.post(f"/api/v1/providers/{provider}/activate", json={"model": model}).raise_for_status()

    @property
    def wrote(self) -> bool:
        """Whether a write was sent to the liar."""
        return any(is_write(f"{each.method} {each.path}") for each in list(self.liar.requests))

    # The journal

    def entries(self, rollout: str | None = None) -> tuple[Entry, ...]:
        """Return the journal's entries; none where there is no journal."""
        try:
            with self.journal() as journal:
                return journal.entries(rollout)
        except JournalError:
            return ()

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        """Open the journal."""
        url = self.journal_url or str(self.reports / "journal.sqlite")
        with Journal.open(url, clock=SystemClock(), create=False) as journal:
            yield journal

    def phases(self) -> list[str]:
        """Return the phases of the newest run."""
        return next((e.body["phases"] for e in reversed(self.entries()) if e.kind == Kind.RUN), [])

    def record(self) -> RolloutRecord | None:
        """Return the newest rollout; None where there is none."""
        found = self.entries()
        return replay(found[-1].rollout, [e for e in found if e.rollout == found[-1].rollout]) if found else None


def settled(bench: Bench, code: int | None, *, lease_may_run_out: bool = False) -> None:
    """Assert what must be true after every case in which only the rollout changed the gateway.

    Args:
        bench: the case.
        code: the run's exit code; None where it was killed, or where another process decided.
        lease_may_run_out: whether no process was left to release the lease, which then expires.
    """
    bench.settle()
    record, now = bench.record(), bench.look()
    if record is not None:
        with bench.journal() as journal:
            examined(bench, journal)
            held = journal.holder(bench.liar.url)
        # The next run releases the lease of a closed rollout (`RolloutContext.acquire_lease`).
        is_over = held is None or (record.closed or {}).get("fence") == held.token
        assert is_over or lease_may_run_out, f"the lease is still held: {held}"
    if record is None or not record.wrote:
        assert not bench.before.against(now), bench.before.against(now)
        fine = NEVER_WROTE | ({0} if bench.phases() == ["precheck"] else set())
        assert code is None or code in fine, f"exit code {code}, and nothing was written"
        return
    assert record.closed is not None, "the verdict is not recorded"
    is_kept = record.decision is Decision.KEPT
    agrees(bench, now, is_kept=is_kept)
    wanted = {Decision.KEPT: 0, Decision.ROLLED_BACK: 10, Decision.ROLLBACK_FAILED: 11}
    assert code is None or code == wanted.get(record.decision, code), f"exit code {code}, but {record.decision}"
    assert record.decision is not Decision.ROLLBACK_FAILED, record.closed["why"]


def examined(bench: Bench, journal: Journal) -> None:
    """Assert that an audit finds the chain complete, the verdicts derived again, and no altered file."""
    found = examine(journal, Question(bench.reports)).findings
    assert not found, "\n".join(map(str, found))


def agrees(bench: Bench, now: Gateway, *, is_kept: bool) -> None:
    """Assert that the gateway agrees with the verdict: the change is in effect, or the state is the one before."""
    if is_kept:
        active = "openai:gpt-4o" if bench.shape.moves else bench.before.active
        assert now.active == active, f"kept, but {now.active} is active"
        changed = {key for key in now.config if now.config[key] != bench.before.config.get(key)}
        limits = {scope for scope in now.limits if now.limits[scope] != bench.before.limits.get(scope)}
        moved = {"ACTIVE_PROVIDER", "LLM_MODEL_NAME"} if bench.shape.moves else set()
        assert changed == moved | (set(ENVIRONMENT["set"]) if bench.shape.restarts else set())
        assert limits == ({"cost provider:openai"} if bench.shape is Shape.THREE else set())
        assert not now.weights, f"kept, but the requests are split by {now.weights}"
    else:
        assert not bench.before.against(now), bench.before.against(now)


def is_write(request: str) -> bool:
    """Return whether a request writes, from its method and path."""
    return request.endswith(WRITES) and not request.startswith("GET ")


def points(bench: Bench) -> list[str]:
    """Return the names of the journal's entries, in order."""
    names = ("clause", "source", "step", "phase", "channel")
    return [" ".join([e.kind, *(str(e.body[n]) for n in names if n in e.body)]) for e in bench.entries()]


def held(action: Callable[[], object], then: Behaviour) -> Behaviour:
    """Do the action while the request is held, then answer it with `then`."""

    async def behaviour(visit: Visit) -> None:
        await asyncio.to_thread(action)
        await then(visit)

    return behaviour


def name_of(path: str) -> str:
    """Return a request's path without the common prefix and the query."""
    return re.sub(r"/api/v1/|\?.*", " ", path).strip()


def wait_s(seconds: float) -> None:
    """Wait until a late effect has landed; no read shows that."""
    time.sleep(seconds)


__all__ = [
    "ACTIVATE_S",
    "AFTER_A_WRITE",
    "NEVER_WROTE",
    "SETTLES_WITHIN_S",
    "Bench",
    "Gateway",
    "Kind",
    "Shape",
    "agrees",
    "examined",
    "held",
    "is_write",
    "name_of",
    "points",
    "settled",
    "wait_s",
]
