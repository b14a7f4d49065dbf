"""What the gateway records: its log, its admin audit log, and, for tests, what truly happened."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from rollout.core.clock import Clock, format_utc
from rollout.sandbox import envfile
from rollout.sandbox.earlier_states import View
from rollout.sandbox.envfile import masked
from rollout.sandbox.state import State

AUDITED = 1000
"""The most entries of the audit log that are kept."""

ACTIVATIONS = 50
SERVED = 200
"""The most activations and completions that are listed, the latest ones."""


class Audit:
    """The admin audit log, user, action and result of each entry: in memory, lost on a restart (deviation 4)."""

    def __init__(self) -> None:
        """Start empty."""
        self._entries: deque[dict[str, Any]] = deque(maxlen=AUDITED)

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


class BackendLog:
    """``logs/backend.log``, in the formats of docs/GATEWAY_API.md, deviation 21; truncated when the gateway starts."""

    def __init__(self, path: Path) -> None:
        """Create the file and its directory, mode 0600."""
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._stream = os.fdopen(handle, "a", buffering=1, encoding="utf-8")

    def write(self, level: str, source: str, message: str) -> None:
        """Write an application line; `source` is ``module:function``."""
        # Local time without a date, as recorded.
        self._stream.write(f"{datetime.now().astimezone():%H:%M:%S} | {level:<8} | {source} - {message}\n")

    def access(self, client: str, method: str, path: str, status: int) -> None:
        """Write an access line in uvicorn's format."""
        self._stream.write(f'INFO:     {client} - "{method} {path} HTTP/1.1" {status} {HTTPStatus(status).phrase}\n')


@dataclass(slots=True)
class Truth:
    """The activations and serving providers since the start of the process, whatever reads show and answers name."""

    _clock: Clock
    _activated: int = 0
    _activations: deque[dict[str, str]] = field(default_factory=lambda: deque(maxlen=ACTIVATIONS))
    _served: deque[list[Any]] = field(default_factory=lambda: deque(maxlen=SERVED))

    def activated(self, provider: str, model: str, user: str) -> None:
        """Note an activation that was written to the configuration, also where it changed nothing."""
        self._activated += 1
        self._activations.append(
            {"time": format_utc(self._clock.now()), "provider": provider, "model": model, "user": user}
        )

    def served(self, provider: str, model: str, status: int) -> None:
        """Note an answered completion, with the provider and model that it was sent to."""
        self._served.append([format_utc(self._clock.now()), provider, model, status])

    def as_answer(self, boot_id: str, state: State, now: View) -> dict[str, Any]:
        """Return the answer of ``/sandbox/state``; `now` is the state in effect. Raises OSError."""
        return {
            "boot_id": boot_id,
            "active": f"{now.provider}:{now.model}",
            "pending": _pending(state),
            "config": {key: masked(key, value) for key, value in now.config.items()},
            "cost_limits": now.limits["cost"],
            "rate_limits": now.limits["rate"],
            "weights": now.weights,
            "activations": {"count": self._activated, "last": list(self._activations)},
            "served": list(self._served),
        }


def _pending(state: State) -> str | None:
    """Return the provider and model that a restart would activate, None where they are in effect."""
    on_disk = envfile.DEFAULTS | envfile.parse(state.env_file.read_text(encoding="utf-8"))
    named = f"{on_disk['ACTIVE_PROVIDER'].casefold()}:{on_disk['LLM_MODEL_NAME']}"
    return None if named == f"{state.provider}:{state.model}" else named
