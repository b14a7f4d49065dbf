"""The error of a path or URL that holds no journal."""

from __future__ import annotations

from rollout.core.errors import JournalError


def absent(where: str, why: str) -> JournalError:
    """Return the error of a missing journal: where, why, and how to name one."""
    return JournalError(
        f"there is no journal at {where}: {why}. Name an existing one with --journal, or its folder with --reports"
    )
