"""When a change is allowed: weekly windows and freezes in the target's time zone (PRE-4.1)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from operator import itemgetter
from zoneinfo import ZoneInfo

from rollout.core.clock import format_utc
from rollout.core.target import ChangeWindow, Freeze, Target

AHEAD = 33
"""The days ahead that are searched: more than the longest bake time, which has to fit into consecutive windows."""


def closes_at(target: Target, now: datetime) -> datetime | None:
    """Return when the window that is open now closes, the latest if several are; None if none is open.

    One that begins before the other has ended, or at that very moment, goes on with it.
    """
    return _goes_on_until(_around(target, now), now)


def longest_s(target: Target) -> float | None:
    """Return how long the target's windows are open at a stretch, at most, in seconds; None if it has none."""
    if not target.windows:
        return None
    # Any week will do, in a zone whose clocks never change: a window is as long as its wall clock says.
    spans = _around(replace(target, time_zone="UTC"), datetime(2001, 1, 3, tzinfo=UTC))
    ends = {start: _goes_on_until(spans, start) for start, _ in spans}
    return max((end - start).total_seconds() for start, end in ends.items() if end is not None)


def _goes_on_until(spans: list[tuple[datetime, datetime]], now: datetime) -> datetime | None:
    closes = None
    for start, end in sorted(spans):
        if start <= (closes or now) and end > (closes or now):
            closes = end
    return closes


def opens_at(target: Target, now: datetime) -> datetime | None:
    """Return when a change may begin next: a window opens, or a freeze ends; None if neither is to come."""
    thaws = [end for freeze in target.freezes if (end := _moment(target, freeze.ends)) > now]
    openings = {start for moment in (now, *thaws) for start, _ in _around(target, moment) if start > now}
    return min((moment for moment in openings.union(thaws) if _is_allowed(target, moment)), default=None)


def frozen(target: Target, begins: datetime, ends: datetime) -> tuple[Freeze, datetime, datetime] | None:
    """Return the first freeze that lies, with any part of it, between the two moments; when it begins and ends, UTC."""
    found = ((freeze, _moment(target, freeze.begins), _moment(target, freeze.ends)) for freeze in target.freezes)
    inside = ((freeze, freezes, thaws) for freeze, freezes, thaws in found if freezes <= ends and thaws > begins)
    return min(inside, key=itemgetter(1), default=None)


def describe_obstacle(target: Target, begins: datetime, ends: datetime) -> str:
    """Return why the target does not allow a change to be watched from `begins` to `ends`; empty if it does."""
    if (freeze := frozen(target, begins, ends)) is not None:
        why, freezes, thaws = freeze
        moment = f"begins at {format_utc(freezes)}" if freezes > begins else f"holds until {format_utc(thaws)}"
        return f"a freeze {moment} ({why.reason})"
    closes = closes_at(target, begins)
    if target.windows and closes is None:
        return "no change window is open"
    return f"the change window ends at {format_utc(closes)}" if closes is not None and ends > closes else ""


def _is_allowed(target: Target, moment: datetime) -> bool:
    return (not target.windows or closes_at(target, moment) is not None) and frozen(target, moment, moment) is None


def _moment(target: Target, wall_clock: datetime) -> datetime:
    return wall_clock.replace(tzinfo=ZoneInfo(target.time_zone)).astimezone(UTC)


def _around(target: Target, now: datetime) -> list[tuple[datetime, datetime]]:
    zone = ZoneInfo(target.time_zone)
    today = now.astimezone(zone).date()
    days = [today + timedelta(days=offset) for offset in range(-1, AHEAD)]
    return [_span(window, day, zone) for day in days for window in target.windows if day.weekday() in window.days]


def _span(window: ChangeWindow, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    # Wall-clock times are combined with their own day, so that a daylight-saving change moves neither end.
    last = day if window.opens < window.closes < time.max else day + timedelta(days=1)
    closes = time.min if window.closes == time.max else window.closes
    return datetime.combine(day, window.opens, zone), datetime.combine(last, closes, zone)
