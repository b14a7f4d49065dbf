"""Changes of class *standard*: which ones a policy has approved beforehand, and why another is not among them."""

from __future__ import annotations

from rollout.core.policy import Policy, StandardChange
from rollout.core.scenario import Change, EnvironmentChange, Impact, LimitChange, ProviderChange

_RISING = ("none", "low", "medium", "high")


def kind_of(change: Change) -> str:
    """Return the change's kind, one of `rollout.core.policy.KINDS`."""
    if isinstance(change, ProviderChange):
        return "provider"
    return "environment" if isinstance(change, EnvironmentChange) else "limits"


def why_not(change: Change, impact: Impact | None, policy: Policy) -> str | None:
    """Return why the policy has not approved a change beforehand; None if it has."""
    alike = [entry for entry in policy.standard if _is_listed(entry, change)]
    if not alike:
        listed = "; ".join(map(describe_standard_change, policy.standard)) or "none at all"
        return f"{change} is no standard change of {policy.name}, which lists: {listed}"
    if any(_is_low_enough(entry, impact, policy) for entry in alike):
        return None
    greatest = max((entry.risk for entry in alike), key=_RISING.index)
    stated = f"a risk of {impact.level or 'nothing'}" if impact else "no impact, and so no risk"
    return f"{policy.name} approves {change} beforehand up to a risk of {greatest}, and the scenario states {stated}"


def describe_standard_change(entry: StandardChange) -> str:
    """Read as ``provider openai, model gpt-4o, risk up to low``."""
    parts = {"model": entry.models, "key": entry.keys}
    narrowed = [f"{name} {' or '.join(words)}" for name, words in parts.items() if words]
    return ", ".join((f"{entry.kind} {' or '.join(entry.providers)}".strip(), *narrowed, f"risk up to {entry.risk}"))


def _is_listed(entry: StandardChange, change: Change) -> bool:
    if entry.kind != kind_of(change):
        return False
    if isinstance(change, EnvironmentChange):
        return not entry.keys or set(change.keys) <= set(entry.keys)
    if isinstance(change, LimitChange):
        return _among(change.scope, entry.providers)
    return _among(change.provider, entry.providers) and (not entry.models or change.model in entry.models)


def _among(name: str, names: tuple[str, ...]) -> bool:
    return not names or name.casefold() in {each.casefold() for each in names}


def _is_low_enough(entry: StandardChange, impact: Impact | None, policy: Policy) -> bool:
    """Return whether the stated risk is within the entry's; none needs to be stated without PRE-2.3."""
    if impact is None:
        return "PRE-2.3" in policy.not_demanded
    return impact.level in _RISING[: _RISING.index(entry.risk) + 1]
