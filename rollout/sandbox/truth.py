"""The true state of a gateway, for tests: whatever its reads show, and whatever its answers name."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from rollout.core.clock import Clock, format_utc
from rollout.sandbox import envfile
from rollout.sandbox.earlier_states import View
from rollout.sandbox.envfile import masked
from rollout.sandbox.state import State

ACTIVATIONS = 50
SERVED = 200
"""The most activations and completions that are listed, the latest ones."""


@dataclass(slots=True)
class Truth:
    """The activations and the serving providers since the start of the process."""

    _clock: Clock
    _activated: int = 0
    _activations: deque[dict[str, str]] = field(default_factory=lambda: deque(maxlen=ACTIVATIONS))
    _served: deque[list[Any]] = field(default_factory=lambda: deque(maxlen=SERVED))

    def activated(self, provider: str, model: str, user: str) -> None:
        """Note an activation that was written to the configuration, also where it changed nothing."""
        self._activated += 1
        self._activations.append(
            {"time": format_utc(self._clock.now()), "provider": provider, "model": model, "user": user}
        )

    def served(self, provider: str, model: str, status: int) -> None:
        """Note an answered completion, with the provider and model that it was sent to."""
        self._served.append([format_utc(self._clock.now()), provider, model, status])

    def as_answer(self, boot_id: str, state: State, now: View) -> dict[str, Any]:
        """Return the answer of ``/sandbox/state``; `now` is the state in effect. Raises OSError."""
        return {
            "boot_id": boot_id,
            "active": f"{now.provider}:{now.model}",
            "pending": _pending(state),
            "config": {key: masked(key, value) for key, value in now.config.items()},
            "cost_limits": now.limits["cost"],
            "rate_limits": now.limits["rate"],
            "weights": now.weights,
            "activations": {"count": self._activated, "last": list(self._activations)},
            "served": list(self._served),
        }


def _pending(state: State) -> str | None:
    """Return the provider and model that a restart would activate, None where they are in effect."""
    on_disk = envfile.DEFAULTS | envfile.parse(state.env_file.read_text(encoding="utf-8"))
    named = f"{on_disk['ACTIVE_PROVIDER'].casefold()}:{on_disk['LLM_MODEL_NAME']}"
    return None if named == f"{state.provider}:{state.model}" else named
