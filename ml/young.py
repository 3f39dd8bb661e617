"""Forecasts of a lake that is too young for a model: baselines with intervals for counts.

Belongs here: what stands in until there are enough weeks to train, calibrate and test on (ml.splits.rolling_origin says
how many). Does not belong here: the baselines themselves, and anything about older lakes.

Without outcomes at a horizon its intervals are those of a Poisson count in its normal approximation, point +- z *
sqrt(point) (Johnson, Kemp and Kotz, Univariate Discrete Distributions, 2005, section 4.5). A horizon that no outcome
reaches takes the shift of the longest horizon that has outcomes, widened by the root of the ratio of the two, as for a
random walk (Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 2021, section 5.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist

import polars as pl

from ml.backtest import CUTOFF, FORECAST_COLUMNS, backtest_metrics, is_promotion, with_past
from ml.baselines import BASELINES
from ml.features import HORIZON
from ml.forecaster import labelled
from ml.frame_checks import WEEK, BadFrame
from ml.intervals import Calibration, Cell, apply, calibrate, point_rows

# ml.intervals asks for as many outcomes of a horizon.
LEAST_OUTCOMES = 30
_FLOOR_SHARE = 0.1


def with_points(rows: pl.DataFrame, measure: str, method: str) -> pl.DataFrame:
    """Rows with a baseline's point as raw quantiles; a series that has no whole week yet gets none and is left out."""
    points = BASELINES[method](rows, measure)["point"]
    return point_rows(rows.with_columns(point=points).drop_nulls("point"))


def stand_in_calibration(known: pl.DataFrame, horizons: Sequence[int], coverage: float = 0.8) -> Calibration:
    """How far a baseline's quantiles move, for every horizon, however few outcomes there are.

    Args:
        known: rows of `with_points` with `actual`; may be empty.
        horizons: horizons to forecast.
        coverage: share of outcomes to hold.
    """
    counts = dict(known.group_by(HORIZON).len().iter_rows())
    learned = sorted(horizon for horizon, rows in counts.items() if rows >= LEAST_OUTCOMES)
    if not learned:
        return poisson_calibration(known, horizons, coverage)
    measured = calibrate(known.filter(pl.col(HORIZON).is_in(learned)), coverage)
    cells = list(measured.cells)
    for horizon in sorted(set(horizons) - set(learned)):
        nearest = max((item for item in learned if item < horizon), default=learned[0])
        wider = math.sqrt(max(horizon / nearest, 1.0))
        cells += [
            replace(
                cell, horizon_weeks=horizon, shift=cell.shift * wider if cell.shift > 0 else cell.shift, row_count=0
            )
            for cell in measured.cells
            if cell.horizon_weeks == nearest
        ]
    return replace(measured, cells=tuple(sorted(cells, key=lambda cell: (cell.horizon_weeks, cell.volume_class))))


def poisson_calibration(rows: pl.DataFrame, horizons: Sequence[int], coverage: float = 0.8) -> Calibration:
    """The shifts of Poisson counts: nothing is known but the points of `rows`, which may be none."""
    shift = NormalDist().inv_cdf(0.5 + coverage / 2)
    scales = rows["scale"] if "scale" in rows.columns and rows.height else pl.Series([0.0])
    cells = tuple(Cell(horizon, 0, shift, 0) for horizon in sorted(horizons))
    floor = _FLOOR_SHARE * float(scales.cast(pl.Float64).to_numpy().mean())
    return Calibration(coverage, (), floor, cells)


def young_backtest(
    features: pl.DataFrame, labels: pl.DataFrame, measure: str, coverage: float = 0.8
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Every baseline forecast whose outcome is known, scored with Poisson intervals.

    Returns:
        (scored rows, metrics), as `ml.backtest.backtest` gives them.

    Raises:
        BadFrame: no baseline has a forecast with a known outcome yet.
    """
    rows = labelled(features, labels, measure)
    horizons = sorted(set(rows[HORIZON]))
    scored = []
    for method in BASELINES:
        pointed = with_points(rows, measure, method)
        issued = apply(pointed, poisson_calibration(pointed, horizons, coverage))
        scored.append(
            issued.with_columns(is_promotion(), method=pl.lit(method)).rename({WEEK: CUTOFF}).select(FORECAST_COLUMNS)
        )
    forecasts = pl.concat(scored)
    if forecasts.is_empty():
        raise BadFrame("No forecast of a whole week has an outcome yet: wait until two whole weeks are over.")
    result = with_past(forecasts, features, measure)
    return result, backtest_metrics(result)
