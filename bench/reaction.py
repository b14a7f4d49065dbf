"""(b) How long a breach waits for its way back: from the look that confirms it to the activation that takes it back.

The runs are in this process, without pytest around them: a rollout is opened, backed up, applied and watched, all on
the code paths of a real one, with a real journal, over HTTP, and the new provider goes offline in its window. Both
moments are the gateway's own, the arrival of a request: that of the status look that confirms the breach, a little
before its answer, and that of the activation.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.table import Row
from rollout import prechecks
from rollout.backup import take
from rollout.changes import apply
from rollout.clauses import PHASES
from rollout.clock import StopFlag, SystemClock, stamp
from rollout.evidence import guard
from rollout.options import Options
from rollout.progress import Progress
from rollout.record import Decision, Kind
from rollout.session import open_session
from tests.support.runs import ROOT, Lab

LIMIT_MS = 100.0
SHARE = 0.99
HEALTHY_S = 0.3


def measure(folder: Path, runs: int) -> list[Row]:
    """Return the reaction's P99 over so many rollouts, each taken back because its provider went offline.

    Args:
        folder: an empty directory.
        runs: how many rollouts.

    Raises:
        RuntimeError: a rollout did not end as it should, so its time means nothing.
    """
    with Lab(folder) as lab:
        lab.target |= {"url": lab.sandbox.url, "twin": lab.sandbox.twin_url}
        lab.options()
        took_ms = sorted(_one(lab) for _ in range(runs))
    # The nearest rank: with 50 runs, the slowest one.
    p99_ms = took_ms[math.ceil(SHARE * runs) - 1]
    return [
        Row(
            "b",
            f"from the look that confirms a breach to the rollback's activation, {runs} rollouts, in process",
            f"P99 {p99_ms:.0f} ms, median {statistics.median(took_ms):.0f} ms",
            f"<= {LIMIT_MS:g} ms",
            met=p99_ms <= LIMIT_MS,
        )
    ]


def _one(lab: Lab) -> float:
    began = stamp(SystemClock().now())
    # Set anew, so that it counts from this rollout's activation.
    lab.faults({"provider": "openai", "status": "offline", "since": "activation", "after_s": HEALTHY_S})
    with _baking(lab) as progress, contextlib.redirect_stdout(io.StringIO()):
        watched = progress.bake()
        closed = progress.closed
    if watched.breach is None or closed is None or closed.decision is not Decision.ROLLED_BACK:
        raise RuntimeError(f"not rolled back: {watched.breach}, {closed}")
    seen = [each for each in lab.direct.get("/sandbox/requests").json() if each["at"] >= began]
    return _reaction_ms(seen)


@contextmanager
def _baking(lab: Lab) -> Iterator[Progress]:
    """Give a run whose change is applied and whose window may begin."""
    options = Options(
        scenario=lab.folder / "lab.yaml",
        activate=None,
        ticket=None,
        target=None,
        gateway=None,
        journal=f"sqlite:///{lab.reports / 'journal.sqlite'}",
        reports=lab.reports,
        scenarios=ROOT / "scenarios",
        phases=tuple(PHASES),
    )
    session = open_session(options, clock=SystemClock(), flag=StopFlag(), env=os.environ)
    rollout = session.rollout
    progress = Progress(session, guard(rollout.redactor), os.environ)
    try:
        redact = rollout.redactor.value
        backup = take(
            rollout.gateway, rollout.target, rollout.folder, clock=rollout.clock, redact=redact, label=rollout.id
        )
        rollout.write(Kind.BACKUP, **backup.record())
        prechecks.measure(rollout, backup, None)
        rollout.take_lease()
        apply(rollout)
        yield progress
    finally:
        progress.let_go()


def _reaction_ms(seen: Sequence[Mapping[str, Any]]) -> float:
    back = next(n for n, each in enumerate(seen) if each["path"].endswith("/ollama/activate"))
    look = next(each for each in reversed(seen[:back]) if each["path"].endswith("/openai/status"))
    passed = datetime.fromisoformat(seen[back]["at"]) - datetime.fromisoformat(look["at"])
    return passed.total_seconds() * 1000
