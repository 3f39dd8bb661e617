"""Frames of a small, hand-made report: two stores, three product groups, twelve known weeks and four later ones."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl

FIRST_WEEK = date(2024, 1, 1)
KNOWN_WEEKS, LATER_WEEKS = 12, 4
AS_OF = datetime(2024, 3, 25, tzinfo=UTC)
GROUPS = ("COFFEE", "SOFT DRINKS", "TEAS")
STORES = ("10", "7")
METHODS = ("catboost", "mean_8", "naive")
MONEY = pl.Decimal(18, 4)


def week(number: int) -> date:
    """The week with this number; week 0 is the first known one, week -1 is partial."""
    return FIRST_WEEK + timedelta(weeks=number)


def make_series() -> pl.DataFrame:
    rows = []
    for store, store_id in enumerate(STORES):
        for group, name in enumerate(GROUPS):
            for number in range(-1, KNOWN_WEEKS + LATER_WEEKS):
                sold = (7 * number + 5 * store + 3 * group + number * number) % 13 + 20 * (2 - group)
                start = week(number)
                known_at = datetime(start.year, start.month, start.day, tzinfo=UTC) + timedelta(days=7)
                rows.append((store_id, name, start, sold, sold * 2, sold * 3.25, number < 0, known_at))
    columns = ["store_id", "product_group", "week_start_date", "transactions", "quantity_units", "net_sales_usd"]
    frame = pl.DataFrame(rows, schema=[*columns, "is_partial_week", "known_at"], orient="row")
    return frame.with_columns(pl.col("quantity_units", "net_sales_usd").cast(MONEY))


def make_forecasts() -> pl.DataFrame:
    rows = []
    for place, method in enumerate(METHODS):
        for store, store_id in enumerate(STORES):
            for group, name in enumerate(GROUPS):
                for horizon in range(1, LATER_WEEKS + 1):
                    median = 22.25 * (2 - group) + store + horizon / 4 + place
                    rows.append((store_id, name, week(KNOWN_WEEKS - 1 + horizon), horizon, method, median))
    columns = ["store_id", "product_group", "target_week_start_date", "horizon_weeks", "method", "p50"]
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        pl.lit(week(KNOWN_WEEKS - 1)).alias("issue_week_start_date"),
        pl.col("horizon_weeks").cast(pl.Int32),
        pl.lit("transactions").alias("measure"),
        (pl.col("p50") * 0.75).alias("p10"),
        (pl.col("p50") * 1.25 + 1).alias("p90"),
        pl.lit("ab" * 32).alias("model_version"),
        pl.lit("cd" * 32).alias("data_version"),
    )


def make_backtest(issues: int = 4) -> pl.DataFrame:
    """Group slices and their total, with bias and WAPE in percent that belong to whole sums of forecasts and misses."""
    rows = []
    for place, method in enumerate(METHODS):
        for issue in range(issues):
            for horizon in range(1, LATER_WEEKS + 1):
                total_actual = total_forecast = total_missed = 0.0
                for group, name in enumerate(GROUPS):
                    actual = 40.0 * (3 - group) + 4 * issue + horizon
                    # The model's medians carry little of the smallest group, as medians of small counts do.
                    share = 0.25 if (group, place) == (2, 0) else 0.75 + (issue + 2 * horizon + group) % 4 / 16
                    forecast, missed = actual * share, actual * (0.25 + place / 16)
                    rows.append((method, week(issue), horizon, name, 2, actual, missed / actual, forecast / actual - 1))
                    total_actual, total_forecast = total_actual + actual, total_forecast + forecast
                    total_missed += missed
                total = (total_missed / total_actual, total_forecast / total_actual - 1)
                rows.append((method, week(issue), horizon, "all", 6, total_actual, *total))
    columns = ["method", "cutoff_week_start_date", "horizon_weeks", "slice", "row_count", "actual_sum", "wape", "bias"]
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        pl.col("horizon_weeks").cast(pl.Int32),
        (pl.col("wape") * 2 + pl.col("horizon_weeks") / 8).alias("pinball"),
        (0.75 + pl.col("horizon_weeks") / 64).alias("coverage_80"),
        (2.0 + pl.col("horizon_weeks") / 4).alias("interval_width"),
        pl.col("wape", "bias") * 100,
    )


def make_accuracy() -> pl.DataFrame:
    """Matured rows of two issues, as the back-test's but without a width."""
    return (
        make_backtest(2)
        .rename({"cutoff_week_start_date": "issue_week_start_date"})
        .with_columns(
            (pl.col("issue_week_start_date") + pl.duration(weeks=pl.col("horizon_weeks"))).alias(
                "target_week_start_date"
            )
        )
        .drop("interval_width")
    )


def make_ledger() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "source": ["shop", "shop", "shop"],
            "table_name": ["pos_lines", "pos_lines", "products"],
            "received": [1200, 34, 50],
            "accepted": [1190, 30, 50],
            "quarantined": [7, 4, 0],
            "duplicates": [3, 0, 0],
        }
    )


def make_checks() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "table_name": ["silver.fct_receipt_lines", "bronze.pos_lines"],
            "rules": [12, 9],
            "failed": [0, 0],
            "warned": [1, 0],
            "rows_audited": [1220, 1220],
            "outcome": ["passed with warnings", "passed"],
        }
    )


def make_freshness() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "table_name": ["gold.demand_series", "bronze.pos_lines"],
            "newest_at": [AS_OF, AS_OF - timedelta(days=1)],
            "sla_days": [8.0, 7.5],
            "is_fresh": [True, True],
        }
    )
