"""The business week and the holidays of the United States, computed by rule.

Belongs here: what a week is, when it ends as a UTC instant, which holiday it holds. Does not belong
here: which days a store was closed (the data say that) and demand of any kind.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import polars as pl

Holiday = Literal[
    "new_year",
    "super_bowl",
    "easter",
    "memorial_day",
    "july_4th",
    "labor_day",
    "thanksgiving",
    "christmas",
]
NO_HOLIDAY = "none"
DAYS_PER_WEEK = 7
UTC_INSTANT = pl.Datetime("us", "UTC")
_MONDAY, _THURSDAY, _SUNDAY = 0, 3, 6
# The league added a game week in the season 2021/22; the final moved from the first Sunday of February.
_FIRST_YEAR_OF_SECOND_SUNDAY = 2022


def week_end_at(week_start_date: date, timezone: str) -> datetime:
    """The UTC instant at which a business week is over: local midnight before the next week's first day.

    Args:
        week_start_date: first local day of the week.
        timezone: IANA name of the zone in which the business counts its days.
    """
    next_start = week_start_date + timedelta(days=DAYS_PER_WEEK)
    return datetime.combine(next_start, time(), tzinfo=ZoneInfo(timezone)).astimezone(UTC)


def week_ends(weeks: pl.Series, timezone: str) -> pl.Series:
    """`week_end_at` of every week in a DATE series, as Datetime(us, UTC) in the same order.

    Goes through the distinct weeks in Python because some zones change their clocks at midnight, an hour
    that a vectorised conversion refuses.
    """
    distinct = weeks.drop_nulls().unique().sort()
    ends = pl.Series([week_end_at(week, timezone) for week in distinct], dtype=UTC_INSTANT)
    return weeks.replace_strict(distinct, ends, return_dtype=UTC_INSTANT)


def holidays_of(year: int) -> dict[Holiday, date]:
    """The date of each holiday in a year. The Super Bowl rule holds from 2004 on."""
    is_later_final = year >= _FIRST_YEAR_OF_SECOND_SUNDAY
    return {
        "new_year": date(year, 1, 1),
        "super_bowl": _nth_weekday(year, 2, _SUNDAY, 2 if is_later_final else 1),
        "easter": easter_sunday(year),
        "memorial_day": _last_weekday(year, 5, _MONDAY),
        "july_4th": date(year, 7, 4),
        "labor_day": _nth_weekday(year, 9, _MONDAY, 1),
        "thanksgiving": _nth_weekday(year, 11, _THURSDAY, 4),
        "christmas": date(year, 12, 25),
    }


def easter_sunday(year: int) -> date:
    """Easter Sunday of the Gregorian calendar.

    The anonymous Gregorian algorithm in the form of Meeus, Astronomical Algorithms (1991), chapter 8.
    """
    golden = year % 19
    century, year_of_century = divmod(year, 100)
    leap_centuries, century_rest = divmod(century, 4)
    moon_shift = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - leap_centuries - moon_shift + 15) % 30
    leap_years, year_rest = divmod(year_of_century, 4)
    to_sunday = (32 + 2 * century_rest + 2 * leap_years - epact - year_rest) % 7
    late_moon = (golden + 11 * epact + 22 * to_sunday) // 451
    month, day_before = divmod(epact + to_sunday - 7 * late_moon + 114, 31)
    return date(year, month, day_before + 1)


def holiday_in_week(week_start_date: date) -> str:
    """The holiday that falls into the seven days from `week_start_date`, or "none".

    No two of the listed holidays ever fall into the same seven days.
    """
    name, day = _next_holiday(week_start_date)
    return name if (day - week_start_date).days < DAYS_PER_WEEK else NO_HOLIDAY


def days_to_holiday(week_start_date: date) -> int:
    """Days from the first day of a week to the next holiday, that day included (0 = it is today)."""
    return (_next_holiday(week_start_date)[1] - week_start_date).days


def calendar_frame(weeks: list[date], column: str) -> pl.DataFrame:
    """One row per distinct week with its calendar facts.

    Columns: `column` (DATE), month BIGINT, week_of_year BIGINT (ISO), day_of_month BIGINT (of the first
    day), holiday STRING, days_to_holiday BIGINT.
    """
    distinct = sorted(set(weeks))
    return pl.DataFrame(
        {
            column: distinct,
            "month": [week.month for week in distinct],
            "week_of_year": [week.isocalendar().week for week in distinct],
            "day_of_month": [week.day for week in distinct],
            "holiday": [holiday_in_week(week) for week in distinct],
            "days_to_holiday": [days_to_holiday(week) for week in distinct],
        },
        schema={
            column: pl.Date,
            "month": pl.Int64,
            "week_of_year": pl.Int64,
            "day_of_month": pl.Int64,
            "holiday": pl.String,
            "days_to_holiday": pl.Int64,
        },
    )


@lru_cache(maxsize=1024)
def _next_holiday(day: date) -> tuple[str, date]:
    upcoming = [
        (when, name) for year in (day.year, day.year + 1) for name, when in holidays_of(year).items() if when >= day
    ]
    when, name = min(upcoming)
    return name, when


def _nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    to_weekday = (weekday - first.weekday()) % DAYS_PER_WEEK
    return first + timedelta(days=to_weekday + DAYS_PER_WEEK * (nth - 1))


def _last_weekday(year: int, month: int, weekday: int) -> date:
    last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - weekday) % DAYS_PER_WEEK)
