"""The settings of a sandbox, its delays among them: the `sandbox:` part of a scenario, or a mapping on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from rollout.sandbox.deviations import read_deviations
from rollout.sandbox.fault_settings import read_faults
from rollout.sandbox.faults import Fault
from rollout.sandbox.providers import PROVIDERS, Provider
from rollout.sandbox.validation import Problems, Reader, describe_problems, is_number, meant

_NOTHING: Mapping[str, Any] = MappingProxyType({})

STALE_CALLS = ("config", "providers", "governance", "routing", "chat")
"""The calls whose answers may lag; with ``chat`` the earlier provider and model answer completions."""

OPENAPI = ("served", "none", "garbage")
"""What ``GET /openapi.json`` may answer."""

LONGEST_S = 3600.0
"""The most that any of the durations may be."""

_ACTIVATED = tuple(name for name, provider in PROVIDERS.items() if provider.can["activate"])


class InvalidSettings(ValueError):
    """Settings that are refused before anything is started.

    Attributes:
        problems: pairs of a dotted path within the settings and a message (what, why, the remedy).
    """

    def __init__(self, problems: Problems) -> None:
        """Keep every problem, not only the first."""
        self.problems = tuple(problems)
        super().__init__(describe_problems(problems))


@dataclass(frozen=True, slots=True)
class Timing:
    """The delays; by default there are none.

    Attributes:
        stale_reads_s: the calls in `stale_calls` answer with the state of so many seconds ago; a write is in effect
            at once. The state that a start loads counts from the start on.
        stale_calls: out of `STALE_CALLS`.
        startup_s: every call of the API answers 503 for so many seconds after the start.
        restart_providers: an activation of one of these is written at once, and is in effect after a restart.
        switch_s: a switch by POST llm-servers/active takes so many seconds; completions answer 409 meanwhile.
    """

    stale_reads_s: float = 0.0
    stale_calls: tuple[str, ...] = ("config", "providers", "governance", "routing")
    startup_s: float = 0.0
    restart_providers: tuple[str, ...] = ()
    switch_s: float = 0.0

    @property
    def timing(self) -> Timing:
        """Return this part of larger settings alone."""
        return Timing(**{name: getattr(self, name) for name in TIMINGS})


TIMINGS = tuple(item.name for item in fields(Timing))
"""The names of its settings."""


@dataclass(frozen=True, slots=True)
class SandboxSettings(Timing):
    """How a sandbox behaves; `Timing` describes its delays. It is written as a mapping with `dataclasses.asdict`.

    Attributes:
        users_per_s: requests that background users send, per second; the staging gateway has none.
        faults: the faults that are set at the start.
        deviations: switches of `rollout.sandbox.deviations`, on from the start.
        seed: of all random generators, so that runs are alike.
        alert_error_share: ERROR_SPIKE fires above this fraction 0-1 of recent requests.
        alert_ttl_s: seconds after which an alert expires.
        limits: scope (``global``, ``provider:openai``) -> ``soft_limit_usd`` and ``hard_limit_usd``, on fresh state.
        usd_per_1k_tokens: provider -> price, where it differs from the catalogue's.
        initial: the provider and model that are active on fresh state, ``openai:gpt-4o``.
        openapi: what ``GET /openapi.json`` answers: ``served`` (its own calls), ``none`` (404) or ``garbage``.
    """

    users_per_s: float = 20.0
    faults: tuple[Fault, ...] = ()
    deviations: tuple[str, ...] = ()
    seed: int = 7
    alert_error_share: float = 0.25
    alert_ttl_s: float = 3600.0
    limits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    usd_per_1k_tokens: Mapping[str, float] = field(default_factory=dict)
    initial: str = "ollama:gemma3:4b"
    openapi: str = "served"

    @property
    def initially_active(self) -> tuple[str, str]:
        """Return provider and model in `initial`."""
        provider, _, model = self.initial.partition(":")
        return provider, model

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> SandboxSettings:
        """Read settings; a missing key has its default. Raises InvalidSettings with every problem."""
        problems: Problems = []
        read = Reader(mapping, "", problems, (item.name for item in fields(cls)))
        settings = cls(
            users_per_s=read.number("users_per_s", _DEFAULTS.users_per_s, at_most=1000),
            faults=read_faults(read.raw("faults", []), problems),
            deviations=read_deviations(read.raw("deviations", []), problems),
            seed=_read_seed(read),
            alert_error_share=read.number("alert_error_share", _DEFAULTS.alert_error_share, at_most=1),
            alert_ttl_s=read.number("alert_ttl_s", _DEFAULTS.alert_ttl_s, above=0),
            limits=_read_limits(read),
            usd_per_1k_tokens=_read_prices(read),
            initial=_read_initial(read),
            openapi=read.choice("openapi", _DEFAULTS.openapi, OPENAPI) or "",
            **read_delays(read),
        )
        if problems:
            raise InvalidSettings(problems)
        return settings


_DEFAULTS = SandboxSettings()


def why_not_active(provider: Provider | None, name: str, model: str) -> str | None:
    """Return why this provider and model cannot be the active ones; None if they can."""
    if provider is None:
        return f"{name or 'nothing'} is not a known provider; known: {', '.join(PROVIDERS)}"
    if not provider.can["activate"]:
        return f"provider {name} cannot be activated"
    if model not in provider.models:
        return f"{model or 'no model'} is not available for provider {name}; available: {', '.join(provider.models)}"
    return None


def _read_seed(read: Reader) -> int:
    seed = read.raw("seed", _DEFAULTS.seed)
    if isinstance(seed, int) and not isinstance(seed, bool):
        return seed
    read.problem("seed", "must be a whole number")
    return _DEFAULTS.seed


def _read_initial(read: Reader) -> str:
    initial = read.raw("initial", _DEFAULTS.initial)
    name, _, model = str(initial).partition(":")
    reason = why_not_active(PROVIDERS.get(name), name, model)
    if reason:
        read.problem("initial", f"{reason}. Write PROVIDER:MODEL, such as openai:gpt-4o")
    return str(initial)


def _read_prices(read: Reader) -> dict[str, float]:
    prices = Reader(read.raw("usd_per_1k_tokens", _NOTHING), read.at("usd_per_1k_tokens"), read.problems, PROVIDERS)
    return {name: prices.number(name, 0.0) for name in PROVIDERS if prices.raw(name) is not None}


def _read_limits(read: Reader) -> dict[str, dict[str, float]]:
    scopes = ("global", *(f"provider:{name}" for name in PROVIDERS))
    limits = Reader(read.raw("limits", _NOTHING), read.at("limits"), read.problems, scopes)
    return {scope: _read_limit(limits, scope) for scope in scopes if limits.raw(scope) is not None}


def _read_limit(limits: Reader, scope: str) -> dict[str, float]:
    keys = ("soft_limit_usd", "hard_limit_usd")
    read = Reader(limits.raw(scope), limits.at(scope), limits.problems, keys)
    for key in keys:
        read.require(key, "is missing; give both limits in USD")
    limit = {key: read.number(key, 1.0, above=0) for key in keys if read.raw(key) is not None}
    if all(is_number(read.raw(key)) for key in keys) and limit["soft_limit_usd"] > limit["hard_limit_usd"]:
        read.problem("soft_limit_usd", "is greater than hard_limit_usd; the soft limit warns before the hard one")
    return limit


def read_delays(read: Reader) -> dict[str, Any]:
    """Return the fields of a `Timing`, defaults for those that are missing; mistakes are added to its problems."""
    return {
        "stale_reads_s": read.number("stale_reads_s", 0.0, at_most=LONGEST_S),
        "stale_calls": _names(read, "stale_calls", Timing().stale_calls, STALE_CALLS),
        "startup_s": read.number("startup_s", 0.0, at_most=LONGEST_S),
        "restart_providers": _names(read, "restart_providers", (), _ACTIVATED),
        "switch_s": read.number("switch_s", 0.0, at_most=LONGEST_S),
    }


def read_timing(raw: object, problems: Problems) -> Timing:
    """Read a timing that is a mapping of its own; mistakes are added to `problems`."""
    return Timing(**read_delays(Reader(raw, "", problems, TIMINGS)))


def _names(read: Reader, key: str, default: tuple[str, ...], allowed: Iterable[str]) -> tuple[str, ...]:
    names, words = read.raw(key, default), tuple(allowed)
    if not isinstance(names, list | tuple):
        read.problem(key, f"must be a list out of {', '.join(words)}")
        return default
    for name in names:
        if name not in words:
            read.problem(key, f"names {name!r}; it must be out of {', '.join(words)}{meant(name, words)}")
    return tuple(str(name) for name in names)
