"""Human units: ``1h30m``, ``500ms``, ``5%``, ``2x``. Read for files and options, written for messages."""

from __future__ import annotations

import math
import re
import reprlib
from typing import Any

_SECONDS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?){unit}(?![a-z])\s*)?" for unit in _SECONDS), re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%", re.ASCII)
_FACTOR = re.compile(r"(\d+(?:\.\d+)?)\s*x", re.ASCII)
_DURATIONS = "one such as 30m, 10s, 1h30m or 500ms"
_LONGEST_TEXT = 40

# The characters of secrets; other scripts have no spaces.
_WORD_AT_THE_END = re.compile(r"[!-~]+\Z")
_repr = reprlib.Repr()
_repr.maxstring = _LONGEST_TEXT
_repr.maxlong = _LONGEST_TEXT


def shown(value: Any) -> str:
    """Return `value` the way a message quotes it: short, control characters escaped, lists and mappings by kind."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return _repr.repr(value)


def duration(value: Any) -> float:
    """Return the seconds of ``30m``, ``1h30m``, ``500ms``; a number needs its unit, zero too.

    Raises:
        ValueError: `value` is not a duration; the message gives an example.
    """
    if _number(value) is not None:
        plain = shown(value).strip("' ")
        # Not taken for seconds: it may mean minutes or milliseconds.
        raise ValueError(f"{shown(value)} has no unit; write {plain}s if seconds are meant, or {_DURATIONS}")
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) and value.strip() else None
    parts = {} if match is None else {unit: text for unit, text in match.groupdict().items() if text}
    seconds = math.fsum(float(text) * _SECONDS[unit] for unit, text in parts.items())
    if not parts or not math.isfinite(seconds):
        raise ValueError(f"{shown(value)} is not a duration; write {_DURATIONS}")
    return seconds


def fraction(value: Any) -> float:
    """Return the fraction of ``5%`` or ``0.05``.

    Raises:
        ValueError: `value` is neither; the message gives an example.
    """
    return _suffixed(value, _PERCENT, 0.01, "a share; write one such as 5% or 0.05")


def factor(value: Any) -> float:
    """Return the number of ``2x`` or ``2``.

    Raises:
        ValueError: `value` is neither; the message gives an example.
    """
    return _suffixed(value, _FACTOR, 1.0, "a factor; write one such as 2x or 1.5x")


def show_duration(seconds: float) -> str:
    """Return `seconds` (at least 0) as `duration` reads it, to the millisecond: ``1h30m``, ``1s500ms``."""
    left, parts = round(seconds * 1000), []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def truncate(text: str, length: int) -> str:
    """Return the beginning of a text, cut between two words: a later redaction would not recognise half a secret."""
    return text if len(text) <= length else f"{_WORD_AT_THE_END.sub('', text[: length + 1])[:length].rstrip()}…"


def show_fraction(share: float) -> str:
    """Return a fraction as a percentage: ``5%``."""
    return f"{share * 100:.6g}%"


def _number(value: Any) -> float | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def _suffixed(value: Any, pattern: re.Pattern[str], scale: float, expected: str) -> float:
    number = _number(value)
    if number is not None:
        return number
    match = pattern.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or not math.isfinite(float(match[1])):
        raise ValueError(f"{shown(value)} is not {expected}")
    # Rounded, because 7 * 0.01 is 0.07000000000000001 and digests are taken of it.
    return round(float(match[1]) * scale, 12)
