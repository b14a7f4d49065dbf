"""Defects in what becomes of a clause whose gateway lacks what it observes, and in the writes of other kinds."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

WINDOWS = "tests/monitoring/test_lacking.py"

MUTANTS: tuple[Mutant, ...] = (
    *of(
        "rollout/core/applicability.py",
        "tests/core/test_applicability.py",
        rows=(
            ("if why and each in READ and not given.get(each)", "if why and each in READ", "Another source stands in."),
            ("if why and each in READ and", "if why and", "What is not read makes no clause inapplicable."),
            ("if clause not in insisted and", "if", "A clause that the policy insists on stays."),
            ("all(each in lacking", "any(each in lacking", "Limits of one kind are read for both."),
        ),
    ),
    *of(
        "rollout/gateway/client.py",
        "tests/gateway/test_lacking.py",
        rows=(
            ("if reasons[0] and all(reasons):", "if False:", "What is lacking is not asked for."),
            ("if reasons[0] and all(reasons):", "if reasons[0]:", "Limits are lacking where both kinds are."),
            (
                "return None if self.capabilities[Capability.BOOT_ID] else self._reads.boot_id()",
                "return self._reads.boot_id()",
                "A process without an id is not asked for it.",
            ),
        ),
    ),
    *of(
        "rollout/monitoring/triggers.py",
        WINDOWS,
        rows=(
            ("if why := context.why_lacking(Capability.ALERTS):", "if why := '':", "MON-4 is not applicable."),
            ("if why := context.why_lacking(Capability.STATUS):", "if why := '':", "MON-1 is not applicable."),
        ),
    ),
    *of(
        "rollout/monitoring/sources/registry.py",
        WINDOWS,
        rows=(
            (
                "sources = [source for source in sources if not context.why_lacking(*_READS.get(source.name, ()))]",
                "sources = list(sources)",
                "What is lacking is not polled.",
            ),
            (
                "if context.control is not None and not context.why_lacking(Capability.COUNTERS):",
                "if context.control is not None:",
                "A control group that is not counted is not polled.",
            ),
        ),
    ),
    *of(
        "rollout/changes/provider.py",
        "tests/changes/test_provider.py",
        rows=(
            (
                'problem = "" if restarts else _read_back(rollout, change)',
                "problem, restarts = _read_back(rollout, change), False",
                "A restart that follows in any case is carried out.",
            ),
        ),
    ),
    *of(
        "rollout/changes/rollback_provider.py",
        "tests/changes/test_rollback.py::test_a_restart_that_follows_in_any_case_is_carried_out_once_on_the_way_back",
        rows=(
            (
                "if was_sent and selection.always_restarts(run.rollout.target, to):",
                "if False:",
                "A restart that follows in any case is carried out on the way back.",
            ),
            (
                "if was_sent and selection.always_restarts(run.rollout.target, to):",
                "if selection.always_restarts(run.rollout.target, to):",
                "Nothing is restarted where nothing was sent.",
            ),
        ),
    ),
    *of(
        "rollout/changes/executor.py",
        "tests/changes/test_provider.py",
        rows=(('    if direction == "forward":', "    if False:", "What would break the service is not written."),),
    ),
    *of(
        "rollout/gateway/manual_commands.py",
        "tests/gateway/test_manual_commands.py",
        rows=(
            ("restarts = restarts and not by_emergency", "restarts = restarts", "An emergency restarts by itself."),
            ("if isinstance(wish, Activate) and edits_files(writes):", "if False:", "An edit is one command."),
        ),
    ),
    *of(
        "rollout/config/lacking.py",
        "tests/config/test_lacking.py",
        rows=(
            ("if why and waiver.clause not in inapplicable:", "if False:", "A trigger that observes is not waived."),
            (
                "for clause in sorted(policy.required & inapplicable.keys() - set(waived)):",
                "for clause in ():",
                "What the policy requires needs a source or a waiver.",
            ),
        ),
    ),
    *of(
        "rollout/changes/foreign_edits.py",
        "tests/changes/test_foreign_edits.py",
        rows=(
            ("    if problem:", "    if False:", "A service that would not start is not restarted."),
            ("_EDIT_ENDS_WITHIN_S, clock", "0.0, clock", "An edit that is under way may end."),
        ),
    ),
    *of(
        "rollout/config/feasibility.py",
        "tests/gateway/drivers/test_environment_changes.py",
        rows=(
            ("if why := explain_no_environment(placed.change, target):", "if why := '':", "No kind lacks a change."),
        ),
    ),
    *of(
        "rollout/config/load.py",
        "tests/gateway/drivers/test_recognition.py::test_init_writes_a_target_of_the_kind_that_doctor_names_and_says_what_it_needs",
        rows=(
            (
                "if chosen and rule and chosen.has_valid_settings:",
                "if chosen and rule:",
                "A driver is not asked of settings that are refused.",
            ),
        ),
    ),
    *of(
        "rollout/gateway/drivers/file_reads.py",
        "tests/gateway/drivers/test_file.py::test_a_masked_value_that_is_changed_shows_by_a_digest_alone",
        rows=(("if digest := digest_masked(found, file):", "if digest := '':", "A secret that is changed shows."),),
    ),
    *of(
        "rollout/cli/doctor/diagnosis.py",
        "tests/gateway/drivers/test_recognition.py",
        rows=(
            (
                "return None if is_default or not self.kinds else self.kinds[0]",
                "return None",
                "A target is of the kind that may fit.",
            ),
            ("if seen.found.answers:", "if True:", "A stranger is of no kind."),
        ),
    ),
    *of(
        "rollout/engine/emergency_order.py",
        "tests/gateway/drivers/test_command.py::test_an_emergency_reads_what_is_active_by_the_snapshot",
        rows=(("    if call.command:", "    if False:", "A command reads what an emergency leaves."),),
    ),
)
