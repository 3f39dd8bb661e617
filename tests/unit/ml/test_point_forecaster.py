"""A bag learns the optimum of the metric it is given, repeats itself, and says what it cannot learn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from ml.cube_features import CubeFeatureSpec, cube_features
from ml.evaluation_points import mape, wape
from ml.frame_checks import BadFrame
from ml.point_forecaster import EXPECTED, Learner, Member, PointConfig, fit_points, predict_points
from tests.unit.ml.cube_data import retailer

SMALL = {"iterations": 60, "learning_rate": 0.15}
MEMBERS = (Member("lightgbm", size=7, **SMALL), Member("catboost", EXPECTED, size=3, **SMALL))


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    cube = retailer(seed=7, stores=12, noise=0.5)
    return cube_features(cube, range(20, 57), [2], CubeFeatureSpec(means=(4, 13), per_product_plans=False))


def split(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    ahead = rows.filter((pl.col("cutoff_position") >= 50) & pl.col("actual").is_not_null())
    return rows.filter(pl.col("target_position") <= 50), ahead


def test_a_bag_beats_the_mean_of_the_past(rows: pl.DataFrame) -> None:
    past, ahead = split(rows)
    point = predict_points(fit_points(past, PointConfig("wape", "log", MEMBERS)), ahead)
    naive = np.exp(ahead["level_mean_13"].to_numpy())
    assert wape(ahead["actual"], point) < 0.9 * wape(ahead["actual"], naive)


@pytest.mark.parametrize("learner", ["lightgbm", "catboost"])
def test_each_objective_is_best_at_its_own_metric(rows: pl.DataFrame, learner: Learner) -> None:
    """Weights that a learner did not look at would give two equal forecasts."""
    past, ahead = split(rows)
    size = 7 if learner == "lightgbm" else 3
    by = {
        name: predict_points(fit_points(past, PointConfig(name, "log", (Member(learner, size=size, **SMALL),))), ahead)
        for name in ("mape", "wape")
    }
    actual = ahead["actual"]
    assert mape(actual, by["mape"]) < mape(actual, by["wape"])
    assert wape(actual, by["wape"]) < wape(actual, by["mape"])
    assert by["mape"].sum() < by["wape"].sum()


def test_equal_rows_and_configuration_give_equal_forecasts(rows: pl.DataFrame) -> None:
    past, ahead = split(rows)
    config = PointConfig("mape", "log", MEMBERS, half_life_weeks=20.0)
    first, second = (predict_points(fit_points(past, config), ahead) for _ in range(2))
    assert first.equals(second)
    other = predict_points(fit_points(past, replace(config, half_life_weeks=None)), ahead)
    assert not first.equals(other)


def test_what_cannot_be_learned_from_is_refused(rows: pl.DataFrame) -> None:
    past, ahead = split(rows)
    config = PointConfig("mape", "log", MEMBERS)
    with pytest.raises(BadFrame, match="outcomes"):
        fit_points(past.with_columns(actual=pl.lit(0.0)), config)
    with pytest.raises(BadFrame, match="outcomes"):
        fit_points(past.with_columns(actual=pl.lit(None, dtype=pl.Float64)), config)
    with pytest.raises(BadFrame, match="lacks"):
        predict_points(fit_points(past, config), ahead.drop("level_mean_4"))
