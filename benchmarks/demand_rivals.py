"""What a user would build in an afternoon for the demand benchmark: statsforecast, and mlforecast with LightGBM.

Belongs here: the rivals as their documentation has them, on the same rows and with the same knowledge. Does not belong
here: scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
from lightgbm import LGBMRegressor
from mlforecast import MLForecast
from mlforecast.lag_transforms import RollingMean
from statsforecast import StatsForecast
from statsforecast.models import SimpleExponentialSmoothingOptimized

from benchmarks.demand_data import HORIZONS, LAST_TARGET_WEEK, DemandData

_SERIES = "unique_id"


def mean_of_last_8(data: DemandData, cutoff_week: int) -> pl.DataFrame:
    """The mean of the last eight weeks at every horizon."""
    recent = data.rows.filter(pl.col("week").is_between(cutoff_week - 7, cutoff_week))
    means = recent.group_by("store_id", "product_group").agg(point=pl.col("demand_units").mean())
    return means.join(_horizons(cutoff_week), how="cross")


def exponential_smoothing(data: DemandData, cutoff_week: int) -> pl.DataFrame:
    """statsforecast's simple exponential smoothing with its level weight fitted per series."""
    engine = StatsForecast(models=[SimpleExponentialSmoothingOptimized(alias="point")], freq=1, n_jobs=1)
    forecast: Any = engine.forecast(df=_long(data, cutoff_week), h=len(HORIZONS))
    return _keyed(forecast, cutoff_week)


def mlforecast_lightgbm(data: DemandData, cutoff_week: int) -> pl.DataFrame:
    """mlforecast with LightGBM on absolute error: lags, rolling means, promotion counts of the weeks ahead."""
    transforms: dict[int, list[Any]] = {1: [RollingMean(4), RollingMean(8), RollingMean(13)]}
    learner = LGBMRegressor(objective="l1", verbosity=-1, n_jobs=1, random_state=1)
    models: Any = {"point": learner}
    # Any: the library names polars' frames by a class of its own.
    engine: Any = MLForecast(models=models, freq=1, lags=[1, 2, 3, 4, 8], lag_transforms=transforms)
    engine.fit(_long(data, cutoff_week, *data.promotion_columns), static_features=[])
    ahead = _named(data.rows.filter(pl.col("week").is_between(cutoff_week + 1, cutoff_week + len(HORIZONS))))
    forecast: Any = engine.predict(h=len(HORIZONS), X_df=ahead.select(_SERIES, "ds", *data.promotion_columns))
    return _keyed(forecast, cutoff_week)


RIVALS: Mapping[str, Callable[[DemandData, int], pl.DataFrame]] = {
    "mean_8": mean_of_last_8,
    "statsforecast_ses": exponential_smoothing,
    "mlforecast_lightgbm": mlforecast_lightgbm,
}


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.format("{}|{}", "store_id", "product_group").alias(_SERIES), ds=pl.col("week"))


def _long(data: DemandData, cutoff_week: int, *columns: str) -> pl.DataFrame:
    rows = _named(data.rows.filter(pl.col("week") <= cutoff_week)).sort(_SERIES, "ds")
    return rows.select(_SERIES, "ds", *columns, y="demand_units")


def _keyed(forecast: pl.DataFrame, cutoff_week: int) -> pl.DataFrame:
    parts = pl.col(_SERIES).str.split_exact("|", 1)
    return forecast.select(
        parts.struct.field("field_0").alias("store_id"),
        parts.struct.field("field_1").alias("product_group"),
        (pl.col("ds") - cutoff_week).cast(pl.Int32).alias("horizon_weeks"),
        pl.col("point").cast(pl.Float64),
    )


def _horizons(cutoff_week: int) -> pl.DataFrame:
    ahead = [horizon for horizon in HORIZONS if cutoff_week + horizon <= LAST_TARGET_WEEK]
    return pl.DataFrame({"horizon_weeks": ahead}, schema={"horizon_weeks": pl.Int32})
