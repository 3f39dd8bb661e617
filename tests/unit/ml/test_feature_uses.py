"""A model names its inputs in its own order, with what they mean and how much they matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from ml.feature_uses import USE_COLUMNS, feature_uses
from ml.features import DEMAND_FEATURES
from ml.training import FeatureMismatch, QuantileModel, fit, predict_raw
from tests.unit.ml.prepared_data import SMALL, Prepared


@pytest.fixture(scope="module")
def model(prepared: Prepared) -> QuantileModel:
    return fit(prepared.rows, DEMAND_FEATURES, "transactions", SMALL)


def test_every_input_is_there_and_importance_adds_up(model: QuantileModel) -> None:
    uses = feature_uses(model)
    assert dict(uses.schema) == USE_COLUMNS
    assert uses["feature"].to_list() == model.signature.names
    assert uses["importance_percent"].sum() == pytest.approx(100)
    planned = uses.row(by_predicate=pl.col("feature") == "display_share_change", named=True)
    assert (planned["window_weeks"], planned["availability"]) == ("8", "known_future")


def test_what_has_no_importance_moves_no_forecast(model: QuantileModel, prepared: Prepared) -> None:
    uses = feature_uses(model)
    idle = set(uses.filter(pl.col("importance_percent") == 0)["feature"])
    floats = [f.name for f in DEMAND_FEATURES if f.dtype == "DOUBLE"]
    assert idle & set(floats)
    assert set(floats) - idle
    forecast = predict_raw(model, prepared.rows)
    dice = np.random.default_rng(3)
    noise = [pl.Series(name, dice.normal(0, 100, prepared.rows.height)) for name in floats if name in idle]
    assert predict_raw(model, prepared.rows.with_columns(noise)).equals(forecast)
    noise = [pl.Series(name, dice.normal(0, 100, prepared.rows.height)) for name in floats if name not in idle]
    assert not predict_raw(model, prepared.rows.with_columns(noise)).equals(forecast)


def test_another_set_is_refused(model: QuantileModel) -> None:
    with pytest.raises(FeatureMismatch, match="feature_set"):
        feature_uses(model, [replace(DEMAND_FEATURES[0], source="region"), *DEMAND_FEATURES[1:]])
