"""The true state of a gateway, for tests: whatever its reads show, and whatever its answers name."""

from __future__ import annotations

from collections import deque
from typing import Any

from rollout.core.clock import Clock, format_utc
from rollout.sandbox import envfile
from rollout.sandbox.earlier_states import View
from rollout.sandbox.envfile import masked
from rollout.sandbox.state import State

ACTIVATIONS = 50
SERVED = 200
"""The most activations and completions that are listed, the latest ones."""


class Truth:
    """The activations and the serving providers since the start of the process."""

    def __init__(self, clock: Clock) -> None:
        """Start empty."""
        self._clock = clock
        self._activated = 0
        self._activations: deque[dict[str, str]] = deque(maxlen=ACTIVATIONS)
        self._served: deque[list[Any]] = deque(maxlen=SERVED)

    def activated(self, provider: str, model: str, user: str) -> None:
        """Note an activation that was written to the configuration, also where it changed nothing."""
        self._activated += 1
        at = format_utc(self._clock.now())
        self._activations.append({"time": at, "provider": provider, "model": model, "user": user})

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
            "cost_limits": now.cost_limits,
            "rate_limits": now.rate_limits,
            "weights": now.weights,
            "activations": {"count": self._activated, "last": list(self._activations)},
            "served": list(self._served),
        }


def _pending(state: State) -> str | None:
    """Return the provider and model that a restart would activate, None where they are in effect."""
    on_disk = envfile.DEFAULTS | envfile.parse(state.env_file.read_text(encoding="utf-8"))
    named = f"{on_disk['ACTIVE_PROVIDER'].casefold()}:{on_disk['LLM_MODEL_NAME']}"
    return None if named == f"{state.provider}:{state.model}" else named
