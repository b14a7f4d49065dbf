"""When a change is allowed: weekly windows in the target's time zone (PRE-4.1)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from rollout.target import ChangeWindow, Target

WEEK = 8
"""Days to look ahead; one more than a week, so that a window that has just closed is found again."""


def closes_at(target: Target, now: datetime) -> datetime | None:
    """Return when the window that is open now closes, the latest if several are; None if none is open."""
    open_now = [end for start, end in _around(target, now) if start <= now < end]
    return max(open_now, default=None)


def opens_at(target: Target, now: datetime) -> datetime | None:
    """Return when the next window opens; None if the target has no windows."""
    return min((start for start, _ in _around(target, now) if start > now), default=None)


def _around(target: Target, now: datetime) -> list[tuple[datetime, datetime]]:
    zone = ZoneInfo(target.time_zone)
    today = now.astimezone(zone).date()
    days = [today + timedelta(days=offset) for offset in range(-1, WEEK)]
    return [_span(window, day, zone) for day in days for window in target.windows if day.weekday() in window.days]


def _span(window: ChangeWindow, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    # Wall-clock times are combined with their own day, so that a daylight-saving change moves neither end.
    last = day if window.closes > window.opens else day + timedelta(days=1)
    return datetime.combine(day, window.opens, zone), datetime.combine(last, window.closes, zone)
