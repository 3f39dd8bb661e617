"""The gate as a whole on what no model can learn from: backtest rows in, a reason out, and nobody promoted."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from assets.models.gate import judge
from ml.backtest import BacktestPlan, backtest
from ml.features import compute_features
from ml.frame_checks import BadFrame
from ml.labels import build_labels
from ml.promotion import Decision
from ml.splits import rolling_origin
from tests.unit.ml.demand_data import Demand, make_demand
from tests.unit.ml.prepared_data import HORIZONS, SMALL


@pytest.fixture(scope="module")
def demand() -> Demand:
    return make_demand(seed=21, weeks=34, stores=6, groups=3)


def gated(demand: Demand, series: pl.DataFrame, labels: pl.DataFrame | None = None) -> Decision:
    """The decision about a first model of this series; `labels`: others than the series' own."""
    features = compute_features(series, demand.plans, demand.weeks, HORIZONS)
    listed = features.filter(pl.col("week_start_date") > demand.weeks[1], pl.col("transactions_lag_0").is_not_null())
    folds = rolling_origin(demand.weeks, 2, max(HORIZONS), 2, calibration_weeks=4, min_train_cutoffs=5)
    scored, _ = backtest(
        listed, build_labels(series, HORIZONS) if labels is None else labels, BacktestPlan(tuple(folds), config=SMALL)
    )
    return judge(scored, None, {})


@pytest.mark.parametrize("count", [1, 7])
def test_a_constant_target_promotes_nobody(demand: Demand, count: int):
    decision = gated(demand, demand.series.with_columns(transactions=pl.lit(count, pl.Int64)))
    assert not decision.promoted
    assert any("naive" in reason for reason in decision.reasons)


def test_a_target_without_a_sale_trains_no_model(demand: Demand):
    """The backtest before the gate says so: there is no challenger, and the champion stays."""
    with pytest.raises(BadFrame, match="Every calibration row has an interval of width zero"):
        gated(demand, demand.series.with_columns(transactions=pl.lit(0, pl.Int64)))


def test_shuffled_labels_promote_nobody(demand: Demand):
    labels = build_labels(demand.series, HORIZONS)
    shuffled = labels.with_columns(pl.col("transactions").shuffle(seed=3))
    assert not gated(demand, demand.series, shuffled).promoted


def test_without_rows_there_is_nothing_to_judge(demand: Demand):
    labels = build_labels(demand.series, HORIZONS).filter(
        pl.col("week_start_date") < demand.weeks[-1] - timedelta(weeks=20)
    )
    with pytest.raises(BadFrame, match="has no outcomes at horizons"):
        gated(demand, demand.series, labels)
