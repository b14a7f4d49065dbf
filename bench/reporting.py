"""(d) How much longer the report of 500 checks takes than Allure's generator alone.

Ours is `rollout.reporting.html.build`, each time in a process that has run nothing else, as at the end of a run:
loading the plotting library and drawing the chart are included. The other side is the generator on the same results.
Alternating.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.processes import compiled_in
from bench.table import Row
from rollout.core.clauses import PHASES
from rollout.journal.record import Decision
from rollout.reporting.html import allure_generator
from rollout.reporting.html.assembly import collect
from tests.support.journaled import JournaledRollout
from tests.support.runs import ROOT

CHECKS = 500
RATIO = 2.0
_OURS = """\
import os, sys, time
from pathlib import Path
from rollout.plugin import gc_tuning
from rollout.core.clock import SystemClock
from rollout.journal.journal import Journal
from rollout.reporting.html.assembly import build
gc_tuning.is_over()
with Journal.open(sys.argv[1], clock=SystemClock()) as journal:
    began = time.perf_counter()
    build(journal, "r-1", Path(sys.argv[2]), os.environ)
    print(time.perf_counter() - began)
"""
EXCHANGES = [{"call": "GET /api/v1/providers", "status": 200, "answer": "x" * 400}] * 4


def measure(folder: Path, runs: int, checks: int) -> list[Row]:
    """Return the medians of so many pairs; one pair before them warms the disk's cache.

    Args:
        folder: an empty directory.
        runs: pairs that count.
        checks: rows of the report, at least.

    Raises:
        RolloutError: the generator fails.
    """
    try:
        allure_generator.installed(os.environ)
    except allure_generator.GeneratorMissing as missing:
        return [Row("d", f"report of {checks} checks", f"not measured: {missing}", met=False)]
    with JournaledRollout(folder) as journaled:
        _write(journaled, checks)
        work = folder / "generator-alone"
        work.mkdir()
        config, results, *_ = collect(journaled.story, journaled.rollout.folder, work, {})
        rows = sum(1 for _ in results.glob("*-result.json"))

    def ours() -> float:
        command = [
            sys.executable,
            "-c",
            _OURS,
            str(folder / "reports" / "journal.sqlite"),
            str(journaled.rollout.folder),
        ]
        env = os.environ | compiled_in(folder)
        done = subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True)  # noqa: S603 - our own
        return float(done.stdout)

    def alone() -> float:
        shutil.rmtree(work / "out", ignore_errors=True)
        began = time.perf_counter()
        allure_generator.generate(config, results, os.environ)
        return time.perf_counter() - began

    pairs = [(ours(), alone()) for _ in range(runs + 1)][1:]
    our_s, alone_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    return [
        Row(
            "d",
            f"a report of {rows} rows against its generator alone, median of {runs}",
            f"{our_s:.2f} s / {alone_s:.2f} s = {our_s / alone_s:.2f}x",
            f"<= {RATIO:g}x",
            met=our_s / alone_s <= RATIO,
        )
    ]


def _write(journaled: JournaledRollout, checks: int) -> None:
    """Write a rollout of several runs, kept at last, whose checks have the exchanges with the gateway attached."""
    written = run = 0
    while written < checks:
        run += 1
        name = f"run-{run}"
        journaled.begins(name)
        if run == 1:
            journaled.backup()
            journaled.baseline()
            journaled.window(breach=False)
        for phase in PHASES:
            journaled.phase(name, phase)
        written += sum(_attach(journaled, name, path) for path in sorted(journaled.results(name).glob("*-result.json")))
    journaled.closes(Decision.KEPT, "KEPT", "every clause of the plan passed")


def _attach(journaled: JournaledRollout, run: str, path: Path) -> int:
    row = json.loads(path.read_text(encoding="utf-8"))
    source = f"{row['uuid']}-attachment.json"
    journaled.write(run, source, EXCHANGES)
    row["attachments"] = [{"name": "Exchanges with the gateway (4)", "source": source, "type": "application/json"}]
    journaled.write(run, path.name, row)
    return 1
