"""Fits repeat to the bit, and a model refuses columns it was not fitted on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from ml.features import DEMAND_FEATURES
from ml.frame_checks import BadFrame
from ml.packaging import normalised_bytes
from ml.training import (
    FeatureMismatch,
    QuantileModel,
    Signature,
    TrainConfig,
    fit,
    predict,
    predict_raw,
    require_same_signature,
)
from tests.unit.ml.prepared_data import SMALL, Prepared


@pytest.fixture(scope="module")
def model(prepared: Prepared):
    return fit(prepared.rows, DEMAND_FEATURES, "transactions", SMALL)


def test_two_fits_are_equal_whatever_the_order_of_rows(prepared: Prepared, model: QuantileModel) -> None:
    shuffled = prepared.rows.sample(fraction=1, shuffle=True, seed=3)
    again = fit(shuffled, DEMAND_FEATURES, "transactions", SMALL)
    assert normalised_bytes(again) == normalised_bytes(model)


def test_another_seed_is_another_model(prepared: Prepared, model: QuantileModel) -> None:
    other = fit(prepared.rows, DEMAND_FEATURES, "transactions", replace(SMALL, seed=1))
    assert normalised_bytes(other) != normalised_bytes(model)


def test_counts_are_whole_ordered_and_not_negative(prepared: Prepared, model: QuantileModel) -> None:
    found = predict(model, prepared.features)
    values = found.to_numpy()
    assert found.columns == ["p10", "p50", "p90"]
    assert (values == np.floor(values)).all()
    assert (values >= 0).all()
    assert (np.diff(values, axis=1) >= 0).all()


def test_raw_quantiles_share_the_median_and_stay_ordered(prepared: Prepared, model: QuantileModel) -> None:
    raw = predict_raw(model, prepared.features)
    assert raw["p50"].equals(predict(model, prepared.features)["p50"])
    assert (np.diff(raw.to_numpy(), axis=1) >= 0).all()
    assert (raw["p90"] % 1 != 0).any()


def test_jitter_finds_the_quantiles_of_counts() -> None:
    """Poisson(3) has the quantiles 1, 3, 5 and Poisson(1) has 0, 1, 2."""
    random = np.random.default_rng(0)
    level = random.choice([1.0, 3.0], 6000)
    column = DEMAND_FEATURES[3]
    rows = pl.DataFrame({column.name: level, "transactions": random.poisson(level)}).with_columns(
        week_start_date=pl.date(2017, 1, 2)
    )
    fitted = fit(rows, [column], "transactions", TrainConfig(iterations=60, depth=1, learning_rate=0.3, thread_count=1))
    assert predict(fitted, pl.DataFrame({column.name: [1.0, 3.0]})).rows() == [(0.0, 1.0, 2.0), (1.0, 3.0, 5.0)]


def test_amounts_are_not_rounded(prepared: Prepared) -> None:
    rows = prepared.rows.join(
        prepared.labels.select("store_id", "product_group", "week_start_date", "horizon_weeks", "net_sales_usd"),
        on=["store_id", "product_group", "week_start_date", "horizon_weeks"],
    )
    fitted = fit(rows, DEMAND_FEATURES, "net_sales_usd", SMALL)
    found = predict(fitted, rows)
    assert (found["p50"] % 1 != 0).any()
    assert found.equals(predict_raw(fitted, rows).select(pl.all().clip(lower_bound=0.0)))


def test_recent_rows_can_weigh_more(prepared: Prepared, model: QuantileModel) -> None:
    recent = fit(prepared.rows, DEMAND_FEATURES, "transactions", replace(SMALL, half_life_weeks=4.0))
    assert normalised_bytes(recent) != normalised_bytes(model)


def test_a_frame_without_rows_has_no_forecasts(prepared: Prepared, model: QuantileModel) -> None:
    assert predict(model, prepared.features.clear()).is_empty()


def test_missing_or_retyped_features_are_refused(prepared: Prepared, model: QuantileModel) -> None:
    with pytest.raises(FeatureMismatch, match=r"lacks \['transactions_lag_0'\]"):
        predict(model, prepared.features.drop("transactions_lag_0"))
    with pytest.raises(FeatureMismatch, match="other types"):
        predict(model, prepared.features.with_columns(pl.col("transactions_lag_0").cast(pl.Int64)))
    with pytest.raises(FeatureMismatch, match="hold nulls"):
        predict(model, prepared.features.with_columns(store_id=pl.lit(None, dtype=pl.String)))


def test_another_signature_is_refused() -> None:
    signature = Signature.of(DEMAND_FEATURES, "transactions", (0.1, 0.5, 0.9))
    require_same_signature(signature, Signature.of(DEMAND_FEATURES, "transactions", (0.1, 0.5, 0.9)))
    renamed = (replace(DEMAND_FEATURES[5], name="other"), *DEMAND_FEATURES[1:])
    retyped = (*DEMAND_FEATURES[:-1], replace(DEMAND_FEATURES[-1], dtype="BIGINT"))
    for features in (renamed, retyped, DEMAND_FEATURES[::-1], DEMAND_FEATURES[:-1]):
        with pytest.raises(FeatureMismatch, match="columns"):
            require_same_signature(signature, Signature.of(features, "transactions", (0.1, 0.5, 0.9)))
    with pytest.raises(FeatureMismatch, match="feature_set: demand_v2 instead of demand-"):
        require_same_signature(signature, replace(signature, feature_set="demand_v2"))
    with pytest.raises(FeatureMismatch, match="measure"):
        require_same_signature(signature, replace(signature, measure="quantity_units"))


def test_wrong_rows_and_parameters_are_refused(prepared: Prepared) -> None:
    with pytest.raises(BadFrame, match="Training needs rows"):
        fit(prepared.rows.clear(), DEMAND_FEATURES, "transactions", SMALL)
    with pytest.raises(BadFrame, match="below 0"):
        fit(prepared.rows.with_columns(transactions=pl.lit(-1)), DEMAND_FEATURES, "transactions", SMALL)
    with pytest.raises(ValueError, match="quantiles must rise"):
        TrainConfig(quantiles=(0.5, 0.1, 0.9))
    with pytest.raises(ValueError, match="at least 1"):
        TrainConfig(iterations=0)
    with pytest.raises(ValueError, match="half_life_weeks"):
        TrainConfig(half_life_weeks=0.0)


def test_parameters_have_one_text() -> None:
    assert TrainConfig().to_json() == TrainConfig().to_json()
    assert '"iterations":120' in TrainConfig().to_json()
