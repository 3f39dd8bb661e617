"""Closed days against a count of single minutes, across clock changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.closed_days import ClosedDays
from tests.conftest import tries

SUNDAY = 6
START = datetime(2017, 3, 9, tzinfo=UTC)


def counted(days: ClosedDays, start: datetime, end: datetime) -> timedelta:
    """Quarter hours that begin on a closed local day."""
    zone, step = ZoneInfo(days.timezone), timedelta(minutes=15)
    quarters = int((end - start) / step)
    return step * sum(days.is_closed((start + step * index).astimezone(zone).date()) for index in range(quarters))


@given(
    zone=st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati"]),
    weekdays=st.frozensets(st.integers(0, 6), max_size=3),
    offsets=st.frozensets(st.integers(0, 12), max_size=3),
    first=st.integers(0, 300),
    length=st.integers(0, 900),
)
@settings(max_examples=tries(30, 600), deadline=None)
def test_closed_time_is_what_a_count_finds(
    zone: str, weekdays: frozenset[int], offsets: frozenset[int], first: int, length: int
):
    days = ClosedDays(zone, weekdays, frozenset(START.date() + timedelta(days=offset) for offset in offsets))
    start = START + timedelta(minutes=15 * first)
    end = start + timedelta(minutes=15 * length)
    assert days.closed_between(start, end) == counted(days, start, end)


def test_the_day_of_a_clock_change_is_as_long_as_it_was():
    days = ClosedDays("America/New_York", dates=frozenset({date(2017, 3, 12)}))
    assert days.closed_between(START, START + timedelta(days=9)) == timedelta(hours=23)


@pytest.mark.parametrize(("weekdays", "expected"), [(frozenset(range(7)), True), (frozenset(range(6)), False)])
def test_a_week_is_closed_when_all_its_days_are(weekdays: frozenset[int], expected: bool):
    assert ClosedDays("UTC", weekdays).is_closed_week(date(2017, 1, 2)) is expected


def test_no_time_passes_backwards():
    days = ClosedDays("UTC", frozenset(range(7)))
    assert days.closed_between(START + timedelta(days=1), START) == timedelta()
