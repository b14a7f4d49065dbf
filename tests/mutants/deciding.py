"""Defects in what decides: closure, gates, leases, endings, watchdog, recovery, emergency, exit codes."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

CLOSURE, GATE, SESSION = "rollout/closure.py", "rollout/gate.py", "rollout/session.py"
WATCHDOG, RECOVERY, PROGRESS = "rollout/watchdog.py", "rollout/recovery.py", "rollout/progress.py"
AFTERMATH, WORKSPACE = "rollout/aftermath.py", "rollout/workspace.py"
LEASES, ENDINGS, STORE = "rollout/journal/leases.py", "rollout/journal/endings.py", "rollout/journal/store.py"

DECIDES, CODES, ACTS = "tests/test_closure_decides.py", "tests/test_exit_codes.py", "tests/test_watchdog_acts.py"
EMERGENCY, CLOCKS = "tests/test_aftermath.py", "tests/test_lease_clocks.py"
STRANDED = tuple(
    f"tests/test_recovery.py::{name}"
    for name in (
        "test_dead_processes_on_this_host_strand_a_rollout",
        "test_processes_on_another_host_are_not_known_to_be_dead",
        "test_one_of_the_two_that_lives_looks_after_it",
        "test_whoever_holds_the_lease_on_another_host_is_not_known_to_be_dead",
        "test_a_holder_whose_process_is_not_named_is_not_known_to_be_dead",
        "test_a_lease_of_another_rollout_is_no_sign_that_this_one_is_stranded",
        "test_a_handover_holds_until_its_deadline_and_not_longer",
        "test_a_handover_that_was_taken_up_says_nothing_any_more",
        "test_an_emergency_is_given_a_minute",
        "test_a_zombie_is_dead",
        "test_a_pid_that_has_passed_to_another_program_is_dead",
    )
)
RECOVERED = tuple(
    f"tests/test_recovery.py::{name}"
    for name in (
        "test_of_two_who_saw_the_same_one_takes_it_back",
        "test_what_was_closed_meanwhile_is_left_alone",
        "test_the_lease_is_given_back_afterwards",
        "test_one_that_cannot_be_taken_back_does_not_hide_the_others",
        "test_an_emergency_is_settled_and_not_taken_back",
        "test_what_was_spooled_is_reconciled_first",
    )
)


def _on_sqlite(file: str, *names: str) -> tuple[str, ...]:
    return tuple(f"tests/journal/{file}::{name}[sqlite]" for name in names)


LEASE_TESTS = _on_sqlite(
    "test_leases.py",
    "test_a_free_target_is_leased_from_now_until_its_time_is_over",
    "test_a_refused_rival_leaves_the_lease_and_its_token_alone",
    "test_a_lease_ends_at_its_last_moment_and_not_before",
    "test_the_same_rollout_prolongs_its_lease_under_a_newer_token",
    "test_no_lease_of_a_rollout_is_ever_shortened_by_itself",
    "test_an_older_token_of_the_same_rollout_is_lost",
    "test_a_lease_that_was_given_back_is_free_and_cannot_be_renewed",
    "test_tokens_grow_for_ever_also_over_releases",
    "test_giving_back_twice_or_too_late_leaves_the_next_holder_alone",
    "test_of_two_who_saw_the_same_token_the_second_is_refused",
    "test_a_target_is_seized_from_its_holder_with_a_newer_token",
    "test_a_lease_is_given_back_under_its_own_token_only",
    "test_a_lease_is_renewed_on_its_own_target_only",
    "test_a_lease_that_was_given_back_is_taken_anew_by_its_own_rollout",
)
ENDING_TESTS = _on_sqlite(
    "test_endings.py",
    "test_the_same_holder_ends_a_rollout_once",
    "test_a_later_rollback_under_a_newer_token_ends_it_anew_and_once",
    "test_an_ending_of_another_rollout_is_no_obstacle",
    "test_an_ending_that_was_entered_later_counts",
    "test_other_entries_that_were_entered_later_do_not_count",
    "test_a_run_that_never_got_a_lease_ends_a_rollout_that_wrote_nothing_once",
    "test_a_rollout_that_ended_with_nothing_applied_can_still_end_under_a_lease",
) + ("tests/journal/test_endings.py::test_without_a_lease_a_rollout_that_announced_a_write_is_another_runs",)


def _of(module: str, *tests: str, rows: tuple[tuple[str, str, str], ...]) -> tuple[Mutant, ...]:
    """Return the mutants of one module, from rows of line, defect and decision."""
    return tuple(Mutant(module, line, defect, decision, tests) for line, defect, decision in rows)


MUTANTS: tuple[Mutant, ...] = (
    *_of(
        CLOSURE,
        DECIDES,
        rows=(
            ("outcome.run != run:", "False:", "A pass of another run is no pass of this one."),
            ("elif not outcome.stands:", "elif False:", "A clause that failed is not among those that passed."),
            (
                "if superseded or record.closed is not None:",
                "if superseded:",
                "A rollout that has ended is not ended again.",
            ),
            (
                "return taken_over(record, missing) if superseded else already_closed(record, missing)",
                "return already_closed(record, missing)",
                "A run that was taken over says so, with the code of its rollout.",
            ),
            (
                "if not record.wrote and not _in_effect_without_a_write(record, missing, phases):",
                "if not record.applied and not _in_effect_without_a_write(record, missing, phases):",
                "A write whose answer is not known is taken back, not left as nothing applied.",
            ),
            ("if missing or rollout.stop:", "if missing:", "A run that is asked to stop keeps nothing."),
            (
                "paused = record.pauses and not rollout.stop and all(",
                "paused = record.pauses and all(",
                "A run that is asked to stop in its window is taken back, not left in progress.",
            ),
            (
                "paused = record.pauses and not rollout.stop and all(",
                "paused = record.pauses and not rollout.stop and any(",
                "Another clause's failure is not left for a later slice of the window.",
            ),
            (
                "paused = record.pauses and not rollout.stop and all(",
                "paused = not rollout.stop and all(",
                "Only a window that was left in order goes on in a later call.",
            ),
            (
                "return _keep(rollout, record, env) if tuple(phases)[-1:] == PHASES[-1:] else",
                "return _keep(rollout, record, env) if phases else",
                "Only the last phase keeps; those before it hand over.",
            ),
            ("if record.closed is not None:", "if False:", "Without a journal an ending that is known still stands."),
            (
                "    if not record.wrote:",
                "    if True:",
                "Without a journal nothing was applied only if memory holds no write.",
            ),
            (
                "if not rollout.lease_runs():",
                "if rollout.lease is None:",
                "Without a journal and after its lease a run sends nothing.",
            ),
            (
                'missing = missing or {"closure": why}',
                "missing = missing or {}",
                "A phase whose verdict is on no disk has not passed.",
            ),
            (
                "    if result.superseded:",
                "    if False:",
                "A way back that was taken over leaves the ending to its successor.",
            ),
            (
                "lacking = [phase for phase in PHASES if not _passed(record, phase)]",
                "lacking = []",
                "Every phase has a pass in the journal before the change is kept.",
            ),
            (
                "return phase in record.phases and record.phases[phase].passed",
                "return phase in record.phases",
                "A phase that failed has not passed.",
            ),
            (
                "    if moved:",
                "    if False:",
                "What somebody changed since it was verified is not kept.",
            ),
            (
                "found = changed_since(rollout, backup) | no_longer_in_effect(rollout)",
                "found = no_longer_in_effect(rollout)",
                "Somebody else's change beside ours keeps the change from being kept.",
            ),
            (
                "        return str(error)",
                '        return ""',
                "A gateway that does not answer at the end is not kept.",
            ),
            (
                "        rollout.end(spools=False, **closure.facts())",
                "        rollout.end(spools=True, **closure.facts())",
                "KEPT is on disk, or the change is taken back; it is never spooled.",
            ),
            (
                "        if not _is_on_disk(rollout):",
                "        if True:",
                "KEPT that is on disk although its call failed is not taken back.",
            ),
            (
                "return record.decision is Decision.KEPT and rollout.lease is not None and",
                "return rollout.lease is not None and",
                "An open rollout is not kept because its journal answers again.",
            ),
            (
                "if lease is None or (stands.decision, stands.fence) != (Decision.KEPT, lease.token):",
                "if True:",
                "The journal does not go on saying KEPT of what this run has taken back.",
            ),
            (
                "    except (LeaseLost, LeaseHeld, AlreadyEnded):",
                "    except (LeaseHeld, AlreadyEnded):",
                "A run that is superseded at its ending says so and publishes nothing.",
            ),
            (
                "        return _superseded(rollout, {})",
                "        return _publish(rollout, closure, env)",
                "A run that is superseded while it keeps tells nobody that it kept.",
            ),
            (
                "    None: ExitCode.IN_PROGRESS,",
                "    None: ExitCode.KEPT,",
                "A run that was taken over is in progress until its successor has ended it.",
            ),
            (
                'is_ours = rollout.lease is not None and body.get("fence") == rollout.lease.token',
                "is_ours = rollout.lease is not None",
                "What another process has ended is told by that one.",
            ),
            (
                "or rollout.journal.entries(rollout.id, Kind.TRACES):",
                "or False:",
                "What was told is not told again.",
            ),
            (
                'return not missing and (_passed(record, "apply") or "apply" in phases)',
                "return not missing",
                "A precheck that passed is cleared, not in flight.",
            ),
            (
                '    if "apply" in phases:',
                "    if True:",
                "A precheck that failed leaves the rollout open for the next try.",
            ),
        ),
    ),
)
