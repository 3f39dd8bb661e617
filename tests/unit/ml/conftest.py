"""One small demand, its features, labels, folds and one fitted model, shared by the tests that only read them."""

from __future__ import annotations

import polars as pl
import pytest

from ml.features import compute_features
from ml.forecaster import CalibratedModel, fit_calibrated, labelled
from ml.labels import build_labels
from ml.splits import rolling_origin
from tests.unit.ml.demand_data import make_demand
from tests.unit.ml.prepared_data import HORIZONS, SMALL, Prepared


@pytest.fixture(scope="session")
def prepared() -> Prepared:
    demand = make_demand(seed=21, weeks=34, stores=6, groups=3)
    features = compute_features(demand.series, demand.plans, demand.weeks, HORIZONS)
    labels = build_labels(demand.series, HORIZONS)
    # The partial first week alone has no history: no method can forecast from it.
    features = features.filter(pl.col("week_start_date") > demand.weeks[1], pl.col("transactions_lag_0").is_not_null())
    folds = rolling_origin(demand.weeks, 2, max(HORIZONS), 2, calibration_weeks=4, min_train_cutoffs=5)
    return Prepared(demand, features, labels, labelled(features, labels, "transactions"), tuple(folds))


@pytest.fixture(scope="session")
def fitted(prepared: Prepared) -> CalibratedModel:
    return fit_calibrated(prepared.rows, prepared.folds[-1], "transactions", SMALL)
