"""Outcomes: the right week, mature at the right instant, absent where there is no whole week."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from ml.censoring import censored_weeks
from ml.frame_checks import BadFrame, LateRows
from ml.labels import LABEL_SCHEMA, build_labels, mature
from tests.unit.ml.demand_data import Demand, make_demand

HORIZONS = (1, 3)


@pytest.fixture(scope="module")
def demand() -> Demand:
    return make_demand(seed=4, weeks=12, stores=2, groups=2)


def test_labels_equal_a_loop(demand: Demand) -> None:
    rows = {row[:3]: row for row in demand.series.iter_rows()}
    position = {name: index for index, name in enumerate(demand.series.columns)}
    wanted = []
    for store, group, week in rows:
        for horizon in HORIZONS:
            target = rows.get((store, group, week + timedelta(days=7 * horizon)))
            if target is not None and not target[position["is_partial_week"]]:
                values = [
                    target[position[name]] for name in ("transactions", "quantity_units", "net_sales_usd", "event_at")
                ]
                wanted.append((store, group, week, horizon, target[2], *values))
    labels = build_labels(demand.series, HORIZONS)
    assert labels.drop("censoring").rows() == sorted(wanted)
    assert dict(labels.schema) == LABEL_SCHEMA


def test_only_outcomes_whose_week_is_over_are_mature(demand: Demand) -> None:
    latency = timedelta(days=2)
    labels = build_labels(demand.series, HORIZONS, latency)
    moment = demand.series.filter(pl.col("week_start_date") == demand.weeks[6])["event_at"][0] + latency
    assert mature(labels, moment)["target_week_start_date"].max() == demand.weeks[6]
    assert mature(labels, moment - timedelta(microseconds=1))["target_week_start_date"].max() == demand.weeks[5]


def test_an_outage_is_flagged_at_every_horizon_that_reaches_it() -> None:
    demand = make_demand(seed=4, weeks=24, stores=2, groups=2, rate=9.0)
    empty = pl.col("week_start_date") >= demand.weeks[18]
    is_out = empty & (pl.col("store_id") == "s0") & (pl.col("product_group") == "g0")
    series = demand.series.with_columns(
        pl.when(is_out).then(0).otherwise(pl.col(name)).cast(demand.series.schema[name]).alias(name)
        for name in ("transactions", "quantity_units", "net_sales_usd")
    )
    labels = build_labels(series, HORIZONS)
    flagged = labels.filter(pl.col("censoring").is_not_null())
    assert flagged.select("store_id", "product_group", "censoring").unique().rows() == [("s0", "g0", "stock_out")]
    targets = sorted(censored_weeks(series)["week_start_date"])
    assert demand.weeks[-1] in targets
    for horizon in HORIZONS:
        assert flagged.filter(horizon_weeks=horizon)["target_week_start_date"].sort().to_list() == targets


def test_a_partial_week_is_nobodys_outcome(demand: Demand) -> None:
    flagged = demand.series.with_columns(is_partial_week=pl.col("week_start_date") == demand.weeks[8])
    labels = build_labels(flagged, HORIZONS)
    assert demand.weeks[8] not in labels["target_week_start_date"].to_list()
    assert demand.weeks[8] in labels["week_start_date"].to_list()


def test_wrong_input_is_refused(demand: Demand) -> None:
    with pytest.raises(BadFrame, match="at least 1 week"):
        build_labels(demand.series, [0])
    late = demand.series.with_columns(known_at=pl.col("known_at") + timedelta(hours=1))
    with pytest.raises(LateRows, match="raise the latency"):
        build_labels(late, HORIZONS)
    assert build_labels(late, HORIZONS, timedelta(hours=1)).height
