"""What stores would have sold: counts of store and week, fitted on the cells that no promotion touched.

Belongs here: the law of the counterfactual, and its replicates. Does not belong here: which cells are treated
(ml.lift_parts).

The design is difference-in-differences by imputation: the law is fitted on untreated cells alone and predicts the
treated ones, so that staggered starts never compare a treated store with another (Borusyak, Jaravel and Spiess, Review
of Economic Studies 91, 2024). Counts are sparse and stores differ in size, so effects multiply: a Poisson law with an
effect per store and one per week (Wooldridge, Econometrics Journal 26, 2023). Stores follow the season more or less:
each has an exponent on the common weeks (common correlated effects: Pesaran, Econometrica 74, 2006), shrunk towards 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_ROUNDS, _STEPS, _REPLICATE_ROUNDS = 12, 2, 4
_TINY = 1e-9
# Standard deviation of the stores' exponents before anything is seen, and how far they may go.
SPREAD, LEAST_EXPONENT, MOST_EXPONENT = 0.3, 0.0, 3.0


@dataclass(frozen=True)
class Baseline:
    """The fitted law: mean of a cell = store[s] * shape[s, t] * week[t], for one outcome and all its replicates.

    Attributes:
        store: [replicate, store]; week: [replicate, week]; shape: [store, week], the common weeks to the power of the
            store's exponent. Replicate 0 is the estimate.
    """

    store: Floats
    week: Floats
    shape: Floats

    def expected(self, cells: Floats) -> Floats:
        """Sum of the means over each store's cells, [replicate, store]; `cells` is 1 where a cell counts."""
        return self.store * (self.week @ (self.shape * cells).T)


def store_weights(stores: int, samples: int, seed: int) -> Floats:
    """Weights [1 + samples, store] of the Bayesian bootstrap over stores, the first row all one.

    A store's weeks hang together, so that stores are drawn, not cells; weights instead of draws, so that no group of
    stores is ever empty (Rubin, Annals of Statistics 9, 1981).
    """
    drawn = np.random.default_rng(seed).exponential(size=(samples, stores))
    return np.vstack([np.ones(stores), drawn])


def store_exponents(counts: Floats, clean: Floats) -> tuple[Floats, Floats]:
    """How strongly each store follows the common weeks.

    Args:
        counts: [store, week]. clean: 1 where no promotion touched the cell.

    Returns:
        exponent [store], around one, and the common weeks on the log scale [week], with mean zero.
    """
    seen = counts * clean
    own, weekly = seen.sum(axis=1), seen.sum(axis=0)
    week = _two_way(seen, clean)
    exponent = np.ones(len(own))
    for _ in range(_ROUNDS):
        log_week = _centred_log(week)
        for _ in range(_STEPS):
            share = np.exp(exponent[:, None] * log_week) * clean
            share /= np.maximum(share.sum(axis=1, keepdims=True), _TINY)
            mean = share @ log_week
            variance = share @ log_week**2 - mean**2
            slope = seen @ log_week - own * mean - (exponent - 1.0) / SPREAD**2
            exponent = np.clip(exponent + slope / (own * variance + SPREAD**-2), LEAST_EXPONENT, MOST_EXPONENT)
        fitted = np.exp(exponent[:, None] * log_week) * clean
        fitted *= (own / np.maximum(fitted.sum(axis=1), _TINY))[:, None]
        week = np.exp(log_week) * weekly / np.maximum(fitted.sum(axis=0), _TINY)
    return exponent, _centred_log(week)


def fit_baseline(counts: Floats, clean: Floats, shape: Floats, weights: Floats) -> Baseline:
    """Fit store and week effects on the clean cells, once per row of `weights`.

    Args:
        counts: [store, week], at or above zero: baskets, units or dollars (Poisson quasi-likelihood needs no integers).
        clean: 1 where no promotion touched the cell.
        shape: [store, week], see Baseline.
        weights: [replicate, store] of `store_weights`.
    """
    seen, open_shape = counts * clean, shape * clean
    own, weekly = seen.sum(axis=1), weights @ seen
    store = np.broadcast_to(own / np.maximum(open_shape.sum(axis=1), _TINY), weights.shape)
    week = np.ones((len(weights), counts.shape[1]))
    for _ in range(_REPLICATE_ROUNDS):
        week = weekly / np.maximum((weights * store) @ open_shape, _TINY)
        store = own / np.maximum(week @ open_shape.T, _TINY)
    return Baseline(store, week, shape)


def _two_way(seen: Floats, clean: Floats) -> Floats:
    """Week effects of the law without exponents, by proportional fitting."""
    own, weekly = seen.sum(axis=1), seen.sum(axis=0)
    store = own / np.maximum(clean.sum(axis=1), 1.0)
    week = np.ones(seen.shape[1])
    for _ in range(_ROUNDS):
        week = weekly / np.maximum(store @ clean, _TINY)
        store = own / np.maximum(clean @ week, _TINY)
    return week


def _centred_log(week: Floats) -> Floats:
    """Weeks without a clean sale count as ordinary ones."""
    sold = week > _TINY
    log_week = np.where(sold, np.log(np.where(sold, week, 1.0)), 0.0)
    return cast("Floats", np.where(sold, log_week - log_week[sold].mean(), 0.0)) if sold.any() else log_week
