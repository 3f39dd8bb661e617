"""Features of a cube: nothing after the cutoff changes them, and each family equals a loop or a known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from ml.analogs import Plan, chain_analog, likeness, own_analog
from ml.cube import Cube
from ml.cube_features import ROW_KEY, CubeFeatureSpec, cube_features, feature_names
from ml.frame_checks import BadFrame
from ml.response import fitted_response
from tests.unit.ml.cube_data import retailer

SPEC = CubeFeatureSpec(means=(4, 13, 26))
CUTOFFS, HORIZONS = (40, 45), (2, 3)


@pytest.fixture(scope="module")
def cube() -> Cube:
    return retailer()


@pytest.fixture(scope="module")
def rows(cube: Cube) -> pl.DataFrame:
    return cube_features(cube, CUTOFFS, HORIZONS, SPEC)


def test_one_row_per_series_cutoff_and_horizon(cube: Cube, rows: pl.DataFrame) -> None:
    assert rows.height == 5 * 3 * len(CUTOFFS) * len(HORIZONS)
    assert not rows.select(ROW_KEY).is_duplicated().any()
    for row in rows.sample(20, seed=1).iter_rows(named=True):
        at = cube.stores.index(row["store_id"]), cube.products.index(row["product_group"]), row["target_position"]
        assert row["target_position"] == row["cutoff_position"] + row["horizon_weeks"]
        expected = cube.demand[at]
        assert (row["actual"] is None) if np.isnan(expected) else row["actual"] == expected


def test_nothing_after_the_cutoff_changes_a_feature(cube: Cube) -> None:
    """Demand after the cutoff and plans beyond the last horizon are perturbed: every feature stays as it was."""
    cutoff = 40
    last_planned = cutoff + max(HORIZONS)
    random = np.random.default_rng(3)
    demand = cube.demand.copy()
    demand[:, :, cutoff + 1 :] *= random.uniform(0.1, 9, demand[:, :, cutoff + 1 :].shape)
    assert cube.log_price is not None
    log_price, ad = cube.log_price.copy(), cube.promotions["ad"].copy()
    log_price[:, :, last_planned + 1 :] += random.normal(0, 1, log_price[:, :, last_planned + 1 :].shape)
    ad[:, :, last_planned + 1 :] = 1 - ad[:, :, last_planned + 1 :]
    changed = replace(cube, demand=demand, log_price=log_price, promotions={"ad": ad})
    before, after = (cube_features(each, [cutoff], HORIZONS, SPEC) for each in (cube, changed))
    names = feature_names(before)
    assert before.select(names).equals(after.select(names), null_equal=True)
    assert not before["actual"].equals(after["actual"])


def test_the_plan_of_the_target_week_does_change_them(cube: Cube) -> None:
    """The guard above would also pass if nothing were read: a plan inside the reach must show."""
    ad = cube.promotions["ad"].copy()
    ad[:, :, 42] = 1 - ad[:, :, 42]
    before, after = (cube_features(each, [40], [2], SPEC) for each in (cube, replace(cube, promotions={"ad": ad})))
    assert not before["analog_a"].equals(after["analog_a"])
    assert not before["ad"].equals(after["ad"])


def test_levels_equal_loops(cube: Cube, rows: pl.DataFrame) -> None:
    for row in rows.sample(30, seed=2).iter_rows(named=True):
        store, product = cube.stores.index(row["store_id"]), cube.products.index(row["product_group"])
        past = np.log(cube.demand[store, product, : row["cutoff_position"] + 1])
        assert row["level_mean_4"] == pytest.approx(np.nanmean(past[-4:]), rel=1e-5)
        assert row["level_max_13"] == pytest.approx(np.nanmax(past[-13:]), rel=1e-5)
        lag = past[-3]
        assert np.isnan(row["level_lag_2"]) if np.isnan(lag) else row["level_lag_2"] == pytest.approx(lag, rel=1e-5)


def test_response_finds_the_elasticity() -> None:
    """A price cut of 30 % under an elasticity of -2 lifts log demand by 0.71; shrinkage may take a little."""
    cube = retailer(seed=5, stores=12, noise=0.1)
    assert cube.log_price is not None
    drivers = np.stack([cube.log_price, cube.promotions["ad"]], axis=-1)
    found = fitted_response(np.log(cube.demand), drivers, 50, half_life_weeks=100, penalty=1.0)
    moved = drivers.copy()
    moved[:, :, 55, 0] += np.log(0.7)
    lift = fitted_response(np.log(cube.demand), moved, 50, half_life_weeks=100, penalty=1.0) - found
    assert lift[:, :, 55] == pytest.approx(-2 * np.log(0.7), abs=0.1)
    assert np.abs(np.delete(lift, 55, axis=2)).max() < 1e-9


def test_analogs_equal_a_loop(cube: Cube) -> None:
    level, ad = np.log(cube.demand), cube.promotions["ad"]
    cutoff, target = 40, 42
    weights = likeness([Plan(ad, 0.5)], cutoff, target, 8.0)
    usual = np.nanmean(level[:, :, : cutoff + 1], axis=2)
    own, chain = own_analog(level, weights)[0], chain_analog(level, weights, usual)
    for store, product in ((0, 0), (3, 2)):
        seen = [w for w in range(cutoff + 1) if np.isfinite(level[store, product, w])]
        like = [
            np.exp(-abs(ad[store, product, w] - ad[store, product, target]) / 0.5) * 0.5 ** ((cutoff - w) / 8)
            for w in seen
        ]
        assert own[store, product] == pytest.approx(np.average([level[store, product, w] for w in seen], weights=like))
    product = 1
    pairs = [
        (
            np.exp(-abs(ad[s, product, w] - ad[s, product, target]) / 0.5) * 0.5 ** ((cutoff - w) / 8),
            level[s, product, w] - usual[s, product],
        )
        for s in range(5)
        for w in range(cutoff + 1)
        if np.isfinite(level[s, product, w])
    ]
    deviation = sum(k * d for k, d in pairs) / sum(k for k, _ in pairs)
    assert chain[2, product] == pytest.approx(usual[2, product] + deviation)


def test_a_log_refuses_zeros_and_other_scales_take_them(cube: Cube) -> None:
    demand = cube.demand.copy()
    demand[0, 0, :] = 0.0
    idle = replace(cube, demand=demand)
    with pytest.raises(BadFrame, match="zeros"):
        cube_features(idle, [40], [2], SPEC)
    found = cube_features(idle, [40], [2], replace(SPEC, scale="sqrt"))
    assert found.filter((pl.col("store_id") == "s0") & (pl.col("product_group") == "p0"))["level_mean_26"].item() == 0


def test_no_target_week_is_an_error(cube: Cube) -> None:
    with pytest.raises(BadFrame, match="target week"):
        cube_features(cube, [59], [2], SPEC)
    with pytest.raises(BadFrame, match="at least 1"):
        cube_features(cube, [40], [0], SPEC)
