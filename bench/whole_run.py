"""(g) What a whole run costs: processor time, memory of the run and of its watchdog, and the way to the verdict.

Each run is a process of its own on the embedded gateway, which runs already, and ends with KEPT. The processor time is
that of a run without its report, which (d) measures; the memory is the peak of a run that builds its report. A machine
without the report's generator leaves only the page out of that run. The way to the verdict begins with the window's
last judgement of a trigger and ends with the decision, both as the journal dates them. The documents follow the
decision; the printed line follows the documents, because a change whose evidence is missing is not plainly kept.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.processes import compiled_in
from bench.table import Row
from rollout.journal.record import Kind
from tests.support.runs import ROOT, Lab, entries

CPU_S, PEAK_MB, WATCHDOG_MB, CLOSURE_S = 3.5, 110.0, 36.0, 0.5
LONGEST_RUN_S = 120.0
_SAMPLE_EVERY_S = 0.02
_PLUGINS = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:pytest_cov")
_WITHOUT_REPORT = ("-p", "bench.without_report")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took.

    Attributes:
        cpu_s: processor time of the run and of the processes that it waited for.
        peak_mb: the most memory that the run's own process held.
        watchdog_mb: the watchdog's proportional share of memory (PSS) while it is armed.
        closure_s: from the window's last judgement to the decision.
        printed_s: from there to the printed line.
    """

    cpu_s: float
    peak_mb: float
    watchdog_mb: float
    closure_s: float
    printed_s: float


def measure(folder: Path, runs: int) -> list[Row]:
    """Return the medians of so many runs without, and with a report; one before them fills the caches of compiled code.

    Args:
        folder: an empty directory.
        runs: runs of each kind that count.

    Raises:
        RuntimeError: a run was not kept, so its numbers mean nothing.
    """
    with Lab(folder) as lab:
        lab.target |= {"url": lab.sandbox.url, "staging": lab.sandbox.staging_url}
        _run(lab, folder / "warm", ())
        bare = [_run(lab, folder / f"bare-{number}", _WITHOUT_REPORT) for number in range(runs)]
        full = [_run(lab, folder / f"full-{number}", ()) for number in range(runs)]
    cpu_s = statistics.median(cost.cpu_s for cost in bare)
    closure_s = statistics.median(cost.closure_s for cost in bare)
    printed_s = statistics.median(cost.printed_s for cost in bare)
    peak_mb = max(cost.peak_mb for cost in full)
    watchdog_mb = max(cost.watchdog_mb for cost in full)
    window = lab.scenario["monitor"]["window"]
    return [
        Row(
            "g",
            f"processor time of a run with a window of {window}, without its report, median of {runs}",
            f"{cpu_s:.2f} s",
            f"<= {CPU_S:g} s",
            met=cpu_s <= CPU_S,
        ),
        Row(
            "g",
            f"the most memory of a run that builds its report, the worst of {runs}",
            f"{peak_mb:.0f} MB",
            f"<= {PEAK_MB:g} MB",
            met=peak_mb <= PEAK_MB,
        ),
        Row(
            "g",
            f"memory of its watchdog, armed (PSS), the worst of {runs}",
            f"{watchdog_mb:.0f} MB",
            f"<= {WATCHDOG_MB:g} MB",
            met=watchdog_mb <= WATCHDOG_MB,
        ),
        Row(
            "g",
            f"from the window's last judgement to the decision, median of {runs}",
            f"{closure_s:.2f} s; {printed_s:.2f} s later, with its documents, it is printed",
            f"<= {CLOSURE_S:g} s",
            met=closure_s <= CLOSURE_S,
        ),
    ]


def _run(lab: Lab, reports: Path, plugins: Sequence[str]) -> Cost:
    """Run the lab's scenario once, and put the gateway back."""
    before = lab.direct.get("/api/v1/providers").json()["active_provider"]
    command = [sys.executable, "-m", "pytest", *_PLUGINS, *plugins, *lab.options(), f"--reports={reports}"]
    # What is printed arrives when it is printed.
    env = os.environ | compiled_in(lab.folder) | {"PYTHONUNBUFFERED": "1"}
    out = reports.with_suffix(".txt")
    with out.open("wb") as printed:
        child = subprocess.Popen(  # noqa: S603 - an argument list of our own making
            command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=printed, stderr=printed
        )
        peak_mb, watchdog_mb, verdict_at = _follow(child.pid, reports, out)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode or verdict_at is None:
        raise RuntimeError(f"a run was not kept, and ended with {child.returncode}:\n{out.read_text(encoding='utf-8')}")
    lab.direct.post(f"/api/v1/providers/{before}/activate").raise_for_status()
    judged, decided = (_latest(reports, kind) for kind in (Kind.VERDICT, Kind.CLOSED))
    cpu_s = used.ru_utime + used.ru_stime
    return Cost(cpu_s, peak_mb, watchdog_mb, decided - judged, verdict_at - decided)


def _latest(reports: Path, kind: Kind) -> float:
    """Return the time of the latest entry of a kind, in seconds since the epoch."""
    return max(datetime.fromisoformat(entry.at).timestamp() for entry in entries(reports) if entry.kind == kind)


def _follow(pid: int, reports: Path, out: Path) -> tuple[float, float, float | None]:
    """Return a process's peak and its watchdog's memory in MB, and when its verdict was printed, once it ends."""
    peak_mb = watchdog_mb = 0.0
    verdict_at, until = None, time.monotonic() + LONGEST_RUN_S
    while (status := _fields(pid, "status")) and "VmHWM" in status:
        if time.monotonic() > until:
            raise RuntimeError(f"a run takes more than {LONGEST_RUN_S:g} s:\n{out.read_text(encoding='utf-8')}")
        peak_mb = status["VmHWM"]
        if verdict_at is None and re.search(r"^=+ KEPT", out.read_text(encoding="utf-8"), re.MULTILINE):
            verdict_at = time.time()
        if not watchdog_mb and (watchdog := _armed_watchdog(reports)):
            watchdog_mb = _fields(watchdog, "smaps_rollup").get("Pss", 0.0)
        time.sleep(_SAMPLE_EVERY_S)
    return peak_mb, watchdog_mb, verdict_at


def _armed_watchdog(reports: Path) -> int | None:
    """Return the pid of the run's watchdog once the journal says that it is armed."""
    if not any(reports.glob("*/watchdog.log")):
        return None
    return next((int(entry.body["pid"]) for entry in entries(reports) if entry.kind == Kind.ARMED), None)


def _fields(pid: int, file: str) -> dict[str, float]:
    """Return the fields of a file in `/proc` that are in kB, in MB; empty of a process that has ended."""
    try:
        text = Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8")
    except OSError:
        return {}
    return {name: int(kib) * 1024 / 1e6 for name, kib in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
