"""What an examination finds: the probed calls, and what follows from them, as data and as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.gateway.costs import MAY_COST
from rollout.gateway.endpoints import DEFAULTS
from rollout.gateway.openapi import ELSEWHERE, OTHERS, PATH, ApiDocument

ACCORDING = f"according to {PATH}"
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
    """The calls so far, by name; those of a provider as ``metrics openai``.

    Attributes:
        calls: by name.
        busy: how often the gateway answered 429.
        api: what the gateway's OpenAPI document states; None where it serves none that is believed.
    """

    calls: dict[str, ProbedCall] = field(default_factory=dict)
    busy: int = 0
    api: ApiDocument | None = None

    def states(self, name: str) -> bool:
        """Return whether the OpenAPI document states a call."""
        return self.api is not None and name in self.api.calls

    def path_of(self, name: str) -> str:
        """Return the path of a call: as the OpenAPI document states it, else as it is known."""
        if self.api is not None and name in self.api.calls:
            return self.api.calls[name].path
        return OTHERS[name.removesuffix(ELSEWHERE)] if name.endswith(ELSEWHERE) else DEFAULTS[name]

    def fields_of(self, name: str) -> Mapping[str, bool] | None:
        """Return the fields of a call's body as the OpenAPI document states them; None where it does not."""
        return self.api.calls[name].fields if self.api is not None and name in self.api.calls else None

    def according(self, name: str) -> str:
        """Return that a call is stated by the OpenAPI document, as the end of a sentence; empty where it is not."""
        return f", {ACCORDING}" if self.states(name) and self.answers(name) else ""

    def moved(self) -> dict[str, str]:
        """Return the calls that answer at another path than the documented one, as the OpenAPI document states it."""
        return {name: path for name in DEFAULTS if (path := self.path_of(name)) != DEFAULTS[name] and self._is_at(name)}

    def document(self, name: str) -> Mapping[str, Any]:
        """Return what a call answered; empty where it did not."""
        return self.calls[name].document if name in self.calls else {}

    def answers(self, name: str) -> bool:
        """Return whether a call answers as documented."""
        return name in self.calls and self.calls[name].answers

    def _is_at(self, name: str) -> bool:
        """Return whether a call, or that of a provider, answers at the path that `path_of` returns."""
        start = self.path_of(name).partition("{provider}")[0]
        own = (call for key, call in self.calls.items() if key.partition(" ")[0] == name)
        return any(call.answers and call.path.startswith(start) for call in own)

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
        certain: the settings of the target that the gateway's OpenAPI document states.
        local_activation: path and body of the call that local runtimes may have to be activated with (deviation 13).
    """

    url: str
    name: str
    token_env: str | None
    calls: tuple[ProbedCall, ...]
    deviations: tuple[Deviation, ...]
    guarantees: tuple[Guarantee, ...]
    target: Mapping[str, Any]
    certain: tuple[str, ...] = ()
    local_activation: Mapping[str, Any] | None = None

    @property
    def answers(self) -> bool:
        """Whether the gateway lists its providers, so that the suite can work with it."""
        return any(call.name == "providers" and call.answers for call in self.calls)


def describe_findings(found: Findings) -> str:
    """Return the findings as text."""
    lines = ["calls"]
    lines += [f"  {'yes' if c.answers else 'NO ':<4} {c.name:<26} {c.path}: {c.result}" for c in found.calls]
    lines += ["", "what may cost money, none of which was sent; a rollout sends it at these clauses"]
    lines += [f"  {paid.method:<4} {paid.call}: {paid.why} ({paid.clauses})" for paid in MAY_COST]
    lines += ["", "deviations that show (numbers of docs/GATEWAY_API.md); what only a write shows is not among them"]
    lines += [f"  {each.number:>2}  {each.seen}" for each in found.deviations] or ["  none"]
    lines += ["", "what the suite can guarantee here"]
    lines += [f"  {each.can:<8} {each.what}: {each.why}" for each in found.guarantees]
    return "\n".join([*lines, ""])
