"""Activating a provider (APP-1, RBK-2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from rollout.changes import executor, limits, restart
from rollout.changes.backup import is_same_provider, recorded
from rollout.changes.read_back import await_shown
from rollout.context import RolloutContext
from rollout.core.canary_stages import is_staged
from rollout.core.canonical_json import to_json
from rollout.core.errors import ConcurrentChange, GatewayError, Refused
from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.core.wishes import Activate
from rollout.gateway.client import Gateway, find_fallback_counter
from rollout.gateway.drivers.selection import always_restarts, driver_of, takes_restart
from rollout.journal.record import Kind, What


def in_effect(rollout: RolloutContext, change: ProviderChange) -> bool:
    """Return whether the gateway reports exactly this provider and model active.

    Raises:
        GatewayError: it cannot be read.
    """
    return is_same_provider(rollout.gateway.active_provider(), change)


def own(target: Target, _change: ProviderChange) -> frozenset[str]:
    """Return the configuration keys that an activation on this target may write."""
    return frozenset(driver_of(target).activation_keys())


def steps(rollout: RolloutContext, change: ProviderChange) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the steps: test the connection, activate and read back; a canary's stages activate it later."""
    yield "APP-1.1", lambda: test(rollout, change)
    if not is_staged(rollout.scenario):
        yield "APP-1.2", lambda: _apply(rollout, change)


def activate(rollout: RolloutContext, gateway: Gateway, to: ProviderChange, *, step: str, direction: str) -> str:
    """Announce an activation, send it, and return that it was answered with success.

    Raises:
        JournalError: the intent is not on disk; nothing was sent.
        GatewayError: refused, or unknown what happened.
    """
    wish = Activate(to.provider, to.model)
    executor.send(rollout, gateway, wish, step=step, direction=direction, to=str(to), what=What.PROVIDER)
    return "the gateway answered success"


def refuse_concurrent(gateway: Gateway, expected: ProviderChange) -> None:
    """Read once more, right before a write, that no other provider or model was activated since (rule 3).

    Raises:
        ConcurrentChange: another one is active.
        GatewayError: it cannot be read.
    """
    here = gateway.active_provider()
    if not is_same_provider(here, expected):
        raise ConcurrentChange(
            f"{here} is active instead of {expected}, right before the write: it was changed outside this rollout and "
            "is not overwritten; an operator must decide"
        )


def elsewhere(gateway: Gateway, to: ProviderChange) -> str:
    """Return why the gateway does not report `to` active; empty if it does. Raises as `Gateway.active_provider`."""
    here = gateway.active_provider()
    return (
        "" if is_same_provider(here, to) else f"the gateway answered success, and reports {here} active instead of {to}"
    )


def moved(rollout: RolloutContext, expected: ProviderChange) -> dict[str, str]:
    """Return the active provider as a difference, ``expected -> now``; empty if it is the expected one.

    Raises:
        GatewayError: it cannot be read.
    """
    here = rollout.gateway.active_provider()
    return {} if is_same_provider(here, expected) else {"active provider": f"{expected} -> {here}"}


def test(rollout: RolloutContext, change: ProviderChange) -> str:
    """Have the gateway test its connection to the provider (APP-1.1).

    Raises:
        GatewayError: the test failed, or gave no verdict.
    """
    tested = rollout.gateway.test_connection(change.provider)
    if not tested.succeeded:
        raise GatewayError(
            f"POST providers/{change.provider}/test-connection",
            f"{change.provider} is {tested.connection_status}: {tested.message}; nothing was activated",
        )
    return f"{tested.connection_status}: {tested.message}"


def _apply(rollout: RolloutContext, change: ProviderChange) -> str:
    if in_effect(rollout, change):
        return "in effect already; nothing was sent"
    if rollout.scenario.canary is None:
        # A canary's single request was the first one on it, and they were kept before that.
        remember_counters(rollout, change)
    refuse_concurrent(rollout.gateway, recorded(rollout.last_known_record().backup).previous)
    activate(rollout, rollout.gateway, change, step="APP-1.2", direction="forward")
    ran, restarts = "", always_restarts(rollout.target, change)
    problem = "" if restarts else _read_back(rollout, change)
    if restarts or (problem and takes_restart(rollout.target, change)):
        took = restart.restart(rollout, rollout.gateway, rollout.stop, step="APP-2.2", direction="forward")
        lost = limits.put_back_lost(rollout)
        ran = f" after a restart ({'; '.join(filter(None, (took, lost)))})"
        problem = _read_back(rollout, change)
    if problem:
        waits = "" if ran else _restart_needed(rollout, change)
        raise GatewayError(f"POST providers/{change.provider}/activate", problem + waits)
    return f"activated, and the gateway reports it active{ran}"


def _restart_needed(rollout: RolloutContext, change: ProviderChange) -> str:
    """Return which setting states the restart that an activation waits for (deviation 7); empty where there is none.

    It waits where the configuration holds provider and model of the change, and another provider is still active.
    """
    target, driver = rollout.target, driver_of(rollout.target)
    try:
        config = rollout.gateway.runtime_config().config
        written = driver.place(config.get(driver.activation_keys()[0]), config)
        active = driver.activated_as(rollout.gateway.providers().active_provider or "")
    except GatewayError:
        return ""
    if not is_same_provider(written, change) or active.casefold() == change.provider.casefold():
        return ""
    service = "" if target.service else ", with `service: {stop: […], start: […]}`"
    return (
        f"; its configuration holds {change} already, so the service takes an activation only after a restart: set the "
        f"target's `restart: true`, or `providers: {{{change.provider}: {{restart: true}}}}` for this provider "
        f"alone{service}"
    )


def _read_back(rollout: RolloutContext, change: ProviderChange) -> str:
    """Return why the change does not show, at the latest when reads no longer lag behind; empty if it does."""
    return await_shown(rollout, lambda: elsewhere(rollout.gateway, change))


def remember_counters(rollout: RolloutContext, change: ProviderChange) -> None:
    """Enter the counters before the first user of the change into the journal, so that the window is judged by deltas.

    Raises:
        GatewayError: the fallbacks or the counters cannot be read.
        JournalError: they are not on disk.
    """
    gateway = rollout.gateway
    counters, fallbacks = None, 0
    # A gateway without the one may have the other.
    with suppress(Refused):
        counters = to_json(gateway.metrics(change.provider))
    with suppress(Refused):
        counted = find_fallback_counter(gateway)
        fallbacks = len(gateway.governance().recent_fallbacks) if counted is None else counted()
    rollout.append(Kind.COUNTERS, metrics=counters, fallbacks=fallbacks)
