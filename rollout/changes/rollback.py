"""The rollback: one idempotent `roll_back` for all callers (RBK).

A step that fails does not stop the later ones, and a rollback that is not verified is a failed rollback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from rollout.changes import environment, limits, weights
from rollout.changes.backup import Backup, recorded
from rollout.changes.rollback_proof import (
    equals_backup,
    has_weights,
    lands_within_s,
    outlast_lost_writes,
    request_works,
    stabilises,
    verify_active,
)
from rollout.changes.rollback_provider import (
    activate_again,
    assess,
    await_service,
    candidates,
    run_restart,
    takes_restart,
)
from rollout.changes.rollback_run import AGAIN_AFTER_S, TRIES, RollbackRun, Step, table
from rollout.context import RolloutContext
from rollout.core.canary_stages import show_weights
from rollout.core.clauses import PROOF, UNDO
from rollout.core.errors import ConcurrentChange, GatewayError, JournalError, RolloutError
from rollout.core.scenario import Change, EnvironmentChange, LimitChange, ProviderChange
from rollout.gateway import manual_commands as by_hand
from rollout.journal.leases import LeaseLost
from rollout.journal.record import Decision, Kind, RolloutRecord, What
from rollout.journal.spool import SPOOL

__all__ = [
    "RolledBack",
    "Step",
    "candidates",
    "manual_commands",
    "planned_steps",
    "roll_back",
    "table",
    "undo_order",
]


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The result of a rollback.

    Attributes:
        verified: every step of `PROOF` passed.
        changed_elsewhere: the gateway was changed outside this rollout, so it was not touched.
        steps: what was done, in order.
        commands: the manual commands; empty when verified.
        superseded: another process holds the target by now and decides.
    """

    verified: bool
    changed_elsewhere: bool
    steps: tuple[Step, ...]
    commands: tuple[str, ...] = ()
    superseded: bool = False

    @property
    def decision(self) -> Decision:
        """The decision that the result leads to."""
        return Decision.ROLLED_BACK if self.verified else Decision.ROLLBACK_FAILED


def undo_order(rollout: RolloutContext) -> tuple[Change, ...]:
    """Return the changes in the order in which they are undone: the last one first."""
    return tuple(reversed(rollout.scenario.changes))


def planned_steps(rollout: RolloutContext, backup: Backup) -> tuple[str, ...]:
    """Return what a rollback would do, step by step, and what it cannot undo (PRE-2.4)."""
    first, *others = candidates(rollout, backup)
    fallback = f"; if it is offline: {', then '.join(map(str, others))}" if others else ""
    words: dict[type, tuple[str, ...]] = {
        ProviderChange: (f"RBK-2.1 activate {first}{fallback}",),
        EnvironmentChange: ("RBK-3.1 restore the .env file", "RBK-3.2 restart the service", "RBK-3.3 await its health"),
        LimitChange: ("RBK-3.4 restore the governance limits",),
    }
    undo = dict.fromkeys(step for change in undo_order(rollout) for step in words[type(change)])
    return (
        "RBK-1.1 read the active provider; a change made outside this rollout is not overwritten",
        "RBK-1.2 capture critical alerts",
        *(
            (f"RBK-2.1 split the requests as now: {show_weights(backup.weights or {})}",)
            if has_weights(rollout, backup.weights)
            else ()
        ),
        *undo,
        "RBK-2.2 read back that the previous provider is active",
        "RBK-4.1 one request is answered by it",
        f"RBK-4.2 its status is connected {rollout.scenario.monitor.stable_polls} times in a row",
        "RBK-4.3 configuration, limits and .env equal the backup",
        "cannot be undone: requests that the new provider answered, and what they cost",
        *(f"cannot be undone: {words}" for words in limits.all_for_good(rollout, backup)),
    )


def roll_back(rollout: RolloutContext, reason: str) -> RolledBack:
    """Roll the change back, prove it, and return what was done. No error of the gateway is raised.

    It is idempotent: a gateway that is back already is only proven again.

    Args:
        rollout: the rollout whose change is rolled back.
        reason: why, for the record (RBK-5.1).

    Raises:
        LeaseLost: another process held the target before the first step; nothing was sent.
    """
    record = rollout.last_known_record()
    run = RollbackRun(rollout, rollout.gateway.uninterruptible(), recorded(record.backup), record, reason)
    # Conditional on the fencing token; spooled where the journal cannot be written.
    rollout.append_or_spool(Kind.ROLLBACK, reason=reason)
    if rollout.successor is not None:
        raise LeaseLost(rollout.successor)
    for clause, work in (("RBK-1.1", assess), ("RBK-1.2", _capture)):
        if not run.is_over:
            run.step(clause, partial(work, run))
    for clause, undo in () if run.is_over else _undoing(run):
        if run.is_over:
            break
        run.step(clause, undo)
    _prove(run)
    run.step("RBK-5.1", lambda: _on_record(run))
    return _result(run)


_PROOFS: Mapping[str, Callable[[RollbackRun], str]] = {
    "RBK-2.2": verify_active,
    "RBK-4.1": request_works,
    "RBK-4.2": stabilises,
    "RBK-4.3": equals_backup,
}


def _prove(run: RollbackRun) -> None:
    for clause, work in _PROOFS.items():
        if not run.is_over:
            run.prove(clause, partial(work, run))
        elif run.changed_elsewhere and clause not in {step.clause for step in run.steps}:
            run.keep(
                clause, "failed", "not done: the gateway was changed outside this rollout, which is not overwritten"
            )


def _result(run: RollbackRun) -> RolledBack:
    passed = {step.clause for step in run.steps if step.outcome == "passed"}
    latest = {step.clause: step.outcome for step in run.steps}
    undone = all(latest.get(clause) != "failed" for clause in UNDO)
    verified = undone and not run.is_over and passed.issuperset(PROOF)
    return RolledBack(
        verified=verified,
        changed_elsewhere=run.changed_elsewhere,
        steps=tuple(run.steps),
        commands=() if verified else manual_commands(run.rollout),
        superseded=run.superseded,
    )


def manual_commands(rollout: RolloutContext) -> tuple[str, ...]:
    """Return the manual commands for a rollback that is not verified; the last one reads.

    Without a backup the reading command is the only one.
    """
    record = rollout.last_known_record()
    if record.backup is None:
        return (by_hand.read_command(rollout.target),)
    backup = recorded(record.backup)
    to, *_ = candidates(rollout, backup)
    restarts = _has_restarted(record) or takes_restart(rollout, to)
    split = (backup.weights or {}) if has_weights(rollout, backup.weights) else None
    return by_hand.rollback(rollout.target, to, rollout.id, restarts=restarts, split=split)


def _on_record(run: RollbackRun) -> str:
    """Return the reason, if it is in the journal."""
    if Kind.ROLLBACK in run.rollout.unwritten:
        raise JournalError(f"the journal did not take it, it waits in {SPOOL}: {run.reason}")
    return run.reason


def _undoing(run: RollbackRun) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the steps that undo the changes, the last change first; what was never changed is not touched.

    The limits are read once more at the end where a restart may have lost them, or could not be reached before.
    """
    changes = undo_order(run.rollout)
    seen: set[type] = set()
    for change in changes:
        if isinstance(change, LimitChange):
            yield "RBK-3.4", partial(limits.undo, run.rollout, run.gateway, run.backup, change)
        elif type(change) not in seen:
            yield from _UNDO_STEPS[type(change)](run)
        seen.add(type(change))
    failed = any(step.clause == "RBK-3.4" and step.outcome == "failed" for step in run.steps)
    if (
        _has_restarted(run.rollout.last_known_record())
        or failed
        or sum(isinstance(change, LimitChange) for change in changes) > 1
    ):
        yield "RBK-3.4", lambda: _restore_limits(run)
    yield from _undoing_late(run)


def _undoing_late(run: RollbackRun) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the steps that undo once more what landed after it was undone, when nothing can land any more.

    A late activation is seen, and undone, where the active provider is read back.
    """
    lost = {write.what for write in run.record.writes if lands_within_s(run, write)}
    if lost - {What.PROVIDER, What.WEIGHTS}:
        outlast_lost_writes(run)
    if What.ENVIRONMENT in lost:
        yield "RBK-3.1", lambda: environment.restore(run.rollout, run.backup, run.rollout.last_known_record())
    restarts = bool(lost & {What.ENVIRONMENT, What.RESTART}) or _needs_restart(run)
    if restarts:
        yield "RBK-3.2", lambda: _up_again(run)
        yield "RBK-3.3", lambda: await_service(run)
    if restarts or What.LIMITS in lost:
        yield "RBK-3.4", lambda: _restore_limits(run)


def _up_again(run: RollbackRun) -> str:
    """Restart the service, unless nothing has called for it since the last restart of a rollback, and it is healthy."""
    if not _needs_restart(run):
        with suppress(GatewayError):
            run.gateway.health()
            return "not needed: it was restarted already, and is healthy"
    return run_restart(run)


def _needs_restart(run: RollbackRun) -> bool:
    """Return whether the `.env` file was written, or a restart came to no end, after the last restart of a rollback."""
    needed = False
    for write in run.rollout.last_known_record().writes:
        if write.may_have_landed and write.what is What.ENVIRONMENT:
            needed = True
        elif write.may_have_landed and write.what is What.RESTART:
            needed = write.result != "done" or (needed and write.direction != "back")
    return needed


def _restore_limits(run: RollbackRun) -> str:
    """Put the limits back, again if it fails: as with a proof, one lost answer must not fail the rollback."""
    lost = run.lost if _has_restarted(run.rollout.last_known_record()) else frozenset[str]()
    return _insist(run, partial(limits.restore, run.rollout, run.gateway, run.backup, lost=lost), GatewayError)


def _undo_activation(run: RollbackRun) -> Iterator[tuple[str, Callable[[], str]]]:
    weighted = has_weights(run.rollout, run.backup.weights)
    if weighted:
        # First: one call moves all users away from the new provider, whichever is active.
        yield "RBK-2.1", lambda: _split_again(run)
    yield "RBK-2.1", lambda: activate_again(run)
    if weighted:
        # An activation may remove the weights; and a gateway that was restarting answers by now.
        yield "RBK-2.1", lambda: _split_again(run)


def _split_again(run: RollbackRun) -> str:
    """Put the weights back; again if it fails, because a lost answer proves nothing."""
    return _insist(run, partial(weights.restore, run.rollout, run.gateway, run.backup), RolloutError)


def _insist(run: RollbackRun, work: Callable[[], str], error: type[RolloutError]) -> str:
    """Return what the work returns, tried `TRIES` times while it raises `error`; what others own ends it at once."""
    for _ in range(TRIES - 1):
        try:
            return work()
        except (ConcurrentChange, LeaseLost):
            raise
        except error:
            run.rollout.clock.wait(AGAIN_AFTER_S)
    return work()


def _undo_environment(run: RollbackRun) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "RBK-3.1", lambda: environment.restore(run.rollout, run.backup, run.rollout.last_known_record())
    yield "RBK-3.2", lambda: _restart(run)
    yield "RBK-3.3", lambda: await_service(run)


_UNDO_STEPS: Mapping[type, Callable[[RollbackRun], Iterator[tuple[str, Callable[[], str]]]]] = {
    ProviderChange: _undo_activation,
    EnvironmentChange: _undo_environment,
}


def _has_restarted(record: RolloutRecord) -> bool:
    """Return whether the `.env` file or the service were touched, at apply or rollback."""
    return any(write.what in (What.ENVIRONMENT, What.RESTART) and write.may_have_landed for write in record.writes)


def _restart(run: RollbackRun) -> str:
    if not any(write.step in ("APP-2.1", "APP-2.2") and write.may_have_landed for write in run.record.writes):
        return "not needed: the .env file was not changed"
    return _up_again(run)


def _capture(run: RollbackRun) -> str:
    firing = (f"{alert.key} ({alert.technical_details})" for alert in run.gateway.alerts("critical"))
    return ", ".join(firing) or "no critical alert is firing"
