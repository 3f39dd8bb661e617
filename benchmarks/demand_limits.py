"""How low a WAPE on the rows of the demand benchmark can honestly be: what foresight and a planted leak are worth.

Belongs here: forecasts that nobody may make, named as such, and the same quick trees without them. Does not belong
here: forecasts that are compared as equals (benchmarks.demand).

- two_sided_median: median of the eight weeks before and the eight weeks after the target week.
- hindsight_constant: per series and horizon the median of the very outcomes that are scored: no constant is better.
- trees: direct catboost on absolute error, one model per horizon: lags, rolling means, the number of planned products
  in the target week, store and category.
- trees_told_what_sold: the same trees, but of the planned products only those are counted that sold in that week.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from catboost import CatBoostRegressor
from numpy.typing import NDArray

from benchmarks.demand_data import (
    CATEGORIES,
    CUTOFF_WEEKS,
    HORIZONS,
    LAST_TARGET_WEEK,
    WEEKS,
    DemandData,
    read_demand,
)
from benchmarks.program import Options, Stopwatch, progress, result
from ml.evaluation_points import wape
from resources.settings import load_settings

Values = NDArray[np.float64]
SIDE_WEEKS = 8
LAGS, MEANS = range(8), (4, 8, 13, 26)
FIRST_TRAINING_WEEK = 9
CATEGORICAL = ["store", "group"]


def bench_demand_limits(options: Options) -> dict[str, Any]:
    """WAPE, over all and by horizon, of each."""
    watch = Stopwatch()
    data = read_demand(options.data)
    units = _by_series(data, data.rows.select("store_id", "product_group", "week", value="demand_units"))
    actual = {h: np.stack([units[:, week + h - 1] for week in _cutoffs(h)]) for h in HORIZONS}
    figures: dict[str, float] = {}
    for name, forecast in (
        ("two_sided_median", {h: _two_sided(units, h) for h in HORIZONS}),
        ("hindsight_constant", {h: np.broadcast_to(np.median(actual[h], axis=0), actual[h].shape) for h in HORIZONS}),
        ("trees", _trees(units, planned_products(data))),
        ("trees_told_what_sold", _trees(units, planned_products(data, sold_only=True))),
    ):
        figures |= _wapes(name, actual, forecast)
        progress(f"{name}: {figures[f'{name}_wape']:.1f}")
    rows = sum(values.size for values in actual.values())
    return result("demand_limits", {"rows": rows, "cutoff_weeks": CUTOFF_WEEKS}, figures, watch.seconds())


def planned_products(data: DemandData, *, sold_only: bool = False) -> Values:
    """Number of planned products, (series, weeks); `sold_only` counts those that sold there in that week: a leak."""
    planned = data.promotions.unique()
    if sold_only:
        planned = planned.join(data.sales, on=["store_id", "product_id", "week"], how="semi")
    counts = planned.group_by("store_id", "product_group", "week").agg(value=pl.len().cast(pl.Float64))
    return _by_series(data, counts.with_columns(pl.col("store_id").cast(pl.String)))


def _by_series(data: DemandData, cells: pl.DataFrame) -> Values:
    key = ["store_id", "product_group", "week"]
    filled = data.rows.select(key).join(cells, on=key, how="left").sort(key)
    return filled["value"].fill_null(0.0).to_numpy().reshape(-1, len(WEEKS))


def _cutoffs(horizon: int) -> list[int]:
    return [week for week in CUTOFF_WEEKS if week + horizon <= LAST_TARGET_WEEK]


def _wapes(name: str, actual: dict[int, Values], forecast: dict[int, Values]) -> dict[str, float]:
    joined = [np.concatenate([side[h].ravel() for h in HORIZONS]) for side in (actual, forecast)]
    by_horizon = {f"{name}_wape_h{h}": wape(actual[h].ravel(), forecast[h].ravel()) for h in HORIZONS}
    return {f"{name}_wape": wape(*joined), **by_horizon}


def _two_sided(units: Values, horizon: int) -> Values:
    forecasts = []
    for target in (week + horizon for week in _cutoffs(horizon)):
        around = [units[:, target - 1 - SIDE_WEEKS : target - 1], units[:, target : target + SIDE_WEEKS]]
        forecasts.append(np.median(np.concatenate(around, axis=1), axis=1))
    return np.stack(forecasts)


def _trees(units: Values, counts: Values) -> dict[int, Values]:
    found = {}
    for horizon in HORIZONS:
        found[horizon] = np.stack([_forecast(units, counts, week, horizon) for week in _cutoffs(horizon)])
        progress(f"trees of horizon {horizon}")
    return found


def _forecast(units: Values, counts: Values, cutoff_week: int, horizon: int) -> Values:
    past = range(FIRST_TRAINING_WEEK, cutoff_week - horizon + 1)
    inputs = pl.concat([_inputs(units, counts, week, horizon) for week in past]).to_pandas()
    outcomes = np.concatenate([units[:, week + horizon - 1] for week in past])
    trees = CatBoostRegressor(
        loss_function="MAE",
        iterations=200,
        depth=6,
        learning_rate=0.1,
        cat_features=CATEGORICAL,
        random_seed=1,
        thread_count=load_settings().threads,
        allow_writing_files=False,
        logging_level="Silent",
    )
    trees.fit(inputs, outcomes)
    found = trees.predict(_inputs(units, counts, cutoff_week, horizon).to_pandas())
    return np.maximum(np.asarray(found, dtype=np.float64), 0.0)


def _inputs(units: Values, counts: Values, cutoff_week: int, horizon: int) -> pl.DataFrame:
    """What is known after the cutoff week about the target week; week 1 is column 0."""
    series = np.arange(len(units), dtype=np.int32)
    columns: dict[str, Any] = {f"lag_{k}": units[:, cutoff_week - 1 - k] for k in LAGS}
    columns |= {f"mean_{k}": units[:, max(0, cutoff_week - k) : cutoff_week].mean(axis=1) for k in MEANS}
    columns |= {
        "planned": counts[:, cutoff_week + horizon - 1],
        "planned_now": counts[:, cutoff_week - 1],
        "planned_mean_8": counts[:, max(0, cutoff_week - 8) : cutoff_week].mean(axis=1),
        "store": series // len(CATEGORIES),
        "group": series % len(CATEGORIES),
    }
    return pl.DataFrame(columns)
