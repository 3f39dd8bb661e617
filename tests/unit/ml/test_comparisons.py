"""The table of differences: its errors equal SQL, its intervals are those of one difference."""

from __future__ import annotations

from itertools import permutations

import duckdb
import polars as pl
import pytest

from ml.backtest import BacktestPlan, backtest
from ml.comparisons import COMPARISON_SCHEMA, comparisons
from ml.evaluation_differences import wape_difference
from ml.frame_checks import BadFrame
from tests.unit.ml.prepared_data import SLICED_SQL, SMALL, Prepared


@pytest.fixture(scope="module")
def scored(prepared: Prepared) -> pl.DataFrame:
    return backtest(prepared.features, prepared.labels, BacktestPlan(prepared.folds, config=SMALL))[0]


@pytest.fixture(scope="module")
def table(scored: pl.DataFrame) -> pl.DataFrame:
    return comparisons(scored, samples=200)


def test_errors_equal_sql(scored: pl.DataFrame, table: pl.DataFrame) -> None:
    assert table.schema == pl.Schema(COMPARISON_SCHEMA)
    wanted = duckdb.sql(f"""
        WITH sliced AS ({SLICED_SQL}),
        errors AS (
            SELECT method, slice, max(cutoff_week_start_date) AS last, count(*) AS row_count, sum(actual) AS actual_sum,
                   100 * sum(abs(actual - p50)) / nullif(sum(actual), 0) AS wape
            FROM sliced GROUP BY ALL)
        SELECT own.method, rival.method, slice, own.last, own.row_count, own.actual_sum, own.wape, rival.wape,
               own.wape - rival.wape
        FROM errors own JOIN errors rival USING (slice) WHERE own.method = 'catboost' AND rival.method <> own.method
        ORDER BY 1, 2, 3
    """).fetchall()
    assert table.height == len(wanted)
    for found, row in zip(table.rows(), wanted, strict=True):
        assert found[:5] == row[:5]
        assert found[5:9] == pytest.approx(row[5:])


def test_intervals_are_those_of_one_difference(scored: pl.DataFrame, table: pl.DataFrame) -> None:
    group = scored["product_group"][0]
    rows = scored.filter(pl.col("product_group") == group)
    key = ["cutoff_week_start_date", "store_id", "product_group", "horizon_weeks", "target_week_start_date", "actual"]
    wide = rows.pivot(on="method", index=key, values="p50")
    wanted = wape_difference(wide, "catboost", "naive", samples=200)
    found = table.filter(pl.col("slice") == group, pl.col("rival") == "naive").row(0, named=True)
    assert (found["difference"], found["lower"], found["upper"]) == pytest.approx(
        (wanted.estimate, wanted.lower, wanted.upper)
    )
    assert found["is_sure"] == wanted.is_sure


def test_simultaneous_intervals_share_out_the_confidence_among_groups_and_rivals(
    scored: pl.DataFrame, table: pl.DataFrame
) -> None:
    groups = sorted(set(scored["product_group"]))
    decided = table.filter(pl.col("slice").is_in(groups))
    assert decided.height == 3 * len(groups)
    assert table.filter(~pl.col("slice").is_in(groups))["simultaneous_lower"].null_count() == table.height - 9
    key = ["cutoff_week_start_date", "store_id", "product_group", "horizon_weeks", "target_week_start_date", "actual"]
    wide = scored.filter(pl.col("product_group") == groups[1]).pivot(on="method", index=key, values="p50")
    wanted = wape_difference(wide, "catboost", "ses", confidence=1 - 0.05 / 9, units="blocks", samples=200)
    found = decided.filter(pl.col("slice") == groups[1], pl.col("rival") == "ses").row(0, named=True)
    assert (found["simultaneous_lower"], found["simultaneous_upper"]) == pytest.approx((wanted.lower, wanted.upper))
    assert (decided["simultaneous_lower"] < decided["lower"]).all()
    assert (decided["simultaneous_upper"] > decided["upper"]).all()


def test_a_clear_gain_is_sure_and_a_tie_is_not(scored: pl.DataFrame) -> None:
    perfect = pl.when(pl.col("method") == "catboost").then(pl.col("actual")).otherwise(pl.col("actual") + 3)
    table = comparisons(scored.with_columns(p50=perfect), samples=200)
    assert table.filter(pl.col("slice") == "all")["is_sure"].all()
    assert (table.filter(pl.col("slice") == "all")["upper"] < 0).all()
    tie = comparisons(scored.with_columns(p50=pl.col("actual") + 1), samples=200)
    assert not tie["is_sure"].any()
    assert tie["difference"].drop_nulls().abs().max() == 0


def test_a_slice_too_small_for_an_interval_has_none(scored: pl.DataFrame) -> None:
    found = comparisons(
        scored.filter(pl.struct("store_id", "product_group") == pl.struct("store_id", "product_group").first()),
        samples=50,
    )
    assert found.height
    assert found["lower"].null_count() == found["upper"].null_count() == found.height
    assert not found["is_sure"].any()


def test_without_a_model_every_method_meets_every_other(scored: pl.DataFrame) -> None:
    found = comparisons(scored.filter(pl.col("method") != "catboost"), samples=50).filter(pl.col("slice") == "all")
    assert found.select("method", "rival").rows() == list(permutations(("mean_8", "naive", "ses"), 2))
    assert found["difference"].sum() == pytest.approx(0)


def test_methods_on_other_rows_are_refused(scored: pl.DataFrame) -> None:
    shorter = scored.filter((pl.col("method") != "naive") | (pl.col("horizon_weeks") == 1))
    with pytest.raises(BadFrame, match="naive was not scored on the same rows"):
        comparisons(shorter)


def test_order_of_rows_does_not_matter(scored: pl.DataFrame, table: pl.DataFrame) -> None:
    assert comparisons(scored.sample(fraction=1.0, shuffle=True, seed=2), samples=200).equals(table)
