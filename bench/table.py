"""The table of measurements and limits, and the machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MET = {True: "yes", False: "NO", None: ""}
_HEAD = ("", "what", "measured", "limit", "met")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        id: ``a`` to ``i``; several lines may belong to one measurement.
        what: what was measured, and over how many runs.
        measured: the numbers, in words.
        limit: the limit of the numbers; empty for a line that only informs.
        met: whether the limit is kept; None where there is none.
    """

    id: str
    what: str
    measured: str
    limit: str = ""
    met: bool | None = None


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a table that reads well on a terminal and in a document."""
    cells = [_HEAD, *((row.id, row.what, row.measured, row.limit, MET[row.met]) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    lines = [" | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in cells]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return "".join(f"| {line} |\n" for line in lines)


def machine() -> str:
    """Return the machine in one line: processor, cores, load, system, Python."""
    load = os.getloadavg()[0]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{_processor()}, {cores} cores, load {load:.1f}, {platform.system()} {platform.release()}, {python}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
