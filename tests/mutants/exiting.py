"""Defects in how a run goes and what it answers: which check may run, the handover, the exit code."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

ROLLOUT_RUN, CODES = "rollout/plugin/rollout_run.py", "tests/plugin/test_exit_codes.py"

MUTANTS: tuple[Mutant, ...] = (
    *of(
        ROLLOUT_RUN,
        CODES,
        rows=(
            (
                'if failed is None or clause.phase == "precheck" or (',
                "if failed is None or (",
                "A precheck shows everything at once.",
            ),
            (
                '(CLAUSES[failed].phase == "monitor" == clause.phase):',
                "False:",
                "Each clause of one window says what it saw.",
            ),
            (
                '        return f"{NOT_RUN}{failed} did not pass"',
                "        return None",
                "From the first write on, the first failure ends the run.",
            ),
            (
                '        if self.stop and not (self._interrupted and clause.id == "MON-7"):',
                "        if False:",
                "A run that is asked to stop runs no further check.",
            ),
            (
                "        if self.session.refusal is not None:",
                "        if False:",
                "A refused run does not go on at its first check.",
            ),
            ("        self._admit(clause)", "        pass", "Options that select single checks lead past no gate."),
            ("            if missing:", "            if False:", "A step of apply needs those before it in this run."),
            (
                "if clause.phase != PHASES[0] and self.rollout.lease is None:",
                "if self.rollout.lease is None:",
                "A precheck claims nothing.",
            ),
            (
                "            acquire_target(self.session, clause.phase)",
                "            return acquire_target(self.session, clause.phase)",
                "The watchdog is armed before the first write.",
            ),
            (
                '            if clause.id != "PRE-3.3":',
                "            if True:",
                "The gate that fails with what it judges is no reason of its own.",
            ),
            (
                "return self.rollout.lease is None and self.rollout.last_known_record().in_flight",
                "return False",
                "A run that only watches another run's change decides nothing about it.",
            ),
            (
                '            self._failed.setdefault(clause.id, f"its outcome could not be recorded: {error}")',
                "            pass",
                "An outcome that is not recorded ends the run as a failure does.",
            ),
            (
                "if self._later and all(self._later) and (",
                "if any(self._later) and (",
                "A failed check is not excused by one that has to wait.",
            ),
            (
                "(self._is_bystander() or not rollout.last_known_record().wrote):",
                "True:",
                "Once a write was sent, waiting is no answer.",
            ),
            (
                "and (rival := gates.concurrent_rollout(rollout))",
                "and False",
                "What another rollout's change made fail is asked for again.",
            ),
            (
                "is_untried = closed.decision is Decision.ROLLBACK_FAILED and not closed.rollback",
                "is_untried = False",
                "What nobody has taken back yet is left to the watchdog.",
            ),
            (
                "if is_untried and self.rollout.last_known_record().closed is None:",
                "if is_untried:",
                "A run that was taken over dismisses its watchdog.",
            ),
            (
                "is_untried = closed.decision is Decision.ROLLBACK_FAILED and not closed.rollback",
                "is_untried = closed.decision is Decision.ROLLBACK_FAILED",
                "A rollback that was tried and failed is not tried by the watchdog.",
            ),
            (
                "        if closed.due is None or not self.rollout.last_known_record().wrote:",
                "        if closed.due is None:",
                "Without a write there is nothing to hand over.",
            ),
            (
                "            self.rollout.append(Kind.HANDOVER, deadline=format_utc(closed.due))",
                "            pass",
                "The next phase finds the handover in the journal.",
            ),
            (
                "            self.rollout.hold_lease((closed.due - self.rollout.clock.now()).total_seconds())",
                "            pass",
                "A handover holds the target until its deadline.",
            ),
            (
                "        except (JournalError, LeaseLost) as error:",
                "        except LeaseLost as error:",
                "A handover that cannot be recorded is taken back.",
            ),
            (
                "            self._watchdog = watchdog",
                "            watchdog.dismiss()",
                "Where neither handover nor rollback succeeds the watchdog is left.",
            ),
            (
                "        except (JournalError, LeaseLost) as error:",
                "        except JournalError as error:",
                "A run that is taken over at its handover takes nothing back.",
            ),
            ("        if self.closed is None:", "        if True:", "It is decided once."),
            (
                "            self.closed = self._rescued(",
                "            self.closed = self._refused(None) or (",
                "A closure that fails takes back what was written.",
            ),
            (
                "            if record.closed is not None:",
                "            if False:",
                "A closure that fails after its verdict was written takes nothing back.",
            ),
            (
                "            if not record.wrote:",
                "            if False:",
                "A closure that fails before any write applied nothing.",
            ),
            (
                "return replace(closed, code=ExitCode.KEPT) if closed.is_kept and not self._failed else closed",
                "return closed",
                "A change that this run kept stays 0, whatever failed afterwards.",
            ),
            (
                "        decision = Decision.ROLLBACK_FAILED",
                "        decision = Decision.ROLLED_BACK",
                "A rollback that fails too is no proof.",
            ),
            (
                "if record.closed is not None or self.session.resumed or isinstance(refusal, TryLater):",
                "if record.closed is not None or isinstance(refusal, TryLater):",
                "A refused run does not end the rollout of an earlier one.",
            ),
            (
                "if record.closed is not None or self.session.resumed or isinstance(refusal, TryLater):",
                "if record.closed is not None or self.session.resumed:",
                "A run that has to wait does not end the rollout.",
            ),
            (
                "            code = ExitCode.TRY_LATER if isinstance(refusal, TryLater) else None",
                "            code = None",
                "A run that has to wait for a rival is 13.",
            ),
        ),
    ),
    *of(
        "rollout/plugin/exit_codes.py",
        CODES,
        rows=(
            (
                "    if closed.code is not None:",
                "    if False:",
                "A run that was taken over, or leaves a rest of the window, has a code of its own.",
            ),
            (
                "    if closed.decision in EXIT_CODES:",
                "    if False:",
                "A change that was taken back is 10, or 11 where that is not proven.",
            ),
            (
                "if not closed.not_passed and rollout.last_known_record().in_flight:",
                "if False:",
                "After a handover a signal does not make the phase fail.",
            ),
            (
                "        return ExitCode.INTERRUPTED",
                "        return status",
                "A stop before any write is an interruption.",
            ),
            (
                "return ExitCode.CHECK_FAILED if closed.not_passed and status == 0 else status",
                "return status",
                "What was never reached is 1, though pytest says 0.",
            ),
            (
                "if closed.word == WORDS[Decision.KEPT]:",
                "if False:",
                "A change that this run kept is 0, whatever pytest says.",
            ),
            (
                "return ExitCode.CHECK_FAILED if has_failed else ExitCode.KEPT if status in (0, 1) else status",
                "return ExitCode.KEPT",
                "A phase that is called again after KEPT answers what it saw.",
            ),
        ),
    ),
)
