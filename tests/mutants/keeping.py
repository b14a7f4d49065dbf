"""Defects in what a change is worth whose evidence cannot be written (entry 12)."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

E2E = "tests/e2e/test_evidence_owed.py"
WAITS = f"{E2E}::test_12_evidence_that_cannot_be_written_is_waited_for_and_the_same_call_keeps"
ABORTED = f"{E2E}::test_12_an_abort_that_comes_while_evidence_is_owed_rolls_the_change_back"
LATE = f"{E2E}::test_12_a_document_that_fails_after_the_change_was_kept_is_named_first_and_written_later"
PARTS = "tests/engine/test_evidence_check.py"

MUTANTS: tuple[Mutant, ...] = (
    *of(
        "rollout/engine/evidence_check.py",
        PARTS,
        rows=(
            ("if str(clause) not in written]", "if False]", "A check without a result has left no evidence."),
            (
                "            os.fsync(file.fileno())",
                "            pass",
                "Room is promised by the disk, not by its cache.",
            ),
            ("        path.unlink(missing_ok=True)", "        pass", "The trial gives its room back."),
            ("    if key:", "    if False:", "A key that does not sign seals nothing."),
        ),
    ),
    *of(
        "rollout/reporting/allure.py",
        PARTS,
        rows=(("if isinstance(error, OSError):", "if error:", "A defect of Allure's is no full disk."),),
    ),
    *of(
        "rollout/engine/gates.py",
        PARTS,
        rows=(
            ("return waits and bool(", "return bool(", "Where the policy keeps, the next call begins anew."),
            (
                "and phases[-1] == PHASES[-1]",
                "and True",
                "A precheck does not write the evidence of a change that is in effect.",
            ),
        ),
    ),
    *of(
        "rollout/engine/decision.py",
        WAITS,
        rows=(
            (
                "if missing and rollout.policy.on_missing_evidence == WAIT:",
                "if False:",
                "Without its evidence a change is not kept where the policy waits.",
            ),
            (
                "due = evidence_due(record) or _deadline(rollout)",
                "due = _deadline(rollout)",
                "Each call waits until the first one's deadline.",
            ),
        ),
    ),
    *of(
        "rollout/engine/decision.py",
        ABORTED,
        rows=(
            (
                "if rollout.stop or record.abort is not None:",
                "if rollout.stop:",
                "An abort counts while evidence is owed.",
            ),
        ),
    ),
    *of(
        "rollout/plugin/exit_codes.py",
        LATE,
        rows=(
            (
                "if closed.undocumented and waits_for_evidence(rollout):",
                "if False:",
                "A kept change without its documents is not 0 where the policy waits.",
            ),
        ),
    ),
)
