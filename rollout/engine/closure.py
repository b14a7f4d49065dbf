"""A closure: how a run leaves its rollout, in words, facts and an exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rollout.core.clauses import Clause
from rollout.core.errors import ExitCode
from rollout.journal.record import Decision, RolloutRecord

WORDS = {
    Decision.KEPT: "KEPT",
    Decision.ROLLED_BACK: "ROLLED BACK, verified",
    Decision.ROLLBACK_FAILED: "ROLLBACK FAILED",
    Decision.NOTHING_APPLIED: "NOTHING APPLIED",
}

EXIT_CODES: Mapping[Decision | None, ExitCode] = {
    Decision.ROLLED_BACK: ExitCode.ROLLED_BACK,
    Decision.ROLLBACK_FAILED: ExitCode.ROLLBACK_FAILED,
}
"""The exit codes after a rollback, done or failed."""

_SUPERSEDED_CODES: Mapping[Decision | None, ExitCode] = {
    None: ExitCode.IN_PROGRESS,
    Decision.KEPT: ExitCode.KEPT,
    **EXIT_CODES,
}


@dataclass(frozen=True, slots=True)
class Closure:
    """How this run leaves the rollout.

    Attributes:
        decision: None while the rollout stays open for its next phase.
        word: the verdict, printed first.
        why: the deciding value and its limit, or what is missing.
        not_passed: clause id -> why it is not a recorded pass; a clause that was not reached is named.
        next_step: what the operator does now.
        rollback: the steps of the rollback, as rows.
        commands: the manual commands after a failed rollback.
        code: the exit code, where it does not follow from the decision.
        due: until when the next call must begin, or the watchdog rolls the change back; None hands nothing over.
        undocumented: which evidence could not be written, and why (DOC, RBK-5). For a change that passed, the policy
            decides what follows; any other decision stays.
    """

    decision: Decision | None
    word: str
    why: str
    not_passed: Mapping[str, str] = field(default_factory=dict)
    next_step: str = ""
    rollback: Sequence[Mapping[str, Any]] = ()
    commands: tuple[str, ...] = ()
    code: ExitCode | None = None
    due: datetime | None = None
    undocumented: tuple[str, ...] = ()

    @property
    def is_kept(self) -> bool:
        """Whether the change is kept."""
        return self.decision is Decision.KEPT

    def facts(self) -> dict[str, Any]:
        """Return it as JSON types, for records."""
        return {
            "decision": self.decision,
            "word": self.word,
            "why": self.why,
            "not_passed": dict(self.not_passed),
            "rollback": list(self.rollback),
            "commands": list(self.commands),
        }


def not_passed(record: RolloutRecord, plan: Iterable[Clause], run: str) -> dict[str, str]:
    """Return every clause of the plan without a pass of its own from this run, and why (safety rule 1).

    A clause that is waived or an open obligation is not among them: every record of the rollout names it.
    """
    missing: dict[str, str] = {}
    for clause in plan:
        outcome = record.clauses.get(clause.id)
        if outcome is None or outcome.run != run:
            missing[clause.id] = "NOT RUN: it was never reached"
        elif not outcome.is_accepted:
            missing[clause.id] = outcome.message
    return missing


def superseded_closure(record: RolloutRecord, missing: Mapping[str, str]) -> Closure:
    """Return the closure of a run that a process with a newer token has superseded: it sends nothing.

    Its exit code is that of the newer process's ending, or 12 before that.
    """
    taken_over = "another process has taken this rollout over, and decides about it now; `rollout status` shows it"
    why = str(record.closed["why"]) if record.closed else taken_over
    return Closure(record.decision, "TAKEN OVER", why, missing, code=_SUPERSEDED_CODES.get(record.decision))


def already_closed(record: RolloutRecord, missing: Mapping[str, str]) -> Closure:
    """Return the closure of a rollout that has ended, from its journal."""
    decision = record.decision
    body = record.closed or {}
    word = body.get("word") or (WORDS[decision] if decision else "")
    return Closure(
        decision, f"{word} at {record.closed_at}", body.get("why", ""), missing, "", body.get("rollback", ())
    )
