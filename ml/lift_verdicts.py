"""What is said of a promotion: measured, measured with doubt, or refused with the reason.

Belongs here: the verdicts, the rules of a refusal. Does not belong here: an estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from ml.lift_panel import Bools, Panel, following

VerdictName = Literal[
    "measured", "designs_disagree", "placebo_failed", "busier_stores",
    "planned_after_outcome", "outcome_not_over", "nothing_before", "standing_promotion", "no_untreated_store",
    "no_overlap", "conflicting_promotion", "too_small",
]  # fmt: skip
# With a number, the last three with a widened interval; all others are refusals.
MEASURED, DESIGNS_DISAGREE, PLACEBO_FAILED, BUSIER_STORES = (
    "measured", "designs_disagree", "placebo_failed", "busier_stores",
)  # fmt: skip
# Promoted and untreated stores may differ so much in how many run another kind of promotion of the line meanwhile.
MOST_CONFLICT = 0.2


class Verdict(NamedTuple):
    """The verdict and its reason, one sentence; empty where there is nothing to add."""

    name: VerdictName
    reason: str


@dataclass(frozen=True)
class LiftDesign:
    """How a promotion is measured.

    Attributes:
        before_weeks, later_weeks: weeks before it, and after all that it does, that say what is usual.
        after_weeks: weeks in which it may have borrowed.
        naive_weeks: weeks before it that the naive estimate compares with.
        most_weeks: stores that run it longer are not measured: it stands there, and no week near says what is usual.
        confidence: of the intervals. samples, seed: of the bootstrap over stores.
        least_stores, least_untreated: promoted and untreated stores without which nothing is said.
        least_overlap: what the untreated stores usually sell of the group, over what the promoted ones do.
        least_usual_weeks: clean weeks without which a store is not measured; of them some before the promotion.
        least_expected: transactions of the line expected without the promotion, without which nothing is said.
    """

    before_weeks: int = 26
    later_weeks: int = 20
    after_weeks: int = 3
    naive_weeks: int = 4
    most_weeks: int = 8
    confidence: float = 0.9
    samples: int = 200
    seed: int = 7
    least_stores: int = 4
    least_untreated: int = 5
    least_overlap: float = 0.2
    least_usual_weeks: int = 8
    least_expected: float = 10.0


def refusal(panel: Panel, own: pl.DataFrame, during: Bools, design: LiftDesign) -> Verdict | None:
    """Why a promotion has no design, as far as plans and calendar say; None where they do not.

    Args:
        own: its rows of gold.promotion_events. during: where it ran in the panel's weeks, [store, week].
    """
    found = _late_plan(own) or _standing(own, design) or _not_over(panel, own, design)
    found = found or _nothing_before(panel, own, design)
    if found or not during.any():
        return found or Verdict("too_small", "None of its stores sells a group in scope.")
    untreated = ~during.any(axis=1)
    if untreated.sum() < design.least_untreated:
        return _no_untreated(int(during.any(axis=1).sum()), int(untreated.sum()), design)
    return _conflict(panel, own, during)


def short_runs(own: pl.DataFrame, design: LiftDesign) -> pl.DataFrame:
    """The rows of the stores that run the promotion for a while only."""
    return own.filter(pl.col("planned_weeks") <= design.most_weeks)


def too_few(treated: int, untreated: int, promoted: int, design: LiftDesign) -> Verdict | None:
    """Why the stores that have enough usual weeks do not make a design; None where they do.

    Args:
        untreated: in the week of the promotion, or after it, that has fewest untouched untreated stores.
    """
    if untreated < design.least_untreated:
        return _no_untreated(promoted, untreated, design)
    if treated < design.least_stores:
        usual = f"{design.least_usual_weeks} weeks without a promotion of the line"
        return Verdict(
            "too_small", f"{treated} of {promoted} promoted stores have {usual}; {design.least_stores} needed."
        )
    return None


def no_overlap(treated: float, untreated: float, design: LiftDesign) -> Verdict | None:
    """Why the untreated stores cannot stand for the promoted ones, by what both usually sell of the group."""
    if untreated >= design.least_overlap * treated:
        return None
    share = f"{untreated / treated:.0%} of what the promoted ones do; {design.least_overlap:.0%} needed"
    return Verdict("no_overlap", f"The untreated stores usually sell {share}.")


def too_little(expected: float, design: LiftDesign) -> Verdict | None:
    """Why the sales are too sparse to say anything."""
    if expected >= design.least_expected:
        return None
    return Verdict("too_small", f"{expected:.1f} transactions expected without it; {design.least_expected:g} needed.")


def nothing_after(panel: Panel, line: str, kind: str, during: Bools) -> Verdict | None:
    """Why the weeks after say nothing: the line was promoted again in nearly all of them."""
    after = following(during, panel.after_weeks)
    free = after & ~panel.promoted_line(line, kind)
    if free.sum() * 4 >= after.sum():
        return None
    share = 1 - free.sum() / max(after.sum(), 1)
    return Verdict("conflicting_promotion", f"The line was promoted again in {share:.0%} of the weeks after.")


def _late_plan(own: pl.DataFrame) -> Verdict | None:
    late = own.filter(pl.col("known_at") > pl.col("event_at"))
    if late.is_empty():
        return None
    return Verdict("planned_after_outcome", f"{late.height} of {own.height} stores were planned after they began.")


def _standing(own: pl.DataFrame, design: LiftDesign) -> Verdict | None:
    short = short_runs(own, design).height
    if short >= design.least_stores or short == own.height:
        return None
    many = f"{own.height - short} of {own.height} stores run it for more than {design.most_weeks} weeks"
    return Verdict("standing_promotion", f"{many}: no week near says what is usual.")


def _not_over(panel: Panel, own: pl.DataFrame, design: LiftDesign) -> Verdict | None:
    last = max(short_runs(own, design)["last_week_start_date"].to_list())
    after = [week for week in panel.weeks if week > last]
    if len(after) >= design.after_weeks:
        return None
    return Verdict(
        "outcome_not_over", f"{len(after)} of the {design.after_weeks} weeks after it are over and delivered."
    )


def _nothing_before(panel: Panel, own: pl.DataFrame, design: LiftDesign) -> Verdict | None:
    first = min(own["first_week_start_date"].to_list())
    before = [week for week in panel.weeks if week < first]
    if len(before) >= design.naive_weeks:
        return None
    return Verdict("nothing_before", f"{len(before)} weeks before it are at hand; {design.naive_weeks} needed.")


def _no_untreated(promoted: int, untreated: int, design: LiftDesign) -> Verdict:
    found = f"Promoted stores {promoted}, stores untouched by the line's promotions in the same weeks {untreated}"
    return Verdict("no_untreated_store", f"{found}; {design.least_untreated} needed.")


def _conflict(panel: Panel, own: pl.DataFrame, during: Bools) -> Verdict | None:
    line, kind = own["product_line"][0], own["kind"][0]
    weeks, treated = during.any(axis=0), during.any(axis=1)
    for (name, other), cells in panel.promoted.items():
        if name == line and other != kind:
            with_it = float(cells[during].mean())
            without = float(np.mean(cells[~treated][:, weeks])) if (~treated).any() else 0.0
            if abs(with_it - without) > MOST_CONFLICT:
                shares = f"in {with_it:.0%} of its store weeks and in {without:.0%} of the untreated ones"
                return Verdict("conflicting_promotion", f"A {other} of the line ran {shares}.")
    return None
