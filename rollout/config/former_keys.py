"""Keys of ``targets.yaml`` under their former names, which are still read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout.config.source import Source

FORMER_KEYS: Mapping[str, str] = {"twin": "staging", "twin_token_env": "staging_token_env"}
"""Former key of a target -> key of today."""


def rename_former_keys(name: str, data: Any, source: Source) -> Any:
    """Return the target's mapping under the keys of today; refuse a former key beside its new one.

    Args:
        name: the target's name.
        data: what stands under it; anything but a mapping is returned as it is.
        source: the targets' file, which goes on naming the keys as they are written.
    """
    if not isinstance(data, dict):
        return data
    renamed: dict[str, Any] = {}
    for key, value in data.items():
        new = FORMER_KEYS.get(key, key)
        if new == key:
            renamed[key] = value
        elif new in data:
            source.refuse((name, key), f"stands beside {new}, which is its new name; remove {key}")
        else:
            renamed[new] = value
            source.former_places[name, new] = (name, key)
    return renamed


def describe_former_keys(source: Source) -> str:
    """Return one line that names every former key of the file, its line and its new name; empty without any."""
    found = sorted((source.line_of(place) or 0, str(place[-1])) for place in source.former_places.values())
    if not found:
        return ""
    lines = ", ".join(str(line) for line, _ in found)
    renames = ", ".join(f"{key} is now {FORMER_KEYS[key]}" for key in dict.fromkeys(key for _, key in found))
    return f"{source.name}:{lines}: {renames}; a former key is still read, rename it"
