"""The gateway's admin audit log: in memory, lost on a restart (deviation 4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any

KEPT = 1000
"""The most entries that are kept."""


class Audit:
    """The entries: user, action and result of each."""

    def __init__(self) -> None:
        """Start empty."""
        self._entries: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def add(
        self,
        moment: datetime,
        action: str,
        user: str,
        provider: str | None,
        details: Mapping[str, object],
        error: str | None = None,
    ) -> None:
        """Add one entry; `error` is the reason why it failed, None if it succeeded."""
        self._entries.appendleft(
            {
                "timestamp": moment.isoformat(timespec="microseconds"),
                "action": action,
                "user": user,
                "provider": provider,
                "details": dict(details),
                "result": "failure" if error else "success",
                "error_message": error,
            }
        )

    def entries(self, *, limit: int, action: str | None = None, provider: str | None = None) -> list[dict[str, Any]]:
        """Return the entries that match, newest first, at most `limit`."""
        wanted = provider.casefold() if provider else None
        found = (
            entry
            for entry in self._entries
            if action in (None, entry["action"]) and wanted in (None, entry["provider"])
        )
        return [entry for entry, _ in zip(found, range(limit), strict=False)]
