"""Coverage on data that keep the method's assumption, ties included; order, ends and refusals."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from ml.frame_checks import BadFrame
from ml.intervals import Calibration, TooFewRows, apply, calibrate, point_rows

ROWS = 6000


def counts(seed: int, shift: float = 0.0) -> pl.DataFrame:
    """Poisson outcomes with quantiles that are wrong by `shift` and vary from row to row."""
    random = np.random.default_rng(seed)
    rate = random.gamma(1.0, 2.0, ROWS) + 0.05
    spread = np.sqrt(rate)
    return pl.DataFrame(
        {
            "horizon_weeks": random.integers(1, 3, ROWS),
            "actual": random.poisson(rate).astype(float),
            "p10": rate - 1.3 * spread - shift,
            "p50": np.floor(rate + 1 / 3),
            "p90": rate + 1.3 * spread + shift,
        }
    ).with_columns(p10=pl.min_horizontal("p10", "p50"), p90=pl.max_horizontal("p90", "p50"))


def covered(rows: pl.DataFrame) -> float:
    return rows.select(pl.col("actual").is_between("p10", "p90").mean()).item()


@pytest.mark.parametrize("shift", [-0.8, 0.0, 3.0], ids=["too_narrow", "about_right", "too_wide"])
def test_coverage_is_met_on_exchangeable_counts(shift: float) -> None:
    calibration = calibrate(counts(1, shift))
    test = apply(counts(2, shift), calibration)
    for horizon in (1, 2):
        assert covered(test.filter(pl.col("horizon_weeks") == horizon)) == pytest.approx(0.8, abs=0.03)


def test_coverage_is_met_for_points() -> None:
    def points(seed: int) -> pl.DataFrame:
        return point_rows(counts(seed).select("horizon_weeks", "actual", point=(pl.col("p10") + pl.col("p90")) / 2))

    assert covered(apply(points(2), calibrate(points(1)))) == pytest.approx(0.8, abs=0.03)


def test_every_horizon_has_its_own_shift() -> None:
    rows = counts(3).with_columns(
        actual=pl.when(pl.col("horizon_weeks") == 2).then(pl.col("actual") * 3).otherwise("actual")
    )
    shifts = {cell.horizon_weeks: cell.shift for cell in calibrate(rows).cells}
    assert shifts[2] > shifts[1]


def test_the_shift_is_the_finite_sample_quantile() -> None:
    """39 outcomes above p50: the ceil(40 * 0.8) = 32nd smallest score is the shift."""
    actual = np.arange(2.0, 41.0)
    rows = pl.DataFrame({"horizon_weeks": 1, "actual": actual, "p10": 0.0, "p50": 1.0, "p90": 1.0}).with_columns(
        scale=pl.lit(1.0)
    )
    calibration = calibrate(rows)
    assert [cell.shift for cell in calibration.cells] == pytest.approx(
        [(actual[31] - 1.0) / 1.1] * len(calibration.cells)
    )
    assert apply(rows.head(1), calibration)["p90"].to_list() == [pytest.approx(actual[31])]


def test_quantiles_do_not_cross_and_the_median_stays() -> None:
    rows = counts(4, shift=3.0)
    found = apply(rows, calibrate(rows))
    assert found["p50"].equals(rows["p50"])
    assert found.select(
        ((pl.col("p10") >= 0) & (pl.col("p10") <= pl.col("p50")) & (pl.col("p50") <= pl.col("p90"))).all()
    ).item()


def test_intervals_shrink_to_the_median_when_outcomes_sit_on_it() -> None:
    rows = pl.DataFrame({"horizon_weeks": [1] * 50, "actual": 1.0, "p10": 0.0, "p50": 1.0, "p90": 3.0})
    found = apply(rows, calibrate(rows)).row(0, named=True)
    assert (found["p10"], found["p50"], found["p90"]) == pytest.approx((1.0, 1.0, 1.0))


def test_small_classes_borrow_the_horizon() -> None:
    rows = counts(5).head(70).with_columns(horizon_weeks=pl.lit(1))
    cells = calibrate(rows).cells
    assert {cell.row_count for cell in cells} == {35}
    assert {cell.row_count for cell in calibrate(rows.head(40)).cells} == {40}


def test_json_round_trip() -> None:
    calibration = calibrate(counts(7))
    assert Calibration.from_json(calibration.to_json()) == calibration
    # As bundles of earlier releases have it.
    older = json.loads(calibration.to_json()) | {"total_ratios": [[1, 1.25]]}
    assert Calibration.from_json(json.dumps(older)) == calibration
    broken = json.loads(calibration.to_json()) | {"surplus": 1}
    with pytest.raises(ValueError, match="not a calibration"):
        Calibration.from_json(json.dumps(broken))


def test_wrong_rows_are_refused() -> None:
    rows = counts(8)
    with pytest.raises(TooFewRows, match="needs 30"):
        calibrate(rows.head(40))
    with pytest.raises(TooFewRows, match="cannot hold"):
        calibrate(rows.head(200), coverage=0.999)
    with pytest.raises(ValueError, match="between 0 and 1"):
        calibrate(rows, coverage=1.0)
    with pytest.raises(BadFrame, match="cross"):
        calibrate(rows.with_columns(p10=pl.col("p90") + 1))
    with pytest.raises(BadFrame, match="null or not finite"):
        calibrate(rows.with_columns(actual=pl.lit(float("nan"))))
    with pytest.raises(BadFrame, match="width zero"):
        calibrate(rows.with_columns(p10=pl.col("p50"), p90=pl.col("p50")))
    with pytest.raises(BadFrame, match=r"horizons \[7\] were not calibrated"):
        apply(rows.with_columns(horizon_weeks=pl.lit(7)), calibrate(rows))
