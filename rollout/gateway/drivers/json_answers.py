"""What a JSON answer holds at a key; the standard library is enough, as a description needs it."""

from __future__ import annotations

from typing import Any

from rollout.core.key_paths import parse_key
from rollout.gateway.host.plain_trees import get, resolve
from rollout.gateway.host.text_tree import FormatError


def find_text(document: Any, at: str) -> str | None:
    """Return the text at a key of a JSON document; None where there is none.

    Args:
        document: JSON types.
        at: the key, as `rollout.core.key_paths` reads it: ``active.provider``, ``data[0].id``.
    """
    try:
        found = get(document, resolve(document, parse_key(at)))
    except (FormatError, KeyError, IndexError):
        return None
    return found if isinstance(found, str) and found.strip() else None
