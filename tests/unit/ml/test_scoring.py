"""Forecast rows: one per feature row, stamped, and only from the feature set of the fit."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from ml.features import DEMAND_FEATURES
from ml.forecaster import CalibratedModel
from ml.frame_checks import BadFrame
from ml.packaging import Bundle, model_version
from ml.scoring import SCORE_COLUMNS, score
from ml.training import FeatureMismatch
from tests.unit.ml.prepared_data import Prepared


@pytest.fixture(scope="module")
def bundle(fitted: CalibratedModel) -> Bundle:
    return Bundle(fitted, model_version(fitted), {})


def test_rows_and_stamps(prepared: Prepared, bundle: Bundle) -> None:
    newest = prepared.features.filter(pl.col("week_start_date") >= prepared.demand.weeks[-2])
    rows = score(bundle, newest.sample(fraction=1, shuffle=True, seed=1))
    assert rows.columns == SCORE_COLUMNS
    key = ["issue_week_start_date", "store_id", "product_group", "horizon_weeks"]
    assert rows.select(key).rows() == sorted(newest.select("week_start_date", *key[1:]).rows())
    assert rows.select("method", "measure", "model_version").unique().rows() == [
        ("catboost", "transactions", bundle.model_version)
    ]
    wanted = bundle.fitted.forecast(newest).sort("week_start_date", *key[1:])
    assert rows.select("p10", "p50", "p90").equals(wanted.select("p10", "p50", "p90"))


def test_another_feature_set_is_refused(prepared: Prepared, bundle: Bundle) -> None:
    longer = tuple(replace(f, window=(5,)) if f.name == "transactions_mean_4" else f for f in DEMAND_FEATURES)
    with pytest.raises(FeatureMismatch, match="feature_set: demand-"):
        score(bundle, prepared.features, declared=longer)
    with pytest.raises(FeatureMismatch, match="Train anew"):
        score(bundle, prepared.features, declared=(*DEMAND_FEATURES[1:], DEMAND_FEATURES[0]))
    changed = tuple(replace(f, dtype="BIGINT") if f.name == "transactions_lag_0" else f for f in DEMAND_FEATURES)
    with pytest.raises(FeatureMismatch, match="columns"):
        score(bundle, prepared.features, declared=changed)


def test_repeated_keys_are_refused(prepared: Prepared, bundle: Bundle) -> None:
    with pytest.raises(BadFrame, match="keys repeat"):
        score(bundle, pl.concat([prepared.features, prepared.features.head(1)]))
