"""``python -m tests.mutants``: every deliberate defect, and ``N/N`` at the end; exit code 1 unless all are killed.

    python -m tests.mutants                    all of them
    python -m tests.mutants --only 'gate|lease'  those whose module, line or decision matches
    python -m tests.mutants --list             name them, and try none

A defect is killed when a test fails for it. An import that breaks, a test that hangs and a defect that nothing notices
are named with the decision that no test holds.
"""

from __future__ import annotations

import argparse
import pkgutil
import re
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import tests.mutants
from tests.mutants.mutant import Misplaced, Mutant
from tests.mutants.trial import Verdict, copies, try_all, unchanged

ROOT = Path(__file__).parents[2]


def every_mutant() -> list[Mutant]:
    """Return the mutants of every list in this folder."""
    names = [found.name for found in pkgutil.iter_modules(tests.mutants.__path__)]
    lists = [import_module(f"tests.mutants.{name}") for name in names if not name.startswith(("test_", "__"))]
    return [mutant for module in lists for mutant in getattr(module, "MUTANTS", ())]


def main(argv: Sequence[str] | None = None, mutants: Sequence[Mutant] | None = None, root: Path = ROOT) -> int:
    """Try the mutants that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="REGEX", default="", help="those whose module, line or decision matches")
    parser.add_argument("--workers", metavar="N", type=int, default=2, help="how many at once")
    parser.add_argument("--list", action="store_true", help="name them, and try none")
    args = parser.parse_args(argv)
    known = every_mutant() if mutants is None else mutants
    chosen = [mutant for mutant in known if re.search(args.only, f"{mutant.name} {mutant.decision}")]
    if args.list:
        print(*(f"{mutant.name}\n    {mutant.decision}" for mutant in chosen), sep="\n")
        return 0
    return _run(chosen, root, args.workers)


def _run(mutants: Sequence[Mutant], root: Path, workers: int) -> int:
    began, verdicts = time.monotonic(), list[Verdict]()
    try:
        for mutant in mutants:
            mutant.applied(root)
    except Misplaced as error:
        print(error)
        return 1

    def on_end(verdict: Verdict) -> None:
        verdicts.append(verdict)
        if verdict.why:
            print(f"[{len(verdicts)}/{len(mutants)}] {_told(verdict)}", flush=True)

    with copies(root, workers) as free:
        first = free.get()
        problem = unchanged(first, mutants)
        free.put(first)
        if problem:
            print(problem)
            return 1
        try_all(mutants, free, workers, on_end)
    killed = sum(not verdict.why for verdict in verdicts)
    print(f"{killed}/{len(mutants)} in {time.monotonic() - began:.0f} s")
    return 0 if mutants and killed == len(mutants) else 1


def _told(verdict: Verdict) -> str:
    mutant = verdict.mutant
    tests = " ".join(mutant.tests)
    return f"{verdict.why}: {mutant.name}\n    decision: {mutant.decision}\n    tests: {tests}"


if __name__ == "__main__":
    sys.exit(main())
