"""Where the model was wrong: which rows are analysed, what is said of them, and which weeks are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from assets.insights import accuracy, misses
from assets.insights.content import ReportContent
from assets.insights.figure import FigureBook
from assets.insights.page import render
from ml.misses import RULES
from tests.unit.assets.insights.page_reader import PageReader
from tests.unit.assets.insights.small_frames import AS_OF, make_earlier
from tests.unit.assets.insights.sql_oracle import one_row

MakeContent = Callable[..., ReportContent]


@pytest.fixture
def many_issues(make_content: MakeContent) -> ReportContent:
    """Five issues before the newest, so that at least four have matured."""
    weeks = [timedelta(weeks=number) for number in range(5)]
    older = [
        make_earlier().with_columns(pl.col("issue_week_start_date", "target_week_start_date") - gap) for gap in weeks
    ]
    return make_content(earlier=pl.concat(older))


def test_every_rule_has_a_name_and_advice() -> None:
    assert set(misses.LABELS) == set(misses.ADVICE) == {rule.name for rule in RULES}


def test_the_backtest_stands_in_until_issues_have_matured(
    base_content: ReportContent, many_issues: ReportContent
) -> None:
    rows, basis = misses.analysed_rows(base_content)
    assert (rows.height, basis) == (2 * 4 * 6, "the 2 test issues of the back-test")
    rows, basis = misses.analysed_rows(many_issues)
    assert basis == "the 5 issues that have matured"
    count, missed = one_row(
        """
        SELECT count(*), sum(abs(transactions - p50)) FROM earlier e JOIN known k
        ON e.store_id = k.store_id AND e.product_group = k.product_group AND target_week_start_date = week_start_date
        WHERE method = 'catboost'
        """,
        earlier=many_issues.earlier,
        known=many_issues.known,
    )
    assert rows.height == count > 0
    book = FigureBook(misses.figures(many_issues))
    assert book.value("miss_scope", "all", "error") == pytest.approx(missed)


def test_counts_and_shares_add_up(base_content: ReportContent) -> None:
    book = FigureBook(misses.figures(base_content))
    counts = [book.value("miss", rule, "count") or 0.0 for rule in book.rows("miss")]
    assert sum(counts) == book.value("miss_scope", "all", "rows") == 48
    assert sum(counts[1:]) == book.value("miss_scope", "all", "outside")
    assert sum(book.value("miss", rule, "error_share") or 0.0 for rule in book.rows("miss")) == pytest.approx(1)
    shares = [book.value("miss_series", number, "error_share") or 0.0 for number in book.rows("miss_series")]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)


def test_a_circumstance_that_is_as_frequent_everywhere_is_no_reason() -> None:
    row = {"rule": "holiday_week", "row_count": 5, "share_of_misses": 0.11, "share_of_forecasts": 0.10}
    assert misses._says(row).startswith("No more frequent")
    assert misses._says({**row, "share_of_misses": 0.3}).startswith("3.0 times as frequent among the misses.")
    assert misses._says({**row, "row_count": 0}) == "No such case."


def test_the_same_weeks_are_compared(base_content: ReportContent) -> None:
    """Issues of weeks 0 and 1 with four horizons share the target weeks 2 to 4."""
    pairs = misses.vintages(base_content)
    assert pairs.select("far", "near").rows() == [(2, 1), (3, 2), (4, 3)]
    assert pairs["weeks"].to_list() == [1, 1, 1]
    mine = base_content.accuracy.filter(pl.col("slice") == "all", pl.col("method") == "catboost")
    for far, near, _, *found in pairs.select("far", "near", "weeks", "far_wape", "near_wape").iter_rows():
        wanted = one_row(
            f"""
            WITH shared AS (SELECT target_week_start_date FROM mine far JOIN mine near USING (target_week_start_date)
                            WHERE far.horizon_weeks = {far} AND near.horizon_weeks = {near}),
                 pooled AS (SELECT horizon_weeks, sum(wape * actual_sum) / sum(actual_sum) / 100 AS wape
                            FROM mine SEMI JOIN shared USING (target_week_start_date) GROUP BY 1)
            SELECT max(wape) FILTER (horizon_weeks = {far}), max(wape) FILTER (horizon_weeks = {near}) FROM pooled
            """,
            mine=mine,
        )
        assert found == pytest.approx(list(wanted))


def test_the_backtest_is_compared_until_issues_share_weeks(
    make_content: MakeContent, base_content: ReportContent
) -> None:
    pairs = misses.vintages(make_content(accuracy=base_content.accuracy.clear()))
    assert pairs.select("far", "near", "weeks").rows() == [(2, 1, 3), (3, 2, 3), (4, 3, 3)]


def test_without_scored_rows_the_page_stands(make_content: MakeContent, base_content: ReportContent) -> None:
    content = make_content(scored=base_content.scored.clear(), comparisons=base_content.comparisons.clear())
    reader = PageReader(render(content))
    captions = [table.caption for table in reader.tables]
    assert not [caption for caption in captions if caption.startswith(("What the data say", "What the forecast adds"))]
    assert [caption for caption in captions if caption.startswith("Product groups by share of all misses")]


def test_nothing_after_as_of_is_read(many_issues: ReportContent) -> None:
    later = pl.col("known_at") > AS_OF
    bent = many_issues.series.with_columns(
        pl.when(later).then(pl.col(name) * 9 + 70).otherwise(pl.col(name)).alias(name)
        for name in ("transactions", "display_products", "mailer_products")
    )
    assert not bent.equals(many_issues.series)
    assert list(misses.figures(replace(many_issues, series=bent))) == list(misses.figures(many_issues))


def test_slices_say_how_sure_they_are(base_content: ReportContent) -> None:
    book = FigureBook(accuracy.figures(base_content))
    verdicts = {name: book.text("slice", name, "verdict") for name in book.rows("slice")}
    assert verdicts == {"COFFEE": "open", "TEAS": "surely worse", "SOFT DRINKS": "\N{EN DASH}"}
    assert book.text("added", "mean_8", "interval") == "\N{MINUS SIGN}3.0 to \N{MINUS SIGN}1.0"
    assert [book.value("added", "mean_8", name) for name in ("slices", "surely_better", "surely_worse")] == [3, 0, 1]


def test_a_slice_whose_medians_are_zero_is_marked(make_content: MakeContent, base_content: ReportContent) -> None:
    silent = pl.when(pl.col("slice") == "TEAS").then(-97.0).otherwise(pl.col("bias"))
    reader = PageReader(render(make_content(backtest=base_content.backtest.with_columns(silent.alias("bias")))))
    assert any("median of these series is zero nearly everywhere" in text for text in reader.texts)
    assert not any("zero nearly everywhere" in text for text in PageReader(render(base_content)).texts)
