"""Pools add up what their series hold, in whole numbers; stores computed apart give the features of all at once."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ml.features import compute_features
from ml.frame_checks import BadFrame
from ml.surroundings import POOLS, surroundings
from tests.unit.ml.demand_data import make_demand

DEMAND = make_demand(seed=8, weeks=20, stores=3, groups=2)
HORIZONS = (1, 3)


@pytest.mark.parametrize("prefix", POOLS)
def test_a_pool_is_the_sum_of_its_series(prefix: str) -> None:
    pool, key = surroundings(DEMAND.series, DEMAND.plans).pools[prefix], POOLS[prefix]
    sums: dict[tuple, int] = {}
    for row in DEMAND.series.filter(~pl.col("is_partial_week")).iter_rows(named=True):
        place = (*(row[name] for name in key), row["week_start_date"])
        sums[place] = sums.get(place, 0) + row["transactions"]
    assert any(total is None for total in pool["transactions"])
    for row in pool.iter_rows(named=True):
        place = (*(row[name] for name in key), row["week_start_date"])
        assert row["transactions"] == sums.get(place)


def test_a_week_is_planned_when_its_first_plan_is_known() -> None:
    planned = surroundings(DEMAND.series, DEMAND.plans).planned_weeks
    for week, first in planned.iter_rows():
        assert first == min(
            row["known_at"] for row in DEMAND.plans.iter_rows(named=True) if row["week_start_date"] == week
        )


def test_stores_apart_give_the_features_of_all_at_once() -> None:
    cutoffs = DEMAND.weeks[4:16:3]
    together = compute_features(DEMAND.series, DEMAND.plans, cutoffs, HORIZONS)
    past = DEMAND.series.filter(pl.col("week_start_date") <= max(cutoffs))
    around = surroundings(past, DEMAND.plans)
    apart = [
        compute_features(
            past.filter(pl.col("store_id") == store),
            DEMAND.plans.filter(pl.col("store_id") == store),
            cutoffs,
            HORIZONS,
            around=around,
        )
        for store in sorted(set(past["store_id"]))
    ]
    assert_frame_equal(pl.concat(apart).sort(together.columns[:2] + together.columns[2:4]), together, check_exact=True)


def test_a_cutoff_that_no_series_has_is_refused() -> None:
    around = surroundings(DEMAND.series.filter(pl.col("week_start_date") < DEMAND.weeks[9]), DEMAND.plans)
    with pytest.raises(BadFrame, match="no rows for the cutoff weeks"):
        compute_features(DEMAND.series, DEMAND.plans, [DEMAND.weeks[9]], HORIZONS, around=around)
