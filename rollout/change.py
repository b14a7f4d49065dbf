"""The change itself: prove the way back, activate, recognise what is in effect already (APP)."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.backup import Backup, differences, env_changed, same_place, where_it_is
from rollout.canonical import plain
from rollout.errors import GatewayError, Refused, SomebodyIntervened
from rollout.gateway.answers import ConnectionTest
from rollout.gateway.client import Gateway
from rollout.record import Kind
from rollout.scenario import ProviderChange
from rollout.workspace import Rollout


@dataclass(frozen=True, slots=True)
class Repeated:
    """What applying once more came to: words, and how many writes it sent (APP-4.1)."""

    message: str
    writes: int


def is_in_effect(rollout: Rollout) -> bool:
    """Tell whether the gateway reports exactly this change's provider and model active.

    Raises:
        GatewayError: it cannot be read.
    """
    return same_place(where_it_is(rollout.gateway, rollout.target), rollout.change)


def changed_since(rollout: Rollout, backup: Backup) -> dict[str, str]:
    """Return what differs from the backup although this rollout did not change it (APP-0.1, VER-4).

    The keys that this rollout's own activation writes, and those that the target declares, do not count once it wrote.

    Raises:
        GatewayError: the gateway cannot be read.
    """
    found = differences(backup, rollout.gateway, rollout.redactor.value)
    if rollout.record().applied:
        kept = {key: how for key, how in found.items() if key not in own_keys(rollout)}
        return kept | _env_keys(rollout, backup) | _elsewhere(rollout)
    if env_changed(backup, rollout.target):
        found[".env"] = "its bytes differ from the backup's"
    return found


def own_keys(rollout: Rollout) -> frozenset[str]:
    """Return the configuration keys that an activation on this target may write."""
    target = rollout.target
    return frozenset({target.provider_key, target.model_key, *target.activation_rewrites})


def _env_keys(rollout: Rollout, backup: Backup) -> dict[str, str]:
    """Return the keys of the `.env` file that somebody else has changed, by name only: values never leave the file."""
    if backup.env is None or rollout.target.env_file is None:
        return {}
    from dotenv import dotenv_values  # noqa: PLC0415 - only a target with a reachable file needs it

    before = dotenv_values(backup.env.path, interpolate=False)
    now = dotenv_values(rollout.target.env_file, interpolate=False)
    changed = {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)}
    return {f".env {key}": "differs from the backup's" for key in sorted(changed - own_keys(rollout))}


def _elsewhere(rollout: Rollout) -> dict[str, str]:
    here = where_it_is(rollout.gateway, rollout.target)
    if same_place(here, rollout.change):
        return {}
    return {"active provider": f"{rollout.change} -> {here}"}


def prove_way_back(rollout: Rollout, backup: Backup) -> str:
    """Activate the current provider and model once more: a no-op that shows that a rollback would be accepted.

    Returns:
        what happened, in words.

    Raises:
        Refused: the gateway would not take the way back; nothing was changed and nothing will be.
        GatewayError: it is unknown what happened.
        SomebodyIntervened: the no-op was none.
    """
    if is_in_effect(rollout):
        return f"{rollout.change} is in effect already; nothing will be written, so nothing needs to be undone"
    _activate(rollout, rollout.gateway, backup.previous, step="APP-0.2", direction="proof")
    here = where_it_is(rollout.gateway, rollout.target)
    if not same_place(here, backup.previous):
        raise SomebodyIntervened(f"activating {backup.previous} once more led to {here}; a rollback would too")
    return f"{backup.previous} was activated once more and is active"


def connection_before(rollout: Rollout) -> ConnectionTest:
    """Test the new provider's connection right before the activation (APP-1.1).

    Raises:
        GatewayError: no verdict came back.
    """
    return rollout.gateway.test_connection(rollout.change.provider)


def apply(rollout: Rollout) -> str:
    """Activate the change's provider and model, unless they are in effect (APP-1.2, APP-4.1).

    Returns:
        what happened, in words; it says so when nothing was sent.

    Raises:
        JournalError: the intent is not on disk; nothing was sent.
        Refused: the gateway said no.
        GatewayError: it is unknown what happened, or the gateway reports something else than it was told.
    """
    change = rollout.change
    if is_in_effect(rollout):
        return f"{change} is in effect already; nothing was sent"
    _remember_counters(rollout)
    _activate(rollout, rollout.gateway, change, step="APP-1.2", direction="forward")
    here = where_it_is(rollout.gateway, rollout.target)
    if not same_place(here, change):
        raise GatewayError(
            f"POST providers/{change.provider}/activate",
            f"the gateway answered success, and reports {here} active instead of {change}",
        )
    return f"{change} was activated, and the gateway reports it active"


def repeat(rollout: Rollout) -> Repeated:
    """Apply once more, only if the change is in effect: to find out must not do it.

    Raises:
        GatewayError: the gateway cannot be read, or reports something else active.
    """
    if not is_in_effect(rollout):
        here = where_it_is(rollout.gateway, rollout.target)
        raise GatewayError("GET providers", f"{here} is active instead of {rollout.change}")
    before = len(rollout.record().writes)
    message = apply(rollout)
    return Repeated(message, len(rollout.record().writes) - before)


def go_back(rollout: Rollout, gateway: Gateway, to: ProviderChange) -> None:
    """Activate `to` on the way back (RBK-2.1).

    Raises:
        GatewayError: refused, or unknown what happened.
    """
    _activate(rollout, gateway, to, step="RBK-2.1", direction="back")


def _activate(rollout: Rollout, gateway: Gateway, to: ProviderChange, *, step: str, direction: str) -> None:
    with rollout.announced(step, direction, to), gateway.unsealed(step):
        gateway.activate(to.provider, to.model)


def _remember_counters(rollout: Rollout) -> None:
    """Keep what the counters were before the first user of the change, so that the window is judged by deltas."""
    try:
        counters = plain(rollout.gateway.metrics(rollout.change.provider))
        fallbacks = len(rollout.gateway.governance().recent_fallbacks)
    except Refused:
        counters, fallbacks = None, 0
    rollout.write(Kind.COUNTERS, metrics=counters, fallbacks=fallbacks)
