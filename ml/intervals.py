"""Intervals that hold what they promise: split conformal calibration of quantile forecasts.

Belongs here: how far the outer quantiles move so that 80 % of outcomes fall between them. Does not belong here:
how the quantiles came about; a model and a baseline are treated alike.

Method: conformalised quantile regression (Romano, Patterson and Candes, NeurIPS 2019) with scores relative to the
interval's own width, separately by horizon and by class of volume (Mondrian: Vovk et al., Algorithmic Learning in a
Random World, 2005). The family of intervals is nested and always holds p50, so that no quantile crosses another; the
score of an outcome is the least shift whose interval holds it (Gupta, Kuchibhotla and Ramdas, Nested Conformal
Prediction, 2022). Of n calibration scores the ceil((n + 1) * coverage)-th smallest is the shift: with exchangeable
rows a new outcome is held with at least that probability.

Demand moves together from week to week, so rows of one week are not exchangeable with those of another; the backtest
reports the coverage that came to pass.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.frame_checks import BadFrame, require_columns

_HORIZON = "horizon_weeks"
_QUANTILES = ("p10", "p50", "p90")
# Two classes, thin and busy series. More classes would each aim at the coverage and leave the thinnest, whose counts
# are zero nine times in ten and cannot be held less often, to lift the whole above it.
_CLASS_QUANTILES = (0.5,)
# Fewer scores than this make the shift of a class a matter of luck; the horizon's rows are then pooled.
_LEAST_ROWS = 30
# Share of the mean width that every row gets on top: an interval of width zero could otherwise never grow.
_WIDTH_FLOOR_SHARE = 0.1


class TooFewRows(ValueError):
    """There are not enough outcomes to calibrate a horizon on."""


@dataclass(frozen=True)
class Cell:
    """The shift of one horizon and class of volume, and the number of outcomes that it rests on."""

    horizon_weeks: int
    volume_class: int
    shift: float
    row_count: int


@dataclass(frozen=True)
class Calibration:
    """How to move the outer quantiles of one method.

    Attributes:
        coverage: share of outcomes that the intervals aim at.
        class_edges: levels (mean of the three quantiles) that separate the classes of volume, ascending.
        width_floor: added to each row's scale, in units of the measure.
        cells: one per horizon and class.
    """

    coverage: float
    class_edges: tuple[float, ...]
    width_floor: float
    cells: tuple[Cell, ...]

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """The inverse of `to_json`; raises ValueError when a field is missing or unknown."""
        content = json.loads(text)
        try:
            content["cells"] = tuple(Cell(**cell) for cell in content["cells"])
            content["class_edges"] = tuple(content["class_edges"])
            # Bundles of earlier releases hold ratios that nothing read.
            content.pop("total_ratios", None)
            return cls(**content)
        except (KeyError, TypeError) as error:
            raise ValueError(f"This is not a calibration: {error}.") from error


def calibrate(rows: pl.DataFrame, coverage: float = 0.8) -> Calibration:
    """Learn the shifts from outcomes that the method had not seen.

    Args:
        rows: horizon_weeks, `actual`, raw p10 <= p50 <= p90 and, for a method that only gives points
            (p10 = p50 = p90), `scale` > 0: how wide the interval should be relative to other rows.
        coverage: share of outcomes to hold.

    Raises:
        BadFrame: columns are missing, values are null or not finite, quantiles cross.
        TooFewRows: a horizon has fewer than 30 rows, or too few for the coverage.
    """
    require_columns(rows, (_HORIZON, "actual", *_QUANTILES), "calibration rows")
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must lie between 0 and 1; got {coverage}.")
    values = _values(rows)
    _require_ordered(values, rows["actual"].cast(pl.Float64).to_numpy())
    level = values.mean(axis=1)
    edges = tuple(sorted({float(edge) for edge in np.quantile(level, _CLASS_QUANTILES)})) if rows.height else ()
    floor = _WIDTH_FLOOR_SHARE * float(_own_scale(rows, values).mean()) if rows.height else 0.0
    scores = _scores(rows, values, floor)
    classes = np.searchsorted(edges, level, side="right")
    horizons = rows[_HORIZON].to_numpy()
    cells: list[Cell] = []
    for horizon in np.unique(horizons):
        at_horizon = horizons == horizon
        if at_horizon.sum() < _LEAST_ROWS:
            raise TooFewRows(f"Horizon {horizon} has {at_horizon.sum()} calibration rows and needs {_LEAST_ROWS}.")
        for volume_class in range(len(edges) + 1):
            chosen = at_horizon & (classes == volume_class)
            own = scores[chosen] if chosen.sum() >= _LEAST_ROWS else scores[at_horizon]
            cells.append(Cell(int(horizon), volume_class, _conformal_quantile(own, coverage), len(own)))
    return Calibration(coverage, edges, floor, tuple(cells))


def apply(rows: pl.DataFrame, calibration: Calibration) -> pl.DataFrame:
    """Replace p10, p50, p90 by calibrated ones: p10 <= p50 <= p90, none below 0, p50 as it was.

    Args:
        rows: horizon_weeks, raw p10, p50, p90 and `scale` where `calibrate` had it; other columns are kept.
        calibration: what `calibrate` returned for the same method.

    Raises:
        BadFrame: columns are missing, quantiles cross, or a horizon was not calibrated.
    """
    require_columns(rows, (_HORIZON, *_QUANTILES), "rows")
    values = _values(rows)
    _require_ordered(values)
    shifts: Mapping[tuple[int, int], float] = {
        (cell.horizon_weeks, cell.volume_class): cell.shift for cell in calibration.cells
    }
    classes = np.searchsorted(calibration.class_edges, values.mean(axis=1), side="right")
    keys = list(zip(rows[_HORIZON].to_list(), classes.tolist(), strict=True))
    unknown = sorted({key[0] for key in keys if key not in shifts})
    if unknown:
        raise BadFrame(f"The horizons {unknown} were not calibrated; known are {sorted({h for h, _ in shifts})}.")
    shift = np.array([shifts[key] for key in keys], dtype=np.float64)
    reach = shift * (_own_scale(rows, values) + calibration.width_floor)
    middle = np.clip(values[:, 1], 0.0, None)
    return rows.with_columns(
        p10=pl.Series(np.clip(np.minimum(values[:, 0] - reach, middle), 0.0, None), dtype=pl.Float64),
        p50=pl.Series(middle, dtype=pl.Float64),
        p90=pl.Series(np.maximum(values[:, 2] + reach, middle), dtype=pl.Float64),
    )


def point_rows(points: pl.DataFrame) -> pl.DataFrame:
    """Raw rows of a method that only gives points: p10 = p50 = p90 = point, and a scale.

    scale = sqrt(point): the spread of counts grows with the root of their level. Its unit does not matter, the shift
    takes it up.
    """
    require_columns(points, ("point",), "points")
    level = pl.col("point").clip(lower_bound=0.0)
    return points.with_columns(
        *(level.cast(pl.Float64).alias(name) for name in _QUANTILES), scale=level.cast(pl.Float64).sqrt()
    ).drop("point")


def _scores(rows: pl.DataFrame, values: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """The least shift that holds each outcome; for an outcome at p50 the shift that closes the interval on it."""
    actual = rows["actual"].cast(pl.Float64).to_numpy()
    scale = _own_scale(rows, values) + floor
    if (scale <= 0).any():
        raise BadFrame("Every calibration row has an interval of width zero; give a scale column (point_rows).")
    above = (actual - values[:, 2]) / scale
    below = (values[:, 0] - actual) / scale
    closed = np.minimum(values[:, 1] - values[:, 2], values[:, 0] - values[:, 1]) / scale
    middle = values[:, 1]
    return np.where(actual > middle, above, np.where(actual < middle, below, closed))


def _conformal_quantile(scores: NDArray[np.float64], coverage: float) -> float:
    # Less a hair, so that a product that is whole in theory is not rounded up: 35 * 0.8 = 28.000000000000004.
    rank = math.ceil((len(scores) + 1) * coverage - 1e-9)
    if rank > len(scores):
        raise TooFewRows(f"{len(scores)} rows cannot hold a coverage of {coverage}; give more weeks or aim lower.")
    return float(np.sort(scores)[rank - 1])


def _own_scale(rows: pl.DataFrame, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows["scale"].cast(pl.Float64).to_numpy() if "scale" in rows.columns else values[:, 2] - values[:, 0]


def _values(rows: pl.DataFrame) -> NDArray[np.float64]:
    return rows.select(pl.col(name).cast(pl.Float64) for name in _QUANTILES).to_numpy()


def _require_ordered(values: NDArray[np.float64], actual: NDArray[np.float64] | None = None) -> None:
    if not np.isfinite(values).all() or (actual is not None and not np.isfinite(actual).all()):
        raise BadFrame("Quantiles or outcomes are null or not finite.")
    if (np.diff(values, axis=1) < 0).any():
        raise BadFrame("Raw quantiles cross; sort them first (ml.training.predict_raw does).")
