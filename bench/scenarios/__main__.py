"""Run every shipped scenario so many times, several runs side by side, and judge each end by the README's table.

A run is a process, as from a shell, with reports, journal and embedded gateway of its own. It ends as expected if its
exit code and its trigger are those of the README, and if the gateway's files hold what was there before, or the change
where it is kept. The folder of every other run is left, with its output; the exit code is 1 if there is one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from bench.scenarios.endings import find_problems
from bench.scenarios.promises import Promise, read_promises
from bench.table import machine
from rollout.config.project import DEFAULT_SCENARIO
from tests.support.runs import ROOT, Process, reports_in

LONGEST_RUN_S = 300.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How one run ended.

    Attributes:
        promise: how it should have ended.
        took_s: from its start to its end.
        load: the machine's load of a minute, at its end.
        problems: in which points it ended otherwise.
        folder: where its evidence was, and still is if there are problems.
    """

    promise: Promise
    took_s: float
    load: float
    problems: tuple[str, ...]
    folder: Path


def main(arguments: Sequence[str]) -> int:
    """Run the scenarios, print the table, and return the exit code."""
    promises = read_promises((ROOT / "README.md").read_text(encoding="utf-8"), ROOT / "scenarios")
    options = _options(arguments, [promise.name for promise in promises])
    chosen = [promise for promise in promises if promise.name in (options.names or [promise.name])]
    folder = Path(mkdtemp(prefix="rollout-scenarios-"))
    # One scenario after another, and round again: different ones run side by side.
    jobs = [(promise, folder / f"{promise.name}-{number}") for number in range(options.times) for promise in chosen]
    with ThreadPoolExecutor(options.at_once) as pool:
        endings = list(pool.map(_run, *zip(*jobs, strict=True)))
    sys.stdout.write(f"{show(endings)}\n{options.at_once} runs side by side; {machine()}\n")
    if not any(folder.iterdir()):
        folder.rmdir()
    return 1 if any(ending.problems for ending in endings) else 0


def show(endings: Sequence[Ending]) -> str:
    """Return the table, a line for each run that ended otherwise, and the load."""
    head = ("scenario", "exit code, trigger", "as expected", "seconds: min / median / max")
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for promise in dict.fromkeys(ending.promise for ending in endings):
        own = [ending for ending in endings if ending.promise == promise]
        took_s = [ending.took_s for ending in own]
        expected = sum(not ending.problems for ending in own)
        times = " / ".join(f"{seconds:.0f}" for seconds in (min(took_s), statistics.median(took_s), max(took_s)))
        lines.append(f"| {promise.name} | {promise.describe()} | {expected} of {len(own)} | {times} |")
    lines += [f"{each.folder}: {problem}" for each in endings for problem in each.problems]
    loads = [ending.load for ending in endings]
    return "\n".join([*lines, "", f"load {min(loads):.1f} to {max(loads):.1f}, median {statistics.median(loads):.1f}"])


def _run(promise: Promise, folder: Path) -> Ending:
    # As the README has it: `pytest` alone is the quickstart.
    is_default = promise.file.name == DEFAULT_SCENARIO
    option = () if is_default else (f"--scenario={promise.file.relative_to(ROOT)}",)
    began = time.monotonic()
    with reports_in(folder) as reports:
        try:
            ended = Process(reports, *option, real=True, report=True).end(LONGEST_RUN_S)
            took_s = time.monotonic() - began
            problems = find_problems(promise, ended)
            output = ended.out
        except AssertionError as error:
            took_s, problems, output = time.monotonic() - began, [str(error).partition("\n")[0]], str(error)
    if problems:
        (folder / "output.txt").write_text(output, encoding="utf-8")
    else:
        shutil.rmtree(folder)
    ending = Ending(promise, took_s, os.getloadavg()[0], tuple(problems), folder)
    sys.stderr.write(f"{folder.name}: {took_s:.0f} s, load {ending.load:.1f}, {'; '.join(problems) or 'as expected'}\n")
    return ending


def _options(arguments: Sequence[str], names: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.scenarios", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"scenarios (default: {', '.join(names)})")
    parser.add_argument("--times", type=int, default=20, help="runs of each")
    parser.add_argument("--at-once", type=int, default=6, help="runs side by side")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in names]
    if unknown:
        parser.error(f"there is no scenario {', '.join(unknown)}; there are {', '.join(names)}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
