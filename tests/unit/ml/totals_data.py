"""Small seeded demand and test issues of it, for the tests of totals."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl

from ml.baselines import SIMPLE_RULE
from tests.unit.ml.demand_data import make_demand

MODEL = "catboost"
HORIZONS = (1, 2, 3, 4)
# Labels that a careless join would take apart or merge.
SPARSE = "50%"
LABELS = {"s0": "7", "s1": "a/b", "s2": "g1", "g0": "BEERS/ALES", "g1": "g1", "g2": SPARSE}


def make_series(seed: int = 3, weeks: int = 24, stores: int = 3, groups: int = 3) -> pl.DataFrame:
    """Gold series with late listings and a partial first week; SPARSE sells next to nothing."""
    series = make_demand(seed=seed, weeks=weeks, stores=stores, groups=groups, rate=9.0).series
    few = pl.when(pl.col("product_group") == SPARSE).then(pl.col("transactions") // 6)
    return series.with_columns(pl.col("store_id", "product_group").replace(LABELS)).with_columns(
        transactions=few.otherwise(pl.col("transactions"))
    )


def make_scored(series: pl.DataFrame, positions: tuple[int, ...] = (12, 14, 16, 18), seed: int = 4) -> pl.DataFrame:
    """Test issues at these weeks of every series listed by then: whole medians of the model, means of the rule.

    The model's medians carry less than half of what SPARSE sells.
    """
    random = np.random.default_rng(seed)
    weeks = series["week_start_date"].unique().sort().to_list()
    outcome = {(store, group, week): float(sold) for store, group, week, sold in series.select(
        "store_id", "product_group", "week_start_date", "transactions").iter_rows()}  # fmt: skip
    rows = []
    for position in positions:
        for store, group in series.select("store_id", "product_group").unique().sort(pl.all()).rows():
            past = [outcome[store, group, week] for week in weeks[1 : position + 1] if (store, group, week) in outcome]
            for horizon in HORIZONS if past else ():
                target = weeks[position] + timedelta(weeks=horizon)
                key = (weeks[position], store, group, horizon, target, outcome[store, group, target])
                share = 0.25 if group == SPARSE else 0.7
                rows.append((MODEL, *key, float(np.floor(share * np.mean(past) + random.uniform(0, 1)))))
                rows.append((SIMPLE_RULE, *key, float(np.mean(past[-8:]))))
    columns = [
        "method", "cutoff_week_start_date", "store_id", "product_group", "horizon_weeks", "target_week_start_date",
        "actual", "p50",
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(pl.col("horizon_weeks").cast(pl.Int32))


def make_issued(series: pl.DataFrame, position: int = 22) -> pl.DataFrame:
    """forecasts.demand_forecasts of one issue week, without the bands."""
    known = series["week_start_date"].unique().sort()[position]
    longer = series.filter(pl.col("week_start_date") == known)
    later = [longer.with_columns(pl.col("week_start_date") + pl.duration(weeks=horizon)) for horizon in HORIZONS]
    seen = series.filter(pl.col("week_start_date") <= known)
    rows = make_scored(pl.concat([seen, *later]), (position,))
    return rows.rename({"cutoff_week_start_date": "issue_week_start_date"}).select(
        pl.all().exclude("actual"),
        issued_as_of=pl.lit(known).cast(pl.Datetime("us", "UTC")) + pl.duration(weeks=1),
        measure=pl.lit("transactions"),
        model_version=pl.when(pl.col("method") == MODEL).then(pl.lit("ab" * 32)).otherwise("method"),
    )
