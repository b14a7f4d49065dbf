"""A gateway's state at one time, as far as a change may write it: what a backup keeps and a rollback restores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout.core.scenario import ProviderChange


@dataclass(frozen=True, slots=True)
class GovernanceLimits:
    """The limits of a gateway; empty where it has none.

    Attributes:
        cost_limits: scope -> limits.
        rate_limits: scope -> limits.
    """

    cost_limits: Mapping[str, Mapping[str, float]]
    rate_limits: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A gateway's state.

    Attributes:
        active: the active provider, by the name that activates it, and its model.
        reported_as: the name under which the gateway reports the active provider.
        providers: the providers, as JSON types.
        config: the configuration in effect, as the gateway masks it.
        config_sources: key -> where its value comes from, as far as the gateway says.
        limits: the governance limits.
        weights: how the requests are split, destination -> fraction; None where the gateway cannot split them.
    """

    active: ProviderChange
    reported_as: str
    providers: Mapping[str, Any]
    config: Mapping[str, str]
    config_sources: Mapping[str, str]
    limits: GovernanceLimits
    weights: Mapping[str, float] | None
