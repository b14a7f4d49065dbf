"""Whether the sandbox policy rules: a look at the gateway, or what an earlier process of the same rollout has found."""

from __future__ import annotations

from dataclasses import replace

from rollout.core.clauses import PHASES
from rollout.core.clock import Clock
from rollout.core.errors import JournalError
from rollout.core.options import Options
from rollout.core.request import EMBEDDED, Request, as_opened
from rollout.core.target import Target
from rollout.gateway.embedded_proof import Standing, prove_embedded
from rollout.journal.journal import Journal
from rollout.journal.record import RolloutRecord
from rollout.journal.records import records


def doubt(options: Options, clock: Clock, request: Request) -> str:
    """Return why the request's gateway is not the embedded one; empty where it is, or where that was established.

    A change in flight keeps the policy that it was opened with, whatever answers now: under another one it would be
    another content, which no later phase could go on with. Before the first write a later phase keeps it too where the
    gateway gives no answer, and loses it where something else answers.
    """
    earlier = _opened_before(options.journal, request, clock)
    if earlier is not None and earlier.in_flight:
        return ""
    seen = prove_embedded(str(request.target.url))
    if earlier is not None and options.phases[0] != PHASES[0] and seen.standing is Standing.SILENT:
        return ""
    return seen.why


def completed(target: Target, earlier: RolloutRecord) -> Target:
    """Return the target of a change in flight with what an embedded gateway said of itself when that began.

    A gateway that does not answer for a moment is stopped, started and read all the same as it was.
    """
    known = as_opened(earlier.opened).target
    return replace(
        target,
        staging=target.staging or known.staging,
        env_file=target.env_file or known.env_file,
        log_file=target.log_file or known.log_file,
        routing=target.routing or known.routing,
        service=target.service or known.service,
    )


def _opened_before(url: str, request: Request, clock: Clock) -> RolloutRecord | None:
    """Return the newest rollout of this very content, policy included; None where no journal tells of one."""
    digest = request.digest(request.target.url or EMBEDDED)
    try:
        with Journal.open(url, clock=clock, create=False) as journal:
            known = records(journal)
    except JournalError:
        # Whoever opens it next says what is wrong with it.
        return None
    return next((record for record in reversed(known) if record.opened["digest"] == digest), None)
