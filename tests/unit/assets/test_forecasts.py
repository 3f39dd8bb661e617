"""Who issues, and how it turned out: censored outcomes count, and are told apart."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from assets.forecasts.demand import accuracy, champion_of_issue
from definitions import build_graph
from ml.features import compute_features
from ml.labels import build_labels
from resources.settings import load_settings
from tests.unit.ml.demand_data import make_demand


@pytest.mark.parametrize(
    ("clock", "week", "champion"),
    [
        ("2017-12-04T05:00:00Z", date(2017, 11, 27), "a"),
        # A rollback in the days after counts for the newest issue, and no longer once the next week is over.
        ("2017-12-07T09:00:00Z", date(2017, 11, 27), "b"),
        ("2017-12-11T05:00:00Z", date(2017, 11, 27), "b"),
        ("2017-12-11T05:00:00Z", date(2017, 12, 4), "c"),
        ("2017-12-11T05:00:00Z", date(2017, 11, 20), None),
    ],
)
def test_an_issue_is_by_the_champion_of_its_days(clock: str, week: date, champion: str | None):
    graph = build_graph(load_settings({"LIFTLAKE_AS_OF": clock}))
    decided = [
        datetime(2017, 12, 4, 5, tzinfo=UTC),
        datetime(2017, 12, 6, 9, tzinfo=UTC),
        datetime(2017, 12, 11, 5, tzinfo=UTC),
    ]
    history = pl.DataFrame({"ordinal": [1, 2, 3], "decided_as_of": decided, "model_version": ["a", "b", "c"]})
    assert champion_of_issue(graph, history, week) == champion


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
