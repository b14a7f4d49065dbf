"""(a) How much longer `pytest -m precheck` takes than a bare file that makes the same HTTP calls.

Both run as processes of their own, against one gateway that runs already, alternating, with the plug-ins that their
users would have; plug-ins that only the suite's own tests and documents need are switched off on both sides. The bare
file sends its requests without a pause; the pauses of the suite's own requests count as the suite's time.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from bench import processes, tools
from bench.precheck_runs import BARE_PLUGINS, precheck_runs, pytest_with
from bench.table import Row

RATIO, MORE_S = 1.5, 0.6


def measure(folder: Path, runs: int) -> list[Row]:
    """Return the medians of so many pairs of runs; one pair before them fills the caches of compiled code.

    Args:
        folder: an empty directory.
        runs: pairs that count.

    Raises:
        RuntimeError: a run failed, so there is nothing to compare.
    """
    with precheck_runs(folder) as prechecks:
        prechecks.run()
        calls = prechecks.calls()
        place = folder / "bare"
        place.mkdir()
        bare = [*pytest_with(BARE_PLUGINS), *tools.write_bare(place, prechecks.url, calls)]
        processes.run(bare, place, folder)
        pairs = [(prechecks.run().wall_s, processes.run(bare, place, folder).wall_s) for _ in range(runs)]
    our_s, bare_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    return [
        Row(
            "a",
            f"`pytest -m precheck` against a bare file with the same {len(calls)} calls, median of {runs}",
            f"{our_s:.2f} s / {bare_s:.2f} s = {our_s / bare_s:.2f}x, {our_s - bare_s:+.2f} s",
            f"<= {RATIO:g}x or <= {MORE_S:g} s more",
            met=our_s / bare_s <= RATIO or our_s - bare_s <= MORE_S,
        )
    ]
