"""The pre-release checklist, on a gateway that is only read and tested (REL)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollout.core.canonical_json import to_json
from rollout.core.errors import GatewayError
from rollout.core.secret_names import is_secret_name
from rollout.engine.credentials import texts_of
from rollout.gateway.client import Gateway
from rollout.gateway.responses import ConnectionTest, Governance, Preflight, Provider, RuntimeConfig

LOCAL_WITHIN_MS = 2000.0
CLOUD_WITHIN_MS = 5000.0

_PLACEHOLDER = re.compile(
    r"""change[-_ ]?(me|this|it).* | your[-_ ]?.* | .*[-_ ](key|token|secret|password)[-_ ]here | sk-x+ | (sk-)?\.{3,}
    | x{4,} | \*+x* | todo\b.* | tbd | fixme\b.* | place[-_ ]?holder.* | example.* | dummy.* | insert[-_ ].*
    | replace[-_ ].*
    | <.*> | \{\{?.*\}\}? | \$\{.*\} | none | null | (secret|password|token|api[-_ ]?key|test|foo|bar|1234\d*)""",
    re.IGNORECASE | re.VERBOSE,
)
# The beginnings of placeholders, for a gateway that shows the first four characters of a credential.
_BEGINS_AS_A_PLACEHOLDER = (
    "chan",
    "your",
    "sk-x",
    "xxxx",
    "todo",
    "plac",
    "exam",
    "dumm",
    "inse",
    "repl",
    "<you",
    "${",
)
_MASK = re.compile(r"\*{3,}|…|•{3,}")


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        rows: the evidence, as a table.
        problems: why the check does not pass; empty where it passes.
    """

    rows: Sequence[Mapping[str, Any]]
    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class Checked:
    """A provider with the results of its connection test and its preflight.

    Attributes:
        provider: the provider.
        tested: the connection test; None where it failed.
        ready: the preflight; None where it failed.
        elapsed_ms: how long the connection test took, measured here.
        failed: ``connection`` or ``preflight`` -> why it failed.
    """

    provider: Provider
    tested: ConnectionTest | None
    ready: Preflight | None
    elapsed_ms: float
    failed: Mapping[str, str]

    @property
    def is_cloud(self) -> bool:
        """Return whether it is reached over the internet."""
        return "cloud" in self.provider.provider_type.casefold()

    @property
    def not_configured(self) -> str | None:
        """Return why the provider is not configured; None if it is."""
        can = self.provider.capabilities
        if not (can.get("activate") or can.get("inference")):
            return "it takes no requests"
        credentials = self.ready.checks.get("credentials") if self.ready else None
        if credentials is not None and credentials.status == "missing":
            return credentials.message or "it has no credentials"
        return None

    @property
    def took_ms(self) -> float:
        """Return how long the connection took, as the gateway measured it, else as it was measured here."""
        measured = None if self.tested is None else self.tested.latency_ms
        return self.elapsed_ms if measured is None else measured


def checked(gateway: Gateway, now_s: Any) -> tuple[Checked, ...]:
    """Test and preflight every provider; one that fails is named and does not stop the others.

    Args:
        gateway: the gateway.
        now_s: returns monotonic seconds.

    Raises:
        GatewayError: the providers cannot be listed.
    """
    return tuple(_checked(gateway, provider, now_s) for provider in gateway.providers().providers)


def _checked(gateway: Gateway, provider: Provider, now_s: Any) -> Checked:
    failed: dict[str, str] = {}
    began_s, tested, ready = now_s(), None, None
    try:
        tested = gateway.test_connection(provider.name)
    except GatewayError as error:
        failed["connection"] = str(error)
    elapsed_ms = (now_s() - began_s) * 1000
    try:
        ready = gateway.preflight(provider.name)
    except GatewayError as error:
        failed["preflight"] = str(error)
    return Checked(provider, tested, ready, elapsed_ms, failed)


def connections(providers: Sequence[Checked]) -> Finding:
    """Judge the connections of the configured providers (REL-1)."""
    judged = [(each, None if each.not_configured else _connection_problem(each)) for each in providers]
    rows = [
        {
            "provider": each.provider.name,
            "kind": each.provider.provider_type,
            "seen": _seen(each, problem, f"connected in {each.took_ms:.0f} ms"),
            "test": str(to_json(each.tested)),
        }
        for each, problem in judged
    ]
    return Finding(rows, _problems(judged))


def preflights(providers: Sequence[Checked]) -> Finding:
    """Judge the preflights of the configured providers (REL-2)."""
    judged = [(each, None if each.not_configured else _preflight_problem(each)) for each in providers]
    rows = [{"provider": each.provider.name, "seen": _seen(each, problem, "ready")} for each, problem in judged]
    return Finding(rows, _problems(judged))


def credentials(
    config: RuntimeConfig, env: Mapping[str, str] | None, unread: str | None, providers: Sequence[Checked]
) -> Finding:
    """Judge every credential that can be read, and name those that cannot (REL-3).

    Args:
        config: the runtime configuration, in which the gateway masks credentials (docs/GATEWAY_API.md, 12).
        env: the `.env` file; None where it cannot be read.
        unread: why it cannot be read.
        providers: the providers; one in the cloud must have credentials.
    """
    shown = {key: value for key, value in config.config.items() if is_secret_name(key) and value}
    written = {key: value for key, value in (env or {}).items() if is_secret_name(key) and value}
    rows, problems = [], []
    for key in sorted(shown.keys() | written.keys()):
        seen = (
            _flaw(written[key], masked_is_a_flaw=True) if key in written else _flaw(shown[key], masked_is_a_flaw=False)
        )
        hidden = seen is None and key not in written and _MASK.search(shown[key]) is not None
        rows.append({"credential": key, "seen": "masked: it is not checked" if hidden else seen or "sound"})
        if hidden:
            problems.append(f"{key} is masked, and {unread or 'the .env file does not hold it'}: it is not checked")
        elif seen:
            problems.append(f"{key} {seen}")
    cloud = [each.provider.name for each in providers if each.is_cloud and each.not_configured is None]
    if not rows and cloud:
        problems.append(f"{', '.join(cloud)} must have credentials, and none can be read: they are not checked")
    return Finding(rows, problems)


def limits(governance: Governance, providers: Sequence[Checked]) -> Finding:
    """Judge budgets and rate limits (REL-4)."""
    cloud = [f"provider:{each.provider.name}" for each in providers if each.is_cloud and each.not_configured is None]
    rows = [
        {"kind": kind, "scope": scope, "limits": ", ".join(f"{name} {value:g}" for name, value in values.items())}
        for kind, of in (("budget", governance.cost_limits), ("rate", governance.rate_limits))
        for scope, values in of.items()
    ]
    problems = []
    for kind, of in (("budget", governance.cost_limits), ("rate limit", governance.rate_limits)):
        if "global" not in of and (not cloud or not set(cloud) <= of.keys()):
            lacking = ", ".join(sorted(set(cloud) - of.keys())) or "global"
            problems.append(f"there is no {kind} that covers every provider: neither a global one nor one of {lacking}")
    for scope, budget in governance.cost_limits.items():
        soft, hard = budget.get("soft_limit_usd", 0.0), budget.get("hard_limit_usd", 0.0)
        if not 0 < soft < hard:
            problems.append(
                f"the budget of {scope} warns at {soft:g} USD and stops at {hard:g}; soft must be below hard"
            )
    for scope, rates in governance.rate_limits.items():
        if not any(value > 0 for value in rates.values()):
            problems.append(f"the rate limit of {scope} limits nothing")
    return Finding(rows, problems)


def fallback(governance: Governance, providers: Sequence[Checked], active: str | None) -> Finding:
    """Judge whether another provider can take over (REL-5): one that the policy names, or any if it names none."""
    able = [each for each in providers if each.not_configured is None and (active or "") != each.provider.name]
    words = {word.casefold() for word in texts_of(governance.fallback_policy)}
    named = [each for each in able if each.provider.name.casefold() in words]
    rows = [
        {"provider": each.provider.name, "named by the policy": each in named, "connects": _connects(each)}
        for each in able
    ]
    candidates = named or able
    if any(_connects(each) for each in candidates):
        return Finding(rows, [])
    listed = ", ".join(each.provider.name for each in candidates) or "no other"
    which = "the fallback policy names" if named else "besides the active provider there is"
    return Finding(rows, [f"{which} {listed}, and none of them connects" if candidates else f"{which} {listed}"])


def _connection_problem(each: Checked) -> str | None:
    limit_ms = CLOUD_WITHIN_MS if each.is_cloud else LOCAL_WITHIN_MS
    if each.tested is None:
        return each.failed["connection"]
    if not each.tested.succeeded:
        return f"does not connect: {each.tested.connection_status}: {each.tested.message}"
    return None if each.took_ms <= limit_ms else f"connects in {each.took_ms:.0f} ms, above {limit_ms:.0f} ms"


def _preflight_problem(each: Checked) -> str | None:
    if each.ready is None:
        return each.failed["preflight"]
    failed = [
        f"{name}: {check.message or check.status}" for name, check in each.ready.checks.items() if not check.passed
    ]
    return None if each.ready.ready else f"is not ready: {'; '.join(failed) or 'it does not say why'}"


def _seen(each: Checked, problem: str | None, otherwise: str) -> str:
    return f"not configured: {each.not_configured}" if each.not_configured else problem or otherwise


def _problems(judged: Iterable[tuple[Checked, str | None]]) -> list[str]:
    if all(each.not_configured for each, _ in judged):
        return ["no provider is configured"]
    return [f"{each.provider.name} {problem}" for each, problem in judged if problem]


def _connects(each: Checked) -> bool:
    return each.tested is not None and each.tested.succeeded


def _flaw(value: str, *, masked_is_a_flaw: bool) -> str | None:
    """Return what is wrong with a credential, without a character of it; None where no flaw is found."""
    if value != value.strip():
        return "is padded with spaces"
    if _PLACEHOLDER.fullmatch(value):
        return "is a placeholder"
    if not _MASK.search(value):
        return None
    if masked_is_a_flaw:
        return "is masked where it should be complete: the masked value of a gateway was written back"
    begins_as_one = value.casefold().startswith(_BEGINS_AS_A_PLACEHOLDER)
    return "is a placeholder, by what its mask shows" if begins_as_one else None
