"""Sets of weeks and their spans: each week once, in order, and back from text as they were."""

from __future__ import annotations

from datetime import date, timedelta

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from resources.spans import as_texts, between, from_texts, in_order, said, spans, where_sql

FIRST = date(2017, 1, 2)
WEEKS = st.lists(st.integers(0, 40).map(lambda number: FIRST + timedelta(weeks=number)))


@given(WEEKS)
def test_spans_hold_the_weeks_and_have_gaps_between_them(weeks: list[date]):
    found = spans(weeks)
    assert [week for span in found for week in span] == sorted(set(weeks))
    assert all(span == between(span[0], span[-1]) for span in found)
    assert all(later[0] - span[-1] > timedelta(weeks=1) for span, later in zip(found, found[1:], strict=False))
    assert from_texts(as_texts(weeks)) == in_order(weeks)


@given(WEEKS)
def test_the_condition_takes_the_days_of_the_weeks_and_no_other(weeks: list[date]):
    every = between(FIRST, FIRST + timedelta(weeks=40))
    values = ", ".join(f"(DATE '{week}')" for week in every)
    condition = where_sql("week", weeks).replace("DATE'", "DATE '")
    found = duckdb.sql(f"SELECT week FROM (VALUES {values}) AS t (week) WHERE {condition} ORDER BY 1").fetchall()
    assert [row[0] for row in found] == sorted(set(weeks))


def test_weeks_as_a_reader_sees_them():
    weeks = [FIRST, FIRST + timedelta(weeks=2), FIRST + timedelta(weeks=3)]
    assert said(weeks) == "2017-01-02, 2017-01-16 to 2017-01-23"
    assert said([]) == ""
    assert between(FIRST, FIRST - timedelta(weeks=1)) == ()
