"""A process that builds a report and ends: the plotting library and the page are never in the memory of the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

WITHIN_S = 240.0
"""The longest time in seconds: the generator's own limits, for its installation and its work, are below it."""

REPORT = "report.html"
_LONGEST_OUTPUT = 300


class Built(NamedTuple):
    """The result of building a report.

    Attributes:
        line: the report's path, or why there is none and how to build it elsewhere.
        problem: why it is missing; empty where it exists, or where only its generator is missing: a machine that has
            the generator builds it later from the evidence.
    """

    line: str
    problem: str = ""


def not_built(rollout: str, folder: Path, why: str, problem: str = "") -> Built:
    """Return that there is no report.

    Args:
        rollout: the rollout's id.
        folder: ``reports/<rollout id>``.
        why: the reason, for the line.
        problem: the reason, where it is a problem of the evidence.
    """
    command = f"rollout report {rollout} --reports={folder.parent}"
    line = f"report: not built, because {why}. The verdict stands; to build it, here or elsewhere: {command}"
    return Built(line, problem and f"{REPORT}: {problem}")


def build_in_own_process(
    journal_url: str, rollout: str, folder: Path, results: Mapping[str, Path], env: Mapping[str, str]
) -> Built:
    """Build the report of a rollout in a process of its own, wait for it, and return what came of it; never raise.

    The journal's URL may hold a password, so it goes over a pipe. A terminal's Ctrl-C does not reach the process: the
    verdict is out, and a report that is cut short helps nobody.

    Args:
        journal_url: the journal's URL.
        rollout: the rollout's id.
        folder: ``reports/<rollout id>``, where its evidence is and the report goes.
        results: run -> its directory of results, for a run that did not write below `folder`.
        env: the environment of the process.
    """
    paths = {run: str(path) for run, path in results.items()}
    order = {"journal": journal_url, "rollout": rollout, "folder": str(folder), "results": paths}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "rollout.reporting.html.report_process"],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=WITHIN_S,
            start_new_session=True,
            env=dict(env),
            check=False,
        )
    except subprocess.TimeoutExpired:
        why = f"it took more than {WITHIN_S:g} s"
    except OSError as error:
        why = f"its process does not start ({error.strerror or error})"
    else:
        with suppress(ValueError, TypeError):
            return Built(*json.loads(done.stdout))
        printed = " ".join(done.stderr.split())[-_LONGEST_OUTPUT:] or "it printed nothing"
        why = f"its process ended with {done.returncode}: {printed}"
    return not_built(rollout, folder, why, why)


def main() -> int:
    """Build the report that standard input names, print what came of it as JSON, and return 0."""
    from rollout.core.clock import SystemClock  # noqa: PLC0415 - heavy, and `build_in_own_process` does without
    from rollout.core.errors import JournalError  # noqa: PLC0415
    from rollout.core.redaction import knowing  # noqa: PLC0415
    from rollout.journal.journal import Journal  # noqa: PLC0415
    from rollout.reporting.html.assembly import built  # noqa: PLC0415

    order, redactor = json.load(sys.stdin), knowing(os.environ)
    rollout, folder = order["rollout"], Path(order["folder"])
    results = {run: Path(path) for run, path in order["results"].items()}
    try:
        with Journal.open(order["journal"], clock=SystemClock(), redact=redactor.value, create=False) as journal:
            found = built(journal, rollout, folder, os.environ, results)
    except JournalError as error:
        found = not_built(rollout, folder, str(error), str(error))
    sys.stdout.write(json.dumps([redactor.text(part) for part in found]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
