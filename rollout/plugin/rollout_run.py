"""A run as pytest goes through it: which check may still run, what came of each, and how the run ends."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rollout.approvals.waivers import judged_by_waiver
from rollout.changes.backup import recorded
from rollout.core.clauses import LATER_PHASES, ORDER, PHASES, Clause
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
from rollout.core.policy import WAIT
from rollout.core.streams import quiet
from rollout.engine import closure as closing
from rollout.engine import gates
from rollout.engine.embedded_gateway import hold
from rollout.engine.evidence_check import missing_evidence
from rollout.engine.session import Session, claim, concurrent_rollout, finish
from rollout.engine.watchdog import Watchdog, arm
from rollout.journal.leases import LeaseLost
from rollout.journal.record import OWED, Decision, Kind, RolloutRecord
from rollout.monitoring.canary import watch_stages
from rollout.monitoring.live_page import Heading
from rollout.monitoring.live_view import view_for
from rollout.monitoring.verdict import State, Verdict
from rollout.monitoring.window import WindowResult
from rollout.plugin.run import NOT_RUN, SuiteRun
from rollout.plugin.terminal import RolloutReporter
from rollout.reporting import allure, messages
from rollout.reporting.notifications import page

_NO_JUDGEMENT = (Interrupted, JournalError, LeaseLost, NotCleared, NotReached, ConcurrentChange)
"""Errors that say nothing about what a check looks at, so that no waiver of its clause excuses them."""


class RolloutRun(SuiteRun):
    """The state of one pytest run of a rollout.

    Attributes:
        session: the rollout, its plan and its gateway.
        closed: how the run ended; None while it runs.
    """

    closes = True
    _terminal: RolloutReporter

    def __init__(self, session: Session, env: Mapping[str, str]) -> None:
        """Start before the first check."""
        rollout = session.rollout
        super().__init__(
            folder=rollout.folder,
            run=rollout.run,
            redactor=rollout.redactor,
            stop=rollout.stop,
            exchanges=session.exchanges,
            listing=RolloutReporter(session),
            env=env,
        )
        self.session = session
        self.excluded_clauses, self.only_closes = of_other_kinds(rollout.scenario), session.writes_evidence
        self.closed: closing.Closure | None = None
        self._phase: str | None = None
        self._failed: dict[str, str] = {}
        self._later: list[bool] = []
        self._admitted: set[str] = set()
        self._interrupted = False
        self._results = rollout.folder
        self._watchdog: Watchdog | None = None
        self._code = int(ExitCode.ROLLBACK_FAILED)

    def ignores_folder(self, folder: str) -> bool:
        """Tell whether the checks of this folder below ``checks/`` are those of other occasions."""
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
        # A window that was interrupted is what MON-7 fails for: it says so.
        if self.session.rollout.stop and not (self._interrupted and clause.id == "MON-7"):
            return f"{NOT_RUN}{self.session.rollout.stop.reason}"
        failed = next(iter(self._failed), None)
        # A precheck shows everything at once; from apply on, the first failure ends the run. The monitor's clauses
        # are judged together, so each still says what it saw.
        if failed is None or clause.phase == "precheck" or (self._phase_of(failed) == "monitor" == clause.phase):
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
        if clause.phase != PHASES[0] and self.session.rollout.lease is None:
            claim(self.session, clause.phase)
            self._arm()

    def _arm(self) -> None:
        self._watchdog = arm(self.session)

    def _admit(self, clause: Clause) -> None:
        """Hold this run to its own gates: options that select single checks must not lead past one.

        Raises:
            RolloutError: what has to pass before this check did not, or was not selected.
        """
        rollout = self.session.rollout
        if clause.phase != PHASES[0] and clause.phase not in self._admitted:
            refusal = gates.refusal((clause.phase,), rollout.record(), rollout.digest)
            if refusal is not None:
                raise refusal
        self._admitted.add(clause.phase)
        if clause.phase == "apply":
            plan = self.session.plan
            before = [c for c in plan if c.phase == clause.phase and ORDER[c.id] < ORDER[clause.id]]
            missing = closing.not_passed(rollout.record(), before, rollout.run)
            if missing:
                raise NotCleared(f"{clause.id} needs a pass of {', '.join(missing)} in this run; run all of `-m apply`")

    # What came of it

    def _answered_for(self, clause: Clause, error: BaseException, message: str) -> tuple[bool, str]:
        if isinstance(error, ApprovalPending):
            return True, f"{OWED}{message}"
        if not isinstance(error, (AssertionError, RolloutError)) or isinstance(error, _NO_JUDGEMENT):
            return False, message
        try:
            return judged_by_waiver(self.session.rollout, clause.id, message)
        except JournalError as broken:
            return False, f"{message}; and whether its waiver counts is not known: {broken}"

    def _judged(self, clause: Clause, outcome: str, message: str, error: BaseException | None) -> None:
        if outcome == "failed":
            self._failed.setdefault(clause.id, message)
            # The gate fails with what it judges, and is no reason of its own.
            if clause.id != "PRE-3.3":
                self._later.append(isinstance(error, TryLater))
        self._keep(clause, outcome, message, self._took_s)

    def _is_bystander(self) -> bool:
        """Tell whether another run is changing this rollout's target: what this one sees decides nothing about it."""
        rollout = self.session.rollout
        return rollout.lease is None and rollout.last_known_record().in_flight

    def _keep(self, clause: Clause, outcome: str, message: str, took_s: float) -> None:
        if self._is_bystander():
            return
        try:
            rollout = self.session.rollout
            seen = {"clause": clause.id, "outcome": outcome, "message": message, "took_s": round(took_s, 3)}
            rollout.write(Kind.CLAUSE, run=rollout.run, **seen)
        except RolloutError as error:
            # What is not recorded is not a pass: the plan will miss it, and the change is taken back.
            self._error = str(error)
            self._failed.setdefault(clause.id, f"its outcome could not be recorded: {error}")

    def missing_before_the_gate(self) -> dict[str, str]:
        """Return the prechecks, the gate itself apart, that are not a recorded pass of this run (PRE-3.3)."""
        plan = [clause for clause in self.session.plan if clause.phase == "precheck" and clause.id != "PRE-3.3"]
        return closing.not_passed(self.session.rollout.record(), plan, self.session.rollout.run)

    def _owed(self) -> Iterable[Clause]:
        return self.session.plan

    def _record_left_out(self, phases: Iterable[str]) -> None:
        """Record why the clauses of these phases that have no check in this session have none; once each."""
        for clause in self.session.plan:
            if clause.phase in phases and (why := self._left_out_by.pop(clause.id, None)):
                self._keep(clause, "not run", why, 0.0)

    def _end_phase(self, phase: str) -> None:
        if self._is_bystander():
            return
        self._record_left_out([phase])
        rollout = self.session.rollout
        plan = [clause for clause in self.session.plan if clause.phase == phase]
        missing = closing.not_passed(rollout.last_known_record(), plan, rollout.run)
        problems = [f"{clause}: {why}" for clause, why in missing.items()]
        rollout.note(Kind.PHASE, phase=phase, passed=not problems, problems=problems, run=rollout.run)

    # How it ends

    def bake(self) -> WindowResult:
        """Watch the change, show it, and take it back at the first breach, before anything else happens.

        Raises:
            RolloutError: the window could not be watched.
        """
        rollout = self.session.rollout
        view = view_for(
            quiet(sys.stdout, rollout.redactor.text), self._heading(), rollout.clock, term=self.env.get("TERM")
        )
        try:
            watched = watch_stages(rollout, view, self.session.for_s, self._page)
        finally:
            view.close()
        self._interrupted = watched.interrupted is not None
        if watched.breach is not None:
            self._take_back(watched, watched.breach)
        return watched

    def _page(self, source: str, message: str) -> None:
        """Tell people that a source is dark; a channel that hangs must not hold the window up."""
        rollout, event = self.session.rollout, f"dark: {source}"
        told = (rollout, event, messages.trouble(rollout, f"DARK, {source} cannot be read", message), self.env)
        threading.Thread(target=page, args=told, name="rollout-page", daemon=True).start()

    def _take_back(self, watched: WindowResult, breach: Verdict) -> None:
        missing = {c: why for c, why in self._missing().items() if self._phase_of(c) != "monitor"}
        for verdict in watched.verdicts:
            cut = f"{NOT_RUN}{breach.clause} cut its window short"
            missing[verdict.clause] = verdict.message if verdict.state is State.BREACHED else cut
        for stage in watched.stages:
            cut = f"{NOT_RUN}{stage.message}"
            missing[stage.clause] = cut if stage.outcome == "not reached" else stage.message
            if stage.outcome == "held":
                del missing[stage.clause]
        why = f"{breach.clause}: {breach.message}"
        self._decide(lambda: closing.roll_back_and_close(self.session.rollout, why, missing, self.env))

    def _heading(self) -> Heading:
        rollout, record = self.session.rollout, self.session.rollout.record()
        return Heading(
            rollout=rollout.id,
            target=rollout.target.name,
            previous=str(recorded(record.backup).previous),
            change=rollout.what,
            ticket=rollout.scenario.ticket,
            window_s=rollout.scenario.monitor.window_s,
            phases=tuple(f"{phase} passed at {record.phases[phase].at}" for phase in phases_of(record)),
        )

    def end(self) -> None:
        """Decide how the run ends; once, whoever asks first."""
        self.closure()

    def closure(self) -> closing.Closure:
        """Decide how the run ends; once, whoever asks first."""
        if self._phase is not None:
            self.start_phase(None)
        rollout, session = self.session.rollout, self.session
        if session.refusal is None and self.closed is None:
            self._record_left_out(session.phases)
        if session.refusal is not None:
            self._decide(lambda: self._refused(session.refusal))
        if session.writes_evidence:
            self._decide(self._write_evidence)
        first = ": ".join(next(iter(self._failed.items()), ("closure", "nothing was decided")))
        if self._later and all(self._later) and (self._is_bystander() or not rollout.last_known_record().wrote):
            self._decide(lambda: self._try_later(first))
        if (
            self._failed
            and self.closed is None
            and not rollout.last_known_record().wrote
            and (rival := concurrent_rollout(rollout))
        ):
            self._decide(lambda: self._try_later(f"{first}; {rival}"))
        if self._is_bystander():
            self._decide(lambda: closing.Closure(None, "REFUSED", first, self._missing()))
        self._decide(lambda: closing.close(rollout, session.phases, session.plan, self.env, self._error, self._lacking))
        assert self.closed is not None  # noqa: S101 - for the type checker
        self._leave(self.closed)
        return self.closed

    def _lacking(self) -> tuple[str, ...]:
        found = missing_evidence(self.session.rollout, self.session.plan, self.results)
        return (*self._watcher.unwritten, *found)

    def _write_evidence(self) -> closing.Closure:
        """Keep the change once its evidence can be written; with a lease and a watchdog, as every later phase."""
        rollout = self.session.rollout
        if rollout.last_known_record().closed is None:
            try:
                claim(self.session, PHASES[-1])
            except RolloutError as error:
                return self._refused(error)
            self._arm()
        return closing.write_evidence(rollout, self.env, self._lacking)

    def _try_later(self, why: str) -> closing.Closure:
        return closing.Closure(None, "TRY LATER", why, self._missing(), code=ExitCode.TRY_LATER)

    def _leave(self, closed: closing.Closure) -> None:
        """Tell the watchdog what is left to do; only now, because until here a death must still roll back."""
        rollout = self.session.rollout
        is_untried = closed.decision is Decision.ROLLBACK_FAILED and not closed.rollback
        if is_untried and rollout.last_known_record().closed is None:
            # Nobody has tried yet: without a word, the watchdog does when this process ends.
            return
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is None:
            return
        if closed.due is None or not rollout.last_known_record().wrote:
            watchdog.dismiss()
            return
        try:
            rollout.hold_lease((closed.due - rollout.clock.now()).total_seconds())
            rollout.write(Kind.HANDOVER, deadline=format_utc(closed.due))
        except (JournalError, LeaseLost) as error:
            self._watchdog = watchdog
            self._leave(self._not_handed_over(error))
            return
        watchdog.hand_over(closed.due)

    def _not_handed_over(self, error: RolloutError) -> closing.Closure:
        """A change that no later phase would find in the journal is taken back, unless somebody newer has it."""
        rollout, self.closed = self.session.rollout, None
        self._decide(
            lambda: closing.roll_back_and_close(rollout, f"the handover could not be recorded: {error}", {}, self.env)
        )
        assert self.closed is not None  # noqa: S101 - for the type checker
        return self.closed

    def _decide(self, work: Callable[[], closing.Closure]) -> None:
        if self.closed is not None:
            return
        try:
            self.closed = work()
        except Exception as error:  # noqa: BLE001 - whatever it is, what was written is taken back
            self.record_error(error)
            self.closed = self._rescued(f"the closure itself failed: {self._error}")

    def _rescued(self, why: str) -> closing.Closure:
        """Take back what a closure that failed has left; the last resort is the watchdog, which is not dismissed."""
        rollout = self.session.rollout
        decision = Decision.ROLLBACK_FAILED
        try:
            if rollout.last_known_record().closed is not None:
                closed = closing.already_closed(rollout.last_known_record(), {"closure": why})
                kept = closed.is_kept and not self._failed
                # Decided by this very run: whatever failed afterwards, the change stays.
                return replace(closed, code=ExitCode.KEPT) if kept else closed
            if not rollout.last_known_record().wrote:
                decision = Decision.NOTHING_APPLIED
            elif not self._is_bystander():
                return closing.roll_back_and_close(rollout, why, {}, self.env)
        except Exception as error:  # noqa: BLE001 - people must hear that nothing is proven
            self.record_error(error)
        return closing.Closure(decision, closing.WORDS[decision], why, {"closure": why})

    def _refused(self, refusal: RolloutError | None) -> closing.Closure:
        record = self.session.rollout.last_known_record()
        if record.closed is not None or self.session.resumed or isinstance(refusal, TryLater):
            code = ExitCode.TRY_LATER if isinstance(refusal, TryLater) else None
            return closing.Closure(record.decision, "REFUSED", str(refusal), self._missing(), code=code)
        return closing.close(self.session.rollout, self.session.phases, self.session.plan, self.env)

    def _missing(self) -> dict[str, str]:
        return closing.not_passed(self.session.rollout.last_known_record(), self.session.plan, self.session.rollout.run)

    def _exit_code(self, status: int) -> int:
        closed = self.closure()
        if closed.code is not None:
            return closed.code
        if closed.decision is Decision.KEPT:
            return self._after_kept(closed, status)
        if closed.decision in closing.EXIT_CODES:
            return closing.EXIT_CODES[closed.decision]
        return self._before_any_write(closed, status)

    def _before_any_write(self, closed: closing.Closure, status: int) -> int:
        if not closed.not_passed and self.session.rollout.last_known_record().in_flight:
            # Handed over: what comes afterwards, a signal above all, does not make this phase fail.
            return ExitCode.KEPT
        if self.session.rollout.stop:
            return ExitCode.INTERRUPTED
        return ExitCode.CHECK_FAILED if closed.not_passed and status == 0 else status

    def _after_kept(self, closed: closing.Closure, status: int) -> int:
        if closed.undocumented and self._waits_for_evidence:
            return ExitCode.IN_PROGRESS
        if closed.word == closing.WORDS[Decision.KEPT]:
            # Decided by this very run: whatever failed afterwards, the change stays.
            return ExitCode.KEPT
        # A phase that is called again after KEPT only looks; what it saw is the answer.
        return ExitCode.CHECK_FAILED if self._failed else ExitCode.KEPT if status in (0, 1) else status

    # What people see

    def labels(self, clause: Clause | None) -> Iterable[tuple[str, str]]:
        """Return the labels of a check's row in the report, as (type, value)."""
        return allure.labels(self.session.rollout, clause)

    def links(self) -> Iterable[tuple[str, str]]:
        """Return the ticket's link, where a tracker is configured."""
        rollout = self.session.rollout
        link = allure.ticket_link(rollout.scenario, rollout.policy)
        return () if link is None else ((link, str(rollout.scenario.ticket)),)

    def header(self, option: Any) -> list[str]:
        """Return the header's lines."""
        return self._terminal.header(option)

    def write_environment(self, results: str) -> None:
        """Write what Allure shows about the run beside its results."""
        self._results = Path(results)
        allure.write_environment(self._results, self.session.rollout)

    def summarise(self, reporter: Any) -> None:
        """Print the closing block, the verdict first, and build the report after it."""
        closed = self.closure()
        shown = replace(closed, undocumented=_once(*closed.undocumented, *self._watcher.unwritten))
        self._terminal.summary(reporter, shown, self._code, self._error)
        try:
            problem = self._report(reporter)
        except Exception as error:  # noqa: BLE001 - the verdict is out, and a report that fails must not replace its code
            problem = f"report.html: {error!r}"
        late = tuple(filter(None, (problem, self._conclude(reporter))))
        self._name_missing(reporter, late)

    def _name_missing(self, reporter: Any, late: tuple[str, ...]) -> None:
        """Record what is missing of a kept change's evidence, and say what the policy makes of it.

        Args:
            reporter: prints.
            late: what could not be written after the verdict was printed.
        """
        rollout, closed = self.session.rollout, self.closure()
        missing = _once(*closed.undocumented, *self._watcher.unwritten, *late)
        if not closed.is_kept:
            return
        if missing != rollout.last_known_record().missing_evidence:
            rollout.note(Kind.EVIDENCE, run=rollout.run, missing=list(missing), due=None)
        for each in late:
            reporter.write_line(f"EVIDENCE MISSING: {each}", red=True, bold=True)
        if missing and self._waits_for_evidence:
            self._code = int(ExitCode.IN_PROGRESS)
            reporter.write_line(
                f"next: make room, then pytest -m {PHASES[-1]}: it writes the evidence, and no check runs"
            )
            reporter.write_line(f"exit code: {self._code} {ExitCode.IN_PROGRESS.name}")

    @property
    def _waits_for_evidence(self) -> bool:
        return self.session.rollout.policy.on_missing_evidence == WAIT

    def _report(self, reporter: Any) -> str:
        """Build the report, and return why it could not be written; empty where it was, or waits for its generator."""
        from rollout.reporting.html.allure_generator import is_installed  # noqa: PLC0415 - likewise
        from rollout.reporting.html.assembly import built  # noqa: PLC0415 - after the verdict, nobody waits for it

        rollout = self.session.rollout
        if not is_installed(self.env):
            reporter.write_line("report: fetching its generator, once for this machine (npm)")
        line, problem = built(rollout.journal, rollout.id, rollout.folder, self.env, {rollout.run: self._results})
        reporter.write_line(line)
        return problem

    def _conclude(self, reporter: Any) -> str:
        """List what was written and seal the journal, and return why that failed; empty where it did not."""
        from rollout.audit.seal import conclude  # noqa: PLC0415

        rollout = self.session.rollout
        line, problem = conclude(rollout.journal, rollout.id, rollout.folder, self.env, by=rollout.run)
        if line:
            reporter.write_line(line)
        return problem

    def _finish(self) -> None:
        finish(self.session)

    def _phase_of(self, clause: str) -> str:
        return next(c.phase for c in self.session.plan if c.id == clause)


def _once(*words: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def phases_of(record: RolloutRecord) -> Sequence[str]:
    """Return the phases that passed, in order."""
    return [phase for phase in PHASES if phase in record.phases and record.phases[phase].passed]
