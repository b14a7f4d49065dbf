"""``pytest -m review``: the review of a closed rollout; it only reads the gateway and writes to the record (REV)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rollout.approvals.obligations import Obligation, ObligationKind, fulfil, open_of
from rollout.context import RolloutContext
from rollout.core.caller import caller, identify
from rollout.core.clauses import Clause
from rollout.core.clock import StopFlag, SystemClock, format_utc
from rollout.core.errors import RolloutError, TryLater
from rollout.core.options import ReviewOptions
from rollout.core.plan import left_out, plan
from rollout.core.redaction import Redactor
from rollout.core.request import EMBEDDED
from rollout.engine.closing_snapshot import of_record
from rollout.engine.journaled_rollout import as_journalled
from rollout.engine.session import at_home
from rollout.gateway.transport import Exchange
from rollout.journal.journal import Journal
from rollout.journal.record import Decision, Kind, RolloutRecord
from rollout.journal.records import records
from rollout.journal.spool import reconcile
from rollout.plugin.check_outcomes import journal_outcome
from rollout.plugin.evidence import rollout_evidence
from rollout.plugin.final_documents import build_report, seal_journal
from rollout.plugin.read_only_run import ReadOnlyRun, find_inapplicable_checks
from rollout.plugin.run import describe_error
from rollout.plugin.terminal import TerminalReporter
from rollout.reporting.documents import log_operation

PHASE = "review"


class ReviewRun(ReadOnlyRun):
    """The review of one rollout.

    Attributes:
        rollout: the rollout, which is closed.
        documentation: the link to what was updated; None where none was given.
        learnings: the link to what was learned.
    """

    kind = PHASE

    def __init__(
        self,
        rollout: RolloutContext,
        options: ReviewOptions,
        exchanges: list[Exchange],
        env: Mapping[str, str],
    ) -> None:
        """Start before the first check."""
        spared = _left_out(rollout, options)
        super().__init__(
            plan((PHASE,), rollout.scenario, spared),
            spared,
            evidence=rollout_evidence(rollout, exchanges),
            terminal=TerminalReporter(rollout.redactor.text),
            stop=rollout.stop,
            env=env,
        )
        self.rollout, self._journal_url = rollout, options.journal
        self.documentation, self.learnings = options.documentation, options.learnings
        self.subject = f"{rollout.last_known_record().opened['change']} on {rollout.target.name}"
        by = identify(env).facts()
        rollout.append(Kind.RUN, run=rollout.run, phases=[PHASE], pid=os.getpid(), by=by)

    def header(self, option: Any) -> list[str]:  # noqa: ARG002 - every option is in the record
        """Return the header's lines."""
        rollout, record = self.rollout, self.rollout.last_known_record()
        return [
            f"rollout: {rollout.id} (reviewed)",
            f"change: {record.opened['change']}",
            f"ended: {(record.closed or {}).get('word', '')} at {record.closed_at}",
            f"target: {rollout.target.name} at {rollout.target.url}, policy {rollout.policy.name}",
            f"evidence: {rollout.folder}",
        ]

    def record_outcome(
        self, clause: Clause, outcome: str, message: str, *, took_s: float, error: BaseException | None
    ) -> None:
        """Record a check's outcome, in the rollout's journal too."""
        super().record_outcome(clause, outcome, message, took_s=took_s, error=error)
        try:
            journal_outcome(self.rollout, clause, outcome, message, took_s)
        except RolloutError as failure:
            # What is not recorded is not a pass.
            self.error = describe_error(failure)

    def _record(self, problems: Mapping[str, str]) -> None:
        rollout = self.rollout
        listed = [f"{clause}: {why}" for clause, why in problems.items()]
        rollout.append(Kind.PHASE, phase=PHASE, passed=not listed, problems=listed, run=rollout.run)
        if not problems and _open_review(rollout.record()):
            fulfil(rollout.journal, rollout.record(), ObligationKind.REVIEW, by=caller())
        log_operation(rollout, f"{self.word}: {self.subject}{''.join(f'; {each}' for each in listed)}")

    def _next_step(self, problems: Mapping[str, str]) -> str:
        pending = _open_review(self.rollout.last_known_record())
        if not problems or pending is None:
            return ""
        return f"mend it, and hold the review again: {pending.command} (due by {format_utc(pending.due)})"

    def _write_documents(self, reporter: Any) -> None:
        """Build the report, list what was written and seal the journal, as a rollout's run does."""
        build_report(self.rollout, self._journal_url, self.evidence, self.env, reporter)
        seal_journal(self.rollout, self.env, reporter)

    def close(self) -> None:
        """Close the gateway and the journal of this run."""
        self.rollout.gateway.close()
        self.rollout.journal.close()


def open_review(options: ReviewOptions, *, flag: StopFlag, env: Mapping[str, str]) -> ReviewRun:
    """Find the rollout to review, and continue its record.

    Raises:
        TryLater: its metrics have not gathered for long enough; the message names the time from which they have.
        JournalError: the journal cannot be opened or written.
        RolloutError: there is no such rollout, or nothing of it to review.
    """
    clock = SystemClock()
    journal = Journal.open(options.journal, clock=clock, redact=Redactor().value, create=False)
    at_home(journal)
    reconcile(journal, options.reports)
    record = chosen(records(journal), options, clock.now())
    exchanges: list[Exchange] = []
    rollout = as_journalled(journal, record, options.reports, env, what=PHASE, stop=flag, on_exchange=exchanges.append)
    rollout.record()
    return ReviewRun(rollout, options, exchanges, env)


def chosen(known: Iterable[RolloutRecord], options: ReviewOptions, now: datetime) -> RolloutRecord:
    """Return the rollout to review: the one that is named, or the latest with an open review that may be held.

    Raises:
        TryLater: none may be held yet.
        RolloutError: there is none, or nothing to review.
    """
    here = [record for record in known if _is_there(record, options)]
    if options.rollout is None:
        found = [record for record in here if _open_review(record)]
        if not found:
            where = f" on {options.target or options.gateway}" if options.target or options.gateway else ""
            raise RolloutError(
                f"no rollout{where} owes a review; name one with --rollout=ID (`rollout status --all` lists them)"
            )
    else:
        found = [record for record in here if record.id == options.rollout]
        if not found:
            raise RolloutError(f"there is no rollout {options.rollout!r} there; `rollout status --all` lists them")
    for record in found:
        refuse(record)
    ready = [record for record in found if of_record(record).review_from <= now]
    if not ready:
        first = min(found, key=lambda record: of_record(record).review_from)
        raise TryLater(
            f"the review of {first.id} may be held from {format_utc(of_record(first).review_from)} on: "
            "its metrics gather until then"
        )
    return max(ready, key=lambda record: record.closed_at)


def refuse(record: RolloutRecord) -> None:
    """Refuse a rollout without anything to review.

    Raises:
        RolloutError: it is in flight, changed nothing, or has no closing snapshot.
    """
    if record.closed is None:
        raise RolloutError(f"rollout {record.id} is not over; a review follows its end (`rollout status` shows it)")
    if record.decision is Decision.NOTHING_APPLIED or not record.wrote:
        raise RolloutError(f"rollout {record.id} changed nothing on its gateway; there is nothing to review")
    if record.traces is None and record.opened["target"]["name"] == EMBEDDED:
        raise RolloutError(
            f"the gateway of rollout {record.id} was started on demand and ended with it; review a rollout on one that "
            "lives on: `rollout sandbox --port 8000`, and --gateway=http://127.0.0.1:8000 for the rollout"
        )
    if record.traces is None:
        raise RolloutError(
            f"the journal does not say how the gateway was when rollout {record.id} ended"
            f" ({record.closed['word']}: {record.closed['why']}), so there is nothing to compare with"
        )


def _open_review(record: RolloutRecord) -> Obligation | None:
    return next((each for each in open_of(record) if each.what is ObligationKind.REVIEW), None)


def _is_there(record: RolloutRecord, options: ReviewOptions) -> bool:
    target, gateway = options.target, options.gateway
    is_named = target is None or record.opened["target"]["name"] == target
    return is_named and (gateway is None or record.opened["url"] == gateway.rstrip("/"))


def _left_out(rollout: RolloutContext, options: ReviewOptions) -> Mapping[str, str]:
    """Return clause id -> why this review does not require it; a link that is given is always checked."""
    given = {"REV-4": options.documentation, "REV-5": options.learnings}
    spared = {
        **find_inapplicable_checks(rollout.record().lacking, rollout.policy),
        **left_out(rollout.scenario, rollout.target, rollout.policy),
    }
    return {clause: why for clause, why in spared.items() if clause.startswith("REV-") and not given.get(clause)}
