"""One ``model_name`` whose deployments share the requests by weights: its edits, and what its file says.

A deployment is known by its ``model_info.id``. The active one is marked in the file, by ``model_info.active``, because
half of the requests do not show which of two deployments they are led back to. LiteLLM ignores the mark and shows it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from rollout.core.errors import GatewayError
from rollout.core.key_paths import Selector, spell_key
from rollout.core.units import show_fraction
from rollout.core.writes import FileEdit
from rollout.gateway.drivers.litellm_settings import LiteLLMSettings

ACTIVE_KEY = "active_deployment"
"""The key of the configuration that holds the deployment that the file marks as active."""

_ID = ("model_info", "id")
_WEIGHT = ("litellm_params", "weight")
_MARK = ("model_info", "active")
_ALL = 1.0


def activation_edit(settings: LiteLLMSettings, provider: str) -> FileEdit:
    """Return the edit that gives one deployment every request, and marks it as active."""
    return _edit(settings, {provider: _ALL}, {_key(each, _MARK): each == provider for each in settings.providers})


def split_edit(settings: LiteLLMSettings, shares: Mapping[str, float], rest: str) -> FileEdit:
    """Return the edit that splits the requests, and leaves the mark where it is.

    Args:
        settings: the target's settings.
        shares: deployment -> fraction 0-1; empty where one gets all.
        rest: which gets all then.

    Raises:
        GatewayError: a deployment is not among those of the target, or none gets all.
    """
    given = shares or {rest: _ALL}
    strange = [name for name in given if name not in settings.providers]
    if strange:
        listed = ", ".join(f"{name or 'nobody'} {show_fraction(given[name])}" for name in strange)
        raise GatewayError(
            f"weights of {settings.model_name}",
            f"{listed}: the target's `settings: {{providers: …}}` are {', '.join(settings.providers)}",
        )
    return _edit(settings, given, {})


def weight_keys(settings: LiteLLMSettings) -> tuple[str, ...]:
    """Return the keys that an activation writes."""
    return tuple(_key(each, names) for names in (_WEIGHT, _MARK) for each in settings.providers)


def find_weight_faults(document: Mapping[str, Any], settings: LiteLLMSettings) -> Iterator[str]:
    """Yield why the requests would not be split by the weights of this file, or not among the target's deployments."""
    own = _deployments(document, settings)
    ids = [str(_at(entry, _ID)) for entry in own]
    for name in dict.fromkeys(ids):
        if name not in settings.providers:
            yield (
                f"model_list: the deployment {name} of {settings.model_name} is not among the target's `settings: "
                "{providers: …}`, and would share the requests; give each a model_info.id, and list it"
            )
        if ids.count(name) > 1:
            yield f"model_list: several deployments have the id {name}; give each its own"
    if not any(_weight(entry) for entry in own):
        yield f"model_list: no deployment of {settings.model_name} has a litellm_params.weight above 0; write 1 for one"
    marked = [entry for entry in own if _at(entry, _MARK) is True]
    if len(marked) != 1:
        yield (
            f"model_list: {len(marked)} deployments of {settings.model_name} are marked by `model_info: {{active: "
            "true}`; mark the one that a rollback leads back to"
        )
    strategy = _at(document, ("router_settings", "routing_strategy"))
    if strategy not in (None, "simple-shuffle"):
        yield f"router_settings.routing_strategy: {strategy} does not split by weights; write simple-shuffle"


def configured_active(document: Mapping[str, Any], settings: LiteLLMSettings) -> tuple[str, str]:
    """Return id and model of the deployment that the file marks as active; empty where not exactly one is."""
    marked = [entry for entry in _deployments(document, settings) if _at(entry, _MARK) is True]
    if len(marked) != 1:
        return "", ""
    return str(_at(marked[0], _ID)), str(_at(marked[0], ("litellm_params", "model")))


def show_configured(document: Mapping[str, Any], settings: LiteLLMSettings) -> dict[str, str]:
    """Return the keys that an activation writes -> what the file holds; a weight as the fraction of the requests.

    A weight of 100 beside one of 0 reads as 1, like the one that a rollback writes.
    """
    own = {str(_at(entry, _ID)): entry for entry in _deployments(document, settings)}
    total = math.fsum(map(_weight, own.values())) or _ALL
    shown = {}
    for name in settings.providers:
        entry = own.get(name, {})
        shown[_key(name, _WEIGHT)] = f"{_weight(entry) / total:.6g}"
        shown[_key(name, _MARK)] = str(_at(entry, _MARK) is True)
    return shown


def without_weights(document: Mapping[str, Any], settings: LiteLLMSettings) -> dict[str, Any]:
    """Return the configuration without what `show_configured` shows of it."""
    listed = document.get("model_list")
    entries = [
        _stripped(entry) if entry in _deployments(document, settings) else entry
        for entry in (listed if isinstance(listed, list) else ())
    ]
    return {**document, **({"model_list": entries} if entries else {})}


def _stripped(entry: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = dict(entry)
    for outer, inner in (_WEIGHT, _MARK):
        if isinstance(found.get(outer), dict):
            found[outer] = {key: value for key, value in found[outer].items() if key != inner}
    return found


def _edit(settings: LiteLLMSettings, shares: Mapping[str, float], more: Mapping[str, Any]) -> FileEdit:
    weights = {_key(each, _WEIGHT): _number(shares.get(each, 0.0)) for each in settings.providers}
    return FileEdit(settings.config, "yaml", {**weights, **more})


def _number(share: float) -> float | int:
    """Return a share as people write it: 1 and 0 without a fraction."""
    return int(share) if share == int(share) else share


def _key(deployment: str, names: tuple[str, ...]) -> str:
    return spell_key(("model_list", Selector(_ID, deployment), *names))


def _deployments(document: Mapping[str, Any], settings: LiteLLMSettings) -> list[Mapping[str, Any]]:
    listed = document.get("model_list")
    entries = [each for each in (listed if isinstance(listed, list) else ()) if isinstance(each, dict)]
    return [each for each in entries if each.get("model_name") == settings.model_name]


def _weight(entry: Mapping[str, Any]) -> float:
    found = _at(entry, _WEIGHT)
    is_number = isinstance(found, (int, float)) and not isinstance(found, bool)
    return float(found) if is_number and math.isfinite(found) and found > 0 else 0.0


def _at(value: Any, names: tuple[str, ...]) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
