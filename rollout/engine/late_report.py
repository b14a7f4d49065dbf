"""The report of a rollout whose own run does not build it: of a killed run, and of an emergency.

It is built by a process of its own, which nothing waits for: a rollback and an emergency are over before it begins.
`rollout report` builds it again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout.journal.journal import Journal

LOG = "report.log"
"""What the process prints, in the rollout's folder."""

_NICE = 10


def start(journal_url: str, rollout: str, reports: Path, env: Mapping[str, str]) -> bool:
    """Start the process that builds the report, and do not wait for it; return whether the machine could start it.

    The journal's URL may hold a password, so it goes over a pipe.

    Args:
        journal_url: the journal's URL.
        rollout: the rollout's id; its folder exists.
        reports: the folder of the evidence.
        env: the environment of the process.
    """
    order = json.dumps({"journal": journal_url, "rollout": rollout, "reports": str(reports)})
    with suppress(OSError), (reports / rollout / LOG).open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "rollout.engine.late_report"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=dict(env),
        )
        assert child.stdin is not None  # noqa: S101 - for the type checker
        with child.stdin:
            child.stdin.write(order.encode())
        return True
    return False


def build_and_seal(journal: Journal, rollout: str, reports: Path, env: Mapping[str, str], *, by: str) -> str:
    """Build the report of a rollout, seal its folder, and return the lines that say where they are.

    Args:
        journal: the journal with the rollout's entries.
        rollout: its id.
        reports: the folder of the evidence.
        env: the environment variables.
        by: who lists the files.
    """
    from rollout.audit.seal import conclude  # noqa: PLC0415 - heavy, and `start` is called in an emergency
    from rollout.reporting.html.assembly import built  # noqa: PLC0415

    folder = reports / rollout
    line = built(journal, rollout, folder, env).line
    return "\n".join(filter(None, (line, conclude(journal, rollout, folder, env, by=by).line)))


def main() -> int:
    """Build the report that standard input names, and seal its folder; return 0."""
    from rollout.audit.manifest import BY_REPORT  # noqa: PLC0415 - heavy, as above
    from rollout.core.clock import SystemClock  # noqa: PLC0415
    from rollout.core.redaction import knowing  # noqa: PLC0415
    from rollout.journal.journal import Journal  # noqa: PLC0415
    from rollout.reporting.html import index  # noqa: PLC0415

    os.nice(_NICE)
    order, redactor = json.load(sys.stdin), knowing(os.environ)
    reports = Path(order["reports"])
    with Journal.open(order["journal"], clock=SystemClock(), redact=redactor.value, create=False) as journal:
        # The report takes seconds, and cannot be built everywhere: the page over all rollouts does not wait for it,
        # and a page that cannot be written does not cost the report.
        with suppress(Exception):
            index.write(journal, reports)
        lines = build_and_seal(journal, order["rollout"], reports, os.environ, by=BY_REPORT)
    sys.stdout.write(redactor.text(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
