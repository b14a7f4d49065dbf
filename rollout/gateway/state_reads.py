"""The state of a gateway that a change may write, composed from single reads."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from rollout.core.canonical_json import to_json
from rollout.core.capabilities import Capability
from rollout.core.errors import NotOffered
from rollout.core.scenario import ProviderChange
from rollout.core.snapshot import GovernanceLimits, Snapshot
from rollout.gateway.drivers.protocol import Driver
from rollout.gateway.responses import Governance, Providers, RuntimeConfig, Weights


@runtime_checkable
class StateReads(Protocol):
    """A gateway whose state can be read.

    Attributes:
        driver: the driver of its kind.
    """

    driver: Driver

    def providers(self) -> Providers:
        """Read the providers and the active one's name."""

    def runtime_config(self) -> RuntimeConfig:
        """Read the runtime configuration."""

    def governance(self) -> Governance:
        """Read the governance limits, and the fallbacks that happened."""

    def weights(self) -> Weights:
        """Read how the requests are split among providers."""

    def limits(self) -> GovernanceLimits:
        """Read the governance limits; there are none on a gateway that lacks them."""
        try:
            found = self.governance()
        except NotOffered:
            return GovernanceLimits({}, {})
        return GovernanceLimits(to_json(found.cost_limits), to_json(found.rate_limits))

    def active_provider(self) -> ProviderChange:
        """Read the active provider, by the name that activates it, and its model.

        Raises:
            GatewayError: no provider is active, or its model is not known.
        """
        return self.driver.place(self.providers().active_provider, self.runtime_config().config)

    def snapshot(self) -> Snapshot:
        """Read the state that a change may write. Raises GatewayError as `active_provider` does."""
        providers, runtime = self.providers(), self.runtime_config()
        return Snapshot(
            active=self.driver.place(providers.active_provider, runtime.config),
            reported_as=providers.active_provider or "",
            providers=to_json(providers),
            config=runtime.config,
            config_sources=runtime.config_sources,
            limits=self.limits(),
            weights=None if self.driver.capabilities()[Capability.WEIGHTS] else self.weights().shares,
        )
