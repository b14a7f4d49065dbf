"""What a case is, and how many are run at once."""

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
        name: what happens, and at which step.
        work: does it in a folder of its own, and raises when something is not as it must be.
        alone: whether it needs the machine for itself.
    """

    name: str
    work: Work
    alone: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a case; `why` is empty where all was well."""

    case: Case
    why: str


def tried(case: Case, server: Server) -> Outcome:
    """Run one case; its folder stays where it failed."""
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    try:
        case.work(server, folder)
    except Exception as error:  # noqa: BLE001 - whatever it is, the case has failed, and the next one goes on
        text = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
        return Outcome(case, f"{text}\n({folder})")
    shutil.rmtree(folder, ignore_errors=True)
    return Outcome(case, "")


def run(cases: Sequence[Case], server: Server, workers: int, on_end: Callable[[Outcome], None]) -> list[Outcome]:
    """Run all cases, so many at once, those that need the machine for themselves at the end; return the failures."""
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
