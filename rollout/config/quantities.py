"""Validators of numbers, durations, shares and times. Every refusal says what was expected and gives an example."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, time
from typing import Any, TypeVar

from rollout.core import units
from rollout.core.scenario import SOURCES
from rollout.core.schemas.validators import InvalidValue, items, mapping, suggest, text
from rollout.core.units import shown

N = TypeVar("N", int, float)

_LONGEST_SECONDS = 31 * 86_400.0
_LONGEST_STARTUP_S = 3600.0
_LONGEST_STALE_S = 600.0
_MOST = 1_000_000
_ALL_PERCENT = 100
_MOST_TOKENS = 4_096
_LARGEST_FACTOR = 100
_MOST_OF_A_LIMIT = 1_000_000_000
_UNJUDGEABLE_FROM = 0.9
_LARGEST_ALPHA = 0.1
_LEAST_POWER = 0.5
_LARGEST_POWER = 0.999
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_YEARS = range(2000, 3000)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""The weekdays as a file names them, Monday first."""


def whole_number(least: int) -> Callable[[Any], int]:
    """Return a validator of whole numbers from `least` on."""

    def read(value: Any) -> int:
        found: int = _number(value, int, f"a whole number; write one such as {max(least, 3)}")
        if not least <= found <= _MOST:
            raise InvalidValue(f"{found} is out of range; it must be at least {least} and at most {_MOST:,}")
        return found

    return read


def on_no_data(value: Any) -> Any:
    """Return source -> what happens when it is unavailable; a single word is that of every source."""
    return dict.fromkeys(SOURCES, value) if isinstance(value, str) else mapping("{metrics: roll_back}")(value)


def tokens(value: Any) -> int:
    """Return how long an answer may become, in tokens: a probe is small."""
    refusal = f"{value} is out of range; a synthetic request is small, {_MOST_TOKENS:,} tokens are the most"
    return _at_most(_MOST_TOKENS, whole_number(1)(value), refusal)


def seconds(value: Any) -> float:
    """Return a duration in seconds, above zero and up to 31 days."""
    return _duration(value, least=0.001)


def seconds_or_none(value: Any) -> float | None:
    """Return a duration in seconds, or None for ``none``: not demanded."""
    return None if value == "none" else seconds(value)


def pace(value: Any) -> float:
    """Return how often something is done, in seconds: at most ten times a second, to spare the gateway."""
    return _duration(value, least=0.1)


def startup(value: Any) -> float:
    """Return how long a service may take to be healthy after a restart, in seconds: above zero and up to an hour."""
    refusal = f"{shown(value)} is too long; a service that is not healthy after 1h has not come up"
    return _at_most(_LONGEST_STARTUP_S, _duration(value, least=0.1), refusal)


def staleness(value: Any) -> float:
    """Return how long reads may lag a write, in seconds: zero, or up to ten minutes."""
    refusal = f"{shown(value)} is too long; 10m are the most, for each proof waits so long: read past the cache instead"
    return _at_most(_LONGEST_STALE_S, _duration(value, least=0.0), refusal)


def milliseconds(value: Any) -> float:
    """Return a latency in milliseconds; a number without a unit is refused: its unit is ambiguous."""
    if isinstance(value, (int, float)) or (isinstance(value, str) and value.strip().isdigit()):
        raise InvalidValue(f"{shown(value)} has no unit; write one such as 800ms or 1.5s")
    return round(_duration(value, least=0.001) * 1000, 6)


def share(value: Any) -> float:
    """Return a fraction strictly between 0 and 1."""
    found = units.fraction(value)
    if not 0 < found < 1:
        hint = (
            f"; write {found:g}% if that is meant"
            if isinstance(value, (int, float)) and 1 <= found < _ALL_PERCENT
            else ""
        )
        raise InvalidValue(f"{shown(value)} is out of range; it must be above 0% and below 100%{hint}")
    return found


def judged_share(value: Any) -> float:
    """Return the largest share of failed requests that is acceptable: one that requests can show to be exceeded."""
    found = units.fraction(value)
    if found == 0:
        raise InvalidValue(
            "0% cannot be judged: no number of requests shows a share of none; write the largest that is acceptable, "
            "such as 1%"
        )
    if _UNJUDGEABLE_FROM <= found < 1:
        raise InvalidValue(
            f"{shown(value)} cannot be judged: no number of requests shows that it is exceeded; write less than "
            f"{units.show_fraction(_UNJUDGEABLE_FROM)}"
        )
    return share(value)


def alpha(value: Any) -> float:
    """Return the probability of a false breach, above 0 and up to 0.1."""
    found = units.fraction(value)
    if not 0 < found <= _LARGEST_ALPHA:
        raise InvalidValue(
            f"{shown(value)} is out of range; it is how often one trigger may roll back a healthy change, "
            f"and must be above 0 and at most {_LARGEST_ALPHA:g}"
        )
    return found


def power(value: Any) -> float:
    """Return the probability with which a window has to show twice a limit, 0.5 to 0.999."""
    found = units.fraction(value)
    if not _LEAST_POWER <= found <= _LARGEST_POWER:
        raise InvalidValue(
            f"{shown(value)} is out of range; it is the probability with which twice the limit is seen, and must be at "
            f"least {_LEAST_POWER:g} and at most {_LARGEST_POWER:g}, such as 0.9"
        )
    return found


def portion(value: Any) -> float:
    """Return a part of the traffic, above 0% and up to 100%; a plain 10 is refused, for it may be meant as 10%."""
    found = units.fraction(value)
    if not 0 < found <= 1:
        hint = f"; write {found:g}% if that is meant" if isinstance(value, (int, float)) and found > 1 else ""
        raise InvalidValue(f"{shown(value)} is out of range; it must be above 0% and at most 100%{hint}")
    return found


def factor(value: Any) -> float:
    """Return a factor above 1: at the baseline itself every run would trip."""
    found = units.factor(value)
    if not 1 < found <= _LARGEST_FACTOR:
        raise InvalidValue(f"{shown(value)} is out of range; it must be above 1x and at most {_LARGEST_FACTOR}x")
    return found


def dollars(value: Any) -> float:
    """Return an amount in US dollars, above zero."""
    found = _number(value, (int, float), "an amount; write a plain number of US dollars such as 200 or 12.50")
    return _limit(found, 200)


def price(value: Any) -> float:
    """Return an amount in US dollars, 0 for what costs nothing."""
    found = _number(value, (int, float), "an amount; write a plain number of US dollars such as 40 or 0.005")
    if not 0 <= found <= _MOST_OF_A_LIMIT:
        raise InvalidValue(f"{found} is out of range; it must be at least 0 and at most {_MOST_OF_A_LIMIT:,}")
    return float(found)


def a_minute(value: Any) -> float:
    """Return how many a minute: a whole number above zero, as the same type as every other limit."""
    return _limit(_number(value, int, "a whole number; write one such as 60"), 60)


def days(value: Any) -> frozenset[int]:
    """Return the weekdays of ``mon-fri`` or ``[sat, sun]``, Monday is 0."""
    found: set[int] = set()
    if value == []:
        raise InvalidValue("is empty, so the window would never open; write mon-fri, or leave it out for every day")
    for part in items(value):
        names = [day.strip()[:3].lower() for day in part.split("-")] if isinstance(part, str) else []
        if not 1 <= len(names) <= 2 or any(day not in DAYS for day in names):  # noqa: PLR2004 - one day, or from-to
            raise InvalidValue(f"{shown(part)} is not a weekday; write mon-fri, or a list such as [sat, sun]")
        first, last = DAYS.index(names[0]), DAYS.index(names[-1])
        found |= {day % 7 for day in range(first, last + 1 if last >= first else last + 8)}
    return frozenset(found)


def time_of_day(value: Any) -> time:
    """Return a time of the day; ``24:00`` is its last moment."""
    if value == "24:00":
        return time.max
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise InvalidValue(f'{shown(value)} is not a time of the day; write one such as "22:00"')
    return time(int(match[1]), int(match[2]))


def moment(value: Any) -> datetime:
    """Return a date, or a date and a time of the day, as wall-clock time; a date alone is its first moment."""
    with suppress(TypeError, ValueError):
        found = datetime.fromisoformat(value.strip() if isinstance(value, str) else value)
        if found.tzinfo is None and found.year in _YEARS:
            return found
    raise InvalidValue(f'{shown(value)} is no date and time; write one such as 2026-12-18 or "2026-12-18 18:00"')


def time_zone(value: Any) -> str:
    """Return an IANA time zone's name."""
    found = text(value)
    if found == "UTC":
        return found
    try:
        zoneinfo.ZoneInfo(found)
    except (OSError, ValueError, KeyError):
        hint = suggest(found, zoneinfo.available_timezones()) or "write one such as UTC or Europe/Berlin"
        raise InvalidValue(f"{shown(found)} is no time zone; {hint.rstrip()}") from None
    return found


def _number(value: Any, kinds: type | tuple[type, ...], expected: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise InvalidValue(f"{shown(value)} is not {expected}")
    return value


def _limit(value: float, example: int) -> float:
    if not 0 < value <= _MOST_OF_A_LIMIT:
        raise InvalidValue(
            f"{value} is out of range; it must be above 0 and at most {_MOST_OF_A_LIMIT:,}, such as {example}"
        )
    return float(value)


def _duration(value: Any, *, least: float) -> float:
    found = units.duration(value)
    if found < least:
        raise InvalidValue(f"{shown(value)} is too short; {units.show_duration(least)} is the least")
    return _at_most(_LONGEST_SECONDS, found, f"{shown(value)} is too long; 31 days are the most")


def _at_most(most: float, found: N, refusal: str) -> N:
    if found > most:
        raise InvalidValue(refusal)
    return found
