"""How demand answers to prices and promotions: one linear model per product, fitted anew at every cutoff.

Belongs here: the weighted ridge regression of log demand on drivers, with a level per store. Does not belong here:
which drivers (ml.cube_plans), and trees on top (ml.point_forecaster).

The level of a store is taken out by centring (the within estimator), so that few stores with long histories suffice.
Weights halve every `half_life_weeks`. Coefficients shrink to zero by a penalty in units of the drivers' own spread.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def fitted_response(
    level: Values, drivers: Values, cutoff: int, *, half_life_weeks: float = 26.0, penalty: float = 20.0
) -> Values:
    """What the model of a cutoff says about every week, planned ones included.

    Args:
        level: (S, P, W) log demand, NaN where unknown; weeks after the cutoff are not looked at.
        drivers: (S, P, W, K) finite.
        cutoff: position of the last known week.
        half_life_weeks: recency of the weights.
        penalty: number of rows' worth of evidence that a coefficient is zero.

    Returns:
        (S, P, W); NaN for a store and product without any known week.
    """
    past, seen = level[:, :, : cutoff + 1], drivers[:, :, : cutoff + 1]
    age = cutoff - np.arange(cutoff + 1)
    weight = np.where(np.isnan(past), 0.0, 0.5 ** (age / half_life_weeks))
    total = weight.sum(axis=2)
    own_total = np.where(total > 0, total, np.nan)
    mean_level = (weight * np.nan_to_num(past)).sum(axis=2) / own_total
    mean_driver = np.einsum("spw,spwk->spk", weight, seen, optimize=True) / np.where(total > 0, total, 1.0)[..., None]
    result = np.full(level.shape, np.nan)
    for product in range(level.shape[1]):
        centred = drivers[:, product] - mean_driver[:, product, np.newaxis]
        coefficients = _ridge(
            centred[:, : cutoff + 1].reshape(-1, drivers.shape[-1]),
            np.nan_to_num(past[:, product] - mean_level[:, product, np.newaxis]).reshape(-1),
            weight[:, product].reshape(-1),
            penalty,
        )
        result[:, product] = mean_level[:, product, np.newaxis] + centred @ coefficients
    return result


def _ridge(inputs: Values, outcome: Values, weight: Values, penalty: float) -> Values:
    weighted = inputs * weight[:, np.newaxis]
    gram = weighted.T @ inputs
    spread = np.diag(gram) / max(weight.sum(), 1e-12)
    solved = np.linalg.solve(gram + np.diag(spread * penalty + 1e-3), weighted.T @ outcome)
    return solved.astype(np.float64)
