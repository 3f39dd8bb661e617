"""What worked and what to do next: numbers of the tables, refusals counted, nothing where there is no such table."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from assets.insights import advice, worked
from assets.insights.content import ReportContent
from assets.insights.figure import FigureBook
from assets.insights.page import render


def test_promotions_are_those_of_the_table_best_first(base_content: ReportContent) -> None:
    book = FigureBook(worked.figures(base_content))
    assert [book.value("lift_event", row, "net") for row in book.rows("lift_event")] == [30, -12]
    assert [book.value("lift_event", row, "line") for row in book.rows("lift_event")] == [35, -7]
    assert [book.text("lift_event", row, "is_sure") for row in book.rows("lift_event")] == ["no", "yes"]
    assert book.text("lift_event", "1", "label") == "COFFEE / 100, display, 1 January 2024"
    scope = {name: book.value("lift_scope", "all", name) for name in ("events", "measured", "lost", "net", "line")}
    assert scope == {"events": 4, "measured": 2, "lost": 1, "net": 18, "line": 28}
    assert book.rows("lift_group") == ["display:COFFEE"]


def test_what_cannot_be_said_is_counted_by_reason(base_content: ReportContent) -> None:
    book = FigureBook(worked.figures(base_content))
    found = {row: book.value("lift_refused", row, "count") for row in book.rows("lift_refused")}
    assert found == {"no_untreated_store": 1, "too_small": 1}
    assert "may as well be nothing" in render(base_content)


def test_of_many_promotions_the_ends_are_listed(make_content: Callable[..., ReportContent]) -> None:
    one = make_content().lift.filter(pl.col("event_id") == "e0")
    many = pl.concat(
        one.with_columns(event_id=pl.lit(f"n{number:02}"), incremental_transactions=pl.lit(float(number)))
        for number in range(25)
    )
    book = FigureBook(worked.figures(make_content(lift=many)))
    assert [book.value("lift_event", row, "net") for row in book.rows("lift_event")] == [
        24,
        23,
        22,
        21,
        20,
        4,
        3,
        2,
        1,
        0,
    ]


def test_advice_sums_what_is_to_be_done_and_not_what_is_left_out(base_content: ReportContent) -> None:
    book = FigureBook(advice.figures(base_content))
    assert (book.value("advice_sum", "all", "treated"), book.value("advice_sum", "all", "hold_out")) == (2, 1)
    assert book.value("advice_sum", "all", "transactions") == pytest.approx(3.0 + 1.0)
    assert book.value("advice_sum", "all", "cost_usd") == pytest.approx(1.6)
    assert [book.text("advice", row, "cell") for row in book.rows("advice")] == ["do", "leave out, to measure", "do"]


def test_a_lake_without_plans_has_neither_section(make_content: Callable[..., ReportContent]) -> None:
    base = make_content()
    content = make_content(
        lift=base.lift.clear(), advice=base.advice.clear(), advice_outcomes=base.advice_outcomes.clear()
    )
    page = render(content)
    assert not [item for part in (worked, advice) for item in part.figures(content)]
    assert 'id="worked"' not in page
    assert 'id="advice"' not in page


def test_earlier_advice_is_told_week_by_week_with_a_reason_where_nothing_was_measured(
    base_content: ReportContent,
) -> None:
    book = FigureBook(advice.figures(base_content))
    first, second, whole = book.rows("advice_outcome")
    assert whole == "to_date"
    assert [book.value("advice_outcome", row, "expected") for row in (first, second, whole)] == [3, 20, 23]
    assert book.text("advice_outcome", first, "measured_range").startswith("1 treated and 0 held-out")
    assert book.text("advice_outcome", second, "measured_range") == "\N{MINUS SIGN}4.0 to 28"
    assert book.value("advice_outcome", whole, "measured") == 13
    assert 'id="earlier-advice"' in render(base_content)
