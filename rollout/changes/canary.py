"""The canary: one request on the new provider (CAN-1), then its share of the traffic (CAN-2)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from rollout.changes import foreign_edits, provider, restart, weights
from rollout.changes.answer_proof import Answered, ask, ask_one
from rollout.changes.backup import Backup, is_same_provider, recorded
from rollout.changes.read_back import await_shown, require_shown
from rollout.context import RolloutContext
from rollout.core.canary_stages import Stage, is_staged, same_weights, show_weights, stages
from rollout.core.clock import NEVER
from rollout.core.errors import ConcurrentChange, GatewayError, JournalError, Refused, RolloutError
from rollout.core.scenario import ProviderChange
from rollout.gateway.drivers.selection import always_restarts, asks_directly, takes_restart
from rollout.journal.leases import LeaseLost
from rollout.journal.record import Write

SINGLE = "CAN-1"


@dataclass(frozen=True, slots=True)
class Tried:
    """The result of one request on the new provider.

    Attributes:
        answered: what shows the provider that answered, and how fast.
        writes: both activations, as the journal has them; none where the provider was asked directly.
        is_direct: whether the gateway asked the new provider alone, without an activation.
    """

    answered: str
    writes: tuple[Write, ...]
    is_direct: bool = False


def single_request(rollout: RolloutContext) -> Tried:
    """Activate the new provider, send one request, and activate the previous one again, whatever the result (CAN-1).

    A gateway that can ask the new provider directly is asked so, and no user is moved.

    Raises:
        RolloutError: a canary is not possible here; nothing was written.
        GatewayError: the activation, the request or the second activation failed.
        ConcurrentChange: neither provider is active: the gateway was changed outside this rollout.
    """
    backup = recorded(rollout.record().backup)
    new, previous = rollout.expected_active, backup.previous
    _refuse_impossible(rollout, backup)
    provider.test(rollout, new)
    provider.remember_counters(rollout, new)
    provider.refuse_concurrent(rollout.gateway, previous)
    if asks_directly(rollout.target):
        return Tried(_judge(rollout, ask_one(rollout, new)), (), is_direct=True)
    try:
        provider.activate(rollout, rollout.gateway, new, step=SINGLE, direction="forward")
    except (JournalError, LeaseLost, Refused):
        raise  # nothing was sent, or nothing was changed by it
    except RolloutError:
        _activate_previous(rollout, new, previous)
        raise
    try:
        answered = _ask(rollout, new)
    finally:
        _activate_previous(rollout, new, previous)
    return Tried(answered, tuple(write for write in rollout.record().writes if write.step == SINGLE))


def enter(rollout: RolloutContext, stage: Stage) -> str:
    """Give the new provider the stage's share of the requests, and read it back; at 100 % it is activated for good.

    A stage that is in effect already is recognised, and nothing is sent for it.

    Returns:
        what happened, in words.

    Raises:
        ConcurrentChange: the requests are split otherwise than the stage before has left them.
        GatewayError: refused, unknown what happened, or without effect.
    """
    if is_in_effect(rollout, stage):
        return f"{stage}: in effect already; nothing was sent"
    backup = recorded(rollout.record().backup)
    found = astray(rollout, backup)
    if found:
        listed = "; ".join(f"{what}: {how}" for what, how in found.items())
        raise ConcurrentChange(f"the gateway was changed outside this rollout during the canary: {listed}")
    if stage.is_all:
        _activate_for_good(rollout, stage)
    shares = weights.planned(rollout, backup, stage.share)
    if weights.share_now(rollout, rollout.gateway) != stage.share:
        weights.send(rollout, rollout.gateway, shares, step=stage.clause, direction="forward")
    if await_shown(rollout, lambda: "" if is_in_effect(rollout, stage) else "not yet"):
        here, now = rollout.gateway.active_provider(), rollout.gateway.weights().shares
        raise GatewayError(
            "read back", f"{stage} was answered with success, and {here} is active with {show_weights(now)}"
        )
    return f"{stage}: in effect, read back"


def _activate_for_good(rollout: RolloutContext, stage: Stage) -> None:
    new = rollout.expected_active
    provider.activate(rollout, rollout.gateway, new, step=stage.clause, direction="forward")
    if always_restarts(rollout.target, new):
        restart.restart(rollout, rollout.gateway, rollout.stop, step=stage.clause, direction="forward")


def is_in_effect(rollout: RolloutContext, stage: Stage) -> bool:
    """Return whether the new provider gets exactly the stage's share; until it gets everything the previous is active.

    Raises:
        GatewayError: it cannot be read.
    """
    active = rollout.expected_active if stage.is_all else recorded(rollout.last_known_record().backup).previous
    here = rollout.gateway.active_provider()
    return is_same_provider(here, active) and weights.share_now(rollout, rollout.gateway) == stage.share


def reached(rollout: RolloutContext) -> Stage | None:
    """Return the stage that this rollout has entered last, by its journal; None before the first."""
    record = rollout.last_known_record()
    backup = recorded(record.backup)
    stage_of = {
        (stage.clause, to): stage
        for stage in stages(rollout.scenario)
        for to in (
            show_weights(weights.planned(rollout, backup, stage.share)),
            *((str(rollout.expected_active),) if stage.is_all else ()),
        )
    }
    entered = (
        stage_of.get((write.step, write.to))
        for write in reversed(record.writes)
        if write.direction == "forward" and write.result == "done"
    )
    return next((stage for stage in entered if stage is not None), None)


def astray(rollout: RolloutContext, backup: Backup) -> dict[str, str]:
    """Return what differs from where the canary has left the gateway: its active provider, or the shares.

    Raises:
        GatewayError: it cannot be read.
    """
    stage = reached(rollout)
    expected = rollout.expected_active if stage is not None and stage.is_all else backup.previous
    found = provider.moved(rollout, expected)
    foreign_edits.refuse(
        rollout, rollout.gateway, backup, (backup.previous, rollout.expected_active), weights.splits(rollout, backup)
    )
    now = rollout.gateway.weights().shares
    if stage is None:
        is_as_left = same_weights(now, backup.weights or {})
    elif stage.is_all:
        is_as_left = weights.share_now(rollout, rollout.gateway) == stage.share
    else:
        is_as_left = same_weights(now, weights.planned(rollout, backup, stage.share))
    return found if is_as_left else found | {"weights": f"{stage or 'as in the backup'} -> {show_weights(now)}"}


def _refuse_impossible(rollout: RolloutContext, backup: Backup) -> None:
    new, previous = rollout.expected_active, backup.previous
    if is_same_provider(new, previous):
        raise RolloutError(f"{new} is active already; there is no traffic to move: remove `strategy:`")
    for place in () if asks_directly(rollout.target) else (new, previous):
        if takes_restart(rollout.target, place):
            raise RolloutError(
                f"an activation of {place.provider} takes effect only after a restart, which a canary's single request "
                "cannot wait for: remove `strategy:`"
            )
    if not is_staged(rollout.scenario):
        return
    weights.named(rollout, new)
    if new.provider.casefold() == previous.provider.casefold():
        raise RolloutError(
            f"{new} and {previous} are of one provider, and the gateway counts by provider: a canary could not be "
            "stage_of from its control group; ask for `single_request: only`"
        )
    if backup.weights:
        raise RolloutError(
            f"the requests are split already, by {show_weights(backup.weights)}; end that before a canary begins"
        )


def _activate_previous(rollout: RolloutContext, new: ProviderChange, previous: ProviderChange) -> None:
    """Activate the previous provider again; uninterruptible, because the new one is not watched yet.

    Raises:
        ConcurrentChange: neither of the two is active.
        GatewayError: it did not work; the rollback tries again.
    """
    gateway = rollout.gateway.uninterruptible()
    with suppress(GatewayError):
        # What cannot be read is activated all the same: this rollout has written, and only a write undoes that.
        here = gateway.active_provider()
        if not any(is_same_provider(here, place) for place in (new, previous)):
            raise ConcurrentChange(
                f"{here} is active, which is neither {new} nor {previous}: it was changed outside this rollout and is "
                "not overwritten"
            )
    provider.activate(rollout, gateway, previous, step=SINGLE, direction="back")
    require_shown(rollout, "activate", lambda: provider.elsewhere(gateway, previous), stop=NEVER)


def _ask(rollout: RolloutContext, new: ProviderChange) -> str:
    require_shown(rollout, "activate", lambda: provider.elsewhere(rollout.gateway, new))
    return _judge(rollout, ask(rollout, new, SINGLE))


def _judge(rollout: RolloutContext, answered: Answered) -> str:
    if answered.problem is not None:
        raise GatewayError("POST chat/completions", answered.problem)
    took_ms, bound_ms = answered.completion.elapsed_ms, rollout.target.latency_bound_ms
    if took_ms > bound_ms:
        raise GatewayError("POST chat/completions", f"took {took_ms:.0f} ms, above {bound_ms:.0f} ms")
    return f"a request was answered in {took_ms:.0f} ms; {answered.seen}"
