"""How issued forecasts turned out: censored outcomes count, and are told apart."""

from __future__ import annotations

import polars as pl

from assets.forecasts.demand import accuracy
from ml.features import compute_features
from ml.labels import build_labels
from tests.unit.ml.demand_data import make_demand


def test_censored_outcomes_are_scored_with_all_others_and_apart():
    demand = make_demand(seed=4, weeks=12)
    features = compute_features(demand.series, demand.plans, demand.weeks[4:], (1, 3))
    is_out = (pl.col("store_id") == "s0") & (pl.col("product_group") == "g0")
    labels = build_labels(demand.series, (1, 3)).with_columns(censoring=pl.when(is_out).then(pl.lit("stock_out")))
    issued = features.select(
        pl.col("week_start_date").alias("issue_week_start_date"),
        *("store_id", "product_group", "target_week_start_date", "horizon_weeks"),
        *(pl.lit(value).alias(name) for name, value in (("method", "naive"), ("measure", "transactions"))),
        *(pl.lit(value).alias(name) for name, value in (("p10", 0.0), ("p50", 1.0), ("p90", 2.0))),
    )
    found = accuracy(issued, labels, features)
    counts = dict(found.group_by("slice").agg(pl.col("row_count").sum()).iter_rows())
    key = ["store_id", "product_group", "week_start_date", "horizon_weeks"]
    known = labels.join(features, on=key, how="semi")
    assert counts["all"] == known.height
    assert counts["censored"] == known.filter(is_out).height > 0
    assert (
        not accuracy(issued, labels.with_columns(censoring=pl.lit(None, pl.String)), features)
        .filter(slice="censored")
        .height
    )
