"""The rows of the demand benchmark are those that are stated, and the planted leak of its limits is one."""

from __future__ import annotations

import polars as pl
import pytest

from benchmarks.demand_data import CATEGORIES, CUTOFF_WEEKS, HORIZONS, LAST_TARGET_WEEK, WEEKS, DemandData, read_demand
from benchmarks.demand_limits import planned_products
from ml.evaluation_points import wape


@pytest.fixture(scope="module")
def data() -> DemandData:
    return read_demand()


def test_the_series_and_the_scored_rows(data: DemandData) -> None:
    assert (len(data.stores), len(data.groups)) == (106, len(CATEGORIES))
    assert data.rows.height == 1_484 * len(WEEKS)
    targets = sum(week + horizon <= LAST_TARGET_WEEK for week in CUTOFF_WEEKS for horizon in HORIZONS)
    assert targets * 1_484 == 57_876


def test_labels_are_those_of_the_source(data: DemandData) -> None:
    stores = data.sales["store_id"].unique().cast(pl.String)
    assert sorted(stores) == data.stores == sorted(data.rows["store_id"].unique())


def test_units_are_all_units_of_the_receipts(data: DemandData) -> None:
    assert data.rows["demand_units"].sum() == 247_965.0


@pytest.mark.parametrize(("horizon", "quoted"), [(1, 54.7), (2, 55.7), (3, 55.7), (4, 55.8)])
def test_the_mean_of_eight_weeks_misses_as_much_as_is_known_of_these_rows(
    data: DemandData, horizon: int, quoted: float
) -> None:
    units = data.rows["demand_units"].to_numpy().reshape(-1, len(WEEKS))
    cutoffs = [week for week in CUTOFF_WEEKS if week + horizon <= LAST_TARGET_WEEK]
    actual = pl.Series([value for week in cutoffs for value in units[:, week + horizon - 1]])
    mean = pl.Series([value for week in cutoffs for value in units[:, week - 8 : week].mean(axis=1)])
    assert wape(actual, mean) == pytest.approx(quoted, abs=0.06)


def test_the_planted_leak_counts_fewer_products_and_only_where_something_sold(data: DemandData) -> None:
    planned, sold = planned_products(data), planned_products(data, sold_only=True)
    units = data.rows["demand_units"].to_numpy().reshape(planned.shape)
    assert (sold <= planned).all()
    assert sold[units == 0].sum() < planned[units == 0].sum() / 100
    assert sold[units > 0].sum() > 0
