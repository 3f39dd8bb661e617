"""Sets of business weeks, and the contiguous spans that they are made of.

Belongs here: weeks by their first days, as spans and as text. Does not belong here: which weeks a lake has
(assets.graph), which of them are behind (assets.automation.plan).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from checks.contracts.rule_sql import literal

# First days of business weeks, each once, in order.
Weeks = tuple[date, ...]
WEEK = timedelta(weeks=1)


def in_order(weeks: Iterable[date]) -> Weeks:
    """The weeks as a set: each once, in order."""
    return tuple(sorted(set(weeks)))


def between(first: date, last: date) -> Weeks:
    """All weeks from the first to the last; none when the last lies before the first."""
    return tuple(first + WEEK * number for number in range((last - first) // WEEK + 1))


def spans(weeks: Iterable[date]) -> list[Weeks]:
    """The weeks in runs without a gap, the longest possible, in order."""
    found: list[list[date]] = []
    for week in in_order(weeks):
        if found and found[-1][-1] + WEEK == week:
            found[-1].append(week)
        else:
            found.append([week])
    return [tuple(span) for span in found]


def as_texts(weeks: Iterable[date]) -> list[str]:
    """The spans as ISO texts: `2017-01-02`, or `2017-01-02/2017-01-16` for more than one week."""
    return [str(span[0]) if len(span) == 1 else f"{span[0]}/{span[-1]}" for span in spans(weeks)]


def from_texts(texts: Sequence[str]) -> Weeks:
    """The weeks that `as_texts` wrote.

    Raises:
        ValueError: a text is no date or pair of dates.
    """
    ends = [text.split("/") for text in texts]
    return in_order(
        week for pair in ends for week in between(date.fromisoformat(pair[0]), date.fromisoformat(pair[-1]))
    )


def said(weeks: Iterable[date]) -> str:
    """The weeks for a reader: `2017-01-02, 2017-01-16 to 2017-01-30`."""
    return ", ".join(text.replace("/", " to ") for text in as_texts(weeks))


def where_sql(column: str, weeks: Iterable[date]) -> str:
    """The SQL condition that a row lies in one of the weeks; FALSE for none."""
    parts = [f"{column} BETWEEN {literal(span[0])} AND {literal(span[-1])}" for span in spans(weeks)]
    return f"({' OR '.join(parts)})" if parts else "FALSE"
