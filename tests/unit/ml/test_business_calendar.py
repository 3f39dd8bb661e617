"""Weeks end at local midnight, clock changes included, and holidays fall where the calendar says."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest

from ml.business_calendar import (
    calendar_frame,
    days_to_holiday,
    easter_sunday,
    holiday_in_week,
    holidays_of,
    week_end_at,
    week_ends,
)

NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("week", "end"),
    [
        (date(2017, 11, 27), datetime(2017, 12, 4, 5, tzinfo=UTC)),  # the demo's as_of
        (date(2017, 3, 6), datetime(2017, 3, 13, 4, tzinfo=UTC)),  # an hour short: clocks went forward on the 12th
        (date(2017, 10, 30), datetime(2017, 11, 6, 5, tzinfo=UTC)),  # an hour long: clocks went back on the 5th
    ],
)
def test_a_week_ends_at_local_midnight(week: date, end: datetime) -> None:
    assert week_end_at(week, NEW_YORK) == end


def test_week_ends_of_a_column_keep_its_order() -> None:
    weeks = pl.Series([date(2017, 11, 27), date(2017, 3, 6), date(2017, 11, 27)])
    assert week_ends(weeks, NEW_YORK).to_list() == [week_end_at(week, NEW_YORK) for week in weeks]


def test_a_midnight_that_the_clock_skips_has_an_end() -> None:
    # In Santiago the clock went from 23:59 to 01:00 on 8 September 2024.
    assert week_end_at(date(2024, 9, 1), "America/Santiago") == datetime(2024, 9, 8, 4, tzinfo=UTC)


# From the published calendars of these years.
KNOWN = {
    2016: ("2016-02-07", "2016-03-27", "2016-05-30", "2016-09-05", "2016-11-24"),
    2017: ("2017-02-05", "2017-04-16", "2017-05-29", "2017-09-04", "2017-11-23"),
    2021: ("2021-02-07", "2021-04-04", "2021-05-31", "2021-09-06", "2021-11-25"),
    2022: ("2022-02-13", "2022-04-17", "2022-05-30", "2022-09-05", "2022-11-24"),
    2025: ("2025-02-09", "2025-04-20", "2025-05-26", "2025-09-01", "2025-11-27"),
}


@pytest.mark.parametrize("year", KNOWN)
def test_movable_holidays(year: int) -> None:
    days = holidays_of(year)
    found = [days[name] for name in ("super_bowl", "easter", "memorial_day", "labor_day", "thanksgiving")]
    assert [day.isoformat() for day in found] == list(KNOWN[year])


def test_easter_at_the_ends_of_its_range() -> None:
    assert easter_sunday(2008) == date(2008, 3, 23)
    assert easter_sunday(2011) == date(2011, 4, 24)
    assert easter_sunday(2038) == date(2038, 4, 25)


def test_no_week_holds_two_holidays() -> None:
    days = sorted(day for year in range(2004, 2061) for day in holidays_of(year).values())
    assert min(after - before for before, after in pairwise(days)) >= timedelta(days=7)


def test_holiday_of_a_week_and_days_to_the_next() -> None:
    assert holiday_in_week(date(2017, 11, 20)) == "thanksgiving"
    assert holiday_in_week(date(2017, 11, 27)) == "none"
    assert days_to_holiday(date(2017, 11, 27)) == 28
    assert holiday_in_week(date(2017, 12, 25)) == "christmas"
    assert days_to_holiday(date(2017, 12, 26)) == 6  # to New Year of the next year


def test_calendar_frame_has_one_row_per_week() -> None:
    frame = calendar_frame([date(2017, 7, 3), date(2017, 1, 2), date(2017, 7, 3)], "target_week_start_date")
    assert frame.rows() == [
        (date(2017, 1, 2), 1, 1, 2, "none", 34),
        (date(2017, 7, 3), 7, 27, 3, "july_4th", 1),
    ]
