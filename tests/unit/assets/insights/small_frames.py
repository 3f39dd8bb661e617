"""Frames of a small, hand-made report: two stores, three product groups, twelve known weeks and four later ones."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl

from ml.totals_tables import issue_totals, totals_backtest

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
                plans = (8 if number % 5 == 0 else 2, group)
                rows.append((store_id, name, start, sold, sold * 2, sold * 3.25, *plans, number < 0, known_at))
    columns = ["store_id", "product_group", "week_start_date", "transactions", "quantity_units", "net_sales_usd"]
    more = ["display_products", "mailer_products", "is_partial_week", "known_at"]
    frame = pl.DataFrame(rows, schema=[*columns, *more], orient="row")
    return frame.with_columns(pl.col("quantity_units", "net_sales_usd").cast(MONEY))


def make_forecasts() -> pl.DataFrame:
    rows = []
    for place, method in enumerate(METHODS):
        for store, store_id in enumerate(STORES):
            for group, name in enumerate(GROUPS):
                for horizon in range(1, LATER_WEEKS + 1):
                    # The model's medians carry little of the smallest group, as medians of small counts do.
                    median = 22.25 * (2 - group) + store + horizon / 4 + 4 * place
                    rows.append((store_id, name, week(KNOWN_WEEKS - 1 + horizon), horizon, method, median))
    columns = ["store_id", "product_group", "target_week_start_date", "horizon_weeks", "method", "p50"]
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        pl.lit(week(KNOWN_WEEKS - 1)).alias("issue_week_start_date"),
        pl.col("horizon_weeks").cast(pl.Int32),
        pl.lit(AS_OF).alias("issued_as_of"),
        pl.lit("transactions").alias("measure"),
        (pl.col("p50") * 0.75).alias("p10"),
        (pl.col("p50") * 1.25 + 1).alias("p90"),
        pl.lit("ab" * 32).alias("model_version"),
        pl.lit("cd" * 32).alias("data_version"),
    )


def make_earlier() -> pl.DataFrame:
    """The issue of the week before, with other medians: store 10 was lower, store 7 higher."""
    shift = pl.when(pl.col("store_id") == STORES[0]).then(-2.0).otherwise(1.5)
    return make_forecasts().with_columns(
        pl.col("issue_week_start_date", "target_week_start_date") - pl.duration(weeks=1),
        *((pl.col(name) + shift).alias(name) for name in ("p10", "p50", "p90")),
        pl.lit("ef" * 32).alias("model_version"),
    )


def make_tests(cutoffs: tuple[int, ...] = (4, 5, 6, 7)) -> pl.DataFrame:
    """The tests of totals at these weeks; outcomes are those of the series."""
    return totals_backtest(make_scored(cutoffs), make_series(), "transactions")


def make_totals(forecasts: pl.DataFrame, tests: pl.DataFrame, series: pl.DataFrame | None = None) -> pl.DataFrame:
    """What the issue of these forecasts expects."""
    return issue_totals(forecasts, make_series() if series is None else series, tests)


def make_plans() -> pl.DataFrame:
    """What each issue knew of its target weeks; coffee in store 10 got more products since the issue before."""
    key = ["issue_week_start_date", "store_id", "product_group", "target_week_start_date"]
    rows = pl.concat([make_forecasts(), make_earlier()]).select(key).unique()
    is_new = pl.col("issue_week_start_date") == week(KNOWN_WEEKS - 1)
    more = is_new & (pl.col("store_id") == STORES[0]) & (pl.col("product_group") == GROUPS[0])
    return rows.with_columns(planned_products=pl.when(more).then(9.0).otherwise(4.0)).sort(key)


def make_scored(cutoffs: tuple[int, ...] = (4, 6)) -> pl.DataFrame:
    """Test issues of some cutoffs, four horizons, of every method and series; outcomes are those of the series."""
    sold = make_series().select(
        "store_id", "product_group", "week_start_date", actual=pl.col("transactions").cast(pl.Float64)
    )
    rows = []
    for cutoff in cutoffs:
        shifted = make_forecasts().with_columns(
            cutoff_week_start_date=pl.lit(week(cutoff)),
            target_week_start_date=pl.lit(week(cutoff)) + pl.duration(weeks=pl.col("horizon_weeks").cast(pl.Int64)),
        )
        rows.append(
            shifted.join(
                sold,
                left_on=["store_id", "product_group", "target_week_start_date"],
                right_on=["store_id", "product_group", "week_start_date"],
            )
        )
    return pl.concat(rows).select(
        "method", "cutoff_week_start_date", "store_id", "product_group", "horizon_weeks", "target_week_start_date",
        pl.lit(None, dtype=pl.Boolean).alias("is_promotion"), "actual", "p10", "p50", "p90",
    )  # fmt: skip


def make_comparisons() -> pl.DataFrame:
    """The model beside both rules: surely better over all, open for coffee, surely worse for teas, no interval else."""
    rows = []
    for rival in METHODS[1:]:
        for name, bounds in (
            ("all", (-3.0, -1.0)),
            ("COFFEE", (-2.0, 1.0)),
            ("TEAS", (1.0, 4.0)),
            ("SOFT DRINKS", None),
        ):
            low, high = bounds or (None, None)
            middle = -0.5 if low is None or high is None else (low + high) / 2
            is_sure = low is not None and high is not None and (low > 0 or high < 0)
            rows.append(("catboost", rival, name, middle, low, high, is_sure))
    columns = ["method", "rival", "slice", "difference", "lower", "upper", "is_sure"]
    return pl.DataFrame(rows, schema=columns, orient="row")


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
