"""``rollout drill --live``: each trigger's breach for real, on an embedded gateway of the drill's own by default.

For each trigger a complete rollout runs in a process of its own; the breach is set through the
gateway's control interface once the window has begun, and the result is read from its journal. Windows and paces are
short, the limits are the scenario's. The scenario's own target is never touched, except one that the options name
(`rollout.cli.drill.named_gateway`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from rollout.cli.drill.replayed import Drilled
from rollout.config.project import journal_in
from rollout.config.project_file import find_project_file
from rollout.core.assertions import without_assertions
from rollout.core.clock import Clock, SystemClock
from rollout.core.errors import JournalError, RolloutError
from rollout.core.request import Request
from rollout.engine.embedded_gateway import control
from rollout.journal.chain import Entry
from rollout.journal.journal import Journal
from rollout.journal.record import Decision, Kind
from rollout.journal.replay import replay
from rollout.sandbox.process import find, stop

LONGEST_S = 120.0
POLL_S = 0.1
ALERT_TYPE = "DRILL"
PACES: Mapping[str, Any] = {
    "window": "60s",
    "metrics_every": "500ms",
    "alerts_every": "500ms",
    "log_every": "500ms",
    "synthetic_every": "500ms",
    "way_back_every": "5s",
    "confirm_after": "200ms",
    "short_span": "10s",
    "stable_polls": 2,
    "min_requests": 20,
    # The baseline's size: with more, a slow answer says more against the limit; 19 have the least uncertainty up to 40.
    "min_samples": 19,
    "alerts": "any",
}


@dataclass(frozen=True, slots=True)
class Site:
    """The target of the drill's rollouts.

    Attributes:
        target: the target as its file has one.
        change: the provider and model to activate, as a scenario has them.
        besides: further keys of the scenario.
        policy: its policy, as ``policy.yaml`` has it.
        left: undoes the effects of a breach and its rollout: gets the rollout's reports, and its exit code; returns
            what could not be undone, empty if all was.
    """

    target: Mapping[str, Any]
    change: Mapping[str, str]
    besides: Mapping[str, Any]
    policy: Mapping[str, Any]
    left: Callable[[Path, int], str]

    @property
    def name(self) -> str:
        """The target's name in the drill's own files."""
        return "drilled" if "url" in self.target else "embedded"


def _ends_with_it(_reports: Path, _code: int) -> str:
    return ""


OWN = Site(
    target={"environment": "sandbox"},
    change={"activate": "openai", "model": "gpt-4o"},
    besides={"sandbox": {"users_per_s": 20, "alert_error_share": 1}},
    policy={},
    left=_ends_with_it,
)
"""An embedded gateway for each rollout: whatever is set there ends with it."""


@dataclass(frozen=True, slots=True)
class Running:
    """A rollout of the drill's that is being watched.

    Attributes:
        id: the rollout's id.
        url: its gateway's URL.
        provider: the provider that it has activated.
        journal: its journal.
        pid: its process.
    """

    id: str
    url: str
    provider: str
    journal: Journal
    pid: int


@dataclass(frozen=True, slots=True)
class Breach:
    """A breach that is set on a real gateway.

    Attributes:
        clause: the trigger that must fire.
        what: the breach, described.
        inject: sets it.
    """

    clause: str
    what: str
    inject: Callable[[Running], None]


def _fault(running: Running, **fault: Any) -> None:
    # It expires by itself if this process is killed before it removes it.
    body = [{"provider": running.provider, "for_s": LONGEST_S, **fault}]
    control(running.url, "faults", body, method="PUT", anywhere=True)


def _alert(running: Running) -> None:
    # Of no provider: only on the drill's own gateway do alerts about the new provider count.
    control(running.url, "alerts", {"severity": "critical", "alert_type": ALERT_TYPE}, method="POST", anywhere=True)


def _abort(running: Running) -> None:
    running.journal.append(running.id, Kind.ABORT, {"by": "drill", "reason": "the drill asks for it"})


def _signal(running: Running) -> None:
    os.kill(running.pid, signal.SIGTERM)


BREACHES: tuple[Breach, ...] = (
    Breach("MON-1", "the provider goes offline", partial(_fault, status="offline", calls=["status"])),
    Breach("MON-2", "every request fails", partial(_fault, error_share=1.0)),
    Breach("MON-3", "every answer takes three seconds longer", partial(_fault, latency_ms=3000.0)),
    Breach("MON-4", "a critical alert fires", _alert),
    Breach("MON-5", "answers are empty", partial(_fault, answer="empty")),
    Breach("MON-5", "an operator asks for an abort", _abort),
    Breach("MON-6", "the metrics give no data", partial(_fault, error_share=1.0, calls=["metrics"])),
    Breach("MON-7", "the run is asked to stop (SIGTERM)", _signal),
)


def drilled(
    request: Request, directory: Path, breaches: tuple[Breach, ...] = BREACHES, site: Site = OWN
) -> Generator[Drilled, None, None]:
    """Yield the result of each breach, one rollout after the other.

    Args:
        request: the request with the limits to drill.
        directory: where ``pytest`` runs rollouts: a checkout's folder, or one of a project.
        breaches: the breaches.
        site: the target.

    Raises:
        RolloutError: rollouts do not run from here, or not in this process's environment.
    """
    if not (directory / "checks").is_dir() and find_project_file(directory) is None:
        raise RolloutError(
            f"{directory} has no folder `checks` and belongs to no project; run the drill where pytest runs rollouts"
        )
    if why := without_assertions():
        raise RolloutError(why)
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="rollout-drill-") as folder:
        for number, breach in enumerate(breaches):
            yield _one(breach, _scenario(request, site), site, directory, Path(folder) / str(number), clock)


def _scenario(request: Request, site: Site) -> dict[str, Any]:
    limits = request.scenario.monitor.limits
    monitor = {**PACES, "error_rate": limits.error_rate, "latency_factor": limits.latency_factor}
    if limits.p95_ms is not None:
        monitor["p95"] = f"{limits.p95_ms:g}ms"
    return {"target": site.name, "change": dict(site.change), "author": "drill", "monitor": monitor, **site.besides}


def _one(
    breach: Breach, scenario: Mapping[str, Any], site: Site, directory: Path, folder: Path, clock: Clock
) -> Drilled:
    reports = folder / "reports"
    reports.mkdir(parents=True)
    file = folder / "drill.yaml"
    # No ticket's address, and the embedded gateway's policy except for the site's.
    documents = {"targets.yaml": {site.name: site.target}, "policy.yaml": site.policy, file.name: scenario}
    for name, document in documents.items():
        (folder / name).write_text(yaml.safe_dump(dict(document)), encoding="utf-8")
    # The drill's own policy and journal, whatever the project's file names.
    options = [f"--policy={folder / 'policy.yaml'}", f"--journal={journal_in(reports)}", f"--reports={reports}"]
    command = [sys.executable, "-m", "pytest", f"--scenario={file}", *options, "-p", "no:cacheprovider"]
    if site is not OWN:
        command.append(f"--target={site.name}")
    with (folder / "output.txt").open("wb") as output:
        child = subprocess.Popen(  # noqa: S603 - an argument list of our own making
            command, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        result = _watched(breach, child, str(site.change["activate"]), reports, clock)
    except RolloutError as error:
        result = Drilled(breach.clause, breach.what, fired=False, why=str(error))
    finally:
        left = _end(child, reports, site)
    return replace(result, fired=False, why=f"{result.why}; {left}") if left else result


def _watched(breach: Breach, child: subprocess.Popen[bytes], provider: str, reports: Path, clock: Clock) -> Drilled:
    until = clock.monotonic() + LONGEST_S
    with _journal(child, reports, clock, until) as journal:
        sample = _first_sample(journal, child, clock, until)
        url = str(journal.entries(sample.rollout, Kind.OPENED)[0].body["url"])
        breach.inject(Running(sample.rollout, url, provider, journal, child.pid))
        began = clock.now()
        while child.poll() is None:
            if clock.monotonic() > until:
                raise RolloutError(f"the rollout did not end within {LONGEST_S:g} s")
            clock.wait(POLL_S)
        return _result_of(breach, journal.entries(sample.rollout), began)


def _journal(child: subprocess.Popen[bytes], reports: Path, clock: Clock, until: float) -> Journal:
    while True:
        try:
            return Journal.open(str(reports / "journal.sqlite"), clock=clock, create=False)
        except JournalError:
            _go_on(child, clock, until)


def _first_sample(journal: Journal, child: subprocess.Popen[bytes], clock: Clock, until: float) -> Entry:
    # The second one of the metrics: before it, nothing was counted in the window.
    while True:
        seen = [entry for entry in journal.entries(None, Kind.SAMPLE) if entry.body["source"] == "metrics"]
        if len(seen) > 1:
            return seen[1]
        _go_on(child, clock, until)


def _go_on(child: subprocess.Popen[bytes], clock: Clock, until: float) -> None:
    if child.poll() is not None:
        raise RolloutError(f"the rollout ended before its window began, with exit code {child.returncode}")
    if clock.monotonic() > until:
        raise RolloutError(f"the window did not begin within {LONGEST_S:g} s")
    clock.wait(POLL_S)


def _result_of(breach: Breach, entries: tuple[Entry, ...], began: datetime) -> Drilled:
    record = replay(entries[0].rollout, entries)
    found, decided = record.breach, next((e for e in entries if e.kind == Kind.VERDICT and e.body["decided"]), None)
    if found is None or decided is None:
        return Drilled(breach.clause, breach.what, fired=False, why=f"nothing fired; it ended {record.decision}")
    fired_at = datetime.fromisoformat(decided.at)
    proven = [datetime.fromisoformat(step["at"]) for clause, step in record.steps.items() if clause == "RBK-4.3"]
    back_s = (proven[-1] - fired_at).total_seconds() if proven else None
    is_back = record.decision is Decision.ROLLED_BACK and back_s is not None
    why = str(found["message"]) if is_back else f"it fired, and the rollback is not verified: {record.decision}"
    return Drilled(
        breach.clause,
        breach.what,
        fired=found["clause"] == breach.clause and is_back,
        by=str(found["clause"]),
        after_s=max(0.0, (fired_at - began).total_seconds()),
        back_after_s=back_s,
        why=why,
    )


def _end(child: subprocess.Popen[bytes], reports: Path, site: Site) -> str:
    """End what this drill started, and undo its effects; return what could not be undone, empty if all was."""
    killed = ""
    if child.poll() is None:
        # SIGTERM first: a rollout that is stopped rolls its change back (MON-7).
        child.terminate()
        try:
            child.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            child.kill()
            killed = "it had to be killed: check the gateway's active provider"
    code = child.wait()
    for folder in reports.glob("sandbox/*"):
        running = find(folder)
        if running is not None:
            stop(running)
    return "; ".join(filter(None, (killed, site.left(reports, code))))
