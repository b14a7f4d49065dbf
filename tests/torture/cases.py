"""A case of the torture test, and the run of many at once."""

from __future__ import annotations

import shutil
import tempfile
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tests.support.forks import Server

Work = Callable[[Server, Path], None]


@dataclass(frozen=True)
class Case:
    """One way to torture a run.

    Attributes:
        name: the fault, and at which step.
        work: runs it in a folder of its own, and raises if an assertion fails.
        alone: whether no other case may run beside it.
    """

    name: str
    work: Work
    alone: bool = False


@dataclass(frozen=True)
class Outcome:
    """The outcome of a case; `why` is empty if it passed."""

    case: Case
    why: str


def tried(case: Case, server: Server) -> Outcome:
    """Run one case; its folder stays where it failed."""
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    try:
        case.work(server, folder)
    except Exception as error:  # noqa: BLE001 - with any error the case has failed, and the next one runs
        text = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
        return Outcome(case, f"{text}\n({folder})")
    shutil.rmtree(folder, ignore_errors=True)
    return Outcome(case, "")


def run(cases: Sequence[Case], server: Server, workers: int, on_end: Callable[[Outcome], None]) -> list[Outcome]:
    """Run all cases, `workers` at once, those that need the machine alone at the end; return the failures."""
    failed = []

    def end(outcome: Outcome) -> None:
        on_end(outcome)
        if outcome.why:
            failed.append(outcome)

    with ThreadPoolExecutor(workers) as pool:
        for future in as_completed([pool.submit(tried, case, server) for case in cases if not case.alone]):
            end(future.result())
    for case in cases:
        if case.alone:
            end(tried(case, server))
    return failed
