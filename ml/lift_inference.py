"""How sure a lift is: intervals, and the same question asked where the answer is nothing.

Belongs here: what follows from replicates; placebos. Does not belong here: the counterfactual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import stdtr, stdtrit

from ml.lift_panel import MEASURES, Bools, Floats, Panel, following
from ml.lift_parts import PARTS, PROMOTED, Effects, imputed, promotion_parts

_DRAWS, _LEAST_STORES = 400, 2


def interval(replicates: Floats, degrees: float, confidence: float) -> tuple[float, float, float]:
    """Estimate and the ends of its interval: replicates give the error, few stores widen it (Student's t).

    Args:
        replicates: the estimate, then its bootstrap replicates. degrees: of freedom, of the side with fewer stores.
    """
    half = float(stdtrit(degrees, 0.5 + confidence / 2)) * error(replicates, degrees)
    return float(replicates[0]), float(replicates[0]) - half, float(replicates[0]) + half


def p_value(replicates: Floats, degrees: float) -> float:
    """Of the effect being zero, two-sided."""
    spread = error(replicates, degrees)
    return float(2 * stdtr(degrees, -abs(float(replicates[0])) / spread)) if spread > 0 else 1.0


def error(replicates: Floats, degrees: float) -> float:
    """Standard error; the weights of few stores vary too little."""
    return float(replicates[1:].std(ddof=1) * np.sqrt((degrees + 1) / degrees))


def placebo_in_space(parts: Sequence[Effects], is_untreated: Bools, treated: int, seed: int) -> float:
    """How often untreated stores, called promoted by lot, show as large a net effect as the promotion did.

    The randomisation test of synthetic control (Abadie, Diamond and Hainmueller 2010) on groups of stores. A draw calls
    some untreated stores promoted and compares them with the others, by the residuals that these have in the same
    weeks; it is scaled to the sales of the promoted stores, and to the noise of as many of them.

    Returns:
        The p-value, at least one over the number of draws.
    """
    stores = np.flatnonzero(is_untreated & (parts[0].size > 0))
    called = max(min(treated, len(stores) // 2), 1)
    if len(stores) <= called:
        return 1.0
    random = np.random.default_rng(seed)
    order = np.argsort(random.random((_DRAWS, len(stores))), axis=1)
    is_called = (order < called).astype(np.float64)
    found = np.zeros(_DRAWS)
    for part in parts:
        residual, size = part.residual[stores], np.maximum(part.size[stores], 0.0)
        own = is_called @ residual / np.maximum(is_called @ size, 1e-9)
        others = (1 - is_called) @ residual / np.maximum((1 - is_called) @ size, 1e-9)
        found += part.expected * (own - others)
    noise = (1 / treated + 1 / len(stores)) / (1 / called + 1 / (len(stores) - called))
    net = sum(float(part.effect[0]) for part in parts)
    return float((1 + (np.abs(found) * np.sqrt(noise) >= abs(net)).sum()) / (1 + _DRAWS))


def placebo_in_time(
    panel: Panel,
    line: str,
    kind: str,
    during: Bools,
    weights: Floats,
    shapes: Mapping[str, Floats],
    is_treated: Floats,
    window: slice,
) -> dict[str, Floats] | None:
    """The net effect of the promotion had it run earlier, over before it began: by measure, [replicate].

    None where the weeks before do not hold it, or the line was promoted in more than half of them.
    """  # fmt: skip
    run = np.flatnonzero(during.any(axis=0))
    shift = int(run[-1] - run[0]) + 1 + panel.after_weeks
    if run[0] - shift < window.start + panel.after_weeks:
        return None
    earlier = np.roll(during, -shift, axis=1) & ~panel.touched_line(line, kind)
    if earlier.sum() * 2 < during.sum():
        return None
    real = (during | following(during, panel.after_weeks))[:, window]
    parts = promotion_parts(panel, line, kind, earlier, window)
    still = is_treated * (parts[PROMOTED].cells.sum(axis=1) > 0)
    if still.sum() < _LEAST_STORES:
        return None
    masked = {name: part.without(real) for name, part in parts.items()}
    return {
        measure: np.sum([imputed(masked[name], index, shapes[name], weights, still).effect for name in PARTS], axis=0)
        for index, measure in enumerate(MEASURES)
    }
