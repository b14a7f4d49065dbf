"""``python -m tests.torture``: every case, and ``N/N`` at the end; exit code 1 if one of them failed.

    python -m tests.torture                          all of it
    python -m tests.torture --only 'SIGTERM.*intent' the cases whose names match
    python -m tests.torture --sample 40 --of 0       every 40th, from the first on

A failed case leaves its folder in the temporary directory: reports, journal, gateway, output.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.forks import Server
from tests.torture import between, journals, kill, lies, others, pauses, restarting, stale
from tests.torture.cases import Case, Outcome, run
from tests.torture.support import Shape

ROLLBACK_REQUESTS = {Shape.PROVIDER: 16, Shape.THREE: 22, Shape.ENVIRONMENT: 26, Shape.CANARY: 25}
RESTARTING = (Shape.THREE, Shape.ENVIRONMENT)


def every_case(server: Server, rivals: int = 20) -> list[Case]:
    """Run each course once without a fault, and return every case."""
    courses = _courses(server)
    kept, rolled_back = courses[Shape.PROVIDER]
    three_kept, three_back = courses[Shape.THREE]
    return [
        *kill.cases(kept),
        *kill.cases(rolled_back),
        *(case for shape in RESTARTING for course in courses[shape] for case in kill.cases_with_a_restart(course)),
        *(case for course in courses[Shape.CANARY] for case in kill.cases(course, [signal.SIGKILL])),
        *(case for shape, steps in ROLLBACK_REQUESTS.items() for case in kill.of_the_rollback(steps, shape=shape)),
        *lies.cases(kept),
        *lies.cases(rolled_back),
        *lies.cases_of_three(three_kept),
        *lies.cases_of_three(three_back),
        *others.journals(kept),
        *others.journals(rolled_back),
        *others.journals_of_three(three_kept),
        *others.journals_of_three(three_back),
        *(case for shape in Shape for case in others.phases(shape=shape)),
        *others.intruders(),
        *others.intruders(shape=Shape.THREE),
        *others.restarts(),
        *others.restarts(shape=Shape.THREE),
        *others.rivals(rivals),
        *stale.cases(),
        *pauses.cases(),
        *(case for course in (kept, rolled_back) for case in between.cases(course)),
        *journals.cases(),
        *restarting.cases(),
    ]


def _courses(server: Server) -> Mapping[Shape, Sequence[kill.Course]]:
    """Return the two courses of each shape, kept and rolled back, without a fault."""
    names = [name for shape in Shape for name in kill.names_of(shape)]
    with tempfile.TemporaryDirectory(prefix="torture-calm-") as folder, ThreadPoolExecutor(2) as pool:
        # Most of a run is waiting.
        found = list(pool.map(lambda name: kill.undisturbed(server, Path(folder) / name, name), names))
    return {shape: [course for course in found if course.shape is shape] for shape in Shape}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the requested cases."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="REGEX", default="", help="the cases whose names match")
    parser.add_argument("--sample", metavar="N", type=int, default=1, help="every Nth case")
    parser.add_argument("--of", metavar="K", type=int, default=0, help="which of the N samples")
    parser.add_argument("--workers", metavar="N", type=int, default=2, help="how many cases at once")
    parser.add_argument("--list", action="store_true", help="name them, and run none")
    args = parser.parse_args(argv)
    with Server() as server:
        cases = [case for case in every_case(server) if re.search(args.only, case.name)][args.of :: args.sample]
        if args.list:
            print(*(case.name for case in cases), sep="\n")
            return 0
        return _run(cases, server, args.workers)


def _run(cases: Sequence[Case], server: Server, workers: int) -> int:
    began = time.monotonic()
    done: Counter[bool] = Counter()

    def on_end(outcome: Outcome) -> None:
        done[not outcome.why] += 1
        number = done.total()
        if outcome.why:
            print(f"[{number}/{len(cases)}] FAILED {outcome.case.name}\n{_indented(outcome.why)}", flush=True)
        elif number % 25 == 0:
            print(f"[{number}/{len(cases)}] {time.monotonic() - began:.0f} s", flush=True)

    failed = run(cases, server, workers, on_end)
    print(*(f"failed: {outcome.case.name}" for outcome in failed), sep="\n")
    print(f"{len(cases) - len(failed)}/{len(cases)} in {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def _indented(text: str) -> str:
    lines = text.splitlines()
    kept = lines if len(lines) <= 60 else [*lines[:10], "…", *lines[-50:]]
    return "\n".join(f"    {line}" for line in kept)


if __name__ == "__main__":
    sys.exit(main())
