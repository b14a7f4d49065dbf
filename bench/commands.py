"""(i) How long the commands take that read the journal, with many rollouts in it.

The journal holds copies of two real rollouts, one kept and one rolled back, in a chain that holds. Each command is a
process of its own, as from a shell, with compiled code kept as on a user's machine.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.processes import run
from bench.table import Row
from rollout.journal.chain import Entry
from tests.support.many_rollouts import models_of, write_journal
from tests.support.runs import ROOT, Lab

STATUS_S, VERIFY_S, INDEX_S, HISTORY_S = 0.4, 15.0, 3.0, 3.0
ENTRIES = 100_000
"""What `VERIFY_S` is for; a journal of more entries may take as much longer."""
PART, GROWTH = 4, 5.0
"""Four times the rollouts take at most five times as long; what is quadratic takes up to sixteen times as long."""
LONGEST_S = 600.0
_INDEX = """\
import sys
from pathlib import Path
from rollout.core.clock import SystemClock
from rollout.journal.journal import Journal
from rollout.reporting.html.index import write
with Journal.open(sys.argv[1], clock=SystemClock(), create=False) as journal:
    write(journal, Path(sys.argv[2]))
"""


def measure(folder: Path, rollouts: int, runs: int) -> list[Row]:
    """Return the median of so many runs of each command; one run before them fills the caches of compiled code.

    Args:
        folder: an empty directory.
        rollouts: how many rollouts the journal holds.
        runs: runs of a command that count.

    Raises:
        RuntimeError: a command failed, or the journal is not valid, so there is nothing to measure.
    """
    models = _models(folder / "models")
    whole, part = folder / "whole", folder / "part"
    entries = _journal(whole, models, rollouts)
    _journal(part, models, rollouts // PART)
    status_s = _median(_command(whole, "status"), folder, runs)
    verify_s = _median(_command(whole, "verify-journal"), folder, 1)
    history_s, index_s = (_median(command, folder, runs) for command in _grown(whole))
    less = [_median(command, folder, runs) for command in _grown(part)]
    return [
        _row(f"`rollout status`, {rollouts} rollouts in the journal, median of {runs}", status_s, STATUS_S),
        _row(f"`rollout verify-journal`, {entries} entries", verify_s, VERIFY_S * entries / ENTRIES),
        _row(f"`rollout status --all`, the history of {rollouts} rollouts, median of {runs}", history_s, HISTORY_S),
        _row(f"the index of {rollouts} rollouts, median of {runs}", index_s, INDEX_S),
        _growth("the history", rollouts, history_s, less[0]),
        _growth("the index", rollouts, index_s, less[1]),
    ]


def _models(folder: Path) -> list[tuple[Entry, ...]]:
    """Return the entries of a rollout that is kept, and of one that is rolled back."""
    folder.mkdir()
    with Lab(folder) as lab:
        lab.target |= {"url": lab.sandbox.url, "staging": lab.sandbox.staging_url}
        kept = lab.run()
        lab.scenario["change"] = {"activate": "vllm", "model": "gemma-3-4b-it"}
        lab.faults({"provider": "vllm", "status": "degraded", "since": "activation", "after_s": 1.0})
        back = lab.run()
        if (kept.code, back.code) != (0, 10):
            raise RuntimeError(f"they ended with {kept.code} and {back.code}:\n{kept.out}{back.out}")
        return models_of(lab.reports / "journal.sqlite", [kept.id, back.id])


def _journal(reports: Path, models: Sequence[Sequence[Entry]], rollouts: int) -> int:
    reports.mkdir()
    return write_journal(reports / "journal.sqlite", models, rollouts)


def _command(reports: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "rollout", *words, f"--reports={reports}"]


def _grown(reports: Path) -> tuple[list[str], list[str]]:
    """Return the commands whose time grows with the rollouts: the history, and the index."""
    index = [sys.executable, "-c", _INDEX, str(reports / "journal.sqlite"), str(reports)]
    return _command(reports, "status", "--all"), index


def _median(command: Sequence[str], folder: Path, runs: int) -> float:
    walls_s = [run(command, ROOT, folder, longest_s=LONGEST_S).wall_s for _ in range(runs + 1)]
    return statistics.median(walls_s[1:])


def _row(what: str, took_s: float, limit_s: float) -> Row:
    return Row("i", what, f"{took_s:.2f} s", f"<= {limit_s:.2g} s", met=took_s <= limit_s)


def _growth(what: str, rollouts: int, whole_s: float, part_s: float) -> Row:
    return Row(
        "i",
        f"{what} of {rollouts} rollouts against {rollouts // PART}",
        f"{whole_s:.2f} s / {part_s:.2f} s = {whole_s / part_s:.1f}x",
        f"<= {GROWTH:g}x",
        met=whole_s / part_s <= GROWTH,
    )
