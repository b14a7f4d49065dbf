"""When a change is allowed: weekly windows and freezes in the target's time zone (PRE-4.1)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from rollout.target import ChangeWindow, Freeze, Target

WEEK = 8
"""Days to look ahead; one more than a week, so that a window that has just closed is found again."""


def closes_at(target: Target, now: datetime) -> datetime | None:
    """Return when the window that is open now closes, the latest if several are; None if none is open."""
    open_now = [end for start, end in _around(target, now) if start <= now < end]
    return max(open_now, default=None)


def opens_at(target: Target, now: datetime) -> datetime | None:
    """Return when a change may begin next: a window opens, or a freeze ends; None if neither is to come."""
    thaws = [end for freeze in target.freezes if (end := _moment(target, freeze.ends)) > now]
    moments = [now, *thaws]
    candidates = {start for moment in moments for start, _ in _around(target, moment) if start > now} | set(thaws)
    return min((moment for moment in candidates if _is_allowed(target, moment)), default=None)


def frozen(target: Target, begins: datetime, ends: datetime) -> tuple[Freeze, datetime] | None:
    """Return the first freeze that lies, with any part of it, between the two moments, and when it ends, UTC."""
    inside = [
        (_moment(target, freeze.begins), _moment(target, freeze.ends), freeze)
        for freeze in target.freezes
        if _moment(target, freeze.begins) <= ends and _moment(target, freeze.ends) > begins
    ]
    if not inside:
        return None
    _, thaws, freeze = min(inside, key=lambda found: found[0])
    return freeze, thaws


def _is_allowed(target: Target, moment: datetime) -> bool:
    return (not target.windows or closes_at(target, moment) is not None) and frozen(target, moment, moment) is None


def _moment(target: Target, wall_clock: datetime) -> datetime:
    return wall_clock.replace(tzinfo=ZoneInfo(target.time_zone)).astimezone(UTC)


def _around(target: Target, now: datetime) -> list[tuple[datetime, datetime]]:
    zone = ZoneInfo(target.time_zone)
    today = now.astimezone(zone).date()
    days = [today + timedelta(days=offset) for offset in range(-1, WEEK)]
    return [_span(window, day, zone) for day in days for window in target.windows if day.weekday() in window.days]


def _span(window: ChangeWindow, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    # Wall-clock times are combined with their own day, so that a daylight-saving change moves neither end.
    last = day if window.closes > window.opens else day + timedelta(days=1)
    return datetime.combine(day, window.opens, zone), datetime.combine(last, window.closes, zone)
