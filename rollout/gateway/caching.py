"""How old an answer may be, by its headers (RFC 9111)."""

from __future__ import annotations

import re
from collections.abc import Mapping

_DIRECTIVE = re.compile(r'(?<![\w-])(s-maxage|max-age)\s*=\s*"?(\d{1,9})(?!\d)', re.ASCII | re.IGNORECASE)
_NEVER_STORED = re.compile(r"(?<![\w-])(no-store|no-cache|private)(?![\w-])", re.ASCII | re.IGNORECASE)
_AGE = re.compile(r"\d{1,9}", re.ASCII)


def stale_for_s(headers: Mapping[str, str]) -> float:
    """Return by how many seconds an answer may be older than the gateway's state; 0.0 where no header shows a cache.

    An ``Age`` proves a shared cache, whatever ``Cache-Control`` allows; ``s-maxage`` has precedence over ``max-age``.
    No header shows by how much a replica lags.

    Args:
        headers: the answer's, names in lower case.
    """
    age = headers.get("age", "").strip()
    seen_s = float(age) if _AGE.fullmatch(age) else 0.0
    control = headers.get("cache-control", "")
    if _NEVER_STORED.search(control):
        return seen_s
    allowed = {name.lower(): float(seconds) for name, seconds in _DIRECTIVE.findall(control)}
    return max(seen_s, allowed.get("s-maxage", allowed.get("max-age", 0.0)))
