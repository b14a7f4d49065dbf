"""The settings of a target that follow from where a gateway's calls are, from their bodies and its limit types.

What the gateway's OpenAPI document states is certain. What it does not state is what is known of the family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rollout.cli.doctor.findings import ProbedCalls, mapping_at

_KINDS: Mapping[str, tuple[str, ...]] = {"cost": ("cost", "per_provider", "budget", "spend"), "rate": ("rate",)}
"""Kind of limit -> the words by which a gateway's word for it is recognised, the best first."""
_PROVIDERS = ("provider", "provider_name", "provider_id", "server_name", "server", "name")
_MODELS = ("model", "model_name", "model_id")
_PROMPTS = ("content", "prompt", "message", "text", "input", "query")
_ACTIVATION: Mapping[str, tuple[str, ...]] = {"{provider}": _PROVIDERS, "{model}": _MODELS}
_LOCAL_BODY = {"server_name": "{provider}", "model": "{model}"}
_STREAM_BODY = {"content": "{prompt}"}


def stated_settings(seen: ProbedCalls) -> dict[str, Any]:
    """Return the settings, as ``targets.yaml`` has them; those that are as documented are left out."""
    found: dict[str, Any] = {}
    paths = seen.moved()
    if not seen.answers("health") and seen.answers("health, elsewhere"):
        paths["health"] = seen.path_of("health, elsewhere")
    if paths:
        found["paths"] = paths
    if not seen.answers("chat") and seen.answers("chat, elsewhere"):
        body = _filled(seen.fields_of("chat, elsewhere"), {"{prompt}": _PROMPTS}) or _STREAM_BODY
        found["chat_with"] = {"path": seen.path_of("chat, elsewhere"), "body": body}
    if others := _activations(seen):
        found["activate_with"] = others
    if words := {kind: word for kind, word in limit_words(seen).items() if word != kind}:
        found["limit_types"] = words
    return found


def certain_settings(seen: ProbedCalls, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which of the settings the OpenAPI document states, and nothing is guessed of."""
    paths = settings.get("paths", {})
    certain = {
        "paths": all(seen.states("health, elsewhere" if name == "health" else name) for name in paths),
        "chat_with": _filled(seen.fields_of("chat, elsewhere"), {"{prompt}": _PROMPTS}) is not None,
        "activate_with": True,
        "limit_types": True,
    }
    return tuple(name for name, is_certain in certain.items() if is_certain and name in settings)


def local_activation(seen: ProbedCalls) -> Mapping[str, Any] | None:
    """Return the call that local runtimes may have to be activated with (deviation 13); None where it is not there."""
    if not seen.answers("activate, elsewhere"):
        return None
    body = activation_body(seen.fields_of("activate, elsewhere") or {}) or _LOCAL_BODY
    return {"path": seen.path_of("activate, elsewhere"), "body": body}


def activation_body(fields: Mapping[str, bool]) -> dict[str, str] | None:
    """Return the body that activates a model; None where no field takes it, or another one is required."""
    models = {_plain(name) for name in _MODELS}
    taken = {name: required for name, required in fields.items() if required or _plain(name) in models}
    body = _filled(taken, _ACTIVATION)
    return body if body is not None and "{model}" in body.values() else None


def is_documented_body(fields: Mapping[str, bool]) -> bool:
    """Return whether a call takes the documented body of an activation, which holds the model alone."""
    return "model" in fields and set(_required(fields)) <= {"model"}


def unfilled_fields(fields: Mapping[str, bool]) -> list[str]:
    """Return the fields that an activation requires and that take neither a provider nor a model."""
    return [name for name in _required(fields) if name not in _assigned(fields, _ACTIVATION)]


def limit_words(seen: ProbedCalls) -> dict[str, str]:
    """Return kind of limit -> the gateway's word for it, for each kind that is recognised in the OpenAPI document."""
    words = () if seen.api is None else seen.api.limit_types
    found = {kind: _best(words, known, str.startswith) for kind, known in _KINDS.items()}
    return {kind: word for kind, word in found.items() if word is not None}


def _activations(seen: ProbedCalls) -> dict[str, Any]:
    """Return provider -> its call, where the document states a body that is not the documented one."""
    fields = seen.fields_of("activate")
    if fields is None or is_documented_body(fields) or not seen.answers("activate"):
        return {}
    body = activation_body(fields)
    if body is None:
        return {}
    path = seen.path_of("activate")
    able = (each["name"] for each in seen.providers if mapping_at(each, "capabilities").get("activate"))
    return {name: {"path": path, "body": body} for name in able}


def _filled(fields: Mapping[str, bool] | None, places: Mapping[str, Iterable[str]]) -> dict[str, str] | None:
    """Return a body in which each place stands in the field that takes it; None where a required field stays empty."""
    found = _assigned(fields or {}, places)
    return found if found and set(_required(fields or {})) <= found.keys() else None


def _assigned(fields: Iterable[str], places: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return field -> the place that stands in it, for each place that a field takes."""
    return {name: place for place, known in places.items() if (name := _best(fields, known, str.__eq__)) is not None}


def _best(names: Iterable[str], known: Iterable[str], fits: Callable[[str, str], bool]) -> str | None:
    """Return the name that fits the first of the known ones; None where none of them does."""
    given = list(names)
    return next((name for one in known for name in given if fits(_plain(name), _plain(one))), None)


def _required(fields: Mapping[str, bool]) -> list[str]:
    return [name for name, is_required in fields.items() if is_required]


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "").replace(".", "")
