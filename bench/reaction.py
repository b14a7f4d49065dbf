"""(b) How long a breach waits for its rollback: from the poll that confirms it to the activation that rolls it back.

The runs are in this process, without pytest around them: a rollout is opened, backed up, applied and watched, all on
the code paths of a real one, with a real journal, over HTTP, and the new provider degrades in its window (MON-1). The
first moment is the end of the poll that decided, from the journal; the second is the activation's arrival, from the
gateway's own list of requests. Both are this machine's clock, in milliseconds.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from bench.table import Row
from rollout.changes.backup import take
from rollout.changes.catalogue import apply
from rollout.context import RolloutContext
from rollout.core.clauses import PHASES
from rollout.core.clock import StopFlag, SystemClock
from rollout.core.options import Options
from rollout.core.result import Outcome
from rollout.engine import prechecks
from rollout.engine.session import open_session
from rollout.engine.traffic import poll_traffic
from rollout.journal.record import Decision, Kind
from rollout.monitoring.verdict import Verdict
from rollout.plugin.rollout_run import RolloutRun
from rollout.plugin.session_end import SessionEnd
from tests.support.runs import ROOT, Lab

LIMIT_MS = 100.0
SHARE = 0.99
HEALTHY_S = 0.3


def measure(folder: Path, runs: int) -> list[Row]:
    """Return the reaction's P99 over so many rollouts, each rolled back because its provider degraded.

    Args:
        folder: an empty directory.
        runs: how many rollouts.

    Raises:
        RuntimeError: a rollout did not end as it should, so its time means nothing.
    """
    with Lab(folder) as lab:
        lab.target |= {"url": lab.sandbox.url, "staging": lab.sandbox.staging_url}
        lab.options()
        took_ms = sorted(_one(lab) for _ in range(runs))
    # The nearest rank: with 50 runs, the slowest one.
    p99_ms = took_ms[math.ceil(SHARE * runs) - 1]
    return [
        Row(
            "b",
            f"from the answer that confirms a breach to the rollback's activation, {runs} rollouts, in process",
            f"P99 {p99_ms:.0f} ms, median {statistics.median(took_ms):.0f} ms",
            f"<= {LIMIT_MS:g} ms",
            met=p99_ms <= LIMIT_MS,
        )
    ]


def _one(lab: Lab) -> float:
    # Set again, so that it counts from this rollout's activation.
    lab.faults({"provider": "openai", "status": "degraded", "since": "activation", "after_s": HEALTHY_S})
    with _baking(lab) as run, contextlib.redirect_stdout(io.StringIO()):
        breach = run.run_window().breach
        closed = run.closed
        if breach is None or closed is None or closed.decision is not Decision.ROLLED_BACK:
            raise RuntimeError(f"not rolled back: {breach}, {closed}")
        answered = _answered_at(run.session.rollout, breach)
    return (_rolled_back_at(lab, answered) - answered).total_seconds() * 1000


@contextmanager
def _baking(lab: Lab) -> Iterator[RolloutRun]:
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
    run = RolloutRun(session, os.environ)
    try:
        redact = rollout.redactor.value
        backup = take(
            rollout.gateway, rollout.target, rollout.folder, clock=rollout.clock, redact=redact, label=rollout.id
        )
        rollout.append(Kind.BACKUP, **backup.record())
        poll = poll_traffic(rollout, backup)
        prechecks.measure(rollout, Outcome(lambda: backup), None, Outcome(lambda: poll))
        rollout.take_lease()
        apply(rollout)
        yield run
    finally:
        SessionEnd(run).close()


def _answered_at(rollout: RolloutContext, breach: Verdict) -> datetime:
    """Return when the answer was complete that the deciding sample was taken from."""
    samples = [entry.body for entry in rollout.journal.entries(rollout.id, Kind.SAMPLE)]
    deciding = next(body for body in samples if (body["at"], body["source"]) == (breach.at, breach.source))
    return datetime.fromisoformat(deciding["at"]) + timedelta(seconds=deciding.get("took_s", 0.0))


def _rolled_back_at(lab: Lab, after: datetime) -> datetime:
    """Return when the gateway received the activation that rolled the change back."""
    seen = lab.direct.get("/sandbox/requests").json()
    back = (datetime.fromisoformat(each["at"]) for each in seen if each["path"].endswith("/ollama/activate"))
    return next(at for at in back if at > after)
