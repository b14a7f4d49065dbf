"""The option ``--since``: a moment, or how long ago."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from rollout.core.errors import RolloutError
from rollout.core.units import duration


def read_since(words: str, now: datetime) -> datetime:
    """Return the moment that the words name, given the time.

    Raises:
        RolloutError: they are neither a moment nor a duration.
    """
    with suppress(ValueError):
        moment = datetime.fromisoformat(words)
        # Without a zone it is UTC, as everything in the journal.
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        return now - timedelta(seconds=duration(words))
    except (ValueError, OverflowError):
        raise RolloutError(
            f"--since: {words!r} is neither a moment nor a duration; write one such as 2026-11-24 or 36h"
        ) from None
