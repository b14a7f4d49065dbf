"""Change windows are wall-clock times of the target's time zone, on the days that they open (PRE-4.1)."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from rollout.core.change_windows import closes_at, frozen, longest_s, opens_at
from rollout.core.target import ChangeWindow, Freeze, Target

MON, FRI, SAT, SUN = 0, 4, 5, 6
BERLIN = ZoneInfo("Europe/Berlin")


def target(*windows: ChangeWindow, zone: str = "Europe/Berlin") -> Target:
    return Target("t", "production", windows=windows, time_zone=zone)


def window(days: set[int], opens: str, closes: str) -> ChangeWindow:
    return ChangeWindow(frozenset(days), time.fromisoformat(opens), time.fromisoformat(closes))


def berlin(text: str) -> datetime:
    """Return that wall-clock time of Berlin, in UTC as the suite's clock gives it."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


EVENING = target(window({MON}, "20:00", "22:00"))  # 2026-11-23 is a Monday


@pytest.mark.parametrize(
    ("now", "is_open"),
    [("19:59:59", False), ("20:00:00", True), ("21:59:59", True), ("22:00:00", False)],
)
def test_a_window_is_open_from_its_first_moment_to_the_last_before_its_end(now, is_open):
    closes = closes_at(EVENING, berlin(f"2026-11-23 {now}"))
    assert closes == (berlin("2026-11-23 22:00") if is_open else None)


def test_another_day_s_window_is_closed_and_the_next_one_is_named():
    now = berlin("2026-11-24 21:00")
    assert closes_at(EVENING, now) is None
    assert opens_at(EVENING, now) == berlin("2026-11-30 20:00")


def test_a_window_that_has_just_closed_opens_again_in_a_week():
    assert opens_at(EVENING, berlin("2026-11-23 22:00")) == berlin("2026-11-30 20:00")


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_opens():
    night = target(window({FRI}, "22:00", "05:00"))
    assert closes_at(night, berlin("2026-11-28 04:59")) == berlin("2026-11-28 05:00")
    assert closes_at(night, berlin("2026-11-27 04:59")) is None


def test_a_whole_day_ends_at_midnight():
    full_day = target(window({SAT}, "00:00", "00:00"))
    assert closes_at(full_day, berlin("2026-11-28 00:00")) == berlin("2026-11-29 00:00")
    assert closes_at(full_day, berlin("2026-11-29 00:00")) is None


def test_of_two_open_windows_the_later_end_counts():
    two = target(window({MON}, "20:00", "22:00"), window({MON}, "21:00", "23:30"))
    assert closes_at(two, berlin("2026-11-23 21:30")) == berlin("2026-11-23 23:30")


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"], ids=["an hour less", "an hour more"])
def test_a_daylight_saving_change_moves_neither_end(day):
    night = target(window({SAT}, "22:00", "05:00"))
    assert closes_at(night, berlin(f"{day} 04:59")) == berlin(f"{day} 05:00")
    assert closes_at(night, berlin(f"{day} 05:00")) is None


def test_without_windows_none_is_open_and_none_opens():
    assert closes_at(target(), berlin("2026-11-23 21:00")) is None
    assert opens_at(target(), berlin("2026-11-23 21:00")) is None


def test_the_zone_decides_what_time_it_is():
    tokyo = target(window({MON}, "20:00", "22:00"), zone="Asia/Tokyo")
    assert closes_at(tokyo, datetime(2026, 11, 23, 11, 30, tzinfo=UTC)) == datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
    assert closes_at(tokyo, berlin("2026-11-23 21:00")) is None


YEAR_END = Freeze(datetime(2026, 12, 18), datetime(2027, 1, 4, 8), "year end")  # noqa: DTZ001 - wall-clock time
FROZEN = Target("t", "production", windows=EVENING.windows, freezes=(YEAR_END,), time_zone="Europe/Berlin")


@pytest.mark.parametrize(
    ("begins", "ends", "is_frozen"),
    [
        ("2026-12-17 21:00", "2026-12-17 23:59:59", False),
        ("2026-12-17 23:45", "2026-12-18 00:15", True),
        ("2026-12-25 12:00", "2026-12-25 12:30", True),
        ("2027-01-04 07:59:59", "2027-01-04 08:29:59", True),
        ("2027-01-04 08:00", "2027-01-04 08:30", False),
    ],
)
def test_a_freeze_holds_from_its_first_moment_and_for_the_whole_bake_time(begins, ends, is_frozen):
    found = frozen(FROZEN, berlin(begins), berlin(ends))
    span = berlin("2026-12-18 00:00"), berlin("2027-01-04 08:00")
    assert found == ((YEAR_END, *span) if is_frozen else None)


def test_after_a_freeze_the_next_window_counts():
    assert opens_at(FROZEN, berlin("2026-12-21 21:00")) == berlin("2027-01-04 20:00")
    assert opens_at(FROZEN, berlin("2026-12-15 12:00")) == berlin("2027-01-04 20:00")
    assert opens_at(FROZEN, berlin("2026-12-14 12:00")) == berlin("2026-12-14 20:00")


def test_without_windows_the_freeze_s_end_is_the_next_opening():
    always = Target("t", "production", freezes=(YEAR_END,), time_zone="Europe/Berlin")
    assert opens_at(always, berlin("2026-12-21 21:00")) == berlin("2027-01-04 08:00")


def test_windows_that_touch_are_one():
    """Saturday and Sunday as whole days are 48 hours: a bake time may begin on one and end on the other."""
    weekend = target(window({SAT}, "00:00", "00:00"), window({SUN}, "00:00", "00:00"))
    assert closes_at(weekend, berlin("2026-11-28 23:50")) == berlin("2026-11-30 00:00")
    apart = target(window({FRI}, "20:00", "23:59"), window({SAT}, "00:00", "02:00"))
    assert closes_at(apart, berlin("2026-11-27 23:00")) == berlin("2026-11-27 23:59")
    to_midnight = ChangeWindow(frozenset({FRI}), time(20), time.max)
    both = target(to_midnight, window({SAT}, "00:00", "02:00"))
    assert closes_at(both, berlin("2026-11-27 23:00")) == berlin("2026-11-28 02:00")


@pytest.mark.parametrize(
    ("windows", "hours"),
    [
        ([window({MON}, "20:00", "22:00")], 2),
        ([window({FRI}, "22:00", "05:00")], 7),
        ([window({SAT}, "00:00", "00:00"), window({SUN}, "00:00", "00:00"), window({MON}, "00:00", "06:00")], 54),
        ([window({MON}, "20:00", "22:00"), window({MON}, "21:00", "23:30")], 3.5),
    ],
)
def test_how_long_windows_are_open_at_a_stretch(windows, hours):
    assert longest_s(target(*windows)) == hours * 3600


def test_without_windows_nothing_closes_and_always_open_ones_outlast_the_longest_bake_time():
    assert longest_s(target()) is None
    assert (longest_s(target(window(set(range(7)), "00:00", "00:00"))) or 0) > 31 * 24 * 3600
