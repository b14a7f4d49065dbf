"""The exit code of a rollout's run, from its closure and pytest's own exit code (README.md, exit codes)."""

from __future__ import annotations

from rollout.context import RolloutContext
from rollout.core.errors import ExitCode
from rollout.core.policy import WAIT
from rollout.engine.closure import EXIT_CODES, WORDS, Closure
from rollout.journal.record import Decision


def exit_code_of(rollout: RolloutContext, closed: Closure, status: int, *, has_failed: bool) -> int:
    """Return the exit code of the process.

    Args:
        rollout: the rollout.
        closed: how this run of it ended.
        status: pytest's own exit code.
        has_failed: whether a check of this run failed.
    """
    if closed.code is not None:
        return closed.code
    if closed.decision is Decision.KEPT:
        return _after_kept(rollout, closed, status, has_failed=has_failed)
    if closed.decision in EXIT_CODES:
        return EXIT_CODES[closed.decision]
    return _before_any_write(rollout, closed, status)


def waits_for_evidence(rollout: RolloutContext) -> bool:
    """Return whether the policy closes a kept change only once its evidence is complete."""
    return rollout.policy.on_missing_evidence == WAIT


def _before_any_write(rollout: RolloutContext, closed: Closure, status: int) -> int:
    if not closed.not_passed and rollout.last_known_record().in_flight:
        # Handed over: a later event, such as a signal, does not make this phase fail.
        return ExitCode.KEPT
    if rollout.stop:
        return ExitCode.INTERRUPTED
    return ExitCode.CHECK_FAILED if closed.not_passed and status == 0 else status


def _after_kept(rollout: RolloutContext, closed: Closure, status: int, *, has_failed: bool) -> int:
    if closed.undocumented and waits_for_evidence(rollout):
        return ExitCode.IN_PROGRESS
    if closed.word == WORDS[Decision.KEPT]:
        # Decided by this run: the change stays, also if a later step failed.
        return ExitCode.KEPT
    # A phase that is called again after KEPT only reads; its own checks decide.
    return ExitCode.CHECK_FAILED if has_failed else ExitCode.KEPT if status in (0, 1) else status
