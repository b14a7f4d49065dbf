"""A gateway that is a script for the unit tests of what writes: it has a state, takes writes, lags, lies and fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from rollout.core.errors import GatewayError, Refused
from rollout.core.target import Target
from rollout.core.writes import HttpCall
from rollout.gateway.drivers.selection import driver_of
from rollout.gateway.host.env_text import values
from rollout.gateway.responses import (
    Alert,
    AuditEntry,
    Completion,
    Connection,
    ConnectionTest,
    Governance,
    Latency,
    Metrics,
    Preflight,
    Provider,
    Providers,
    RuntimeConfig,
    Weights,
)
from rollout.gateway.state_reads import StateReads
from tests.support.clocks import SimulatedClock
from tests.support.rollouts import OLD

PROVIDERS = ("ollama", "openai", "vllm")
_WORDS = {"activate": "activate", "set_limit": "limits", "set_weights": "weights"}
Limits = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class State:
    """What a gateway is at one moment."""

    active: str = OLD.provider
    model: str = OLD.model
    cost: Limits = field(default_factory=lambda: {"global": {"soft_limit_usd": 10.0, "hard_limit_usd": 50.0}})
    rate: Limits = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The active ``provider:model``."""
        return f"{self.active}:{self.model}"


class LiveGateway(StateReads):
    """Takes what the client's callers call, keeps a state, and records every write and who served what.

    Attributes:
        state: what it is now, whatever reads say.
        writes: every write that arrived, in order: ``activate openai:gpt-4o``, ``limits cost global``, ``weights …``.
        served: the ``provider:model`` of each completion.
        stale_s: reads answer what was so many seconds ago; a status, a counter and a completion are never stale.
        stale_chat: completions come from a cache of that age too: no provider serves them.
        fails: name of a call -> what it raises instead of answering, or a function that is called with its arguments
            and returns that (None lets the call pass).
        without_effect: names of writes, or their words, that answer success and change nothing.
        lost: name of a write -> seconds after which it takes effect; its answer is lost.
        names: whether completions name ``provider``, ``model``, both or ``nobody``.
        statuses: provider -> connection status.
        on_call: called before each call is answered, with its name.
        on_write: called right before a write takes effect, with its words.
        restart_providers: those whose activation takes effect only with `restart`.
        restarts: how often the service was restarted.
        startup_s: how long nothing answers after a restart.
        loses_limits: what the limits are after a restart; None keeps them.
        env_file: what `State.config` is read from at a restart; None keeps it.
    """

    def __init__(self, clock: SimulatedClock, state: State | None = None) -> None:
        self.clock = clock
        self._history: list[tuple[float, State]] = [(float("-inf"), state or State())]
        self.writes: list[str] = []
        self.served: list[str] = []
        self.counted: dict[str, int] = dict.fromkeys(PROVIDERS, 100)
        self.stale_s = 0.0
        self.stale_chat = False
        self.fails: dict[str, BaseException | Callable[..., BaseException | None]] = {}
        self.without_effect: set[str] = set()
        self.lost: dict[str, float] = {}
        self.names = "both"
        self.statuses: dict[str, str] = {}
        self.alerted: tuple[Alert, ...] = ()
        self.audited: list[AuditEntry] = []
        self.on_call: Callable[[str], object] = lambda _name: None
        self.on_write: Callable[[str], object] = lambda _words: None
        self.restart_providers: set[str] = set()
        self.restarts = 0
        self.startup_s = 0.0
        self.loses_limits: Limits | None = None
        self.env_file: Path | None = None
        self.driver = driver_of(Target("t", "sandbox"))
        self._pending: tuple[str, str] | None = None
        self._up_at_s = 0.0

    @property
    def state(self) -> State:
        """What it is now."""
        return self._history[-1][1]

    @state.setter
    def state(self, state: State) -> None:
        self._history.append((self.clock.monotonic(), state))

    def seen(self) -> State:
        """Return what a read shows."""
        until = self.clock.monotonic() - self.stale_s
        return next(state for at, state in reversed(self._history) if at <= until)

    def restart(self) -> None:
        """Restart the service: what waits for it takes effect, and what lives in memory may be lost."""
        self.restarts += 1
        self._up_at_s = self.clock.monotonic() + self.startup_s
        new = self.state
        if self._pending is not None:
            new = replace(new, active=self._pending[0], model=self._pending[1])
            self._pending = None
        if self.loses_limits is not None:
            new = replace(new, cost=self.loses_limits)
        if self.env_file is not None:
            new = replace(new, config={k: v for k, v in values(self.env_file.read_bytes()).items() if v is not None})
        self.state = new

    # What reads

    def uninterruptible(self) -> Self:
        """Return the gateway itself."""
        return self

    def health(self) -> None:
        """Answer, or fail."""
        self._fail("health")

    def providers(self) -> Providers:
        """Return three providers."""
        self._fail("providers")
        active = self.seen().active
        listed = tuple(
            Provider(name, "x", {"activate": True}, self._connection(name), name == active) for name in PROVIDERS
        )
        return Providers(listed, active)

    def runtime_config(self) -> RuntimeConfig:
        """Return the active provider and model as configuration."""
        self._fail("runtime_config")
        seen = self.seen()
        active, model = self._pending or (seen.active, seen.model)
        config = {**seen.config, "ACTIVE_PROVIDER": active, "LLM_MODEL_NAME": model}
        return RuntimeConfig(config, dict.fromkeys(config, "env"))

    def governance(self) -> Governance:
        """Return the limits."""
        self._fail("governance")
        return Governance(dict(self.seen().cost), dict(self.seen().rate), ())

    def weights(self) -> Weights:
        """Return how requests are split."""
        self._fail("weights")
        return Weights(dict(self.seen().weights))

    def status(self, provider: str) -> Connection:
        """Return a provider's status."""
        self._fail("status", provider)
        return self._connection(provider)

    def test_connection(self, provider: str) -> ConnectionTest:
        """Test it by its status."""
        self._fail("test_connection", provider)
        status = self.statuses.get(provider, "connected")
        return ConnectionTest(status == "connected", status, 1.0, status)

    def preflight(self, provider: str) -> Preflight:
        """Judge it by its status."""
        self._fail("preflight", provider)
        return Preflight(self.statuses.get(provider, "connected") == "connected", {})

    def metrics(self, provider: str) -> Metrics:
        """Return its request counter."""
        self._fail("metrics", provider)
        total = self.counted[provider]
        return Metrics(total, total, 0, 0.0, Latency(1.0, 1.0, 1.0, total), {})

    def alerts(self, _severity: str | None = None) -> tuple[Alert, ...]:
        """Return what fires."""
        self._fail("alerts")
        return self.alerted

    def audit(self, *, limit: int = 100, **_: Any) -> tuple[AuditEntry, ...]:
        """Return the audit log, newest first."""
        self._fail("audit")
        return tuple(reversed(self.audited))[:limit]

    def chat(self, _prompt: str, **_: Any) -> Completion:
        """Answer as the active provider; with `stale_chat`, what was answered `stale_s` ago."""
        self._fail("chat")
        state = self.seen() if self.stale_chat else self.state
        if not self.stale_chat:
            self.served.append(state.place)
            self.counted[state.active] += 1
        provider = state.active if self.names in ("both", "provider") else None
        model = state.model if self.names in ("both", "model") else None
        return Completion("pong", model, provider, 3, 5.0)

    # What writes

    def execute(self, call: HttpCall) -> None:
        """Carry out a documented call: an activation, limits of a scope, or weights."""
        body = dict(call.body)
        match call.path.rsplit("/", 2)[1:]:
            case [provider, "activate"]:
                self.activate(unquote(provider), body["model"])
            case [_, "limits"]:
                self.set_limit(body.pop("limit_type"), body.pop("scope"), body)
            case [*_, "weights"]:
                self.set_weights(body["weights"])
            case _:  # a target's own call for a provider
                self.activate(body["server"], body["model"])

    @contextmanager
    def allow_writes(self, _step: str) -> Iterator[None]:
        """Allow writes."""
        yield

    def activate(self, provider: str, model: str) -> None:
        """Make them active, at once or with the next restart."""

        def effect() -> None:
            self._pending = (provider, model) if provider in self.restart_providers else None
            if self._pending is None:
                self.state = replace(self.state, active=provider, model=model)

        self._write("activate", f"{provider}:{model}", effect)

    def set_limit(self, kind: str, scope: str, values: Mapping[str, float]) -> None:
        """Set limits of a scope."""
        name = scope if scope == "global" or ":" in scope else f"provider:{scope}"

        def effect() -> None:
            kept = dict(getattr(self.state, kind))
            kept[name] = {**kept.get(name, {}), **values}
            self.state = replace(self.state, **{kind: kept})

        self._write("set_limit", f"{kind} {scope}", effect)

    def set_weights(self, shares: Mapping[str, float]) -> None:
        """Split requests."""

        def effect() -> None:
            self.state = replace(self.state, weights=dict(shares))

        self._write("set_weights", str(dict(shares)), effect)

    def close(self) -> None:
        """Do nothing."""

    def _connection(self, provider: str) -> Connection:
        return Connection(self.statuses.get(provider, "connected"), "ok")

    def _write(self, call: str, what: str, effect: Callable[[], None]) -> None:
        """Record a write, and carry it out as far as the script says."""
        words = f"{_WORDS[call]} {what}"
        self._reach(call)
        self.on_write(words)
        self.writes.append(words)
        self._refuse(call, what)
        if not self.without_effect & {call, words}:
            self.clock.later(self.lost.get(call, 0.0), effect)
            self.clock.wait(0.0)
        if call in self.lost:
            raise down(f"POST {call}")

    def _fail(self, call: str, *args: Any) -> None:
        self._reach(call)
        self._refuse(call, *args)

    def _reach(self, call: str) -> None:
        self.on_call(call)
        if self.clock.monotonic() < self._up_at_s:
            raise down(f"GET {call}")

    def _refuse(self, call: str, *args: Any) -> None:
        fault = self.fails.get(call)
        error = fault(*args) if callable(fault) else fault
        if error is not None:
            raise error


def down(call: str = "GET x") -> GatewayError:
    """Return the error of a gateway that does not answer."""
    return GatewayError(call, "nothing listens there")


def garbage(call: str = "GET x") -> GatewayError:
    """Return the error of an answer that cannot be read."""
    return GatewayError(call, "the answer is not JSON", status=200)


def refused(call: str = "POST x") -> Refused:
    """Return the error of a call that was refused."""
    return Refused(call, "no", status=400)
