"""Numbers and dates as text."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from assets.insights import formats

DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, DASH), (0, "0"), (-0.2, "0"), (1234.4, "1,234"), (-1234.6, f"{MINUS}1,235"), (1_500_000, "1,500,000")],
)
def test_count(value: float | None, text: str) -> None:
    assert formats.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, DASH),
        (4.26, "4.3"),
        (42.4, "42"),
        (537.6, "538"),
        (53_871, "53,900"),
        (-1234, f"{MINUS}1,230"),
        (0, "0.0"),
    ],
)
def test_an_estimate_has_three_significant_digits(value: float | None, text: str) -> None:
    assert formats.estimate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, DASH), (0.031, "+3.1%"), (-0.02, f"{MINUS}2.0%"), (0.0004, "0.0%"), (-0.0004, "0.0%"), (12, "+1,200.0%")],
)
def test_change_carries_its_sign_unless_it_rounds_to_nothing(value: float | None, text: str) -> None:
    assert formats.change(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, DASH), (12345.4, "$12,345"), (1_234_567, "$1.23 million"), (-50, f"{MINUS}$50"), (0, "$0")],
)
def test_usd(value: float | None, text: str) -> None:
    assert formats.usd(value) == text


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        (date(2017, 12, 4), date(2017, 12, 31), "4 to 31 December 2017"),
        (date(2017, 11, 6), date(2017, 12, 3), "6 November to 3 December 2017"),
        (date(2017, 12, 25), date(2018, 1, 21), "25 December 2017 to 21 January 2018"),
    ],
)
def test_a_period_says_month_and_year_once(first: date, last: date, text: str) -> None:
    assert formats.period(first, last) == text


def test_days_and_words() -> None:
    assert formats.instant(datetime(2017, 12, 4, 5, tzinfo=UTC)) == "4 December 2017, 05:00 UTC"
    assert formats.short_day(date(2017, 9, 4)) == "4 Sep"
    assert [formats.words(value) for value in (4, 12, 13, 1000)] == ["four", "twelve", "13", "1,000"]
    assert [formats.plural(value, "store") for value in (1, 106)] == ["1 store", "106 stores"]
    assert [formats.direction(value) for value in (0.021, -0.02, 0.0001)] == ["up 2.1%", "down 2.0%", "unchanged"]
