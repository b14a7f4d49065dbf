"""`rollout recover`: roll back, once, each rollout whose runner and watchdog are gone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rollout.context import RolloutContext
from rollout.core.errors import RolloutError, TryLater
from rollout.engine.cases import Case
from rollout.engine.closure import WORDS, Closure
from rollout.engine.emergency_followup import close_emergency
from rollout.engine.journaled_rollout import end_embedded, reopened
from rollout.engine.rollback_closure import roll_back_and_close
from rollout.journal.journal import Journal
from rollout.journal.record import Decision
from rollout.journal.spool import reconcile
from rollout.reporting.timings import is_emergency


def recover(journal: Journal, case: Case, reports: Path, env: Mapping[str, str]) -> Closure:
    """Roll back a stranded rollout, or close a stranded emergency; of two processes that try at once, one does."""
    try:
        # The spool may hold the closure of an earlier rollback.
        reconcile(journal, reports)
        with reopened(journal, case.record, reports, env) as rollout:
            return _roll_back(rollout, case, env)
    except RolloutError as error:
        return Closure(
            Decision.ROLLBACK_FAILED,
            WORDS[Decision.ROLLBACK_FAILED],
            f"{case.why}; and it cannot be rolled back: {error}",
        )


def _roll_back(rollout: RolloutContext, case: Case, env: Mapping[str, str]) -> Closure:
    try:
        rollout.take_lease(after=case.token)
    except TryLater as error:
        return Closure(None, "LEFT ALONE", f"another process has just begun: {error}")
    closure = Closure(None, "LEFT ALONE", "it is closed by now")
    if rollout.record().closed is None:
        why = f"recover: {case.why}"
        settles = is_emergency(case.record)
        closure = close_emergency(rollout, why, env) if settles else roll_back_and_close(rollout, why, {}, env)
    rollout.release_lease()
    end_embedded(rollout)
    return closure
