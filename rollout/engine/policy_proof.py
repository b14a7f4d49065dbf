"""Whether the sandbox policy applies, by a request to the gateway or by an earlier run of the same rollout."""

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
from rollout.journal.records import newest_record


def doubt(options: Options, clock: Clock, request: Request) -> str:
    """Return why the request's gateway is not the embedded one; empty where it is, or where an earlier run proved it.

    A change in flight keeps the policy that it was opened with, whatever answers now: another policy would make it
    another content, which no later phase could continue. Before the first write a later phase keeps the policy where
    the gateway does not answer, and loses it where another gateway answers.
    """
    earlier = _opened_before(options.journal, request, clock)
    if earlier is not None and earlier.in_flight:
        return ""
    proof = prove_embedded(str(request.target.url))
    if earlier is not None and options.phases[0] != PHASES[0] and proof.standing is Standing.SILENT:
        return ""
    return proof.why


def completed(target: Target, earlier: RolloutRecord) -> Target:
    """Return the target of a change in flight with what its embedded gateway reported when the rollout was opened.

    So a gateway that does not answer for a moment can still be stopped, started and read.
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
    """Return the newest rollout of this very content, policy included; None where no journal holds one."""
    digest = request.digest(request.target.url or EMBEDDED)
    try:
        with Journal.open(url, clock=clock, create=False) as journal:
            return newest_record(journal, digest)
    except JournalError:
        # `open_session` opens it again and raises what is wrong with it.
        return None
