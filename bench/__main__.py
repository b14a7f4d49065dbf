"""Measure, print the table, and exit with 1 where a limit is not met."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import commands, emergency, precheck, reaction, reporting, side_by_side, whole_run, window
from bench.characteristic import record
from bench.table import Row, machine, markdown
from rollout.plugin import gc_tuning

ALL = "abcdefghi"


def main(arguments: Sequence[str]) -> int:
    """Run the requested measurements, all by default, and return the exit code."""
    options = _options(arguments)
    measurements: dict[str, Callable[[Path], list[Row]]] = {
        "a": lambda folder: precheck.measure(folder, options.startups),
        "b": lambda folder: reaction.measure(folder, options.rollouts),
        "c": lambda folder: window.measure(folder, options.polls),
        "d": lambda folder: reporting.measure(folder, options.reports, options.checks),
        "e": lambda folder: emergency.measure(folder, options.emergencies),
        "f": lambda _folder: record.measure(quick=options.quick),
        "g": lambda folder: whole_run.measure(folder, options.runs),
        "h": lambda folder: side_by_side.measure(folder, options.turns),
        "i": lambda folder: commands.measure(folder, options.history, options.commands),
    }
    # As in a run of the suite: the garbage collector does not scan the objects of the start-up.
    gc_tuning.is_over()
    rows: list[Row] = []
    for id_ in options.which:
        with TemporaryDirectory(prefix=f"rollout-bench-{id_}-") as folder:
            found = measurements[id_](Path(folder))
        rows += found
        sys.stderr.writelines(f"{row.id}: {row.measured}\n" for row in found)
    sys.stdout.write(f"{markdown(rows)}\n{machine()}\n")
    return 1 if any(row.met is False for row in rows) else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("which", nargs="?", default=ALL, help=f"letters of measurements (default: {ALL})")
    parser.add_argument("--startups", type=int, default=9, help="(a) pairs of runs")
    parser.add_argument("--rollouts", type=int, default=50, help="(b) rollouts that are rolled back")
    parser.add_argument("--polls", type=int, default=window.POLLS, help="(c) polls of the gateway")
    parser.add_argument("--reports", type=int, default=5, help="(d) pairs of reports")
    parser.add_argument("--checks", type=int, default=reporting.CHECKS, help="(d) rows of a report")
    parser.add_argument("--emergencies", type=int, default=10, help="(e) emergencies")
    parser.add_argument("--runs", type=int, default=5, help="(g) runs without, and with a report")
    parser.add_argument("--turns", type=int, default=side_by_side.TURNS, help="(h) runs of each tool, in turn")
    parser.add_argument("--history", type=int, default=1000, help="(i) rollouts in the journal")
    parser.add_argument("--commands", type=int, default=5, help="(i) runs of each command")
    parser.add_argument("--quick", action="store_true", help="(f) a hundredth of the windows, and no documents")
    options = parser.parse_args(arguments)
    unknown = set(options.which) - set(ALL)
    if unknown:
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
