"""The calls that were probed: whether each answers as documented, and the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

OTHER_HEALTH, OTHER_CHAT, OTHER_ACTIVATION = (
    "/healthz",
    "/api/v1/llm/simple/stream",
    "/api/v1/system/llm-servers/active",
)
REWRITTEN = ("LLM_SERVICE_TYPE", "ACTIVE_LLM_SERVER", "LLM_CONFIG_HASH")
"""The keys of the runtime configuration that describe the active runtime besides provider and model."""
READ_BACK = ("providers", "runtime_config", "governance")
"""The calls that show whether a write is in effect."""


@dataclass(frozen=True, slots=True)
class ProbedCall:
    """One call: whether it answers as documented, the result in words, the JSON, and its age in seconds at most."""

    name: str
    path: str
    answers: bool
    result: str
    status: int | None = None
    document: Mapping[str, Any] = field(default_factory=dict)
    stale_for_s: float = 0.0


@dataclass(slots=True)
class ProbedCalls:
    """The calls so far, by name; those of a provider as ``metrics openai``."""

    calls: dict[str, ProbedCall] = field(default_factory=dict)
    busy: int = 0

    def document(self, name: str) -> Mapping[str, Any]:
        """Return what a call answered; empty where it did not."""
        return self.calls[name].document if name in self.calls else {}

    def answers(self, name: str) -> bool:
        """Return whether a call answers as documented."""
        return name in self.calls and self.calls[name].answers

    @property
    def active(self) -> str:
        """The name under which a provider is reported active."""
        return str(self.document("providers").get("active_provider") or "")

    @property
    def providers(self) -> list[Mapping[str, Any]]:
        """The providers as listed."""
        return [
            each for each in mappings_at(self.document("providers"), "providers") if isinstance(each.get("name"), str)
        ]

    @property
    def config(self) -> Mapping[str, Any]:
        """The runtime configuration."""
        found = self.document("runtime_config").get("config")
        return found if isinstance(found, dict) else {}

    @property
    def rewritten(self) -> list[str]:
        """The keys of `REWRITTEN` that have been written."""
        sources = mapping_at(self.document("runtime_config"), "config_sources")
        return [key for key in REWRITTEN if key in self.config and sources.get(key) != "default"]

    @property
    def stalest(self) -> ProbedCall | None:
        """The call whose answer may be the oldest of those that show whether a write is in effect; None: none is."""
        found = max((self.calls[name] for name in READ_BACK), key=lambda call: call.stale_for_s)
        return found if found.stale_for_s else None

    def metrics(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield each provider's metrics."""
        for each in self.providers:
            found = self.document(f"metrics {each['name']}").get("metrics")
            if isinstance(found, dict):
                yield each["name"], found


def mapping_at(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the mapping under `key`; empty where there is none."""
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def mappings_at(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the mappings of the list under `key`; none where there is no list."""
    found = document.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
