"""Numbers and dates as people read them.

Here: pure functions from one value to one string, in English, the same on every machine (no locale).
Not here: which value is shown, or any arithmetic on more than the one value.
"""

from __future__ import annotations

import math
from datetime import date, datetime

MINUS = "\N{MINUS SIGN}"
NOT_KNOWN = "\N{EN DASH}"
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
MILLION = 1_000_000


def _with_minus(text: str) -> str:
    """The typographic minus, and no sign on a number that rounds to zero."""
    if not text.startswith("-"):
        return text
    body = text[1:]
    return MINUS + body if any(digit in body for digit in "123456789") else body


def count(value: float | None) -> str:
    """`1234.4` -> `1,234`."""
    return NOT_KNOWN if value is None else _with_minus(f"{value:,.0f}")


def number(value: float | None, digits: int = 2) -> str:
    """`0.2874` -> `0.29`."""
    return NOT_KNOWN if value is None else _with_minus(f"{value:,.{digits}f}")


def estimate(value: float | None) -> str:
    """Three significant digits, because an estimate knows no more: `53,871` -> `53,900`, `4.26` -> `4.3`."""
    if value is None:
        return NOT_KNOWN
    size = abs(value)
    if size < 10:  # noqa: PLR2004 - below ten the first decimal still says something
        return _with_minus(f"{value:.1f}")
    digits = 2 - math.floor(math.log10(size))
    return _with_minus(f"{round(value, min(digits, 0)):,.0f}")


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage: `0.123` -> `12.3%`."""
    return NOT_KNOWN if value is None else _with_minus(f"{100 * value:,.{digits}f}%")


def change(value: float | None, digits: int = 1) -> str:
    """A signed fraction: `0.031` -> `+3.1%`; a fall has the minus sign, no change has no sign."""
    if value is None:
        return NOT_KNOWN
    text = percent(value, digits)
    return text if text.startswith(MINUS) or float(text[:-1].replace(",", "")) == 0 else f"+{text}"


def usd(value: float | None) -> str:
    """Whole dollars: `$12,345`; from a million on `$1.23 million`."""
    if value is None:
        return NOT_KNOWN
    size = abs(value)
    sign = MINUS if value < 0 else ""
    return f"{sign}${size / MILLION:,.2f} million" if size >= MILLION else _with_minus(f"{sign}${size:,.0f}")


def day(value: date) -> str:
    """`4 December 2017`."""
    return f"{value.day} {MONTHS[value.month - 1]} {value.year}"


def period(first: date, last: date) -> str:
    """`4 to 31 December 2017`; the month and the year are said once where both days share them."""
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} to {day(last)}"
    if first.year == last.year:
        return f"{first.day} {MONTHS[first.month - 1]} to {day(last)}"
    return f"{day(first)} to {day(last)}"


def short_day(value: date) -> str:
    """`4 Dec`."""
    return f"{value.day} {MONTHS[value.month - 1][:3]}"


def instant(value: datetime) -> str:
    """`4 December 2017, 05:00 UTC`, for an instant that is in UTC already."""
    return f"{day(value.date())}, {value:%H:%M} UTC"


def words(value: int) -> str:
    """`4` -> `four`; figures from thirteen on."""
    return WORDS[value] if 0 <= value < len(WORDS) else f"{value:,}"


def plural(value: int, noun: str) -> str:
    """`1 store`, `106 stores`."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def direction(value: float) -> str:
    """A change in words: `up 3.1%`, `down 2.0%`, `unchanged`."""
    text = percent(abs(value))
    if text == "0.0%":
        return "unchanged"
    return f"{'up' if value > 0 else 'down'} {text}"
