"""Baselines of a lake that is too young for a model."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from ml.frame_checks import BadFrame
from ml.intervals import apply, calibrate, point_rows
from ml.young import LEAST_OUTCOMES, poisson_calibration, stand_in_calibration, young_backtest

Z80 = 1.2815515655446004


def known(counts: dict[int, int], level: float = 9.0, seed: int = 7) -> pl.DataFrame:
    """Points at one level and Poisson outcomes around them, so many rows per horizon."""
    draw = np.random.default_rng(seed)
    rows = [
        {"horizon_weeks": horizon, "point": level, "actual": float(draw.poisson(level))}
        for horizon, rows in counts.items()
        for _ in range(rows)
    ]
    schema = {"horizon_weeks": pl.Int32, "point": pl.Float64, "actual": pl.Float64}
    return point_rows(pl.DataFrame(rows, schema=schema))


def test_without_outcomes_intervals_are_those_of_counts():
    rows = known({1: 4, 2: 4})
    found = apply(rows, poisson_calibration(rows.clear(), [1, 2]))
    assert found["p90"].to_list() == pytest.approx([9 + Z80 * 3] * 8)
    assert found["p10"].to_list() == pytest.approx([9 - Z80 * 3] * 8)


def test_poisson_intervals_hold_four_in_five_poisson_outcomes():
    rows = known({1: 20_000}, level=400.0)
    found = apply(rows, poisson_calibration(rows.clear(), [1]))
    held = found.select(pl.col("actual").is_between("p10", "p90").mean()).item()
    assert held == pytest.approx(0.8, abs=0.03)


def test_a_horizon_with_outcomes_is_calibrated_and_a_later_one_is_wider_by_the_root_of_time():
    rows = known({1: 200, 2: LEAST_OUTCOMES - 1})
    found = stand_in_calibration(rows, [1, 2, 4])
    measured = calibrate(rows.filter(pl.col("horizon_weeks") == 1))
    shifts = {(cell.horizon_weeks, cell.volume_class): cell for cell in found.cells}
    assert {key: cell for key, cell in shifts.items() if key[0] == 1} == {
        (1, cell.volume_class): cell for cell in measured.cells
    }
    for (horizon, volume_class), cell in shifts.items():
        assert cell.shift == pytest.approx(shifts[1, volume_class].shift * math.sqrt(horizon))
        assert (cell.row_count == 0) == (horizon > 1)
    assert sorted({horizon for horizon, _ in shifts}) == [1, 2, 4]


def test_a_lake_of_one_week_says_what_it_waits_for():
    key = {"store_id": ["s"], "product_group": ["g"], "week_start_date": [None], "horizon_weeks": [1]}
    columns = {
        "target_week_start_date": [None],
        "transactions_lag_0": [None],
        "transactions_mean_8": [None],
        "transactions_ses": [None],
    }
    more = {"transactions_expanding_mean": [None], "display_products_target": [None], "mailer_products_target": [None]}
    types = {"week_start_date": pl.Date, "target_week_start_date": pl.Date, "horizon_weeks": pl.Int32}
    floats = dict.fromkeys([*list(columns)[1:], *more], pl.Float64)
    features = pl.DataFrame({**key, **columns, **more}, schema_overrides={**types, **floats}).clear()
    labels = features.select(*key, "target_week_start_date", censoring=pl.lit(None, pl.String), transactions=pl.lit(1))
    with pytest.raises(BadFrame, match="two whole weeks"):
        young_backtest(features, labels, "transactions")
