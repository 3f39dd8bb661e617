"""Accuracy of point forecasts: errors of single series and weighted means of them.

Belongs here: MAPE, RMSE, and the scaled errors of the M5 competition, on arrays. Does not belong here: metrics of
quantile rows (ml.evaluation) and the uncertainty of a difference (ml.evaluation_differences).

Arrays are float64 of equal shape, in units of the measure. What is not finite is refused, never repaired.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

_PERCENT = 100.0
_LEAST_HISTORY = 2

Values = NDArray[np.float64]


class NotMeasurable(ValueError):
    """The data do not allow the metric."""


def mape(actual: ArrayLike, forecast: ArrayLike) -> float:
    """Mean absolute percentage error: 100 * mean(|forecast - actual| / actual).

    Raises:
        NotMeasurable: an outcome is not above 0 (use WAPE), there are no rows, or a value is not finite.
    """
    outcome, point = _pair(actual, forecast)
    if (outcome <= 0).any():
        raise NotMeasurable(f"MAPE needs outcomes above 0; {int((outcome <= 0).sum())} are not. Report WAPE.")
    return float(_PERCENT * np.mean(np.abs(point - outcome) / outcome))


def wape(actual: ArrayLike, forecast: ArrayLike) -> float:
    """Weighted absolute percentage error: 100 * sum |forecast - actual| / sum actual.

    Raises:
        NotMeasurable: the outcomes do not add up to more than 0, there are no rows, or a value is not finite.
    """
    outcome, point = _pair(actual, forecast)
    total = float(outcome.sum())
    if total <= 0:
        raise NotMeasurable(f"WAPE needs outcomes that add up to more than 0; they add up to {total:g}.")
    return float(_PERCENT * np.abs(point - outcome).sum() / total)


def rmse(actual: ArrayLike, forecast: ArrayLike) -> float:
    """Root mean squared error, in units of the measure."""
    outcome, point = _pair(actual, forecast)
    return float(np.sqrt(np.mean((point - outcome) ** 2)))


def rmsse(history: ArrayLike, actual: ArrayLike, forecast: ArrayLike) -> float:
    """Root mean squared scaled error of one series, as in the M5 competition.

    The mean squared error over that of the one-step naive forecast within the history, which starts at its first value
    that is not zero. Makridakis, Spiliotis and Assimakopoulos, The M5 competition, Int. J. Forecasting 38 (2022).

    Raises:
        NotMeasurable: the history is constant from its first sale on, or shorter than two values from there.
    """
    outcome, point = _pair(actual, forecast)
    return float(np.sqrt(np.mean((point - outcome) ** 2) / _naive_error(history)))


def wrmsse(scores: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Weighted mean of RMSSE over the series of one level: sum(weight * rmsse) / sum(weight).

    Args:
        scores: RMSSE per series.
        weights: sales value of the last training weeks per series, none negative.

    Raises:
        NotMeasurable: the two do not name the same series, a weight is negative or all are zero.
    """
    if set(scores) != set(weights):
        raise NotMeasurable(f"Scores and weights differ in {sorted(set(scores) ^ set(weights))[:3]}.")
    names = sorted(scores)
    weight = np.array([weights[name] for name in names], dtype=np.float64)
    if not names or (weight < 0).any() or weight.sum() <= 0:
        raise NotMeasurable("WRMSSE needs weights of at least 0, of which one is above.")
    return float(weight @ np.array([scores[name] for name in names], dtype=np.float64) / weight.sum())


def pinball(actual: ArrayLike, forecast: ArrayLike, level: float) -> float:
    """Mean pinball loss of one quantile: max(level * (y - q), (level - 1) * (y - q)); Koenker and Bassett (1978)."""
    if not 0 < level < 1:
        raise ValueError(f"A quantile level lies between 0 and 1; got {level}.")
    outcome, point = _pair(actual, forecast)
    return float(np.mean(np.maximum(level * (outcome - point), (level - 1) * (outcome - point))))


def _naive_error(history: ArrayLike) -> float:
    past = np.asarray(history, dtype=np.float64)
    if not np.isfinite(past).all():
        raise NotMeasurable("The history holds values that are not finite.")
    sold = np.flatnonzero(past != 0)
    active = past[sold[0] :] if sold.size else past[:0]
    if active.size < _LEAST_HISTORY or not np.diff(active).any():
        raise NotMeasurable("The history is constant from its first sale on: there is no naive error to scale by.")
    return float(np.mean(np.diff(active) ** 2))


def _pair(actual: ArrayLike, forecast: ArrayLike) -> tuple[Values, Values]:
    outcome, point = np.asarray(actual, dtype=np.float64), np.asarray(forecast, dtype=np.float64)
    if outcome.shape != point.shape or not outcome.size:
        raise NotMeasurable(f"Outcomes of shape {outcome.shape} and forecasts of shape {point.shape} cannot be paired.")
    if not (np.isfinite(outcome).all() and np.isfinite(point).all()):
        raise NotMeasurable("Outcomes or forecasts hold values that are not finite.")
    return outcome, point
