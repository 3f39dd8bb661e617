"""What stores would have sold, by a synthetic store: untreated stores weighted so that they sold like the treated ones.

Belongs here: the weights of the second design, and what it expects. Does not belong here: which cells are treated
(ml.lift), the first design (ml.lift_baseline).

Each store is divided by its own level, so that stores of all sizes compare, and the treated stores are one series: the
weights are those whose sum follows that series best in the weeks that no promotion touched (synthetic control: Abadie,
Diamond and Hainmueller, JASA 105, 2010; with a level and a penalty: Doudchenko and Imbens, NBER 22791, 2016).
Sparse counts would be fitted to their noise: a weight pays for the noise that it brings into the promoted weeks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Floats = NDArray[np.float64]
# Weeks are matched in blocks, which are less noisy; the sum of the weights is kept at one by a heavy row.
BLOCK_WEEKS, _HEAVY, _TINY = 4, 1e3, 1e-9


def donor_weights(counts: Floats, clean: Floats, is_treated: Floats, promoted_weeks: float) -> Floats:
    """Weights [store] of the untreated stores, at or above zero, with sum one; zero for the treated ones.

    Args:
        counts: [store, week] of the whole product group, all weeks at hand. clean: 1 where no promotion touched it.
        is_treated: [store]. promoted_weeks: mean length of the promotion.
    """
    seen = counts * clean
    level = seen.sum(axis=1) / np.maximum(clean.sum(axis=1), 1.0)
    donors = np.flatnonzero((is_treated == 0) & (level > 0))
    if len(donors) == 0:
        return np.zeros(len(level))
    blocks = np.arange(counts.shape[1]) // BLOCK_WEEKS
    starts = np.flatnonzero(np.diff(blocks, prepend=-1))
    sold, open_ = np.add.reduceat(seen, starts, axis=1), np.add.reduceat(clean * level[:, None], starts, axis=1)
    common = sold[donors].sum(axis=0) / np.maximum(open_[donors].sum(axis=0), _TINY)
    relative = np.where(open_ > 0, sold / np.maximum(open_, _TINY), common)[donors]
    treated = is_treated > 0
    target = sold[treated].sum(axis=0) / np.maximum(open_[treated].sum(axis=0), _TINY)
    noise = _dispersion(seen, clean, level) / (level[donors] * max(promoted_weeks, 1.0))
    rows = np.vstack([relative.T, np.diag(np.sqrt(noise * len(starts))), np.full((1, len(donors)), _HEAVY)])
    found, _ = nnls(rows, np.concatenate([target, np.zeros(len(donors)), [_HEAVY]]))
    weights = np.zeros(len(level))
    weights[donors] = found / max(found.sum(), _TINY)
    return weights


def synthetic_week(counts: Floats, clean: Floats, level: Floats, weights: Floats) -> Floats:
    """What a store of level one sells in each week, [replicate, week], by the stores that `weights` name.

    Args:
        counts, clean: [store, week]. level: mean of each store in its clean weeks, [store].
        weights: [replicate, store], the weights of the stores times those of the replicate.
    """
    seen = weights @ (counts * clean / np.maximum(level, _TINY)[:, None])
    return seen / np.maximum(weights @ clean, _TINY)


def _dispersion(seen: Floats, clean: Floats, level: Floats) -> float:
    """Variance over mean of a store's weeks, once the common weeks are taken out; at least one (Poisson)."""
    week = seen.sum(axis=0) / np.maximum(level @ clean, _TINY)
    mean = level[:, None] * week * clean
    used = mean > 0
    squares = np.where(used, (seen - mean) ** 2 / np.where(used, mean, 1.0), 0.0).sum()
    return max(float(squares / max(used.sum() - len(level) - len(week), 1)), 1.0)
