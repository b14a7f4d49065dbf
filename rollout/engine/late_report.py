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

LOG = "report.log"
"""What the process prints, in the rollout's folder."""

_NICE = 10


def start(journal_url: str, rollout: str, reports: Path, env: Mapping[str, str]) -> None:
    """Start the process that builds the report, and do not wait for it; a machine that cannot start it has no report.

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


def main() -> int:
    """Build the report that standard input names, and seal its folder; return 0."""
    from rollout.audit.manifest import BY_REPORT  # noqa: PLC0415 - heavy, and `start` is called in an emergency
    from rollout.audit.seal import conclude  # noqa: PLC0415
    from rollout.core.clock import SystemClock  # noqa: PLC0415
    from rollout.core.redaction import knowing  # noqa: PLC0415
    from rollout.journal.journal import Journal  # noqa: PLC0415
    from rollout.reporting.html.assembly import built  # noqa: PLC0415

    os.nice(_NICE)
    order = json.load(sys.stdin)
    folder, redactor = Path(order["reports"]) / order["rollout"], knowing(os.environ)
    with Journal.open(order["journal"], clock=SystemClock(), redact=redactor.value, create=False) as journal:
        line = built(journal, order["rollout"], folder, os.environ).line
        sealed = conclude(journal, order["rollout"], folder, os.environ, by=BY_REPORT).line
    sys.stdout.write(redactor.text("\n".join(filter(None, (line, sealed)))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
