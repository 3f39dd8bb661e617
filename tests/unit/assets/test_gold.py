"""What gold says of weeks that the source does not cover."""

from __future__ import annotations

from datetime import date, timedelta

from assets.gold.demand import partial_weeks

WEEKS = [date(2017, 1, 2) + timedelta(weeks=number) for number in range(5)]


def test_a_week_of_which_a_day_is_missing_is_partial():
    assert partial_weeks(WEEKS, date(2017, 1, 2), date(2017, 2, 5)) == []
    assert partial_weeks(WEEKS, date(2017, 1, 3), date(2017, 2, 4)) == [WEEKS[0], WEEKS[4]]


def test_a_week_before_the_first_or_after_the_last_receipt_is_not_one_without_demand():
    assert partial_weeks(WEEKS, date(2017, 1, 9), date(2017, 1, 22)) == [WEEKS[0], WEEKS[3], WEEKS[4]]
