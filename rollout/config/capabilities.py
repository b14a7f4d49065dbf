"""What the gateway of a target has, according to the driver of its kind; validation asks here alone."""

from __future__ import annotations

from rollout.core.capabilities import Capability
from rollout.core.errors import GatewayError
from rollout.core.scenario import EnvironmentChange
from rollout.core.target import Target
from rollout.core.wishes import SetEnvironment
from rollout.gateway.drivers.selection import capabilities_of, describe_writes, lacking_of

__all__ = ["explain_no_environment", "lacking_of", "why_no_weights"]


def why_no_weights(target: Target) -> str | None:
    """Return why the gateway cannot split its traffic by weights; None where it can."""
    return capabilities_of(target)[Capability.WEIGHTS]


def explain_no_environment(change: EnvironmentChange, target: Target) -> str:
    """Return why the driver does not describe a change of the `.env` file; empty where it does."""
    try:
        describe_writes(target, SetEnvironment(change.values, change.secrets, change.remove))
    except GatewayError as problem:
        return problem.reason
    return ""
