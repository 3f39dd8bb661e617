"""The lift of one promotion, by both designs.

Belongs here: from the panel and a promotion's cells to its estimates. Does not belong here: refusals by plan and
calendar (ml.lift_verdicts), the table (ml.lift).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ml.lift_baseline import store_exponents
from ml.lift_inference import placebo_in_space, placebo_in_time
from ml.lift_panel import MEASURES, Bools, Floats, Panel, event_cells
from ml.lift_parts import AFTER, OTHERS, PARTS, PROMOTED, Effects, imputed, promotion_parts, synthesised
from ml.lift_synthetic import donor_weights
from ml.lift_verdicts import LiftDesign, Verdict, no_overlap, nothing_after, short_runs, too_few, too_little

Key = tuple[str, str]


@dataclass(frozen=True)
class Lift:
    """The estimates of one promotion; all arrays are [replicate], replicate 0 is the estimate.

    Attributes:
        effects, synthetic: by part and measure, of the first and of the second design.
        naive: transactions of the line less its mean of the weeks before.
        measured, untreated: stores.
        space_p_value: of the placebo in space; None of a sum of promotions.
        earlier: net effect by measure that the placebo in time found; None where the weeks before do not hold it.
    """

    effects: Mapping[Key, Effects]
    synthetic: Mapping[Key, Floats]
    naive: float
    measured: int
    untreated: int
    space_p_value: float | None
    earlier: Mapping[str, Floats] | None

    @property
    def degrees(self) -> int:
        """Of freedom: stores, of the side that has fewer."""
        return max(min(self.measured, self.untreated) - 1, 1)

    def net(self, measure: str) -> Floats:
        return np.sum([self.effects[part, measure].effect for part in PARTS], axis=0)

    def synthetic_net(self, measure: str) -> Floats:
        return np.sum([self.synthetic[part, measure] for part in PARTS], axis=0)


def total_lift(lifts: Sequence[Lift]) -> Lift:
    """The sum of promotions: replicates weigh the same stores in all of them, so that their errors hang together."""
    keys = list(lifts[0].effects)
    nothing = np.zeros(0)
    sums = {key: np.sum([lift.effects[key].effect for lift in lifts], axis=0) for key in keys}
    expected = {key: sum(lift.effects[key].expected for lift in lifts) for key in keys}
    earlier = [lift.earlier for lift in lifts if lift.earlier is not None]
    return Lift(
        effects={key: Effects(sums[key], expected[key], nothing, nothing) for key in keys},
        synthetic={key: np.sum([lift.synthetic[key] for lift in lifts], axis=0) for key in keys},
        naive=sum(lift.naive for lift in lifts),
        measured=max(lift.measured for lift in lifts),
        untreated=max(lift.untreated for lift in lifts),
        space_p_value=None,
        earlier={name: np.sum([found[name] for found in earlier], axis=0) for name in MEASURES} if earlier else None,
    )


def group_shapes(panel: Panel) -> dict[Key, Floats]:
    """How each store follows the season of a group, and of all the others, [store, week], by group and part.

    Fitted on transactions of all weeks, which are dense where a line's are sparse.
    """
    shapes: dict[Key, Floats] = {}
    for group in sorted(set(panel.group_of.values()) & set(panel.groups)):
        own = _shape(panel.groups[group][0], panel.touched_group(group))
        other = _shape(np.maximum(panel.total - panel.groups[group], 0.0)[0], panel.touched_others(group))
        shapes |= {(group, part): other if part == OTHERS else own for part in PARTS}
    return shapes


def measure_promotion(
    panel: Panel,
    own: pl.DataFrame,
    during: Bools,
    weights: Floats,
    shapes: Mapping[Key, Floats],
    design: LiftDesign,
) -> Lift | Verdict:
    """The lift of one promotion, or why its stores and sales are too few.

    Args:
        own: its rows of gold.promotion_events. during: where it ran, [store, week]; its stores that run it for long are
            neither promoted nor untreated.
        weights: of `ml.lift_baseline.store_weights`. shapes: of `group_shapes`.
    """
    line, kind, group = own["product_line"][0], own["kind"][0], own["product_group"][0]
    promoted, during = during.any(axis=1), event_cells(short_runs(own, design), panel.stores, panel.weeks)
    window = _window(during, design)
    parts = promotion_parts(panel, line, kind, during, window)
    clean, sold = parts[PROMOTED].clean, parts[PROMOTED].sold[0]
    usual = (clean.sum(axis=1) >= design.least_usual_weeks) & ((sold * clean).sum(axis=1) > 0)
    is_donor, is_treated = ~promoted & usual, (during.any(axis=1) & usual).astype(np.float64)
    treated, untreated = int(is_treated.sum()), int(is_donor.sum())
    needed = (parts[PROMOTED].cells + parts[AFTER].cells).any(axis=0)
    present = int((clean[is_donor][:, needed] > 0).sum(axis=0).min()) if needed.any() else 0
    usually = panel.groups[group][0][:, window].mean(axis=1)
    few = (
        too_few(treated, present, int(promoted.sum()), design)
        or no_overlap(float(usually @ is_treated), float(usually @ is_donor), design)
        or nothing_after(panel, line, kind, during)
    )
    if few:
        return few
    used = weights * (is_donor | (is_treated > 0))
    shape = {part: shapes[group, part][:, window] for part in PARTS}
    first = imputed(parts[PROMOTED], 0, shape[PROMOTED], used, is_treated)
    little = too_little(first.expected, design)
    if little:
        return little
    effects = {
        (part, measure): imputed(parts[part], index, shape[part], used, is_treated)
        for part in PARTS
        for index, measure in enumerate(MEASURES)
    }
    length = float(during[is_treated > 0].sum(axis=1).mean())
    untouched = (~(panel.touched_group(group) | during)).astype(np.float64)
    donors = donor_weights(panel.groups[group][0] * usual[:, None], untouched, is_treated, length)
    return Lift(
        effects=effects,
        synthetic={
            (part, measure): synthesised(parts[part], index, donors, used, is_treated)
            for part in PARTS
            for index, measure in enumerate(MEASURES)
        },
        naive=_naive(panel.line(line)[0], during, is_treated, design.naive_weeks),
        measured=treated,
        untreated=untreated,
        space_p_value=placebo_in_space([effects[part, MEASURES[0]] for part in PARTS], is_donor, treated, design.seed),
        earlier=placebo_in_time(panel, line, kind, during, used, shape, is_treated, window),
    )


def _window(during: Bools, design: LiftDesign) -> slice:
    run = np.flatnonzero(during.any(axis=0))
    last = int(run[-1]) + design.after_weeks + design.later_weeks
    return slice(max(int(run[0]) - design.before_weeks, 0), min(last + 1, during.shape[1]))


def _shape(counts: Floats, touched: Bools) -> Floats:
    exponent, log_week = store_exponents(counts, (~touched).astype(np.float64))
    return np.exp(exponent[:, None] * log_week)


def _naive(sold: Floats, during: Bools, is_treated: Floats, weeks: int) -> float:
    """Transactions in the promoted weeks less the mean of the weeks before, summed over the measured stores."""
    found = 0.0
    for store in np.flatnonzero(is_treated > 0):
        run = np.flatnonzero(during[store])
        before = sold[store, max(run[0] - weeks, 0) : run[0]]
        found += float(sold[store, run].sum() - len(run) * (before.mean() if len(before) else 0.0))
    return found
