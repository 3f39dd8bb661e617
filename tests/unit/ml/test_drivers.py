"""The parts of a forecast add up to what is published; each is of the features that its driver names."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import factorial

import numpy as np
import polars as pl
import pytest

from ml.drivers import DRIVER_KEY, DRIVER_SCHEMA, TOLERANCE, decompose, driver_of, explained, without_promotion
from ml.features import DEMAND_FEATURES, FEATURE_KEY
from ml.forecaster import CalibratedModel, fit_calibrated
from ml.frame_checks import BadFrame
from ml.intervals import Calibration, Cell
from ml.training import FeatureMismatch, TrainConfig, fit, predict
from tests.unit.ml.prepared_data import SMALL, Prepared

FORECAST = ["issue_week_start_date", "store_id", "product_group", "horizon_weeks"]


@pytest.fixture(scope="module")
def parts(prepared: Prepared, fitted: CalibratedModel) -> pl.DataFrame:
    return decompose(fitted, prepared.features)


def published(fitted: CalibratedModel, features: pl.DataFrame) -> pl.DataFrame:
    return fitted.forecast(features).select(
        pl.col("week_start_date").alias("issue_week_start_date"), *FORECAST[1:], "p50"
    )


def require_exact(parts: pl.DataFrame, fitted: CalibratedModel, features: pl.DataFrame) -> None:
    sums = parts.group_by(FORECAST).agg(pl.col("contribution").sum(), shown=pl.col("p50").unique().implode())
    joined = published(fitted, features).join(sums, on=FORECAST, how="full", coalesce=True)
    assert joined.height == features.height
    assert joined.select((pl.col("p50") - pl.col("contribution")).abs().max()).item() <= TOLERANCE
    assert joined.select((pl.col("shown") == pl.concat_list("p50")).all()).item()


def test_every_feature_belongs_to_one_driver() -> None:
    assert {driver_of(feature) for feature in DEMAND_FEATURES} == {
        "base", "season", "price", "display", "mailer", "distribution",
    }  # fmt: skip
    named = {feature.name: driver_of(feature) for feature in DEMAND_FEATURES}
    assert [name for name, driver in named.items() if driver == "display"] == [
        name for name in named if name.startswith("display_")
    ]
    assert [name for name, driver in named.items() if driver == "mailer"] == [
        name for name in named if name.startswith("mailer_")
    ]
    assert {name for name, driver in named.items() if driver == "price"} == {
        "unit_price_usd_13", "unit_price_change_4_13", "discount_depth_4", "discount_depth_13",
    }  # fmt: skip
    assert named["weeks_since_listing"] == named["weeks_since_sale"] == named["zero_week_share_8"] == "distribution"
    with pytest.raises(LookupError, match=r"weather is computed from temperature: name its driver"):
        driver_of(replace(DEMAND_FEATURES[5], name="weather", source="temperature"))


def test_parts_add_up_to_the_published_forecast(
    parts: pl.DataFrame, prepared: Prepared, fitted: CalibratedModel
) -> None:
    assert dict(parts.schema) == DRIVER_SCHEMA
    assert parts.select(DRIVER_KEY).is_unique().all()
    require_exact(parts, fitted, prepared.features)
    rounding = parts.filter(pl.col("part") == "rounding")["contribution"]
    assert rounding.abs().max() <= 0.5  # type: ignore[operator]
    assert rounding.n_unique() > 1


def test_amounts_add_up_without_rounding(prepared: Prepared) -> None:
    key = list(FEATURE_KEY)
    rows = prepared.rows.join(prepared.labels.select(*key, "net_sales_usd"), on=key).with_columns(
        actual=pl.col("net_sales_usd").cast(pl.Float64)
    )
    amounts = fit_calibrated(rows, prepared.folds[-1], "net_sales_usd", SMALL)
    found = decompose(amounts, prepared.features)
    require_exact(found, amounts, prepared.features)
    assert (found.filter(pl.col("part") == "rounding")["contribution"] == 0).all()


def test_what_ordering_and_clipping_change_has_a_name(prepared: Prepared) -> None:
    """One deep tree with a long step: its quantiles cross, and some medians fall below 0."""
    wild = TrainConfig(iterations=6, depth=5, learning_rate=1.0, l2_leaf_reg=0.01, thread_count=1)
    shifted = prepared.rows.with_columns(
        pl.when(pl.col("store_id") == "s0").then(0).otherwise("transactions").alias("transactions").cast(pl.Int64)
    )
    model = fit(shifted, DEMAND_FEATURES, "transactions", wild)
    cells = tuple(Cell(horizon, 0, 0.0, 30) for horizon in (1, 2))
    crossing = CalibratedModel(model, Calibration(0.8, (), 0.0, cells))
    found = decompose(crossing, prepared.features)
    require_exact(found, crossing, prepared.features)
    for part in ("ordering", "clipping"):
        assert (found.filter(pl.col("part") == part)["contribution"] != 0).any(), part
    assert found.filter(pl.col("part") == "clipping")["contribution"].min() == 0.0


def test_a_part_is_the_shapley_value_of_its_features() -> None:
    """By definition: the mean over all orders of what knowing a feature adds. The trees of two binary features that are
    independent and of equal weight know the expectation of what is not known exactly."""
    names = ["display_share_target", "target_month"]
    pair = [next(feature for feature in DEMAND_FEATURES if feature.name == name) for name in names]
    rows = pl.DataFrame({"display_share_target": [0.0, 1.0] * 400, "target_month": [1, 1, 7, 7] * 200}).with_columns(
        week_start_date=pl.date(2017, 1, 2), net_sales_usd=pl.lit(0.0)
    )
    promoted, summer = pl.col("display_share_target"), (pl.col("target_month") == 7).cast(pl.Float64)
    rows = rows.with_columns(net_sales_usd=10 + 4 * promoted + 2 * summer + 6 * promoted * summer)
    config = TrainConfig(iterations=30, depth=2, learning_rate=0.5, column_share=1.0, thread_count=1)
    model = fit(rows, pair, "net_sales_usd", config)
    corner = rows.unique(names, maintain_order=True)
    forecast = dict(zip(corner.select(names).rows(), predict(model, corner)["p50"].to_list(), strict=True))
    found = explained(model, corner, pair)
    for position, row in enumerate(corner.select(names).rows()):
        for at, key in enumerate((("display", "features"), ("season", "features"))):
            assert found[key][position] == pytest.approx(shapley(forecast, row, at), abs=1e-6)


def shapley(forecast: dict[tuple[float, ...], float], row: tuple[float, ...], of: int) -> float:
    others = [place for place in range(len(row)) if place != of]

    def known(places: tuple[int, ...]) -> float:
        return float(np.mean([value for key, value in forecast.items() if all(key[p] == row[p] for p in places)]))

    total = 0.0
    for size in range(len(others) + 1):
        for some in combinations(others, size):
            weight = factorial(size) * factorial(len(row) - size - 1) / factorial(len(row))
            total += weight * (known((*some, of)) - known(some))
    return total


def test_without_a_plan_only_the_plan_is_gone(prepared: Prepared) -> None:
    features = prepared.features
    bare = without_promotion(features, "display", DEMAND_FEATURES)
    moved = [name for name in features.columns if not bare[name].equals(features[name])]
    assert moved == ["display_products_target", "display_share_target", "display_share_change"]
    assert bare["display_products_target"].is_null().equals(features["display_products_target"].is_null())


@pytest.mark.parametrize("driver", ["display", "mailer"])
def test_a_counterfactual_is_what_the_plan_adds(driver: str, prepared: Prepared) -> None:
    plan = {name: pl.col(f"{driver}_{name}") for name in ("products_target", "share_target", "share_change")}
    answering = prepared.rows.with_columns(
        pl.col("transactions") + (4 * plan["products_target"]).fill_null(0).cast(pl.Int64)
    )
    model = fit(answering, DEMAND_FEATURES, "transactions", replace(SMALL, iterations=30))
    cells = tuple(Cell(horizon, 0, 0.0, 30) for horizon in (1, 2))
    calibrated = CalibratedModel(model, Calibration(0.8, (), 0.0, cells))
    features = prepared.features.sort("week_start_date", "store_id", "product_group", "horizon_weeks")
    found = decompose(calibrated, features).filter(pl.col("driver") == driver).sort(FORECAST)
    bare = features.with_columns(
        (plan["share_change"] - plan["share_target"]).alias(f"{driver}_share_change"),
        (0 * plan["share_target"]).alias(f"{driver}_share_target"),
        (0 * plan["products_target"]).alias(f"{driver}_products_target"),
    )
    medians = [
        np.median(np.asarray(model.regressor.predict(frame.select(model.signature.names).to_pandas())), axis=1)
        for frame in (features, bare)
    ]
    wanted = pl.Series(np.maximum(medians[0] - 0.5, 0) - np.maximum(medians[1] - 0.5, 0))
    products = features[f"{driver}_products_target"]
    assert found["counterfactual"].is_null().equals(products.is_null())
    known = products.is_not_null()
    assert found["counterfactual"].filter(known).to_list() == pytest.approx(wanted.filter(known).to_list(), abs=1e-5)
    assert (found["counterfactual"].filter(products == 0) == 0).all()
    assert found["counterfactual"].filter(products > 0).mean() > 1  # type: ignore[operator]


def test_only_promotions_have_a_counterfactual(parts: pl.DataFrame) -> None:
    assert parts.filter(~pl.col("driver").is_in(["display", "mailer"]))["counterfactual"].is_null().all()


def test_a_driver_without_inputs_is_not_reported(prepared: Prepared) -> None:
    """A lake that plans no promotions: the columns are there and empty."""
    plans = [feature.name for feature in DEMAND_FEATURES if driver_of(feature) in ("display", "mailer")]
    gone = [pl.lit(None, dtype=pl.Float64).alias(name) for name in plans]
    rows, features = prepared.rows.with_columns(gone), prepared.features.with_columns(gone)
    blind = fit_calibrated(rows, prepared.folds[-1], "transactions", SMALL)
    found = decompose(blind, features)
    require_exact(found, blind, features)
    assert set(found["driver"]) == {"base", "season", "price", "distribution", "unexplained"}


def test_another_feature_set_and_repeated_rows_are_refused(prepared: Prepared, fitted: CalibratedModel) -> None:
    with pytest.raises(FeatureMismatch):
        decompose(fitted, prepared.features, declared=DEMAND_FEATURES[:-1])
    with pytest.raises(BadFrame, match="one row per"):
        decompose(fitted, pl.concat([prepared.features, prepared.features.head(1)]))
