"""Baselines against loops over the series."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from ml.baselines import exponential_smoothing, mean_of_last_8, naive, seasonal_naive
from ml.features import FEATURE_KEY
from ml.frame_checks import BadFrame
from tests.unit.ml import feature_oracle as oracle
from tests.unit.ml.demand_data import make_demand
from tests.unit.ml.prepared_data import Prepared


@pytest.mark.parametrize("measure", ["transactions", "quantity_units", "net_sales_usd"])
def test_baselines_equal_loops(prepared: Prepared, measure: str) -> None:
    histories: dict[tuple, list] = {}
    wanted: dict[tuple, tuple] = {}
    for row in prepared.demand.series.iter_rows(named=True):
        history = histories.setdefault((row["store_id"], row["product_group"]), [])
        history.append(row)
        known = oracle.values(history, measure)
        every = oracle.expanding_mean(known)
        of_8 = oracle.mean(known, 8)
        wanted[(row["store_id"], row["product_group"], row["week_start_date"])] = (
            every if known[-1] is None else float(known[-1]),
            every if of_8 is None else of_8,
            oracle.exponential_smoothing(known),
        )
    for position, baseline in enumerate((naive, mean_of_last_8, exponential_smoothing)):
        points = baseline(prepared.features, measure)
        assert points.columns == [*FEATURE_KEY, "point"]
        assert points["point"].to_list() == pytest.approx(
            [wanted[key[:3]][position] for key in points.select(FEATURE_KEY).iter_rows()], abs=1e-9
        )


def test_seasonal_naive_needs_two_seasons() -> None:
    demand = make_demand(seed=1, weeks=140, stores=2, groups=2, partial_first=False)
    cutoffs = demand.weeks[-3:]
    points = seasonal_naive(demand.series, cutoffs, (1, 4), "transactions")
    value = {row[:3]: row[3] for row in demand.series.iter_rows()}
    first: dict[tuple[str, str], date] = {}
    for store, group, week in sorted(value):
        first.setdefault((store, group), week)
    wanted = []
    for store, group, week in sorted(value):
        for horizon in (1, 4):
            target = week + timedelta(days=7 * horizon)
            seasons = ((week - first[(store, group)]).days // 7 + 1) / 52
            if week in cutoffs and seasons >= 2:
                season_ago = value[(store, group, target - timedelta(days=364))]
                wanted.append((store, group, week, horizon, target, float(season_ago)))
    assert wanted
    assert points.rows() == wanted


def test_seasonal_naive_on_one_year_is_empty(prepared: Prepared) -> None:
    assert seasonal_naive(prepared.demand.series, prepared.demand.weeks[-1:], (1,), "transactions").is_empty()
    with pytest.raises(BadFrame, match="1 to 52 weeks ahead"):
        seasonal_naive(prepared.demand.series, prepared.demand.weeks[-1:], (53,), "transactions")
