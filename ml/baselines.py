"""The forecasts that a model has to beat.

Belongs here: point forecasts that need no fit. Does not belong here: their intervals (ml.intervals treats them
like a model's) and their scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import polars as pl

from ml.business_calendar import DAYS_PER_WEEK
from ml.features import FEATURE_KEY, HORIZON, TARGET_WEEK
from ml.frame_checks import SERIES_KEY, WEEK, BadFrame, require_columns

WEEKS_PER_SEASON = 52
_SEASONS_NEEDED = 2


def naive(features: pl.DataFrame, measure: str) -> pl.DataFrame:
    """The value of the cutoff week, at every horizon.

    Args:
        features: gold.demand_features (needs `<measure>_lag_0` and `<measure>_expanding_mean`).
        measure: what is forecast.

    Returns:
        One row per feature key, in its order, with `point` DOUBLE. Where the cutoff week is partial the mean of all
        whole weeks stands in; null when the series has no whole week yet.
    """
    return _from_features(features, f"{measure}_lag_0", measure)


def mean_of_last_8(features: pl.DataFrame, measure: str) -> pl.DataFrame:
    """The mean of the last 8 weeks, at every horizon; of all weeks for a series that is younger.

    Returns:
        One row per feature key, in its order, with `point` DOUBLE.
    """
    return _from_features(features, f"{measure}_mean_8", measure)


def exponential_smoothing(features: pl.DataFrame, measure: str) -> pl.DataFrame:
    """The level of simple exponential smoothing at the cutoff week, at every horizon; see ml.kernels for its weight.

    Returns:
        One row per feature key, in its order, with `point` DOUBLE; null when the series has no whole week yet.
    """
    return _from_features(features, f"{measure}_ses", measure)


BASELINES: dict[str, Callable[[pl.DataFrame, str], pl.DataFrame]] = {
    "naive": naive,
    "mean_8": mean_of_last_8,
    "ses": exponential_smoothing,
}
# Stands in while no model has passed the gate, and for groups too small for a model's medians.
SIMPLE_RULE = "mean_8"


def seasonal_naive(
    series: pl.DataFrame, cutoffs: Sequence[date], horizons: Sequence[int], measure: str
) -> pl.DataFrame:
    """The value of the same week one season (52 weeks) before the target week.

    Only for series with two whole seasons up to the cutoff: with less, a season cannot be told from a trend. The
    result has no row for any other series, so on one year of data it is empty.

    Args:
        series: gold.demand_series.
        cutoffs: cutoff weeks.
        horizons: weeks ahead, 1 to 52.
        measure: what is forecast.

    Returns:
        One row per (store_id, product_group, week_start_date, horizon_weeks), sorted, with target_week_start_date
        and `point` DOUBLE.

    Raises:
        BadFrame: a horizon is outside 1 to 52.
    """
    require_columns(series, (*SERIES_KEY, WEEK, measure), "series")
    if not horizons or min(horizons) < 1 or max(horizons) > WEEKS_PER_SEASON:
        raise BadFrame(f"Seasonal forecasts reach 1 to {WEEKS_PER_SEASON} weeks ahead; got {list(horizons)}.")
    keys = list(SERIES_KEY)
    weeks_seen = ((pl.col(WEEK) - pl.col(WEEK).min().over(keys)).dt.total_days() // DAYS_PER_WEEK) + 1
    origins = series.with_columns(_weeks_seen=weeks_seen).filter(
        pl.col(WEEK).is_in(list(cutoffs)) & (pl.col("_weeks_seen") >= _SEASONS_NEEDED * WEEKS_PER_SEASON)
    )
    grid = pl.DataFrame({HORIZON: sorted(set(horizons))}, schema={HORIZON: pl.Int32})
    week = pl.duration(days=DAYS_PER_WEEK)
    rows = origins.select(*keys, WEEK).join(grid, how="cross")
    rows = rows.with_columns((pl.col(WEEK) + week * pl.col(HORIZON).cast(pl.Int64)).alias(TARGET_WEEK))
    rows = rows.with_columns(_season_ago=pl.col(TARGET_WEEK) - week * WEEKS_PER_SEASON)
    past = series.select(*keys, _season_ago=WEEK, point=pl.col(measure).cast(pl.Float64))
    joined = rows.join(past, on=[*keys, "_season_ago"], how="inner")
    return joined.select(*FEATURE_KEY, TARGET_WEEK, "point").sort(FEATURE_KEY)


def _from_features(features: pl.DataFrame, column: str, measure: str) -> pl.DataFrame:
    fallback = f"{measure}_expanding_mean"
    require_columns(features, (*FEATURE_KEY, column, fallback), "features")
    return features.select(*FEATURE_KEY, point=pl.coalesce(column, fallback))
