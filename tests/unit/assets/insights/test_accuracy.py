"""Pooled and computed accuracy measures, against SQL and naive loops."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import polars as pl
import pytest

from assets.insights import accuracy
from assets.insights.content import ReportContent
from assets.insights.figure import FigureBook
from tests.unit.assets.insights.small_frames import make_backtest


def test_pooled_equals_sql() -> None:
    backtest = make_backtest()
    expected = duckdb.sql(
        """
        SELECT method, sum(wape * actual_sum) / sum(actual_sum) / 100 wape,
               sum(bias * actual_sum) / sum(actual_sum) / 100 bias,
               sum(pinball * row_count) / sum(row_count) pinball,
               sum(coverage_80 * row_count) / sum(row_count) coverage_80,
               sum(interval_width * row_count) / sum(row_count) width, sum(row_count)::BIGINT "rows",
               sum(actual_sum) actual_sum
        FROM backtest GROUP BY method ORDER BY method
        """
    ).pl()
    found = accuracy.pooled(backtest, "method")
    for name in expected.columns[1:]:
        assert found[name].to_list() == pytest.approx(expected[name].to_list()), name


def test_a_week_without_sales_has_no_weight() -> None:
    rows = make_backtest(1).filter(pl.col("method") == "naive", pl.col("slice") == "TEAS")
    empty = rows.head(1).with_columns(
        pl.lit(0.0).alias("actual_sum"), *(pl.lit(None, dtype=pl.Float64).alias(name) for name in ("wape", "bias"))
    )
    with_empty = accuracy.pooled(pl.concat([rows, empty]), "method")
    assert with_empty["wape"].item() == pytest.approx(accuracy.pooled(rows, "method")["wape"].item())
    only = accuracy.pooled(empty, "method")
    assert (only["wape"].item(), only["bias"].item()) == (None, None)
    assert only["coverage_80"].item() is not None


def test_judge_equals_a_naive_loop() -> None:
    rows = [(3.0, 1.0, 2.0, 4.0), (0.0, 0.5, 1.0, 2.0), (9.0, 4.0, 5.0, 8.0), (4.0, 4.0, 4.0, 4.0)]
    frame = pl.DataFrame(rows, schema=["actual", "p10", "p50", "p90"], orient="row").with_columns(
        pl.lit("m").alias("k")
    )
    losses, missed, signed, inside, width = 0.0, 0.0, 0.0, 0, 0.0
    for actual, p10, p50, p90 in rows:
        for quantile, level in ((p10, 0.1), (p50, 0.5), (p90, 0.9)):
            losses += level * (actual - quantile) if actual >= quantile else (1 - level) * (quantile - actual)
        missed, signed = missed + abs(actual - p50), signed + p50 - actual
        inside, width = inside + (p10 <= actual <= p90), width + p90 - p10
    found = accuracy.judge(frame, "k").row(0, named=True)
    assert found["wape"] == pytest.approx(missed / 16)
    assert found["bias"] == pytest.approx(signed / 16)
    assert found["pinball"] == pytest.approx(losses / 12)
    assert found["coverage_80"] == pytest.approx(inside / 4) == 0.5
    assert found["width"] == pytest.approx(width / 4)


def test_judge_of_nothing_sold_has_no_wape() -> None:
    frame = pl.DataFrame({"k": ["m"], "actual": [0.0], "p10": [0.0], "p50": [1.0], "p90": [2.0]})
    found = accuracy.judge(frame, "k").row(0, named=True)
    assert (found["wape"], found["bias"], found["coverage_80"]) == (None, None, 1.0)


def test_slices_stand_beside_their_best_rule(make_content: Callable[..., ReportContent]) -> None:
    better_rule = (
        pl.when((pl.col("method") == "naive") & (pl.col("slice") == "TEAS")).then(12.5).otherwise(pl.col("wape"))
    )
    content = make_content(backtest=make_backtest().with_columns(better_rule.alias("wape")))
    book = FigureBook(accuracy.figures(content))
    assert set(book.rows("slice")) == {"COFFEE", "SOFT DRINKS", "TEAS"}
    assert (book.text("slice", "TEAS", "rule"), book.text("slice", "TEAS", "is_behind")) == ("naive", "yes")
    assert (book.text("slice", "COFFEE", "rule"), book.text("slice", "COFFEE", "is_behind")) == ("mean_8", "no")
    assert book.value("slices", "all", "behind") == 1
    shares = [book.value("slice", name, "error_share") or 0.0 for name in book.rows("slice")]
    assert sum(shares) == pytest.approx(1)


def test_a_worse_model_is_called_worse(make_content: Callable[..., ReportContent]) -> None:
    worse = pl.when(pl.col("method") == "catboost").then(pl.col("wape") * 2).otherwise(pl.col("wape"))
    book = FigureBook(accuracy.figures(make_content(backtest=make_backtest().with_columns(worse.alias("wape")))))
    assert book.text("value_added", "all", "verdict") == "60% higher"
    assert book.value("value_added", "all", "fraction") == pytest.approx(1 - 0.5 / 0.3125)


@pytest.mark.parametrize(
    ("coverage", "verdict"), [(0.8, "about right"), (0.775, "about right"), (0.605, "too narrow"), (0.9, "too wide")]
)
def test_bands_are_judged_by_their_coverage(coverage: float, verdict: str) -> None:
    assert accuracy.band_verdict(coverage) == verdict
