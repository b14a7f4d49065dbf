"""What the gateway of a target has, according to the driver of its kind; validation asks here alone."""

from __future__ import annotations

from rollout.core.capabilities import Capability
from rollout.core.target import Target
from rollout.gateway.drivers.selection import capabilities_of, lacking_of

__all__ = ["lacking_of", "why_no_weights"]


def why_no_weights(target: Target) -> str | None:
    """Return why the gateway cannot split its traffic by weights; None where it can."""
    return capabilities_of(target)[Capability.WEIGHTS]
