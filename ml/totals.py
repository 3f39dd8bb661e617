"""Numbers that add up along the hierarchy: all series, product groups, stores, single series.

Belongs here: the expected value of a series, its reconciliation with forecasts of the sums, and the exact sums. Does
not belong here: medians and bands of single series (ml.forecaster, ml.intervals), how far totals may lie from what is
expected (ml.totals_ranges), the tables (ml.totals_tables).

Why. A P50 is a median. Sales of a store and group are small whole numbers, their median lies below their mean, and
medians do not add up: the sum of a thousand medians is too low for the total by a large and stable share. So:

1. The expected value of a series is its P50 times the factor of its group: what the group sold in the backtest over the
   sum of its medians. A group whose medians carry less than half of what sold (a basket every few weeks) would need a
   factor above two, and rounding decides such a factor: the simple rule stands in for it, scaled in the same way.
2. The total, the groups and the stores have forecasts of their own, from their own weekly sums, whose noise is small:
   the mean of the last 8 weeks.
3. Both are reconciled with structural weights (`wls_struct` of ml.reconciliation).
4. Series are cut off at 0 and rounded to the scale of DECIMAL(18,4); all else is an exact sum of series.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl

from ml.backtest import CUTOFF
from ml.baselines import SIMPLE_RULE
from ml.features import HORIZON
from ml.frame_checks import SERIES_KEY, WEEK, BadFrame, require_columns, require_unique
from ml.kernels import Layout, expanding_mean, rolling_mean
from ml.reconciliation import build_hierarchy, reconcile, unique_id
from ml.series import DECIMAL

# In place of a store or a product group: the sum over all of them.
ALL = "all"
# Levels of the hierarchy, and the columns of the series key that name their members.
LEVELS: dict[str, tuple[str, ...]] = {
    "total": (),
    "product_group": ("product_group",),
    "store": ("store_id",),
    "series": SERIES_KEY,
}
MIN_TESTS = 3
MAX_FACTOR = 2.0
_WINDOW_WEEKS = 8


def group_factors(tests: pl.DataFrame, method: str, left_out: date | None = None) -> pl.DataFrame:
    """What a group sells per unit of its medians.

    Args:
        tests: one row per (method, cutoff week, product_group, horizon): actual_sum, p50_sum.
        method: the method whose medians are scaled.
        left_out: a cutoff that is to be predicted and therefore has no say.

    Returns:
        product_group, basis (the method whose medians are scaled: `method` or the simple rule), factor DOUBLE; sorted.
        Without 3 cutoffs no row, and none for a group that sold nothing or is forecast at nothing: what has no row
        is not scaled.
    """
    if tests.filter(pl.col("method") == method)[CUTOFF].n_unique() < MIN_TESTS:
        return pl.DataFrame(schema={"product_group": pl.String, "basis": pl.String, "factor": pl.Float64})
    sums = (
        tests.filter(pl.col("method").is_in([method, SIMPLE_RULE]), pl.col(CUTOFF).ne_missing(pl.lit(left_out)))
        .group_by("product_group", "method")
        .agg(pl.col("actual_sum", "p50_sum").cast(DECIMAL).sum().cast(pl.Float64))
        .filter(pl.col("actual_sum") > 0, pl.col("p50_sum") > 0)
        .select("product_group", basis="method", factor=pl.col("actual_sum") / pl.col("p50_sum"))
    )
    # First a factor that can be relied on, the method's own before the rule's; else the method's own.
    is_own, is_sound = pl.col("basis") == method, pl.col("factor") <= MAX_FACTOR
    return (
        sums.filter(is_own | is_sound)
        .sort("product_group", is_sound, is_own, descending=[False, True, True])
        .unique("product_group", keep="first", maintain_order=True)
    )


def direct_forecasts(series: pl.DataFrame, measure: str, cutoff: date) -> pl.DataFrame:
    """The mean of the last 8 whole weeks of every sum of series; of all weeks where there are fewer.

    Args:
        series: gold.demand_series of the series that are summed.
        measure: what is forecast.
        cutoff: last week that is known.

    Returns:
        level, store_id, product_group, direct DOUBLE (null without a whole week); sums only, one row for each.
    """
    known = series.filter(pl.col(WEEK) <= cutoff)
    parts = []
    for level, columns in list(LEVELS.items())[:-1]:
        weekly = (
            known.group_by(*columns, WEEK)
            .agg(pl.col(measure).sum().cast(pl.Float64), pl.col("is_partial_week").any())
            .sort(*columns, WEEK)
        )
        values = weekly.select(pl.when("is_partial_week").then(float("nan")).otherwise(measure)).to_series().to_numpy()
        layout = Layout.of(weekly, columns)
        recent = rolling_mean(values, layout, _WINDOW_WEEKS)
        mean = np.where(np.isnan(recent), expanding_mean(values, layout), recent)
        parts.append(weekly.select(*_labels(level), WEEK, direct=pl.Series(mean).fill_nan(None)))
    return pl.concat(parts).filter(pl.col(WEEK) == cutoff).drop(WEEK)


def expected_values(
    forecasts: pl.DataFrame, factors: pl.DataFrame, series: pl.DataFrame, *, measure: str, cutoff: date, method: str
) -> pl.DataFrame:
    """The expected value of every series: coherent with the forecasts of the sums.

    Args:
        forecasts: made at the cutoff; one row per (method, store_id, product_group, horizon_weeks): p50. Of `method`
            and of every basis in `factors`, for the same series and horizons.
        factors: from `group_factors`.
        series: gold.demand_series, at least up to the cutoff.
        measure, cutoff, method: what is forecast, from which week, and by which method.

    Returns:
        store_id, product_group, horizon_weeks, p50_sum, expected, both DECIMAL(18,4); one row per series and horizon,
        sorted.

    Raises:
        BadFrame: keys repeat, a series lacks a horizon or the forecast that its group is scaled from, or a store or
            group is called `all`.
    """
    require_columns(forecasts, ("method", *SERIES_KEY, HORIZON, "p50"), "forecasts")
    require_unique(forecasts, ("method", *SERIES_KEY, HORIZON), "forecasts")
    own = forecasts.filter(pl.col("method") == method)
    scaled = (
        forecasts.join(factors, on="product_group", how="left")
        .filter(pl.col("method") == pl.coalesce("basis", pl.lit(method)))
        .select(*SERIES_KEY, HORIZON, point=pl.col("p50") * pl.col("factor").fill_null(1.0))
    )
    keys = own.select(SERIES_KEY).unique()
    _require_whole(own, scaled, keys)
    direct = direct_forecasts(series.join(keys, on=SERIES_KEY, how="semi"), measure, cutoff)
    return (
        own.select(*SERIES_KEY, HORIZON, p50_sum=pl.col("p50").cast(DECIMAL))
        .join(_coherent(scaled, direct), on=[*SERIES_KEY, HORIZON], how="inner")
        .sort(*SERIES_KEY, HORIZON)
    )


def level_sums(rows: pl.DataFrame, by: Sequence[str], values: Sequence[str]) -> pl.DataFrame:
    """Sums of series at every level of the hierarchy.

    Args:
        rows: one row per (by, store_id, product_group); `values` are DECIMAL(18,4), so that sums are exact.
        by: further columns of the key.
        values: columns to sum.

    Returns:
        by, level, store_id, product_group (`all` where summed over), values; sorted.
    """
    parts = [
        rows.group_by(*by, *columns).agg(pl.col(values).sum().cast(DECIMAL)).select(*by, *_labels(level), *values)
        for level, columns in LEVELS.items()
    ]
    return pl.concat(parts).sort(*by, "level", *SERIES_KEY)


def _labels(level: str) -> list[pl.Expr]:
    """The columns level, store_id and product_group of rows that are summed to a level."""
    return [
        pl.lit(level).alias("level"),
        *((pl.col(name) if name in LEVELS[level] else pl.lit(ALL)).alias(name) for name in SERIES_KEY),
    ]


def _coherent(expected: pl.DataFrame, direct: pl.DataFrame) -> pl.DataFrame:
    """Series reconciled with the direct forecasts of their sums: store_id, product_group, horizon_weeks, expected."""
    bottom = expected.select(*SERIES_KEY, pl.lit(ALL).alias(ALL), ds=HORIZON, y="point").sort(*SERIES_KEY, "ds")
    hierarchy = build_hierarchy(bottom, [[ALL, *columns] for columns in LEVELS.values()])
    sums = direct.with_columns(pl.lit(ALL).alias(ALL))
    known = [
        sums.filter(pl.col("level") == level).select(unique_id([ALL, *columns]), "direct")
        for level, columns in LEVELS.items()
    ]
    points = hierarchy.series.join(pl.concat(known), on="unique_id", how="left").select(
        "unique_id", "ds", point=pl.coalesce("direct", "y")
    )
    found = reconcile(points, hierarchy, "wls_struct")
    return bottom.select(*SERIES_KEY, "ds", unique_id([ALL, *SERIES_KEY])).join(found, on=["unique_id", "ds"]).select(
        *SERIES_KEY, pl.col("ds").alias(HORIZON), expected=pl.col("point").clip(lower_bound=0.0).cast(DECIMAL)
    )  # fmt: skip


def _require_whole(own: pl.DataFrame, scaled: pl.DataFrame, keys: pl.DataFrame) -> None:
    if own.height != keys.height * own[HORIZON].n_unique():
        raise BadFrame("Not every series has a forecast at every horizon: totals of some of them would mislead.")
    if scaled.height != own.height:
        raise BadFrame(f"{own.height - scaled.height} forecasts lack the method that their group is scaled from.")
    for name in SERIES_KEY:
        if ALL in keys[name]:
            raise BadFrame(f"A {name} is called {ALL!r}, which stands for the sum here: map it to another name.")
