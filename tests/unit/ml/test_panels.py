"""What kernels run on: exact decimals, kernels that exist."""

from __future__ import annotations

import numpy as np
import pytest

from ml.frame_checks import BadFrame
from ml.panels import Panel, evaluate, series_panel
from ml.surroundings import surroundings
from tests.unit.ml.demand_data import make_demand


@pytest.fixture(scope="module")
def panel():
    demand = make_demand(seed=8, weeks=20, stores=3, groups=2)
    return series_panel(demand.series, demand.plans, surroundings(demand.series, demand.plans).planned_weeks)


def test_decimals_enter_as_whole_steps(panel: Panel) -> None:
    exact = [int(amount * 10_000) for amount in panel.frame["net_sales_usd"]]
    is_whole = ~np.isnan(panel.values["net_sales_usd"])
    assert is_whole.any()
    assert panel.values["net_sales_usd"][is_whole].tolist() == np.array(exact)[is_whole].tolist()


def test_an_unknown_kernel_is_refused(panel: Panel) -> None:
    with pytest.raises(BadFrame, match="not one of the past kernels"):
        evaluate(panel, "stray", "transactions", "median", (4,))
