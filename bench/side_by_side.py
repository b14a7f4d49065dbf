"""(h) What `pytest -m precheck` costs beside what a user would take instead: Tavern, Chaos Toolkit, curl, bare pytest.

All make the calls of one precheck (`bench/tools.py` writes their files), as processes of their own, against one gateway
that runs already, one after the other in each turn. The suite's report is left out, and no other tool has one. The
suite's pauses between requests count as its time. Wall is from the start of the process to its end; CPU is that of
the process and those below it; memory is the peak of the largest of these processes. Compiled code is kept from the
run before the first turn, as on a user's machine.

Before the turns, each tool proves that its numbers mean something: the gateway has received exactly the calls, and the
tool ends with an error where one call more is answered with 404, or with 200 and no JSON.

One side more makes no call: an empty test in pytest with the plug-ins and the libraries that a precheck loads. It is
the part of the suite's cost that none of the suite's own code can lower.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench.precheck_runs import Call, PrecheckRuns, precheck_runs, write_libraries_only
from bench.table import Row
from bench.tools import BARE, TAVERN, TOOLS, Found, Tool, find

TURNS = 15
OURS = "`pytest -m precheck`"
LIBRARIES = "an empty test in pytest, with the plug-ins and libraries of a precheck"
TAVERN_WALL, BARE_CPU = 1.0, 1.5
WRONG: Mapping[str, Call] = {"404": ("GET", "/nothing", None), "200 and no JSON": ("GET", "/metrics", None)}


@dataclass(frozen=True, slots=True)
class Cost:
    """The medians of one side's runs: seconds, CPU seconds, and 10^6 bytes at the peak of the largest process."""

    wall_s: float
    cpu_s: float
    peak_mb: float

    @classmethod
    def of(cls, runs: Sequence[processes.Ended]) -> Cost:
        """Return the median of each."""
        return cls(*(statistics.median(getattr(run, name) for run in runs) for name in ("wall_s", "cpu_s", "peak_mb")))

    def describe(self) -> str:
        """Return the three in words."""
        return f"{self.wall_s:.2f} s, {self.cpu_s:.2f} s of CPU, {self.peak_mb:.0f} MB at the largest process's peak"


def measure(folder: Path, turns: int, tools: Sequence[Tool] = TOOLS) -> list[Row]:
    """Return a row for each side, with its medians over so many turns, and one for each limit.

    A tool that cannot be had is a row with the reason, and so is a limit that refers to it.

    Args:
        folder: an empty directory.
        turns: in each, every side runs once.
        tools: what to compare with.

    Raises:
        RuntimeError: a run failed, or a tool did not fail where it should, so there is nothing to compare.
    """
    found = [find(tool) for tool in tools]
    with precheck_runs(folder) as prechecks:
        prechecks.run()
        calls = prechecks.calls()
        commands = {each.tool.name: _prepare(each, folder, prechecks, calls) for each in found if not each.why}
        commands[LIBRARIES] = write_libraries_only(_place(folder, LIBRARIES))
        spent: dict[str, list[processes.Ended]] = {name: [] for name in (OURS, *commands)}
        for _ in range(turns):
            spent[OURS].append(prechecks.run())
            for name, command in commands.items():
                spent[name].append(processes.run(command, _place(folder, name), folder))
    costs = {name: Cost.of(runs) for name, runs in spent.items()}
    ours = Row("h", f"{OURS}, report left out: {len(calls)} calls, median of {turns} in turn", costs[OURS].describe())
    sides = [_side(each, costs) for each in found]
    missing = {each.tool.name: each.why for each in found if each.why}
    return [ours, Row("h", LIBRARIES, costs[LIBRARIES].describe()), *sides, *_limits(costs, missing)]


def _prepare(found: Found, folder: Path, prechecks: PrecheckRuns, calls: Sequence[Call]) -> list[str]:
    """Return the command that makes the calls, after it has proved that it does, and that it can fail."""
    name = found.tool.name
    command = _write(found, _place(folder, name), prechecks.url, calls)
    before = len(prechecks.calls())
    processes.run(command, _place(folder, name), folder)
    made = prechecks.calls()[before:]
    if made != list(calls):
        raise RuntimeError(f"{name} made other calls than the precheck; correct bench/tools.py:\n{made}\n{list(calls)}")
    for number, (answer, wrong) in enumerate(WRONG.items()):
        place = _place(folder, f"{name} {number}")
        ended = processes.attempt(_write(found, place, prechecks.url, [*calls, wrong]), place, folder)
        if not ended.code:
            raise RuntimeError(
                f"{name} ended with 0 although {wrong[1]} answers with {answer}: its numbers mean nothing; "
                f"correct its file in bench/tools.py\n{ended.output}"
            )
    return command


def _place(folder: Path, name: str) -> Path:
    return folder / name.lower().replace(" ", "-")


def _write(found: Found, place: Path, url: str, calls: Sequence[Call]) -> list[str]:
    place.mkdir()
    return [*found.start, *found.tool.write(place, url, calls)]


def _side(found: Found, costs: Mapping[str, Cost]) -> Row:
    if found.why:
        return Row("h", f"{found.tool.name}, the same calls", f"not measured: {found.why}")
    of = f" ({found.versions})" if found.tool.requirements else f" ({found.versions}, a process a call)"
    return Row("h", f"{found.tool.name}{of}, the same calls", costs[found.tool.name].describe())


def _limits(costs: Mapping[str, Cost], missing: Mapping[str, str]) -> list[Row]:
    """Return the two limits of what the suite may cost."""
    rows = []
    for what, tool, name, limit in (("time", TAVERN, "wall_s", TAVERN_WALL), ("CPU", BARE, "cpu_s", BARE_CPU)):
        title, allowed = f"{what} of {OURS} against that of {tool.name}", f"<= {limit:g}x"
        if tool.name not in costs:
            why = missing.get(tool.name, "it was left out")
            rows.append(Row("h", title, f"not measured: {why}", allowed))
            continue
        our, other = getattr(costs[OURS], name), getattr(costs[tool.name], name)
        measured = f"{our:.2f} s / {other:.2f} s = {our / other:.2f}x"
        rows.append(Row("h", title, measured, allowed, met=our / other <= limit))
    return rows
