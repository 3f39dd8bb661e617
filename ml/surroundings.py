"""What the features of a series take from other series: sums over pools, and which weeks have any plan.

Belongs here: what has to be known before the features of one store can be computed apart from all others. Does not
belong here: the features (ml.features), the sums in Spark where the series are too many for one machine
(resources.spark_features, which has the same rules in SQL).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from ml.frame_checks import WEEK

# Prefix of a feature's source -> the series that are added up share this key.
POOLS: dict[str, tuple[str, ...]] = {"store": ("store_id",), "group": ("product_group",), "all": ()}


@dataclass(frozen=True)
class Surroundings:
    """Shared facts, of all series and plans up to the last cutoff, as known.

    Attributes:
        pools: prefix of POOLS to one row per (pool, week): `transactions` BIGINT over the series of the pool, null in
            a week that is whole for none of them.
        planned_weeks: one row per week with a plan, past or to come: `first_planned_at`, when the first became known.
    """

    pools: Mapping[str, pl.DataFrame]
    planned_weeks: pl.DataFrame


def surroundings(series: pl.DataFrame, plans: pl.DataFrame) -> Surroundings:
    """The surroundings of all series that are given.

    Args:
        series: gold.demand_series up to the last cutoff, as known.
        plans: see ml.features.compute_features, as known.
    """
    pools = {prefix: _pool(series, key) for prefix, key in POOLS.items()}
    return Surroundings(pools, plans.group_by(WEEK).agg(first_planned_at=pl.col("known_at").min()).sort(WEEK))


def _pool(series: pl.DataFrame, key: tuple[str, ...]) -> pl.DataFrame:
    whole = pl.col("transactions").filter(~pl.col("is_partial_week"))
    total = pl.when(whole.len() > 0).then(whole.sum())
    return series.group_by(*key, WEEK).agg(transactions=total).sort(*key, WEEK)
