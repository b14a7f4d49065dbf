"""The previous provider: activated, read back, and restarted where the read-back stays old (RBK-1.1, RBK-2.1)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from rollout.changes import foreign_edits, limits, provider, restart, weights
from rollout.changes.backup import Backup, is_same_provider
from rollout.changes.read_back import READ_BACK_S, Remedies, await_effect, await_shown, remedied
from rollout.changes.rollback_run import AGAIN_AFTER_S, TRIES, RollbackRun
from rollout.context import RolloutContext
from rollout.core.clock import NEVER
from rollout.core.errors import ConcurrentChange, GatewayError, RolloutError
from rollout.core.scenario import ProviderChange
from rollout.gateway.drivers import selection
from rollout.journal.leases import LeaseLost
from rollout.journal.record import What


@dataclass(frozen=True, slots=True)
class Reached:
    """The result of activating one provider again.

    Attributes:
        problem: why it is not active; empty if it is.
        is_seen: whether a read shows that; an answer that cannot be read shows nothing.
    """

    problem: str = ""
    is_seen: bool = True


def candidates(rollout: RolloutContext, backup: Backup) -> tuple[ProviderChange, ...]:
    """Return the providers to roll back to, first choice first (PRE-2.4)."""
    ways = (rollout.scenario.rollback_to, backup.previous, rollout.target.safe)
    return tuple(dict.fromkeys(way for way in ways if way is not None))


def assess(run: RollbackRun) -> str:
    """Read the active provider, and refuse to go on where it was changed outside this rollout (RBK-1.1).

    Raises:
        ConcurrentChange: it was, or the service would not start with what its file holds now.
        GatewayError: it cannot be read.
    """
    foreign_edits.refuse_unstartable(run.rollout, _own_places(run))
    here = known_place(run)
    if run.backup.weights is not None:
        weights.refuse_others(run.rollout, run.backup, run.gateway.weights().shares)
    return f"{here} is active"


def known_place(run: RollbackRun) -> ProviderChange:
    """Return the active provider, if it is the backup's or one that this rollout's journal has activated.

    One's provider with the other's model is in between: an activation that takes effect after a restart (deviation 7).

    Raises:
        ConcurrentChange: neither did, and that is still so when reads no longer lag behind writes.
        GatewayError: it cannot be read.
    """
    places = _own_places(run)
    # Provider and model are two reads: an activation that landed between them reads as a third value.
    patience_s = max(AGAIN_AFTER_S, run.rollout.target.stale_for_s)
    seen: list[ProviderChange] = []

    def stranger() -> str:
        seen.append(run.gateway.active_provider())
        known = (ProviderChange(one.provider, other.model) for one in places for other in places)
        return "" if any(is_same_provider(seen[-1], place) for place in known) else str(seen[-1])

    strange = await_effect(stranger, patience_s, clock=run.rollout.clock)
    if strange:
        raise ConcurrentChange(
            f"{strange} is active, which is neither the previous {run.backup.previous} nor one that this rollout has "
            "activated: it was changed outside this rollout and is not overwritten; an operator must decide"
        )
    splits = () if run.backup.weights is None else weights.splits(run.rollout, run.backup)
    foreign_edits.refuse(run.rollout, run.gateway, run.backup, places, splits)
    return seen[-1]


def _own_places(run: RollbackRun) -> tuple[ProviderChange, ...]:
    """Return the previous provider and model, and those that this rollout's journal has activated."""
    writes = run.rollout.last_known_record().writes
    written = [write.to for write in writes if write.what is What.PROVIDER and write.may_have_landed]
    return (run.backup.previous, *map(ProviderChange.from_text, dict.fromkeys(written)))


def activate_again(run: RollbackRun) -> str:
    """Activate the previous provider, or, where that cannot be, the next candidate (RBK-2.1).

    Raises:
        GatewayError: none of them is active, or whether one is cannot be read.
        ConcurrentChange: the gateway was changed outside this rollout.
    """
    problems: list[str] = []
    until_s = run.rollout.clock.monotonic() + run.rollout.target.timeouts.activate_s
    for candidate in candidates(run.rollout, run.backup):
        reached = activate_previous(run, candidate, until_s)
        if not reached.problem:
            return f"{candidate} is active" + (f" (instead of: {'; '.join(problems)})" if problems else "")
        problems.append(f"{candidate}: {reached.problem}")
        if not reached.is_seen:
            # It may be active: another activation on top would move users away from it needlessly.
            break
    raise GatewayError("activate", "; ".join(problems))


def activate_previous(run: RollbackRun, to: ProviderChange, until_s: float) -> Reached:
    """Activate `to`: a write of this rollout that may have landed is undone by a write, whatever reads show (rule 9).

    Args:
        run: the rollback.
        to: the provider and model.
        until_s: monotonic seconds until which a gateway that does not answer is asked: it may be restarting.

    Raises:
        ConcurrentChange: the gateway was changed outside this rollout.
        LeaseLost: this process is superseded.
    """
    (problem, was_sent), seen = _sent(run, to, until_s), _Reading(run, to)
    if was_sent and selection.always_restarts(run.rollout.target, to):
        _restart_at_once(run)
    if problem:
        # It may be active all the same: the answer was lost, or what is active already is refused.
        run.rollout.clock.wait(run.rollout.target.stale_for_s)
        return Reached(seen.problem() and problem, is_seen=seen.is_read)
    first = await_shown(run.rollout, seen.problem, stop=NEVER)
    if not first:
        return Reached()
    if not seen.is_read:
        first = await_effect(seen.problem, READ_BACK_S, clock=run.rollout.clock)
        if not seen.is_read or not first:
            return Reached(first and f"its activation was sent, and cannot be read back: {first}", is_seen=seen.is_read)
    within_s = 0.0 if takes_restart(run.rollout, to) else max(READ_BACK_S, run.rollout.target.stale_for_s)
    left, _ = remedied(seen.problem, _remedies(run, to), within_s=within_s, clock=run.rollout.clock)
    return Reached(left, is_seen=seen.is_read)


def _restart_at_once(run: RollbackRun) -> None:
    """Restart the service after the activation; where it does not come back, reads say so, and it is repeated.

    Raises:
        ConcurrentChange: the service would not start with what its file holds now; it was not stopped.
        LeaseLost: this process is superseded.
    """
    try:
        restart_service(run)
    except (ConcurrentChange, LeaseLost):
        raise
    except RolloutError:
        return


def _sent(run: RollbackRun, to: ProviderChange, until_s: float) -> tuple[str, bool]:
    """Send the activation where one is due.

    Returns:
        why it was not accepted, empty if it was or none is due; and whether one was sent and accepted.
    """
    clock, tries, problem, silent = run.rollout.clock, 0, "", False
    while tries < TRIES or (silent and clock.monotonic() < until_s):
        if tries:
            clock.wait(AGAIN_AFTER_S)
        tries += 1
        try:
            is_due = _is_due(run, to)
            if is_due:
                provider.activate(run.rollout, run.gateway, to, step="RBK-2.1", direction="back")
        except (ConcurrentChange, LeaseLost):
            raise
        except RolloutError as error:
            problem, silent = str(error), isinstance(error, GatewayError) and error.status is None
        else:
            return "", is_due
    return problem, False


def _is_due(run: RollbackRun, to: ProviderChange) -> bool:
    """Return whether `to` has to be activated: this rollout's own write is not undone yet, or another one is active.

    Raises:
        ConcurrentChange: the gateway was changed outside this rollout.
        GatewayError: nothing was written, and it cannot be read whether something has to be.
    """
    to_undo = bool(run.rollout.last_known_record().to_undo(What.PROVIDER))
    try:
        here = known_place(run)
    except GatewayError:
        if to_undo:
            return True
        raise
    return to_undo or not is_same_provider(here, to)


@dataclass(slots=True)
class _Reading:
    """Reads back one activation.

    Attributes:
        run: the rollback.
        to: what should be active.
        is_read: whether the latest read was answered.
    """

    run: RollbackRun
    to: ProviderChange
    is_read: bool = True

    def problem(self) -> str:
        """Return why `to` is not seen active; empty if it is. Raises ConcurrentChange as `known_place`."""
        try:
            here = known_place(self.run)
        except GatewayError as error:
            self.is_read = False
            return str(error)
        self.is_read = True
        return "" if is_same_provider(here, self.to) else f"the gateway answered success, and reports {here} active"


def takes_restart(rollout: RolloutContext, to: ProviderChange) -> bool:
    """Return whether an activation of `to` is known to take effect only after a restart."""
    asked = rollout.scenario.activation is not None and rollout.scenario.activation.restart
    return asked or selection.takes_restart(rollout.target, to)


def _remedies(run: RollbackRun, to: ProviderChange) -> Remedies:
    again = partial(provider.activate, run.rollout, run.gateway, to, step="RBK-2.1", direction="back")
    more = {} if takes_restart(run.rollout, to) else {"once more": again}
    return more | ({} if run.rollout.target.service is None else {"restart": partial(restart_service, run)})


def restart_service(run: RollbackRun) -> str:
    """Restart the service, wait for it, and note which limits the restart has lost: the others are not this rollout's.

    Raises:
        ConcurrentChange: it would not start with what its file holds now; it was not stopped.
        RolloutError: it did not come back.
    """
    run_restart(run)
    return await_service(run)


def run_restart(run: RollbackRun) -> str:
    """Restart the service, and return what the commands printed (RBK-3.2). Raises as `restart_service`."""
    foreign_edits.refuse_unstartable(run.rollout, _own_places(run))
    note_edited(run)
    return restart.commands(run.rollout, NEVER, step="RBK-3.2", direction="back")


def note_edited(run: RollbackRun) -> None:
    """Note which limits were changed outside this rollout before the service is restarted."""
    apply = run.record.phases.get("apply")
    if apply is not None and apply.passed:
        # They were as in the backup then: what differs now was not lost at apply.
        with suppress(RolloutError):
            run.edited = limits.moved(run.gateway, run.backup)


def await_service(run: RollbackRun) -> str:
    """Wait for the service, and read at once which limits its restart has lost. Raises ServiceError."""
    healthy = restart.await_health(run.rollout, run.gateway, NEVER, back=True)
    with suppress(RolloutError):
        run.lost = limits.moved(run.gateway, run.backup) - run.edited
    return healthy
