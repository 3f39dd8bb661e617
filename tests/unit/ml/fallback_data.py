"""Demand with a group in which a baseline surely forecasts better, and scored rows in which nothing is better."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl

from ml.features import compute_features
from ml.forecaster import labelled
from ml.labels import build_labels
from ml.series import dense_series
from ml.splits import rolling_origin
from tests.unit.ml.demand_data import TIMEZONE, make_demand
from tests.unit.ml.prepared_data import HORIZONS, Prepared

METHODS = ("catboost", "mean_8", "naive", "ses")
STEADY = "g0"


def planted() -> Prepared:
    """Every store sells a number of its own of the group STEADY, the same each week but for a few baskets.

    The mean of the last weeks is that number; trees as few and small as the tests' blur the numbers of 20 stores.
    """
    demand = make_demand(seed=5, weeks=40, stores=20, groups=3, rate=6.0)
    store = pl.col("store_id").str.slice(1).cast(pl.Int64)
    more = pl.when(pl.col("product_group") == STEADY).then(200 + 60 * store).otherwise(0)
    lines = demand.lines.with_columns(
        pl.col("transactions") + more, (pl.col("quantity_units") + more).cast(pl.Decimal(18, 4))
    )
    series = dense_series(lines, demand.plans, demand.weeks, TIMEZONE, partial_weeks=[demand.weeks[0]])
    features = compute_features(series, demand.plans, demand.weeks, HORIZONS)
    features = features.filter(pl.col("week_start_date") > demand.weeks[1], pl.col("transactions_lag_0").is_not_null())
    labels = build_labels(series, HORIZONS)
    folds = rolling_origin(demand.weeks, 6, max(HORIZONS), 2, calibration_weeks=4, min_train_cutoffs=5)
    return Prepared(demand, features, labels, labelled(features, labels, "transactions"), tuple(folds))


def noise(
    seed: int,
    groups: Sequence[str],
    stores: int = 8,
    folds: int = 4,
    series_shock: float = 0.3,
    stays: float = 0.5,
) -> pl.DataFrame:
    """Scored rows of four methods that err alike: by shocks of series, of weeks and of rows, each of one law.

    `stays` is the share of a week's shock that is left in the next. Target weeks of neighbouring folds overlap, two
    weeks of four, as the backtest's do by default.
    """
    random = np.random.default_rng(seed)
    first = date(2017, 9, 4)
    weeks = 2 * folds + 2
    rows = []
    for group in groups:
        actual = 20 + random.poisson(10, (stores, weeks))
        for method in METHODS:
            shocks = random.normal(0, 1.5, weeks)
            for week in range(1, weeks):
                shocks[week] = stays * shocks[week - 1] + (1 - stays**2) ** 0.5 * shocks[week]
            shift = shocks + series_shock * random.normal(0, 1, (stores, 1))
            error = 5 + shift + random.normal(0, 1, (stores, weeks))
            rows += [
                (method, first + timedelta(weeks=2 * fold), f"s{store}", group, horizon,
                 first + timedelta(weeks=2 * fold + horizon), float(actual[store, 2 * fold + horizon - 1]),
                 float(actual[store, 2 * fold + horizon - 1] + error[store, 2 * fold + horizon - 1]))
                for fold in range(folds) for horizon in range(1, 5) for store in range(stores)
            ]  # fmt: skip
    columns = {
        "method": pl.String, "cutoff_week_start_date": pl.Date, "store_id": pl.String, "product_group": pl.String,
        "horizon_weeks": pl.Int32, "target_week_start_date": pl.Date, "actual": pl.Float64, "p50": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        is_promotion=pl.lit(None, dtype=pl.Boolean),
        censoring=pl.lit(None, dtype=pl.String),
        volume_class=pl.lit("busy"),
        p10=pl.col("p50") - 4,
        p90=pl.col("p50") + 4,
    )
