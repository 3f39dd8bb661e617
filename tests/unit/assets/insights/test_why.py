"""The section "Why": its sums are those of SQL and its rows add up to the forecasts."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import pytest

from assets.insights import why
from assets.insights.content import ReportContent
from assets.insights.figure import FigureBook
from assets.insights.page import render


def test_drivers_add_up_to_the_sum_of_the_medians(base_content: ReportContent) -> None:
    book = FigureBook(why.figures(base_content))
    adds = [book.value("driver", driver, "adds") or 0.0 for driver in book.rows("driver")]
    drivers = base_content.drivers
    wanted = duckdb.sql(
        "SELECT sum(p50) FROM (SELECT DISTINCT store_id, product_group, horizon_weeks, p50 FROM drivers)"
    )
    assert sum(adds) == pytest.approx(wanted.fetchall()[0][0])
    assert book.value("driver_sum", "all", "p50_sum") == pytest.approx(wanted.fetchall()[0][0])
    assert book.value("driver_sum", "all", "forecasts") == drivers.n_unique(
        ["store_id", "product_group", "horizon_weeks"]
    )


def test_what_plans_add_is_summed_by_group(base_content: ReportContent) -> None:
    book = FigureBook(why.figures(base_content))
    drivers = base_content.drivers.drop_nulls("counterfactual")
    wanted = duckdb.sql("SELECT product_group, driver, sum(counterfactual) FROM drivers GROUP BY ALL").fetchall()
    assert drivers.height
    assert len(wanted) == 2 * len(book.rows("driver_group")) > 0
    for group, driver, adds in wanted:
        assert book.value("driver_group", group, f"{driver}_plan") == pytest.approx(adds)


def test_a_driver_that_changes_its_sign_in_refits_is_marked(base_content: ReportContent) -> None:
    book = FigureBook(why.figures(base_content))
    assert {driver: book.value("driver", driver, "is_stable") for driver in book.rows("driver")} == {
        "average": 1.0,
        "base": 1.0,
        "display": 1.0,
        "mailer": 0.0,
        "unexplained": None,
    }
    assert '<td class="extra bad">60%</td>' in render(base_content)


def test_without_a_model_there_is_no_such_section(make_content: Callable[..., ReportContent]) -> None:
    content = make_content(drivers=make_content().drivers.clear())
    assert list(why.figures(content)) == []
    assert 'id="why"' not in render(content)
