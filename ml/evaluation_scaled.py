"""Errors set against the past of their series: how much it sold, and how well repeating last week would have done.

Belongs here: what is known of a series at a cutoff (class of volume, naive error, sales), and RMSSE of scored rows.
Does not belong here: errors in units or percent (ml.evaluation), single series as arrays (ml.evaluation_points).

Everything about the past comes from the feature rows of the cutoff and before, so no later week can change it.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from ml.business_calendar import DAYS_PER_WEEK
from ml.evaluation import absolute_error
from ml.frame_checks import SERIES_KEY, WEEK, require_columns

# Thirds of the series of one cutoff by mean weekly demand.
VOLUME_CLASSES: tuple[str, ...] = ("thin", "middle", "busy")
PAST_COLUMNS: tuple[str, ...] = ("volume_class", "naive_squared_error", "recent_sales_usd")
_SALES = "net_sales_usd"


def past_facts(features: pl.DataFrame, measure: str) -> pl.DataFrame:
    """What was known of each series at each cutoff.

    Args:
        features: gold.demand_features of the cutoffs and all before (needs `<measure>_lag_0`, the value of the cutoff
            week, `<measure>_expanding_mean`, and both means of net_sales_usd).
        measure: what is forecast.

    Returns:
        One row per (store_id, product_group, week_start_date = cutoff week), sorted. volume_class STRING: thin, middle
        or busy, by thirds of the mean of all whole weeks; series of equal mean share a class. naive_squared_error
        DOUBLE*: mean squared difference of consecutive weeks since the first sale, the scale of RMSSE (see
        ml.evaluation_points.rmsse); null where it is 0 or not known. recent_sales_usd DOUBLE*: mean weekly net sales
        of the last 8 weeks, of all weeks for a younger series, the weight of WRMSSE.

    Raises:
        BadFrame: columns are missing.
    """
    value, mean = f"{measure}_lag_0", f"{measure}_expanding_mean"
    sales = (f"{_SALES}_mean_8", f"{_SALES}_expanding_mean")
    require_columns(features, (*SERIES_KEY, WEEK, value, mean, *sales), "features")
    # Horizons repeat what is known of the cutoff.
    weeks = features.group_by(*SERIES_KEY, WEEK).agg(pl.col(*{value, mean, *sales}).first()).sort(*SERIES_KEY, WEEK)
    series = list(SERIES_KEY)
    is_active = (pl.col(value).fill_null(0) != 0).cum_sum().over(series) > 0
    weeks = weeks.with_columns(_active=pl.when(is_active).then(pl.col(value).cast(pl.Float64)))
    is_next = (pl.col(WEEK) - pl.col(WEEK).shift(1).over(series)).dt.total_days() == DAYS_PER_WEEK
    step = pl.when(is_next).then(pl.col("_active") - pl.col("_active").shift(1).over(series))
    weeks = weeks.with_columns(_squared=step**2)
    steps = pl.col("_squared").cum_count().over(series)
    error = pl.when(steps > 0).then(pl.col("_squared").fill_null(0).cum_sum().over(series) / steps)
    place = (pl.col(mean).rank("min").over(WEEK) - 1) / pl.col(mean).count().over(WEEK)
    thin, middle, busy = VOLUME_CLASSES
    volume = pl.when(place < 1 / 3).then(pl.lit(thin)).when(place < 2 / 3).then(pl.lit(middle)).otherwise(pl.lit(busy))
    return weeks.select(
        *SERIES_KEY,
        WEEK,
        volume_class=pl.when(pl.col(mean).is_not_null()).then(volume),
        naive_squared_error=pl.when(error > 0).then(error),
        recent_sales_usd=pl.coalesce(sales).cast(pl.Float64),
    )


def scaled_metrics(rows: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """RMSSE and WRMSSE of the p50 per group.

    Args:
        rows: scored rows with SERIES_KEY, `naive_squared_error` and `recent_sales_usd`.
        by: grouping columns.

    Returns:
        One row per group, sorted by it: `by`, rmsse DOUBLE*: mean over its series of the root of the mean squared
        error over the naive one; wrmsse DOUBLE*: the same weighted by recent sales (0 where returns outweigh them).
        Series without a naive error take no part; null where no series is left, or none of them sold.

    Raises:
        BadFrame: columns are missing.
    """
    require_columns(rows, (*by, *SERIES_KEY, "actual", "p50", *PAST_COLUMNS[1:]), "scored rows")
    ordered = rows.sort([*by, *SERIES_KEY, *(name for name in rows.columns if name not in (*by, *SERIES_KEY))])
    per_series = ordered.group_by(*by, *SERIES_KEY, maintain_order=True).agg(
        _score=(absolute_error() ** 2 / pl.col("naive_squared_error")).mean().sqrt(),
        _weight=pl.col("recent_sales_usd").clip(lower_bound=0.0).mean().fill_null(0.0),
    )
    weight = pl.when(pl.col("_score").is_not_null()).then(pl.col("_weight"))
    weighted = (pl.col("_score") * weight).sum() / weight.sum()
    return (
        per_series.group_by(by, maintain_order=True)
        .agg(rmsse=pl.col("_score").mean(), wrmsse=pl.when(weight.sum() > 0).then(weighted))
        .sort(by)
    )
