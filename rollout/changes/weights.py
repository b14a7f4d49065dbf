"""The weights by which a gateway splits its requests: announced, set, read back, and put back as they were (CAN-2)."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.changes import executor, restart
from rollout.changes.backup import Backup, is_same_provider
from rollout.changes.read_back import require_shown
from rollout.context import RolloutContext
from rollout.core.canary_stages import (
    ALL,
    is_staged,
    same_weights,
    share_of,
    show_weights,
    stages,
    weights_at,
)
from rollout.core.clock import NEVER
from rollout.core.errors import ConcurrentChange, GatewayError
from rollout.core.scenario import ProviderChange
from rollout.core.wishes import Split
from rollout.gateway.client import Gateway
from rollout.gateway.drivers.selection import driver_of, is_followed_by_restart
from rollout.journal.record import What


def named(rollout: RolloutContext, to: ProviderChange) -> str:
    """Return how the target calls provider and model in its weights.

    Raises:
        GatewayError: the target does not split its requests.
    """
    return driver_of(rollout.target).destination(to)


def planned(rollout: RolloutContext, backup: Backup, share: float) -> dict[str, float]:
    """Return the weights that give the new provider this share, and the previous one the rest."""
    return weights_at(share, named(rollout, rollout.expected_active), named(rollout, backup.previous))


def all_weights(rollout: RolloutContext, to: ProviderChange) -> dict[str, float]:
    """Return the weights that send every request to one provider and model. Raises RolloutError as `named` does."""
    return {named(rollout, to): ALL}


def send(
    rollout: RolloutContext,
    gateway: Gateway,
    shares: Mapping[str, float],
    *,
    step: str,
    direction: str,
    rest: str = "",
) -> None:
    """Announce weights, set them, restart the service where it reads them only then, and read them back.

    Args:
        rollout: the rollout that writes.
        gateway: its gateway.
        shares: destination -> fraction 0-1; empty removes the weights.
        step: the clause that writes.
        direction: ``forward``, ``proof`` or ``back``.
        rest: the destination that gets every request where `shares` is empty.

    Raises:
        JournalError: the intent is not on disk; nothing was sent.
        GatewayError: refused, unknown what happened, or others are in effect than were set.
        RolloutError: the service did not come back.
    """
    wish = Split(shares, rest)
    stop = NEVER if direction == "back" else rollout.stop
    executor.send(rollout, gateway, wish, step=step, direction=direction, to=show_weights(shares), what=What.WEIGHTS)
    if is_followed_by_restart(rollout.target, wish):
        restart.restart(rollout, gateway, stop, step=step, direction=direction)
    require_shown(rollout, "set the weights", lambda: _others(gateway, shares, rest), stop=stop)


def _others(gateway: Gateway, shares: Mapping[str, float], rest: str) -> str:
    now = gateway.weights().shares
    if _are_alike(now, shares, rest):
        return ""
    return f"the gateway answered success, and reports {show_weights(now)}, not {show_weights(shares)}"


def _alike(shares: Mapping[str, float], rest: str) -> tuple[Mapping[str, float], ...]:
    """Return the weights that split the requests as `shares` does; none at all are all for `rest`."""
    return (shares,) if shares or not rest else (shares, {rest: ALL})


def _are_alike(now: Mapping[str, float], shares: Mapping[str, float], rest: str) -> bool:
    return any(same_weights(now, each) for each in _alike(shares, rest))


def _has_written_back(rollout: RolloutContext) -> bool:
    writes = rollout.last_known_record().writes
    return any(each.what is What.WEIGHTS and each.direction == "back" and each.may_have_landed for each in writes)


def splits(rollout: RolloutContext, backup: Backup) -> tuple[Split, ...]:
    """Return the splits that this rollout may have set: those of its stages, and the one of the backup."""
    before = Split(backup.weights or {}, named(rollout, backup.previous))
    staged = stages(rollout.scenario) if is_staged(rollout.scenario) else ()
    return (before, *(Split(planned(rollout, backup, stage.share)) for stage in staged))


def share_now(rollout: RolloutContext, gateway: Gateway) -> float:
    """Return the fraction of the requests that the new provider gets now.

    Raises:
        GatewayError: it cannot be read.
    """
    new = rollout.expected_active
    is_active = is_same_provider(gateway.active_provider(), new)
    return share_of(gateway.weights().shares, named(rollout, new), is_active=is_active)


def restore(rollout: RolloutContext, gateway: Gateway, backup: Backup) -> str:
    """Put the weights back as the backup has them, which gives the new provider nothing (RBK-2.1). Idempotent.

    Raises:
        ConcurrentChange: others were set outside this rollout.
        GatewayError: refused, or it is unknown what happened.
    """
    before, rest = backup.weights or {}, named(rollout, backup.previous)
    to_undo = bool(rollout.last_known_record().to_undo(What.WEIGHTS))
    try:
        now = gateway.weights().shares
    except GatewayError:
        if not to_undo:
            raise
        # What was written is undone by a write, whether it can be read or not (safety rule 9).
        now = {}
    if _are_alike(now, before, rest) and not to_undo:
        return f"the requests are split as in the backup: {show_weights(before)}"
    refuse_others(rollout, backup, now)
    send(rollout, gateway, before, step="RBK-2.1", direction="back", rest=rest)
    return f"the requests are split as in the backup again: {show_weights(before)}, no longer {show_weights(now)}"


def refuse_others(rollout: RolloutContext, backup: Backup, now: Mapping[str, float]) -> None:
    """Refuse to overwrite weights that neither the backup has nor this rollout has set (safety rule 3).

    No weights at all are accepted: an activation removes them.

    Raises:
        ConcurrentChange: they were set outside this rollout.
    """
    ours = [backup.weights or {}, {}]
    if _has_written_back(rollout):
        ours += _alike(backup.weights or {}, named(rollout, backup.previous))
    if is_staged(rollout.scenario):
        ours += [planned(rollout, backup, stage.share) for stage in stages(rollout.scenario)]
    if not any(same_weights(now, known) for known in ours):
        raise ConcurrentChange(
            f"the requests are split by {show_weights(now)}, which neither the backup has nor this rollout has set: "
            "they were changed outside this rollout and are not overwritten; an operator must decide"
        )
