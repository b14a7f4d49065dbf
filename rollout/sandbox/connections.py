"""Whether providers can be reached: in truth, and by the gateway's answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from rollout.core.clock import Clock
from rollout.sandbox.deviations import Switched
from rollout.sandbox.errors import Refusal
from rollout.sandbox.faults import Faults
from rollout.sandbox.providers import CLOUD, Provider
from rollout.sandbox.state import State


@dataclass(frozen=True, slots=True)
class Connection:
    """A provider's ``connection_status``, field by field."""

    status: str
    reason_code: str | None
    message: str
    latency_ms: float | None = None
    runtime_version: str | None = None


@dataclass(frozen=True, slots=True)
class Connections:
    """The connections of one gateway, whose state and faults are read at each call."""

    _state: State
    _faults: Faults
    _deviations: Switched
    _clock: Clock

    async def poll(self, provider: Provider) -> Connection:
        """Return the connection status that the gateway reports of a provider."""
        if self._is_checked_by_key(provider):
            return Connection("connected", None, provider.connected)
        out_of_reach = self.out_of_reach(provider)
        if out_of_reach:
            return out_of_reach
        latency_ms = await self._probe(provider)
        if self._faults.status(provider.name) == "degraded":
            return Connection("degraded", "http_error", "HTTP 503", latency_ms)
        return Connection("connected", None, provider.connected, latency_ms, provider.runtime_version)

    def credentials(self, provider: Provider) -> dict[str, Any]:
        """Return the ``credentials`` check of a preflight."""
        if provider.provider_type != CLOUD or provider.key is None:
            return {"status": "configured", "passed": True, "message": "Not required"}
        key = self._state.config.get(provider.key)
        if not key:
            return {"status": "missing", "passed": False, "message": f"Missing {provider.key}"}
        if self._is_checked_by_key(provider) or provider.accepts(key):
            return {"status": "configured", "passed": True, "message": "Configured"}
        return {"status": "invalid", "passed": False, "message": f"{provider.key} is not accepted"}

    def out_of_reach(self, provider: Provider) -> Connection | None:
        """Return why a provider really cannot be reached, None if it can."""
        if provider.key:
            key = self._state.config.get(provider.key)
            if not key:
                return Connection("offline", "missing_api_key", f"{provider.key} not configured")
            if not provider.accepts(key):
                return Connection("offline", "invalid_api_key", f"{provider.key} is not accepted (HTTP 401)")
        if self._faults.status(provider.name) == "offline":
            return Connection("offline", "connection_failed", provider.failed)
        return None

    def refuse_unusable(self, provider: Provider) -> None:
        """Raise Refusal (503) if the provider really cannot be reached."""
        out_of_reach = self.out_of_reach(provider)
        if out_of_reach:
            raise Refusal(503, f"Provider {provider.name} is offline: {out_of_reach.message}")

    def refuse_activation(self, provider: Provider) -> None:
        """Raise Refusal (503) if the provider is out of reach by the gateway's own check."""
        if not self._is_checked_by_key(provider):
            self.refuse_unusable(provider)

    def _is_checked_by_key(self, provider: Provider) -> bool:
        """Return whether a key that is set is the only check (deviation 11)."""
        is_set = provider.key is not None and bool(self._state.config.get(provider.key))
        return is_set and "key_means_connected" in self._deviations

    async def _probe(self, provider: Provider) -> float | None:
        if provider.probe_ms is None:
            return None
        started = self._clock.monotonic()
        await asyncio.sleep(provider.probe_ms / 1000)
        return 1000 * (self._clock.monotonic() - started)
