"""Defects in those who act when a runner is gone: watchdog, recovery and emergency."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

WATCHDOG, CASES, RECOVERY, FOLLOWUP, PROOF, TAKEOVER = (
    "rollout/engine/watchdog.py",
    "rollout/engine/cases.py",
    "rollout/engine/recovery.py",
    "rollout/engine/emergency_followup.py",
    "rollout/engine/emergency_proof.py",
    "rollout/engine/emergency_rollout.py",
)
ACTS, EMERGENCY = "tests/engine/test_watchdog_acts.py", "tests/engine/test_emergency_followup.py"
STRANDED = tuple(
    f"tests/engine/test_recovery.py::{name}"
    for name in (
        "test_dead_processes_on_this_host_strand_a_rollout",
        "test_processes_on_another_host_are_not_known_to_be_dead",
        "test_one_of_the_two_that_lives_is_enough",
        "test_a_holder_of_the_lease_on_another_host_is_not_known_to_be_dead",
        "test_a_holder_whose_process_is_not_named_is_not_known_to_be_dead",
        "test_a_lease_of_another_rollout_is_no_sign_that_this_one_is_stranded",
        "test_a_handover_holds_until_its_deadline_and_not_longer",
        "test_a_handover_that_was_taken_up_does_not_count_any_more",
        "test_an_emergency_is_given_a_minute",
        "test_a_zombie_is_dead",
        "test_a_pid_that_has_passed_to_another_program_is_dead",
    )
)
RECOVERED = tuple(
    f"tests/engine/test_recovery.py::{name}"
    for name in (
        "test_of_two_that_saw_the_same_one_rolls_it_back",
        "test_a_rollout_that_another_process_has_just_begun_to_roll_back_is_left_alone",
        "test_what_was_closed_meanwhile_is_left_alone",
        "test_the_lease_is_released_afterwards",
        "test_one_that_cannot_be_rolled_back_does_not_hide_the_others",
        "test_an_emergency_is_closed_and_not_rolled_back",
        "test_what_was_spooled_is_reconciled_first",
    )
)


MUTANTS: tuple[Mutant, ...] = (
    *of(
        WATCHDOG,
        ACTS,
        rows=(
            (
                "            os.set_blocking(self._pipe.fileno(), False)",
                "            pass",
                "A watchdog that does not read holds nobody up.",
            ),
            (
                "        if not last_line:",
                "        if False:",
                "A pipe that closes without a closing line means that the runner died.",
            ),
            (
                "        elif last_line != CLOSED:",
                "        else:",
                "A runner that sends closed leaves nothing to watch.",
            ),
            ("                self._keep_lease()", "                pass", "While the runner lives its lease is kept."),
            (
                '                if not line.startswith(b"{"):',
                "                if line:",
                "The runner's entries are distinguished from its closing line.",
            ),
            (
                "                self._learn(line)",
                "                pass",
                "It learns what its runner wrote, for the journal may lose it.",
            ),
            (
                "        except ValueError:",
                "        except KeyError:",
                "Half a line of a runner that died ends no watch.",
            ),
            (
                "        while self.rollout.clock.now() < deadline:",
                "        while False:",
                "After a handover it waits for the deadline.",
            ),
            (
                "            if self._with_grace(self._is_over, otherwise=lambda: False):",
                "            if self._with_grace(self._is_over, otherwise=lambda: True):",
                "A journal that is away before the deadline ends no watch.",
            ),
            (
                "            if self._with_grace(self._is_over, otherwise=lambda: False):",
                "            if False:",
                "It leaves when the next phase has a newer token.",
            ),
            ("        for left in (1, 0):", "        for left in (0,):", "A rollback that raises is tried once more."),
            (
                "        for left in (1, 0):",
                "        for left in (2, 1, 0):",
                "A rollback that raises is never tried a third time.",
            ),
            (
                "            except Exception as error:  # noqa: BLE001 - the last resort",
                "            except RolloutError as error:  # noqa: BLE001 - the last resort",
                "Whatever the rollback raises, people are paged.",
            ),
            (
                "                self._last_resort(why, error, again=bool(left))",
                "                pass",
                "People are paged with the commands when the rollback raises.",
            ),
            (
                '        event = f"rollback ended, {left}"',
                '        event = "rollback ended"',
                "People hear that it is not tried again.",
            ),
            (
                '            "the entry": lambda: self.rollout.append_or_spool(',
                '            "the entry": lambda: dict(',
                "The journal says that the rollback itself has failed.",
            ),
            (
                "            except Exception as problem:  # noqa: BLE001 - one that fails",
                "            except OSError as problem:  # noqa: BLE001 - one that fails",
                "A page that fails stops neither the entry nor the second try.",
            ),
            (
                "            return (by_hand.read_command(self.rollout.target),)",
                "            raise",
                "What ended the rollback does not end the page.",
            ),
            (
                "        acts = self._with_grace(self._takes_over, otherwise=self._is_sole_owner)",
                "        acts = self._with_grace(self._takes_over, otherwise=lambda: False)",
                "Without a journal it acts as the sole owner.",
            ),
            (
                "        acts = self._with_grace(self._takes_over, otherwise=self._is_sole_owner)",
                "        acts = self._with_grace(self._takes_over, otherwise=lambda: True)",
                "Without a journal it acts only as the sole owner.",
            ),
            (
                "        publishes = not acts and self._publish_late()",
                "        publishes = False",
                "It publishes the verdict that its runner had no time to publish.",
            ),
            (
                "        self.rollout.release_lease()",
                "        pass",
                "It gives the lease back that died with its runner.",
            ),
            (
                "            self.rollout.take_lease(after=lease.token if lease else None)",
                "            self.rollout.take_lease()",
                "Of two who saw the same token one acts.",
            ),
            (
                "return record.closed is not None or self.rollout.superseded() or not record.wrote",
                "return self.rollout.superseded() or not record.wrote",
                "What is closed is left alone.",
            ),
            (
                "return record.closed is not None or self.rollout.superseded() or not record.wrote",
                "return record.closed is not None or not record.wrote",
                "What belongs to a newer token is left alone.",
            ),
            (
                "return record.closed is not None or self.rollout.superseded() or not record.wrote",
                "return record.closed is not None or self.rollout.superseded()",
                "What has written nothing is left alone.",
            ),
            (
                "if not self.rollout.last_known_record().wrote or self.rollout.last_known_record().closed is not None:",
                "if not self.rollout.last_known_record().wrote:",
                "Without a journal an ending that is known still stands.",
            ),
            (
                "if not self.rollout.last_known_record().wrote or self.rollout.last_known_record().closed is not None:",
                "if self.rollout.last_known_record().closed is not None:",
                "Without a journal nothing is taken back of what wrote nothing.",
            ),
            (
                "        if self.rollout.lease_runs():",
                "        if True:",
                "Without a journal it acts only while its lease runs.",
            ),
            (
                "if any(is_same_provider(here, place) for place in ours):",
                "if True:",
                "What is neither ours nor the previous one is not overwritten.",
            ),
            (
                "ours = (self.rollout.expected_active, recorded(self.rollout.last_known_record().backup).previous)",
                "ours = (self.rollout.expected_active,)",
                "A gateway that is back already is still its own to prove.",
            ),
            (
                "        with suppress(JournalError, LeaseLost):",
                "        with suppress(LeaseLost):",
                "A journal that fails does not end the watch.",
            ),
            (
                "        with suppress(JournalError, LeaseLost):",
                "        with suppress(JournalError):",
                "A newer token does not end the watch.",
            ),
            (
                "                if self.rollout.clock.now() >= until:",
                "                if True:",
                "It asks a journal that cannot be reached for its grace.",
            ),
        ),
    ),
    *of(
        CASES,
        *STRANDED,
        rows=(
            (
                "return [examine_case(journal, record) for record in records_in_flight(journal)]",
                "return [examine_case(journal, record) for record in records_in_flight(journal) if record.applied]",
                "What may have been written is in flight.",
            ),
            ("if is_emergency(record) and now < ", "if False and now < ", "An emergency is given a minute."),
            (
                "    if deadline is not None and deadline > now:",
                "    if False:",
                "A handover holds until its deadline.",
            ),
            (
                "    if deadline is not None and deadline > now:",
                "    if deadline is not None:",
                "A handover holds no longer than its deadline.",
            ),
            (
                'if record.handover is None or record.handover["fence"] != token:',
                "if record.handover is None:",
                "A handover that was taken up says nothing any more.",
            ),
            (
                "if lease.rollout == record.id and _is_dead(journal, lease) and _both_dead(journal, record):",
                "if _is_dead(journal, lease) and _both_dead(journal, record):",
                "Another rollout's lease is no sign that this one is stranded.",
            ),
            (
                "if lease.rollout == record.id and _is_dead(journal, lease) and _both_dead(journal, record):",
                "if lease.rollout == record.id and _is_dead(journal, lease):",
                "A watchdog that lives looks after the rollout.",
            ),
            (
                "if lease.rollout == record.id and _is_dead(journal, lease) and _both_dead(journal, record):",
                "if lease.rollout == record.id and _both_dead(journal, record):",
                "Whoever holds the lease now may live.",
            ),
            (
                '    if armed is None or armed["host"] != journal.host:',
                "    if armed is None:",
                "Processes on another host are not known to be dead.",
            ),
            (
                'not _lives(armed["runner"], "pytest") and not any(',
                "not any(",
                "A runner that lives looks after the rollout.",
            ),
            (
                "return host == journal.host and pid.isdecimal() and not any",
                "return pid.isdecimal() and not any",
                "A holder on another host is not known to be dead.",
            ),
            (
                'return what in Path(f"/proc/{pid}/cmdline").read_text(errors="replace")',
                "return True",
                "A zombie, or another program with its number, is dead.",
            ),
        ),
    ),
    *of(
        RECOVERY,
        *RECOVERED,
        rows=(
            (
                "        rollout.take_lease(after=case.token)",
                "        rollout.take_lease()",
                "Of two who saw the same one takes it back.",
            ),
            (
                "    if rollout.record().closed is None:",
                "    if True:",
                "What was closed meanwhile is left alone.",
            ),
            ("    rollout.release_lease()", "    pass", "The lease is given back afterwards."),
            ("        reconcile(journal, reports)", "        pass", "What was spooled may be the ending."),
            (
                "closure = close_emergency(rollout, why, env) if settles else",
                "closure = close_emergency(rollout, why, env) if False else",
                "An emergency is settled and not taken back.",
            ),
            (
                "    except RolloutError as error:",
                "    except TryLater as error:",
                "One that cannot be taken back does not hide the others.",
            ),
        ),
    ),
    *of(
        TAKEOVER,
        EMERGENCY,
        rows=(
            (
                "LEASE_S, preempts=True)",
                "LEASE_S)",
                "An emergency takes the target from whoever holds it.",
            ),
            (
                "(other for other in others_here(rollout) if other.in_flight)",
                "(others_here(rollout))",
                "What has ended is not taken over.",
            ),
            (
                '        run.say(f"the journal cannot be reached',
                '        raise; run.say(f"the journal cannot be reached',
                "A journal that is away does not stop an emergency.",
            ),
        ),
    ),
    *of(
        PROOF,
        EMERGENCY,
        rows=(
            (
                'write.result in (None, "unknown")]',
                "write.result is None]",
                "A write whose answer was lost may still land.",
            ),
            (
                'write.result in (None, "unknown")]',
                'write.result == "unknown"]',
                "A write of a process that was paused may still land.",
            ),
            ("    if left_s <= 0:", "    if True:", "What may land late is waited for."),
            ("    clock.wait(left_s)", "    clock.wait(0)", "It is read again when nothing can land any more."),
            (
                '        {"once more": lambda: _activate_again(run)},',
                "        {},",
                "A write that landed late is put right.",
            ),
            (
                "remedies = {} if refused or waits_for_restart else {",
                "remedies = {} if waits_for_restart else {",
                "A refused activation is not sent again.",
            ),
            (
                "remedies = {} if refused or waits_for_restart else {",
                "remedies = {} if refused else {",
                "A provider that waits for a restart needs no second activation.",
            ),
            (
                "if run.rollout.target.service is not None and not refused and not restarts:",
                "if False:",
                "A provider that waits for a restart gets it.",
            ),
            (
                "problem = problem or _await_late_writes(run) or _send_all(run) or _doubt_answer(run)",
                "problem = problem or _await_late_writes(run) or _send_all(run)",
                "One request has to be answered by the provider.",
            ),
            (
                "problem = problem or _await_late_writes(run) or _send_all(run) or _doubt_answer(run)",
                "problem = problem or _send_all(run) or _doubt_answer(run)",
                "What may land late belongs to the proof.",
            ),
            (
                "    problem = problem or doubt_active(run.rollout, run.to)",
                "    pass",
                "It is read once more after the request.",
            ),
        ),
    ),
    *of(
        TAKEOVER,
        EMERGENCY,
        rows=(
            (
                "decision = Decision.ROLLBACK_FAILED if others or stays or run.problem else Decision.ROLLED_BACK",
                "decision = Decision.ROLLBACK_FAILED if run.problem else Decision.ROLLED_BACK",
                "What was changed besides the provider is not back.",
            ),
            (
                "decision = Decision.ROLLBACK_FAILED if others or stays or run.problem else Decision.ROLLED_BACK",
                "decision = Decision.ROLLBACK_FAILED if others else Decision.ROLLED_BACK",
                "What was taken over is not back where that is not verified.",
            ),
            (
                "        if rollout.lease is not None:",
                "        if True:",
                "Without a lease an emergency ends nobody else's rollout.",
            ),
        ),
    ),
    *of(
        FOLLOWUP,
        EMERGENCY,
        rows=(
            (
                "    decision = Decision.ROLLBACK_FAILED if run.problem else Decision.KEPT",
                "    decision = Decision.KEPT",
                "An emergency that is not verified has failed.",
            ),
            (
                "    return ExitCode.ROLLBACK_FAILED if run.problem else ExitCode.KEPT",
                "    return ExitCode.KEPT",
                "An emergency that is not verified is 11.",
            ),
            (
                "    with suppress(LeaseLost, AlreadyEnded):",
                "    with suppress(LeaseLost):",
                "An emergency that another one has ended has one ending.",
            ),
            (
                "    problem = doubt_active(rollout, to) or doubt_weights(rollout, to)",
                '    problem = ""',
                "One that died is settled by what is seen.",
            ),
        ),
    ),
)
