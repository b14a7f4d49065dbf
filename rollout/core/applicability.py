"""Which clauses are not applicable on a gateway, because it lacks what they observe: none of them is a pass."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from rollout.core.capabilities import Capability
from rollout.core.target import Target

_LIMITS = (Capability.COST_LIMITS, Capability.RATE_LIMITS)

OBSERVES: Mapping[str, tuple[Capability, ...]] = MappingProxyType(
    {
        "PRE-5.3": (Capability.ALERTS,),
        "VER-1": (Capability.STATUS,),
        "VER-3": (Capability.AUDIT,),
        "MON-1": (Capability.STATUS,),
        "MON-4": (Capability.ALERTS,),
        "REV-1": (Capability.COUNTERS,),
        "REV-3": (Capability.COUNTERS,),
        "REL-4": _LIMITS,
        "REL-5": _LIMITS,
        "REL-6": (Capability.ALERTS,),
        "REL-7": (Capability.AUDIT,),
    }
)
"""Clause -> what it observes; it is not applicable where the gateway lacks all of it.

MON-2, MON-3 and VER-2 are not among them: where the gateway counts nothing, the suite's own requests decide.
"""

READ = frozenset((*_LIMITS, Capability.STATUS, Capability.COUNTERS, Capability.ALERTS, Capability.AUDIT))
"""What the suite reads besides the configuration and the providers."""


def find_lacking(capabilities: Mapping[Capability, str | None], target: Target) -> dict[str, str]:
    """Return what cannot be read of a gateway -> why; what another source of the target gives is not among it.

    Args:
        capabilities: what the gateway's driver says of each capability: None where the gateway has it, else why not.
        target: names Prometheus, which counts requests, and Alertmanager, which has alerts.
    """
    given = {
        Capability.COUNTERS: target.sources.prometheus is not None,
        Capability.ALERTS: target.sources.alertmanager is not None,
    }
    return {str(each): why for each, why in capabilities.items() if why and each in READ and not given.get(each)}


def find_inapplicable(lacking: Mapping[str, str], insisted: Collection[str] = ()) -> dict[str, str]:
    """Return clause -> why it has no outcome on this gateway.

    Args:
        lacking: what cannot be read of the gateway -> why.
        insisted: clauses of which the policy demands an outcome all the same.
    """
    return {
        clause: lacking[observed[0]]
        for clause, observed in OBSERVES.items()
        if clause not in insisted and all(each in lacking for each in observed)
    }
