"""What the gateway of a target has, according to the driver of its kind."""

from __future__ import annotations

from rollout.core.applicability import find_lacking
from rollout.core.capabilities import Capability
from rollout.core.target import Target
from rollout.gateway.drivers.selection import capabilities_of


def lacking_of(target: Target) -> dict[str, str]:
    """Return what cannot be read of the target's gateway -> why."""
    return find_lacking(capabilities_of(target), target)


def why_no_weights(target: Target) -> str | None:
    """Return why the gateway cannot split its traffic by weights; None where it can."""
    return capabilities_of(target)[Capability.WEIGHTS]
