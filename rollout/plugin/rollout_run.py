"""A rollout's run: which check may still run, the effect of each outcome, and how the run ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rollout.approvals.waivers import judged_by_waiver
from rollout.core.clauses import CLAUSES, LATER_PHASES, ORDER, PHASES, Clause
from rollout.core.clock import format_utc
from rollout.core.errors import (
    ApprovalPending,
    ConcurrentChange,
    ExitCode,
    Interrupted,
    JournalError,
    NotCleared,
    NotReached,
    RolloutError,
    TryLater,
)
from rollout.core.plan import of_other_kinds
from rollout.engine import closure as closing
from rollout.engine import decision as deciding
from rollout.engine import gates, rollback_closure
from rollout.engine.embedded_gateway import hold
from rollout.engine.evidence_check import missing_evidence
from rollout.engine.session import Session, acquire_target, finish
from rollout.engine.watchdog import Watchdog, arm
from rollout.journal.leases import LeaseLost
from rollout.journal.record import NOT_APPLICABLE, OWED, Decision, Kind
from rollout.monitoring.verdict import Verdict
from rollout.monitoring.window_result import WindowResult
from rollout.plugin.check_outcomes import journal_outcome
from rollout.plugin.evidence import rollout_evidence, ticket_links
from rollout.plugin.exit_codes import exit_code_of, waits_for_evidence
from rollout.plugin.final_documents import missing_of, record_missing, write_final_documents
from rollout.plugin.live_window import reasons_after, watch_live
from rollout.plugin.run import SuiteRun, describe_error
from rollout.plugin.terminal import RolloutReporter
from rollout.reporting.allure import NOT_RUN

_NO_JUDGEMENT = (Interrupted, JournalError, LeaseLost, NotCleared, NotReached, ConcurrentChange)
"""Errors that are no outcome of what a check measures: no waiver of its clause covers them."""


class RolloutRun(SuiteRun):
    """The state of one pytest run of a rollout.

    Attributes:
        session: the rollout, its plan and its gateway.
        rollout: the session's rollout.
        closed: how the run ended; None while it runs.
    """

    closes = True
    terminal: RolloutReporter

    def __init__(self, session: Session, env: Mapping[str, str]) -> None:
        """Start before the first check."""
        rollout = session.rollout
        super().__init__(
            evidence=rollout_evidence(rollout, session.exchanges, ticket_links(rollout)),
            terminal=RolloutReporter(session),
            stop=rollout.stop,
            env=env,
            required_clauses=session.plan,
        )
        self.session, self.rollout = session, rollout
        self.excluded_clauses, self.only_closes = of_other_kinds(rollout.scenario), session.writes_evidence
        self.closed: closing.Closure | None = None
        self._phase: str | None = None
        self._failed: dict[str, str] = {}
        self._later: list[bool] = []
        self._admitted: set[str] = set()
        self._interrupted = False
        self._watchdog: Watchdog | None = None
        self.code = int(ExitCode.ROLLBACK_FAILED)

    def ignores_folder(self, folder: str) -> bool:
        """Return whether the checks of this folder below ``checks/`` are those of other kinds of run."""
        return folder in LATER_PHASES

    # What may run

    def start_phase(self, clause: Clause | None) -> None:
        """Note the phase that is about to run; the one before it has its verdict then."""
        phase = clause.phase if clause else None
        if self._phase is not None and phase != self._phase:
            self._end_phase(self._phase)
        if phase == "apply" and self._phase != phase and self.session.embedded is not None:
            hold(self.session.embedded, in_flight=True)
        self._phase = phase

    def skip_reason(self, clause: Clause | None) -> str | None:
        """Return why a check must not run any more; None if it may. The closure always runs."""
        if clause is None:
            return None
        if clause.id in self.session.left_out:
            return self.session.left_out[clause.id]
        if clause.id in self.session.inapplicable:
            return f"{NOT_APPLICABLE}{self.session.inapplicable[clause.id]}"
        # MON-7 fails for an interrupted window, with the reason.
        if self.stop and not (self._interrupted and clause.id == "MON-7"):
            return f"{NOT_RUN}{self.stop.reason}"
        failed = next(iter(self._failed), None)
        # A precheck shows everything at once; from apply on, the first failure ends the run. The monitor's clauses
        # are judged together, so each still reports what it measured.
        if failed is None or clause.phase == "precheck" or (CLAUSES[failed].phase == "monitor" == clause.phase):
            return None
        return f"{NOT_RUN}{failed} did not pass"

    def check_admission(self, clause: Clause | None) -> None:
        """Raise why this run may not go on, at its first check.

        Raises:
            RolloutError: the refusal.
        """
        if clause is None:
            return
        if self.session.refusal is not None:
            raise self.session.refusal
        self._admit(clause)
        if clause.phase != PHASES[0] and self.rollout.lease is None:
            acquire_target(self.session, clause.phase)
            self._watchdog = arm(self.session)

    def _admit(self, clause: Clause) -> None:
        """Apply the gates to this run: options that select single checks must not bypass one.

        Raises:
            RolloutError: what has to pass before this check did not, or was not selected.
        """
        if clause.phase != PHASES[0] and clause.phase not in self._admitted:
            refusal = gates.refusal((clause.phase,), self.rollout.record(), self.rollout.digest)
            if refusal is not None:
                raise refusal
        self._admitted.add(clause.phase)
        if clause.phase == "apply":
            before = [c for c in self.session.plan if c.phase == clause.phase and ORDER[c.id] < ORDER[clause.id]]
            missing = closing.not_passed(self.rollout.record(), before, self.rollout.run)
            if missing:
                raise NotCleared(f"{clause.id} needs a pass of {', '.join(missing)} in this run; run all of `-m apply`")

    # What the outcomes mean

    def judge_failure(self, clause: Clause, error: BaseException, message: str) -> tuple[bool, str]:
        """Return whether a waiver or a pending approval covers a check that did not pass, and its message."""
        if isinstance(error, ApprovalPending):
            return True, f"{OWED}{message}"
        if not isinstance(error, (AssertionError, RolloutError)) or isinstance(error, _NO_JUDGEMENT):
            return False, message
        try:
            return judged_by_waiver(self.rollout, clause.id, message)
        except JournalError as broken:
            return False, f"{message}; and whether its waiver counts is not known: {broken}"

    def record_outcome(
        self, clause: Clause, outcome: str, message: str, *, took_s: float, error: BaseException | None
    ) -> None:
        """Record a check's outcome; `error` is what it raised, None where it raised nothing."""
        if outcome == "failed":
            self._failed.setdefault(clause.id, message)
            # The gate fails with what it judges, and is no reason of its own.
            if clause.id != "PRE-3.3":
                self._later.append(isinstance(error, TryLater))
        self._write_outcome(clause, outcome, message, took_s)

    def _is_bystander(self) -> bool:
        """Return whether another run is changing this rollout's target: then this one decides nothing about it."""
        return self.rollout.lease is None and self.rollout.last_known_record().in_flight

    def _write_outcome(self, clause: Clause, outcome: str, message: str, took_s: float) -> None:
        if self._is_bystander():
            return
        try:
            journal_outcome(self.rollout, clause, outcome, message, took_s)
        except RolloutError as error:
            # What is not recorded is not a pass: the plan misses it, and the change is rolled back.
            self.error = str(error)
            self._failed.setdefault(clause.id, f"its outcome could not be recorded: {error}")

    def missing_before_the_gate(self) -> dict[str, str]:
        """Return the prechecks, the gate itself apart, that are not a recorded pass of this run (PRE-3.3)."""
        plan = [clause for clause in self.session.plan if clause.phase == "precheck" and clause.id != "PRE-3.3"]
        return closing.not_passed(self.rollout.record(), plan, self.rollout.run)

    def _record_left_out(self, phases: Iterable[str]) -> None:
        """Record why the clauses of these phases that have no check in this session have none; once each."""
        for clause in self.session.plan:
            if clause.phase in phases and (why := self.left_out_by.pop(clause.id, None)):
                self._write_outcome(clause, "not run", why, 0.0)

    def _end_phase(self, phase: str) -> None:
        if self._is_bystander():
            return
        self._record_left_out([phase])
        missing = self._missing([clause for clause in self.session.plan if clause.phase == phase])
        problems = [f"{clause}: {why}" for clause, why in missing.items()]
        self.rollout.append_or_spool(
            Kind.PHASE, phase=phase, passed=not problems, problems=problems, run=self.rollout.run
        )

    # How it ends

    def run_window(self) -> WindowResult:
        """Watch the change, and roll it back at the first breach, before anything else happens.

        Raises:
            RolloutError: the window could not be watched.
        """
        watched = watch_live(self.session, self.env)
        self._interrupted = watched.interrupted is not None
        if watched.breach is not None:
            self._roll_back(watched, watched.breach)
        return watched

    def _roll_back(self, watched: WindowResult, breach: Verdict) -> None:
        self.terminal.print_line(f"rolling back: {breach.clause}: {breach.message}")
        before = self._missing([clause for clause in self.session.plan if clause.phase != "monitor"])
        reasons = {**before, **reasons_after(breach, watched)}
        missing = {clause: why for clause, why in reasons.items() if why is not None}
        self._decide(lambda: self._rolled_back(f"{breach.clause}: {breach.message}", missing))

    def _rolled_back(self, why: str, missing: Mapping[str, str]) -> closing.Closure:
        return rollback_closure.roll_back_and_close(self.rollout, why, missing, self.env)

    def end(self) -> None:
        """Decide how the run ends; once, whichever caller comes first."""
        self.closure()

    def closure(self) -> closing.Closure:
        """Decide how the run ends; once, whichever caller comes first."""
        if self._phase is not None:
            self.start_phase(None)
        self._hand_over(self._decide(self._concluded))
        assert self.closed is not None  # noqa: S101 - for the type checker
        return self.closed

    def _concluded(self) -> closing.Closure:
        session, rollout = self.session, self.rollout
        if session.refusal is not None:
            return self._refused(session.refusal)
        self._record_left_out(session.phases)
        if session.writes_evidence:
            return self._write_evidence()
        first = ": ".join(next(iter(self._failed.items()), ("closure", "nothing was decided")))
        if self._later and all(self._later) and (self._is_bystander() or not rollout.last_known_record().wrote):
            return self._try_later(first)
        if self._failed and not rollout.last_known_record().wrote and (rival := gates.concurrent_rollout(rollout)):
            return self._try_later(f"{first}; {rival}")
        if self._is_bystander():
            return closing.Closure(None, "REFUSED", first, self._missing())
        return deciding.close(rollout, session.phases, session.plan, self.env, self.error, self._missing_evidence)

    def _missing_evidence(self) -> tuple[str, ...]:
        return (
            *self.evidence.unwritten,
            *missing_evidence(self.rollout, self.session.plan, self.evidence.results),
        )

    def _write_evidence(self) -> closing.Closure:
        """Keep the change once its evidence can be written; with a lease and a watchdog, as every later phase."""
        if self.rollout.last_known_record().closed is None:
            try:
                acquire_target(self.session, PHASES[-1])
            except RolloutError as error:
                return self._refused(error)
            self._watchdog = arm(self.session)
        return deciding.write_evidence(self.rollout, self.env, self._missing_evidence)

    def _try_later(self, why: str) -> closing.Closure:
        return closing.Closure(None, "TRY LATER", why, self._missing(), code=ExitCode.TRY_LATER)

    def _hand_over(self, closed: closing.Closure) -> None:
        """Dismiss the watchdog or hand over to it; only now, because a process that dies before must be rolled back."""
        is_untried = closed.decision is Decision.ROLLBACK_FAILED and not closed.rollback
        if is_untried and self.rollout.last_known_record().closed is None:
            # No rollback was tried yet: the watchdog, which is not dismissed, tries it when this process ends.
            return
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is None:
            return
        if closed.due is None or not self.rollout.last_known_record().wrote:
            watchdog.dismiss()
            return
        try:
            self.rollout.hold_lease((closed.due - self.rollout.clock.now()).total_seconds())
            self.rollout.append(Kind.HANDOVER, deadline=format_utc(closed.due))
        except (JournalError, LeaseLost) as error:
            self._watchdog = watchdog
            self._hand_over(self._not_handed_over(f"the handover could not be recorded: {error}"))
            return
        watchdog.hand_over(closed.due)

    def _not_handed_over(self, why: str) -> closing.Closure:
        """Roll back a change that no later phase would find in the journal, unless a newer run has taken it over."""
        self.closed = None
        return self._decide(lambda: self._rolled_back(why, {}))

    def _decide(self, work: Callable[[], closing.Closure]) -> closing.Closure:
        """Return how the run ended; once: without a decision `work` makes it."""
        if self.closed is None:
            try:
                self.closed = work()
            except Exception as error:  # noqa: BLE001 - on any error, what was written is rolled back
                self.error = describe_error(error)
                self.closed = self._rescued(f"the closure itself failed: {self.error}")
        return self.closed

    def _rescued(self, why: str) -> closing.Closure:
        """Roll back what a failed closure has left; if that fails too, the watchdog is not dismissed."""
        decision = Decision.ROLLBACK_FAILED
        try:
            record = self.rollout.last_known_record()
            if record.closed is not None:
                closed = closing.already_closed(record, {"closure": why})
                # Decided by this run: the change stays, also if a later step failed.
                return replace(closed, code=ExitCode.KEPT) if closed.is_kept and not self._failed else closed
            if not record.wrote:
                decision = Decision.NOTHING_APPLIED
            elif not self._is_bystander():
                return self._rolled_back(why, {})
        except Exception as error:  # noqa: BLE001 - the run must end as a failed rollback
            self.error = describe_error(error)
        return closing.Closure(decision, closing.WORDS[decision], why, {"closure": why})

    def _refused(self, refusal: RolloutError) -> closing.Closure:
        record = self.rollout.last_known_record()
        if record.closed is not None or self.session.resumed or isinstance(refusal, TryLater):
            code = ExitCode.TRY_LATER if isinstance(refusal, TryLater) else None
            return closing.Closure(record.decision, "REFUSED", str(refusal), self._missing(), code=code)
        return deciding.close(self.rollout, self.session.phases, self.session.plan, self.env)

    def _missing(self, plan: Sequence[Clause] | None = None) -> dict[str, str]:
        """Return the clauses of a plan, of all of it without one, that are not a recorded pass of this run, and why."""
        asked = self.session.plan if plan is None else plan
        return closing.not_passed(self.rollout.last_known_record(), asked, self.rollout.run)

    def decide_exit_code(self, status: int) -> int:
        """Return the exit code of the process; `status` is pytest's own exit code."""
        return exit_code_of(self.rollout, self.closure(), status, has_failed=bool(self._failed))

    # What it prints

    def header(self, option: Any) -> list[str]:
        """Return the header's lines; `option` are pytest's options."""
        return self.terminal.header(option)

    def summarise(self, reporter: Any) -> None:
        """Print the closing block, the verdict first, and write the report after it."""
        closed = self.closure()
        self.terminal.summary(
            reporter, replace(closed, undocumented=missing_of(closed, self.evidence)), self.code, self.error
        )
        late = write_final_documents(self.rollout, self.session.journal_url, self.evidence, self.env, reporter)
        if not closed.is_kept:
            return
        is_missing = record_missing(self.rollout, closed, self.evidence, late)
        self.terminal.late_problems(reporter, late)
        if is_missing and waits_for_evidence(self.rollout):
            self.code = int(ExitCode.IN_PROGRESS)
            self.terminal.evidence_owed(reporter, self.code)

    def close(self) -> None:
        """Close the gateway, the journal and the lease of this run."""
        finish(self.session)
