"""Poisson regression with many fixed effects: the estimator behind price and promotion responses.

Belongs here: the fit with its standard errors. Does not belong here: which regressors (ml.elasticity), panels.

Poisson pseudo maximum likelihood is consistent for an exponential mean whatever the outcome's variance, and takes zeros
as they are, which the log-linear regression cannot (Santos Silva and Tenreyro, The Log of Gravity, Review of Economics
and Statistics 88, 2006); with unit effects it has no incidental-parameter problem (Wooldridge, Journal of Econometrics
90, 1999). Effects are swept out of each weighted step by alternating projections (Correia, Guimaraes and Zylkin, Fast
Poisson Estimation with High-Dimensional Fixed Effects, Stata Journal 20, 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Values = NDArray[np.float64]
Codes = NDArray[np.int64]
_MOST_STEPS, _MOST_SWEEPS = 60, 500
_DEVIANCE_TOLERANCE, _SWEEP_TOLERANCE = 1e-9, 1e-8
# A regressor of which so little is left beside the effects tells nothing of its own.
_LEAST_VARIATION = 1e-6


class NotEstimable(ValueError):
    """The rows do not tell the coefficients; the sentence says why."""


@dataclass(frozen=True)
class PoissonFit:
    """Coefficients with their standard errors.

    Attributes:
        coefficients: per regressor, on the log scale.
        errors: their standard errors, robust to any dependence within each of the clusters.
        clusters: how many clusters the smallest way of clustering has.
        row_count: rows that took part; those of an effect without any outcome tell nothing and are left out.
    """

    coefficients: Values
    errors: Values
    clusters: int
    row_count: int


def fit_poisson(outcome: Values, regressors: Values, effects: Sequence[Codes], clusters: Sequence[Codes]) -> PoissonFit:
    """Fit E[outcome] = exp(regressors @ b + effects).

    Errors are clustered in every way given, at once (Cameron, Gelbach and Miller, Robust Inference with Multiway
    Clustering, Journal of Business and Economic Statistics 29, 2011), with G / (G - 1) of the smallest way. Where that
    is less than one way alone, which few clusters bring about, the greatest of the ways stands.

    Args:
        outcome: counts or amounts of at least 0, (n,).
        regressors: (n, k), finite.
        effects: integer labels of each row's effects, each (n,).
        clusters: one or two integer labels of each row.

    Raises:
        NotEstimable: nothing was sold, a regressor does not vary beside the effects, or the fit does not converge.
    """
    kept = _with_outcome(outcome, effects)
    if not kept.any():
        raise NotEstimable("nothing was sold")
    y, x = outcome[kept], regressors[kept]
    sweeps = [_indicator(labels[kept]) for labels in effects]
    _require_variation(_swept(x, np.ones_like(y), sweeps), x)
    mean = (y + y.mean()) / 2.0
    level, deviance = np.log(mean), np.inf
    centred, told = np.column_stack([np.zeros_like(y), x]), np.zeros_like(y)
    for _ in range(_MOST_STEPS):
        working = level + (y - mean) / mean
        # What was swept out before is of the effects too: only what is new has to be.
        centred[:, 0] += working - told
        centred, told = _swept(centred, mean, sweeps), working
        weighted = centred[:, 1:] * mean[:, np.newaxis]
        coefficients = np.linalg.solve(weighted.T @ centred[:, 1:], weighted.T @ centred[:, 0])
        level = working - (centred[:, 0] - centred[:, 1:] @ coefficients)
        mean = np.exp(np.clip(level, -30.0, 30.0))
        before, deviance = deviance, _deviance(y, mean)
        if abs(before - deviance) < _DEVIANCE_TOLERANCE * (0.1 + abs(deviance)):
            break
    else:
        raise NotEstimable(f"the fit did not settle in {_MOST_STEPS} steps")
    centred = _swept(centred[:, 1:], mean, sweeps)
    bread = np.linalg.inv(centred.T @ (centred * mean[:, np.newaxis]))
    scores = (centred * (y - mean)[:, np.newaxis]) @ bread
    variances, smallest = _clustered(scores, [labels[kept] for labels in clusters])
    return PoissonFit(coefficients, np.sqrt(variances), smallest, len(y))


def _with_outcome(outcome: Values, effects: Sequence[Codes]) -> NDArray[np.bool_]:
    """Rows of which every effect has some outcome, found again until none falls away."""
    kept = np.ones(len(outcome), dtype=bool)
    while True:
        still = kept.copy()
        for labels in effects:
            sums = np.bincount(labels, weights=outcome * kept, minlength=int(labels.max(initial=0)) + 1)
            still &= sums[labels] > 0
        if (still == kept).all():
            return kept
        kept = still


def _indicator(labels: Codes) -> sparse.csr_matrix:
    _, codes = np.unique(labels, return_inverse=True)
    count = len(codes)
    return sparse.csr_matrix((np.ones(count), (codes, np.arange(count))), shape=(int(codes.max()) + 1, count))


def _swept(columns: Values, weights: Values, sweeps: Sequence[sparse.csr_matrix]) -> Values:
    """The columns less their weighted projection on all effects.

    Sweeping one effect after the other and back again is a symmetric operator, so that conjugate gradients find where
    it leads (Hernandez-Ramos, Escalante and Raydan, Numerical Algorithms 56, 2011).
    """
    totals = [(sweep @ weights)[:, np.newaxis] for sweep in sweeps]
    order = [*range(len(sweeps)), *range(len(sweeps) - 2, -1, -1)]

    def once(block: Values) -> Values:
        left = block.copy()
        for place in order:
            left -= sweeps[place].T @ ((sweeps[place] @ (left * weights[:, np.newaxis])) / totals[place])
        return left

    def inner(one: Values, other: Values) -> Values:
        return np.einsum("n,nk,nk->k", weights, one, other)

    left = once(columns)
    if len(sweeps) == 1:
        return left
    # What is small beside the column's own size is nothing, also where the effects explain all of it.
    floor = (_SWEEP_TOLERANCE**2) * np.maximum(inner(columns, columns), 1e-300)
    residual = left - once(left)
    direction, size = residual.copy(), inner(residual, residual)
    for _ in range(_MOST_SWEEPS):
        is_open = size > floor
        if not is_open.any():
            return once(left)
        ahead = direction - once(direction)
        curvature = inner(direction, ahead)
        step = np.where(is_open & (curvature > 0), size / np.where(curvature > 0, curvature, 1.0), 0.0)
        left -= step * direction
        residual -= step * ahead
        before, size = size, inner(residual, residual)
        direction = residual + np.where(is_open, size / np.where(before > 0, before, 1.0), 0.0) * direction
    raise NotEstimable(f"the effects were not swept out in {_MOST_SWEEPS} rounds")


def spread_left(outcome: Values, regressors: Values, effects: Sequence[Codes]) -> Values:
    """Standard deviation of each regressor that the effects do not explain, over the rows that a fit would use."""
    kept = _with_outcome(outcome, effects)
    if not kept.any():
        return np.zeros(regressors.shape[1])
    centred = _swept(regressors[kept], np.ones(int(kept.sum())), [_indicator(labels[kept]) for labels in effects])
    return np.sqrt((centred**2).mean(axis=0))


def _require_variation(centred: Values, regressors: Values) -> None:
    left, total = (centred**2).sum(axis=0), (regressors**2).sum(axis=0)
    if (left <= _LEAST_VARIATION * np.maximum(total, 1e-300)).any():
        raise NotEstimable("a regressor does not vary beside the effects")
    scaled = centred / np.sqrt(left)
    if np.linalg.eigvalsh(scaled.T @ scaled)[0] < _LEAST_VARIATION:
        raise NotEstimable("regressors move together, so that their parts cannot be told apart")


def _deviance(y: Values, mean: Values) -> float:
    positive = y > 0
    return float(2.0 * ((y[positive] * np.log(y[positive] / mean[positive])).sum() - (y - mean).sum()))


def _clustered(scores: Values, clusters: Sequence[Codes]) -> tuple[Values, int]:
    """Variances of sums of scores that hang together within clusters; the number of clusters of the smallest way."""
    codes = [np.unique(labels, return_inverse=True)[1] for labels in clusters]
    smallest = min(int(labels.max()) + 1 for labels in codes)
    ways = [_squares(scores, labels) for labels in codes]
    if len(codes) > 1:
        both = np.unique(np.column_stack(codes), axis=0, return_inverse=True)[1].ravel()
        ways.append(ways[0] + ways[1] - _squares(scores, both))
    return smallest / max(smallest - 1, 1) * np.max(ways, axis=0), smallest


def _squares(scores: Values, labels: Codes) -> Values:
    return ((_indicator(labels) @ scores) ** 2).sum(axis=0)
