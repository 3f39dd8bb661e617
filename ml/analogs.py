"""Past weeks that look like the target week.

Belongs here: the mean of past demand weighted by how alike its prices and promotions are to the planned ones. Does not
belong here: which plans count (ml.cube_features).

A kernel regression (Nadaraya, Theory of Probability and its Applications 9, 1964; Watson, Sankhya A 26, 1964) with an
exponential kernel in the plans and in age: what sold the last times when the plan was like this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
_TINY = 1e-12


@dataclass(frozen=True)
class Plan:
    """A planned column and how far apart two weeks may lie in it before their likeness falls to 1/e."""

    values: Values
    bandwidth: float


def likeness(plans: Sequence[Plan], cutoff: int, target: int, half_life_weeks: float) -> Values:
    """Weight of each past week for a target week, shape (S, P, cutoff + 1), each above 0 and at most 1.

    weight = exp(-sum |plan(week) - plan(target)| / bandwidth) * 0.5 ** (age / half_life_weeks)
    """
    apart = np.zeros((*plans[0].values.shape[:2], cutoff + 1))
    for plan in plans:
        apart += np.abs(plan.values[:, :, : cutoff + 1] - plan.values[:, :, target, np.newaxis]) / plan.bandwidth
    age = cutoff - np.arange(cutoff + 1)
    return np.exp(-apart) * 0.5 ** (age / half_life_weeks)


def own_analog(level: Values, weights: Values) -> tuple[Values, Values]:
    """Weighted mean of a store's and product's own past, and the log of the weight that it rests on, (S, P) each."""
    past = level[:, :, : weights.shape[2]]
    usable = np.where(np.isnan(past), 0.0, weights) + _TINY
    total = usable.sum(axis=2)
    return (usable * np.nan_to_num(past)).sum(axis=2) / total, np.log(total)


def chain_analog(level: Values, weights: Values, usual: Values) -> Values:
    """The same over all stores: the usual level of a store plus the chain's weighted mean deviation from usual, (S, P).

    Args:
        level: (S, P, W), NaN where unknown.
        weights: from `likeness`.
        usual: (S, P) level from which weeks deviate, NaN for a series without a past.
    """
    deviation = level[:, :, : weights.shape[2]] - usual[:, :, np.newaxis]
    usable = np.where(np.isnan(deviation), 0.0, weights)
    total = usable.sum(axis=(0, 2))
    pooled = (usable * np.nan_to_num(deviation)).sum(axis=(0, 2)) / np.where(total > 0, total, 1.0)
    return usual + pooled[np.newaxis]
