"""One promotion's effect on four sets of cells, by two designs, with replicates.

Belongs here: parts, their counterfactual and its replicates. Does not belong here: which promotions have a design, what
is said of them (ml.lift).

An effect is what was sold in the treated cells less what the untreated ones say would have been, summed over the
treated stores. Replicates weigh the stores anew; the residuals of the treated stores are scaled by their expected
sales, so that a replicate changes who errs and not how large the treated stores are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ml.lift_baseline import fit_baseline
from ml.lift_panel import Bools, Floats, Panel, following
from ml.lift_synthetic import synthetic_week

PROMOTED, REST, OTHERS, AFTER = "promoted", "rest_of_group", "other_groups", "following_weeks"
PARTS = (PROMOTED, REST, OTHERS, AFTER)
# Of the cells of other groups so many must be untouched by promotions of theirs, else all are used as they are.
LEAST_CLEAN_SHARE = 0.25
_LEVEL_ROUNDS, _TINY = 2, 1e-9


@dataclass(frozen=True)
class Part:
    """One set of cells of a promotion.

    Attributes:
        sold: [measure, store, week], the sales of the part's products.
        cells: those in which the effect is looked for, [store, week]; none touched by another promotion.
        clean: the cells that no promotion touched.
        scale: all cells of the part over `cells`.
    """

    sold: Floats
    cells: Floats
    clean: Floats
    scale: float

    def without(self, cells: Bools) -> Part:
        """The same, with fewer clean cells."""
        return replace(self, clean=self.clean * ~cells)


@dataclass(frozen=True)
class Effects:
    """What was found of one part and measure, [replicate]; replicate 0 is the estimate.

    Attributes:
        effect: sold less expected. expected: without the promotion, of replicate 0.
        residual, size: of each untreated store, had it been promoted then: sold less expected, and expected, [store].
    """

    effect: Floats
    expected: float
    residual: Floats
    size: Floats


def promotion_parts(panel: Panel, line: str, kind: str, during: Bools, window: slice) -> dict[str, Part]:
    """The four parts of a promotion in the weeks of `window`.

    Args:
        during: [store, week], where the promotion ran.
        window: weeks that are used, of the panel's.
    """
    group = panel.group_of[line]
    own, whole = panel.line(line), panel.groups[group]
    after = following(during, panel.after_weeks)
    wide, others = panel.touched_group(group), panel.touched_others(group)
    near = panel.touched_line(line, kind) | wide
    undisturbed = during & ~others
    if undisturbed.sum() < LEAST_CLEAN_SHARE * during.sum():
        undisturbed, others = during, np.zeros_like(others)
    sets = {
        PROMOTED: (own, during, during, near),
        REST: (np.maximum(whole - own, 0.0), during, during, wide),
        OTHERS: (np.maximum(panel.total - whole, 0.0), during, undisturbed, others),
        AFTER: (own, after, after & ~panel.promoted_line(line, kind), near),
    }
    return {
        name: Part(
            sold=sold[:, :, window],
            cells=used[:, window].astype(np.float64),
            clean=(~(touched | during | after))[:, window].astype(np.float64),
            scale=float(cells.sum() / max(used.sum(), 1)),
        )
        for name, (sold, cells, used, touched) in sets.items()
    }


def imputed(part: Part, measure: int, shape: Floats, weights: Floats, is_treated: Floats) -> Effects:
    """The effect by imputation (ml.lift_baseline).

    Args:
        measure: index of MEASURES. shape: [store, week] of the same weeks. weights: [replicate, store].
        is_treated: [store], 1 for the stores that are measured.
    """
    sold = part.sold[measure]
    baseline = fit_baseline(sold, part.clean, shape, weights)
    timing = part.cells[is_treated > 0].mean(axis=0)
    pseudo = timing[None, :] * part.clean * (1 - is_treated)[:, None]
    size = baseline.expected(pseudo)[0]
    effect, expected = _effect(part, sold, baseline.expected(part.cells), weights, is_treated)
    return Effects(effect, expected, (sold * pseudo).sum(axis=1) - size, size)


def synthesised(part: Part, measure: int, donors: Floats, weights: Floats, is_treated: Floats) -> Floats:
    """The effect by a synthetic store (ml.lift_synthetic), [replicate]; donors: its weights [store]."""
    sold, clean = part.sold[measure], part.clean
    seen, weeks = (sold * clean).sum(axis=1), np.maximum(clean.sum(axis=1), 1.0)
    level, mix = seen / weeks, weights * donors
    week = np.ones((len(weights), sold.shape[1]))
    for _ in range(_LEVEL_ROUNDS):
        week = synthetic_week(sold, clean, level, mix)
        level = seen / np.maximum(clean @ week[0], _TINY)
    levels = seen / np.maximum(week @ clean.T, _TINY)
    return _effect(part, sold, levels * (week @ part.cells.T), weights, is_treated)[0]


def _effect(part: Part, sold: Floats, expected: Floats, weights: Floats, is_treated: Floats) -> tuple[Floats, float]:
    size = expected[0] * is_treated
    total = float(size.sum()) * part.scale
    gap = (sold * part.cells).sum(axis=1) - expected
    own = weights * is_treated
    return total * (own * gap).sum(axis=1) / np.maximum(own @ size, _TINY), total
