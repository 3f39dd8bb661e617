"""One table of rows for every method, and metrics that can be recomputed from it."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import polars as pl
import pytest

from ml.backtest import SCORED_COLUMNS, BacktestPlan, backtest, backtest_metrics
from ml.frame_checks import BadFrame
from tests.unit.ml.prepared_data import SLICED_SQL, SMALL, Prepared

Result = tuple[pl.DataFrame, pl.DataFrame, list[tuple[int, int, str]]]


@pytest.fixture(scope="module")
def result(prepared: Prepared) -> Result:
    steps: list[tuple[int, int, str]] = []
    plan = BacktestPlan(prepared.folds, config=SMALL)
    scored, metrics = backtest(prepared.features, prepared.labels, plan, lambda *step: steps.append(step))
    return scored, metrics, steps


def test_every_method_scores_the_same_rows(prepared: Prepared, result: Result) -> None:
    scored, _, _ = result
    assert scored.columns == SCORED_COLUMNS
    key = ["cutoff_week_start_date", "store_id", "product_group", "horizon_weeks", "actual", "is_promotion"]
    per_method = [
        scored.filter(pl.col("method") == name).select(key).rows() for name in ("catboost", "naive", "mean_8", "ses")
    ]
    assert all(keys == per_method[0] for keys in per_method[1:])
    test_rows = pl.concat([prepared.rows.filter(fold.is_test) for fold in prepared.folds])
    assert len(per_method[0]) == test_rows.height


def test_baselines_forecast_what_they_say(prepared: Prepared, result: Result) -> None:
    scored, _, _ = result
    key = ["store_id", "product_group", "week_start_date", "horizon_weeks"]
    rows = scored.rename({"cutoff_week_start_date": "week_start_date"}).join(prepared.features, on=key)
    for method, suffix in (("naive", "lag_0"), ("mean_8", "mean_8"), ("ses", "ses")):
        column = f"transactions_{suffix}"
        own = rows.filter((pl.col("method") == method) & pl.col(column).is_not_null())
        assert own.height
        assert own["p50"].equals(own[column].alias("p50"))


def test_metrics_equal_sql(result: Result) -> None:
    scored, metrics, _ = result
    assert metrics.equals(backtest_metrics(scored))
    wanted = duckdb.sql(f"""
        WITH sliced AS ({SLICED_SQL})
        SELECT method, cutoff_week_start_date, horizon_weeks, slice, count(*) AS row_count, sum(actual) AS actual_sum,
               100 * sum(abs(actual - p50)) / nullif(sum(actual), 0) AS wape,
               100 * (sum(p50) - sum(actual)) / nullif(sum(actual), 0) AS bias,
               avg((greatest(0.1 * (actual - p10), -0.9 * (actual - p10)) + 0.5 * abs(actual - p50)
                    + greatest(0.9 * (actual - p90), -0.1 * (actual - p90))) / 3) AS pinball,
               avg(CASE WHEN actual BETWEEN p10 AND p90 THEN 1.0 ELSE 0.0 END) AS coverage_80,
               avg(p90 - p10) AS interval_width,
               avg(abs(actual - p50) / sqrt(naive_squared_error)) AS rmsse,
               sum(abs(actual - p50) / sqrt(naive_squared_error) * recent_sales_usd)
                   / sum(recent_sales_usd) FILTER (naive_squared_error IS NOT NULL) AS wrmsse
        FROM sliced GROUP BY ALL ORDER BY 1, 2, 3, 4
    """)
    assert metrics.columns == wanted.columns
    for found, row in zip(metrics.rows(), wanted.fetchall(), strict=True):
        assert found[:5] == row[:5]
        assert found[5:] == pytest.approx(row[5:])


def test_progress_counts_every_step(result: Result) -> None:
    _, _, steps = result
    assert [done for done, _, _, _ in steps] == list(range(1, 9))
    assert {total for _, total, _, _ in steps} == {8}
    assert [step[2] for step in steps] == ["catboost", "naive", "mean_8", "ses"] * 2


def test_censored_outcomes_are_scored_apart_and_not_calibrated_on(prepared: Prepared) -> None:
    fold = prepared.folds[0]
    is_out = (pl.col("store_id") == "s1") & (pl.col("product_group") == "g1")
    censoring = pl.when(is_out).then(pl.lit("delisted"))
    plan = BacktestPlan((fold,), config=SMALL)
    flagged = prepared.labels.with_columns(censoring=censoring)
    scored, metrics = backtest(prepared.features, flagged, plan)
    lied = flagged.with_columns(pl.when(is_out).then(99).otherwise("transactions").alias("transactions"))
    key = ["method", "store_id", "product_group", "horizon_weeks", "p10", "p50", "p90"]
    assert backtest(prepared.features, lied, plan)[0].select(key).equals(scored.select(key))
    apart = metrics.filter(pl.col("slice") == "censored")
    assert set(apart["method"]) == {"catboost", "naive", "mean_8", "ses"}
    assert apart["row_count"].sum() == scored.filter(pl.col("censoring") == "delisted").height > 0
    everything = metrics.filter(pl.col("slice") == "all")
    assert everything["row_count"].sum() == scored.height


def test_an_unknown_plan_is_neither_promotion_nor_base(prepared: Prepared, result: Result) -> None:
    unknown = prepared.features.with_columns(display_products_target=pl.lit(None, dtype=pl.Float64))
    plan = BacktestPlan(prepared.folds[:1], config=SMALL)
    scored, metrics = backtest(unknown, prepared.labels, plan)
    assert scored["is_promotion"].null_count() == scored.height
    assert not {"promotion", "base", "censored"} & set(metrics["slice"])


def test_the_other_measures_can_be_tested_too(prepared: Prepared) -> None:
    for measure in ("quantity_units", "net_sales_usd"):
        plan = BacktestPlan(prepared.folds[:1], measure=measure, config=SMALL)
        scored, _ = backtest(prepared.features, prepared.labels, plan)
        assert scored["method"].unique().sort().to_list() == ["catboost", "mean_8", "naive", "ses"]


def test_a_fold_without_outcomes_is_refused(prepared: Prepared) -> None:
    fold = replace(prepared.folds[-1], cutoff=prepared.demand.weeks[-1])
    with pytest.raises(BadFrame, match="test at an earlier cutoff"):
        backtest(prepared.features, prepared.labels, BacktestPlan((fold,), config=SMALL))
