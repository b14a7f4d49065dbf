"""The driver of a target."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.core.applicability import find_lacking
from rollout.core.capabilities import Capability
from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.core.wishes import Activate, Wish
from rollout.core.writes import Restart, Write
from rollout.gateway.drivers.documented import Documented
from rollout.gateway.drivers.protocol import AsksDirectly, Driver


def driver_of(target: Target) -> Driver:
    """Return the driver of the target's kind; nothing is read.

    Raises:
        UnusableKind: no installed package brings the kind, or its driver cannot be used.
    """
    if target.kind == Documented.kind:
        return Documented(target)
    # Reading entry points takes time that the default kind, and an emergency, do without.
    from rollout.gateway.drivers.registry import load_driver  # noqa: PLC0415

    return load_driver(target.kind)(target)


def capabilities_of(target: Target) -> Mapping[Capability, str | None]:
    """Return of every capability None where the target's gateway has it, else why not.

    Raises:
        UnusableKind: the driver does not say of every one.
    """
    found = driver_of(target).capabilities()
    if unsaid := [each for each in Capability if each not in found]:
        from rollout.gateway.drivers.registry import UnusableKind  # noqa: PLC0415 - as above

        raise UnusableKind(
            f"{target.kind!r} cannot be used: its driver does not say whether its gateway has {', '.join(unsaid)}; "
            "install a version of the package that works with this one"
        )
    return found


def lacking_of(target: Target) -> dict[str, str]:
    """Return what cannot be read of the target's gateway, nor of another source of it -> why. Raises UnusableKind."""
    return find_lacking(capabilities_of(target), target)


def splits_requests(target: Target) -> bool:
    """Return whether the target's gateway splits its requests by weights. Raises UnusableKind as `capabilities_of`."""
    return capabilities_of(target)[Capability.WEIGHTS] is None


def describe_writes(target: Target, wish: Wish) -> tuple[Write, ...]:
    """Return the writes that bring `wish` about on the target's gateway, in order.

    Raises:
        GatewayError: the gateway cannot be asked for it; nothing is sent.
    """
    return driver_of(target).writes(wish)


def takes_restart(target: Target, to: ProviderChange) -> bool:
    """Return whether an activation of `to` may take effect only after a restart of the service (deviation 7).

    Raises:
        GatewayError: the gateway cannot be asked for it.
    """
    return bool(_restarts(target, to))


def always_restarts(target: Target, to: ProviderChange) -> bool:
    """Return whether an activation of `to` is followed by a restart, whatever reads show. Raises as `takes_restart`."""
    return any(not restart.if_needed for restart in _restarts(target, to))


def asks_directly(target: Target) -> bool:
    """Return whether one provider can be asked, whichever is active. Raises UnusableKind as `driver_of`."""
    driver = driver_of(target)
    return isinstance(driver, AsksDirectly) and driver.asks_directly()


def is_followed_by_restart(target: Target, wish: Wish) -> bool:
    """Return whether a restart of the service comes after a wish, whatever reads show. Raises as `takes_restart`."""
    return any(isinstance(write, Restart) and not write.if_needed for write in describe_writes(target, wish))


def _restarts(target: Target, to: ProviderChange) -> list[Restart]:
    writes = describe_writes(target, Activate(to.provider, to.model, to.restart))
    return [write for write in writes if isinstance(write, Restart)]
