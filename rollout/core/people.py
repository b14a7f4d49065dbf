"""Whose name a name is."""

from __future__ import annotations


def same_person(one: str, other: str) -> bool:
    """Return whether two names are one person's: ``alice``, ``Alice`` and ``alice@example.com`` are."""
    one, other = one.casefold(), other.casefold()
    if "@" in one and "@" in other:
        return one == other
    return one.partition("@")[0] == other.partition("@")[0]
