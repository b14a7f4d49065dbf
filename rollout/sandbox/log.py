"""``logs/backend.log``: application and access lines in the formats of docs/GATEWAY_API.md, deviation 21."""

from __future__ import annotations

import os
from datetime import datetime
from http import HTTPStatus
from pathlib import Path


class BackendLog:
    """The log file; truncated when the gateway starts."""

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
