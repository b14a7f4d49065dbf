"""The delays of a gateway: reads that lag, a slow start, an activation that waits for a restart, a slow switch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from rollout.sandbox.providers import PROVIDERS
from rollout.sandbox.validation import Problems, Reader, meant

STALE_CALLS = ("config", "providers", "governance", "routing", "chat")
"""The calls whose answers may lag; with ``chat`` the earlier provider and model answer completions."""

LONGEST_S = 3600.0
"""The most that any of the durations may be."""

_ACTIVATED = tuple(name for name, provider in PROVIDERS.items() if provider.can["activate"])


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

    def to_mapping(self) -> dict[str, Any]:
        """Return the mapping from which the timing can be read again."""
        return asdict(self)

    @property
    def timing(self) -> Timing:
        """Return this part of larger settings alone."""
        return Timing(**{name: getattr(self, name) for name in TIMINGS})


TIMINGS = tuple(item.name for item in fields(Timing))
"""The names of its settings."""


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
