"""The embedded gateway as a subject of the conformance kit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rollout.core.clock import SystemClock
from rollout.core.scenario import ProviderChange
from rollout.core.target import Routing, Target, Timeouts
from rollout.gateway import embedded_control
from rollout.sandbox.faults import CALLS
from rollout.sandbox.process import start, stop
from rollout.testing.subject import Fault, State

_FAULTS: dict[Fault, dict[str, Any]] = {
    Fault.OFFLINE: {"provider": "openai", "status": "offline", "calls": [*CALLS]},
    Fault.GARBAGE: {"provider": "*", "answer": "garbage", "calls": [*CALLS]},
    Fault.HANG: {"provider": "*", "hang": True, "calls": [*CALLS]},
}


class EmbeddedSubject:
    """A gateway process of its own, on a free port."""

    first = ProviderChange("ollama", "gemma3:4b")
    second = ProviderChange("openai", "gpt-4o")

    def start(self, folder: Path) -> Target:
        """Start it without users, so that only the kit's requests arrive."""
        self._folder, self._clock = folder, SystemClock()
        self._running = start(folder, clock=self._clock)
        return Target(
            "embedded",
            "sandbox",
            url=self._running.url,
            timeouts=Timeouts(read_s=2.0, chat_s=2.0, activate_s=2.0),
            env_file=self._running.env_file,
            routing=Routing(),
        )

    def state(self) -> State:
        """Return the state that the gateway keeps, whatever its API answers."""
        state = dict(self._control("GET", "/state"))
        return State(state["active"], len(self._control("GET", "/requests")), _settled(state))

    def restart(self) -> None:
        """Stop the process, and start another on the same port and state."""
        port = int(self._running.url.rpartition(":")[2])
        stop(self._running, clock=self._clock)
        self._running = start(self._folder, port=port, clock=self._clock)

    def break_down(self, fault: Fault) -> None:
        """Set a fault, or end the process."""
        if fault is Fault.DOWN:
            self._port = int(self._running.url.rpartition(":")[2])
            stop(self._running, clock=self._clock)
        else:
            self._control("PUT", "/faults", [_FAULTS[fault]])

    def heal(self) -> None:
        """Take the faults away, or start the process again where it was."""
        if hasattr(self, "_port"):
            self._running = start(self._folder, port=self._port, clock=self._clock)
            del self._port
        else:
            self._control("DELETE", "/faults")

    def stop(self) -> None:
        """End the process."""
        stop(self._running, clock=self._clock)

    def _control(self, method: str, path: str, body: object = None) -> Any:
        return embedded_control.send(method, f"{self._running.url}/sandbox{path}", body)


def _settled(state: dict[str, Any]) -> dict[str, object]:
    """Return what only a write changes."""
    return {key: state[key] for key in ("active", "pending", "config", "cost_limits", "rate_limits", "weights")}
