"""Pools add up what their series hold, in whole numbers."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ml.frame_checks import BadFrame
from ml.panels import Panel, evaluate, pooled_panel, series_panel
from tests.unit.ml.demand_data import make_demand


@pytest.fixture(scope="module")
def panel():
    demand = make_demand(seed=8, weeks=20, stores=3, groups=2)
    return series_panel(demand.series, demand.plans, last_week=demand.weeks[-1], as_of=None)


@pytest.mark.parametrize("key", [("store_id",), ("product_group",), ()])
def test_a_pool_is_the_sum_of_its_series(panel: Panel, key: tuple[str, ...]) -> None:
    pool = pooled_panel(panel, key)
    whole = panel.frame.filter(~pl.col("is_partial_week"))
    wanted = {
        row[:-1]: row[-1]
        for row in whole.group_by(*key, "week_start_date").agg(pl.col("transactions").sum()).iter_rows()
    }
    for row, value in zip(
        pool.frame.select(*key, "week_start_date").iter_rows(), pool.values["transactions"], strict=True
    ):
        assert np.isnan(value) if row not in wanted else value == wanted[row]


def test_decimals_enter_as_whole_steps(panel: Panel) -> None:
    exact = [int(amount * 10_000) for amount in panel.frame["net_sales_usd"]]
    is_whole = ~np.isnan(panel.values["net_sales_usd"])
    assert is_whole.any()
    assert panel.values["net_sales_usd"][is_whole].tolist() == np.array(exact)[is_whole].tolist()


def test_an_unknown_kernel_is_refused(panel: Panel) -> None:
    with pytest.raises(BadFrame, match="not one of the past kernels"):
        evaluate(panel, "stray", "transactions", "median", (4,))
