"""(f) The operating characteristic of the triggers: false alarms, inconclusive ends, detections and delays.

Windows of 30 minutes and of 24 hours are simulated and judged, all polls of a thousand windows at a time, by the rule
of MON-2 and MON-3 and by those of other tools. The seeds are fixed: the numbers are the same on every machine.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.characteristic import acceptance, catalogue, chart, page
from bench.characteristic.tally import run
from bench.table import Row

DOCS = Path(__file__).parents[2] / "docs"
QUICK = 100


def measure(*, quick: bool) -> list[Row]:
    """Print the tables, write the page and its chart into `docs/`, and return the acceptance figures.

    Args:
        quick: watch a hundredth of the windows, and write nothing.

    Raises:
        OSError: a document cannot be written.
    """
    tallies = run(catalogue.windows(QUICK if quick else 1))
    rows = acceptance.rows(tallies)
    sys.stdout.write(f"{page.tables(tallies)}\n")
    if not quick:
        write(DOCS, tallies, rows)
    return rows


def write(folder: Path, tallies: acceptance.Tallies, rows: list[Row]) -> None:
    """Write the page and its chart into a directory."""
    (folder / "OPERATING-CHARACTERISTIC").with_suffix(".md").write_text(page.render(tallies, rows), encoding="utf-8")
    chart.draw(tallies, folder / "operating-characteristic.svg")
