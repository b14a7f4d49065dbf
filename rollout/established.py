"""Whether the sandbox policy rules: a look at the gateway, or what an earlier process of the same rollout has found."""

from __future__ import annotations

from rollout.about import Standing, look
from rollout.clauses import PHASES
from rollout.clock import Clock
from rollout.errors import JournalError
from rollout.journal import Journal
from rollout.options import Options
from rollout.record import FOLDED, Record, fold
from rollout.request import EMBEDDED, Request


def doubt(options: Options, clock: Clock, request: Request) -> str:
    """Return why the request's gateway is not the embedded one; empty where it is, or where that was established.

    A change in flight keeps the policy that it was opened with, whatever answers now: under another one it would be
    another content, which no later phase could go on with. Before the first write a later phase keeps it too where the
    gateway gives no answer, and loses it where something else answers.
    """
    earlier = _opened_before(options.journal, request, clock)
    if earlier is not None and earlier.in_flight:
        return ""
    seen = look(str(request.target.url))
    if earlier is not None and options.phases[0] != PHASES[0] and seen.standing is Standing.SILENT:
        return ""
    return seen.why


def _opened_before(url: str, request: Request, clock: Clock) -> Record | None:
    """Return the newest rollout of this very content, policy included; None where no journal tells of one."""
    digest = request.digest(request.target.url or EMBEDDED)
    try:
        with Journal.open(url, clock=clock, create=False) as journal:
            known = [fold(id_, journal.entries(id_, *FOLDED)) for id_ in journal.rollouts()]
    except JournalError:
        # Whoever opens it next says what is wrong with it.
        return None
    return next((record for record in reversed(known) if record.opened["digest"] == digest), None)
