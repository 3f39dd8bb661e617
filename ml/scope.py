"""Which stores are forecast.

Belongs here: the rule that leaves thin stores out, as it could be known at each cutoff. Does not belong here: product
groups (they are a filter on the way into the series).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from ml.frame_checks import WEEK, require_columns


def eligible_stores(series: pl.DataFrame, cutoffs: Sequence[date], min_weekly_transactions: float) -> pl.DataFrame:
    """The stores that are busy enough at each cutoff.

    A store is eligible at a cutoff when the transactions of its series, summed over the weeks up to the cutoff, reach
    `min_weekly_transactions` per covered week. Only the past decides, so a store may join later.

    Args:
        series: gold.demand_series.
        cutoffs: weeks at which to decide.
        min_weekly_transactions: transactions (a basket counts once per product group in it) per week.

    Returns:
        One row per (store_id, week_start_date = cutoff week), sorted.
    """
    require_columns(series, ("store_id", WEEK, "transactions"), "series")
    first_week = series[WEEK].min()
    weekly = series.group_by("store_id", WEEK).agg(pl.col("transactions").sum()).sort("store_id", WEEK)
    total = weekly.with_columns(_total=pl.col("transactions").cum_sum().over("store_id"))
    covered = (pl.col(WEEK) - pl.lit(first_week)).dt.total_days() // 7 + 1
    return (
        total.filter(pl.col(WEEK).is_in(list(cutoffs)) & (pl.col("_total") >= min_weekly_transactions * covered))
        .select("store_id", WEEK)
        .sort("store_id", WEEK)
    )
