"""What an examination finds: the probed calls, and what follows from them, as data and as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.gateway.costs import MAY_COST

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
        return mapping_at(self.document("runtime_config"), "config")

    @property
    def has_boot_id(self) -> bool:
        """Whether the gateway names an id that changes at a restart."""
        return isinstance(self.document("system_status").get("boot_id"), str)

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


@dataclass(frozen=True, slots=True)
class Deviation:
    """One deviation that shows: its number in docs/GATEWAY_API.md, and what was seen."""

    number: int
    seen: str


@dataclass(frozen=True, slots=True)
class Guarantee:
    """A promise of the suite, and whether it holds here: ``yes``, ``no`` or ``unknown``."""

    what: str
    can: str
    why: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found.

    Attributes:
        url: the base URL.
        name: what the target is called.
        token_env: the variable with the token; None where none was given.
        calls: every call that was probed.
        deviations: those that show.
        guarantees: what can be promised here.
        target: the target's settings, as ``targets.yaml`` has them.
    """

    url: str
    name: str
    token_env: str | None
    calls: tuple[ProbedCall, ...]
    deviations: tuple[Deviation, ...]
    guarantees: tuple[Guarantee, ...]
    target: Mapping[str, Any]

    @property
    def answers(self) -> bool:
        """Whether the gateway lists its providers, so that the suite can work with it."""
        return any(call.name == "providers" and call.answers for call in self.calls)


def describe_findings(found: Findings) -> str:
    """Return the findings as text."""
    lines = [f"{found.url}, read only", "", "calls"]
    lines += [f"  {'yes' if c.answers else 'NO ':<4} {c.name:<26} {c.path}: {c.result}" for c in found.calls]
    lines += ["", "what may cost money, none of which was sent; a rollout sends it at these clauses"]
    lines += [f"  {paid.method:<4} {paid.call}: {paid.why} ({paid.clauses})" for paid in MAY_COST]
    lines += ["", "deviations that show (numbers of docs/GATEWAY_API.md); what only a write shows is not among them"]
    lines += [f"  {each.number:>2}  {each.seen}" for each in found.deviations] or ["  none"]
    lines += ["", "what the suite can guarantee here"]
    lines += [f"  {each.can:<8} {each.what}: {each.why}" for each in found.guarantees]
    return "\n".join([*lines, ""])
