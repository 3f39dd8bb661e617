"""What each promotion added at the point of sale, net of what it borrowed.

Belongs here: the table of all promotions, its intervals and verdicts. Does not belong here: the estimate of one
(ml.lift_estimate), which promotions have no design (ml.lift_verdicts).

Net = promoted line in its weeks + rest of its group + other groups in the same weeks + the line in the weeks after
(van Heerde, Leeflang and Wittink, Marketing Science 23, 2004, decompose the sales bump alike). A basket counts once per
product group, as everywhere in the lake; of a group's baskets those without the promoted line are the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from ml.lift_baseline import store_weights
from ml.lift_estimate import Lift, group_shapes, measure_promotion, total_lift
from ml.lift_inference import interval, p_value
from ml.lift_panel import MEASURES, Floats, event_cells, lift_panel
from ml.lift_parts import OTHERS, PARTS, PROMOTED
from ml.lift_verdicts import (
    BUSIER_STORES,
    DESIGNS_DISAGREE,
    MEASURED,
    PLACEBO_FAILED,
    LiftDesign,
    Verdict,
    refusal,
)

NET = "net"
_NAMES = dict(zip(MEASURES, ("incremental_transactions", "incremental_units", "incremental_sales_usd"), strict=True))
LIFT_SCHEMA: dict[str, pl.DataType] = {
    "level": pl.String(),
    "event_id": pl.String(),
    "part": pl.String(),
    "product_group": pl.String(),
    "product_line": pl.String(),
    "kind": pl.String(),
    "first_week_start_date": pl.Date(),
    "last_week_start_date": pl.Date(),
    "outcome_through_week_start_date": pl.Date(),
    "planned_stores": pl.Int64(),
    "measured_stores": pl.Int64(),
    "untreated_stores": pl.Int64(),
    "verdict": pl.String(),
    "reason": pl.String(),
    **{f"{name}{end}": pl.Float64() for name in _NAMES.values() for end in ("", "_lower", "_upper")},
    "expected_transactions": pl.Float64(),
    "synthetic_transactions": pl.Float64(),
    "naive_transactions": pl.Float64(),
    "p_value": pl.Float64(),
    "space_placebo_p_value": pl.Float64(),
    "time_placebo_transactions": pl.Float64(),
    "time_placebo_p_value": pl.Float64(),
}
DEFAULT_DESIGN = LiftDesign()
# Below this p-value, and from one transaction on, the designs disagree or a placebo shows an effect.
_DOUBT, _LEAST_TRANSACTIONS = 0.05, 1.0


def promotion_lift(
    events: pl.DataFrame,
    line_weeks: pl.DataFrame,
    group_weeks: pl.DataFrame,
    weeks: Sequence[date],
    design: LiftDesign = DEFAULT_DESIGN,
) -> pl.DataFrame:
    """insights.promotion_lift: what each promotion added, and their sums.

    Args:
        events: gold.promotion_events.
        line_weeks, group_weeks: one row per store_id, product_line or product_group, and week_start_date with
            transactions, quantity_units and net_sales_usd; no row means none were sold.
        weeks: the business weeks that are over and wholly delivered, contiguous.

    Returns:
        Columns of LIFT_SCHEMA, sorted by level, event_id and part. Five rows (four parts and net) per promotion that
        has a design, per group and kind of them (level group), and of all of them (level all); one row (net) per
        promotion that has none, with a reason and no number. outcome_through: last week at hand. expected_transactions:
        without the promotion, in the part's cells. Where the designs disagree an interval holds those of both; where
        the placebo in time finds an effect that of net is as much wider (Rambachan and Roth, Review of Economic Studies
        90, 2023: as large a violation as was seen before); where other groups moved more than the promoted line did,
        that of net holds the sum without them as well (a negative control: Lipsitch, Tchetgen Tchetgen and Cohen,
        Epidemiology 21, 2010).

    Raises:
        BadFrame: columns are missing, keys repeat, weeks have holes.
    """
    panel = lift_panel(events, line_weeks, group_weeks, weeks, design.after_weeks)
    weights = store_weights(len(panel.stores), design.samples, design.seed)
    shapes = group_shapes(panel)
    rows: list[Mapping[str, object]] = []
    lifts: list[tuple[str, str, Lift]] = []
    ordered = events.sort("event_id", "store_id")
    for own in ordered.partition_by("event_id", maintain_order=True):
        during = event_cells(own, panel.stores, panel.weeks)
        found = refusal(panel, own, during, design) or measure_promotion(panel, own, during, weights, shapes, design)
        facts = _facts(own)
        if isinstance(found, Verdict):
            rows.append(facts | {"part": NET, "verdict": found.name, "reason": found.reason})
        else:
            rows += [facts | row for row in lift_rows(found, design.confidence)]
            lifts.append((str(facts["product_group"]), str(facts["kind"]), found))
    rows += _totals(lifts, design.confidence)
    through = pl.lit(panel.weeks[-1]).alias("outcome_through_week_start_date")
    return pl.DataFrame(rows, schema=LIFT_SCHEMA).with_columns(through).sort("level", "event_id", "part")


def _totals(lifts: Sequence[tuple[str, str, Lift]], confidence: float) -> list[Mapping[str, object]]:
    """Rows of the sums of the promotions that have a number, by group and kind, and of all."""
    rows: list[Mapping[str, object]] = []
    for group, kind in sorted({(group, kind) for group, kind, _ in lifts}):
        own = total_lift([lift for *key, lift in lifts if key == [group, kind]])
        facts = {"level": "group", "event_id": f"{kind}:{group}", "product_group": group, "kind": kind}
        rows += [facts | row for row in lift_rows(own, confidence)]
    if lifts:
        own = total_lift([lift for *_, lift in lifts])
        rows += [{"level": "all", "event_id": "all"} | row for row in lift_rows(own, confidence)]
    return rows


def lift_rows(lift: Lift, confidence: float) -> list[dict[str, Any]]:
    """The rows of one measured promotion, without what identifies it."""
    doubts = _doubts(lift)
    names = [doubt.name for doubt in doubts]
    shared = {
        "measured_stores": lift.measured,
        "untreated_stores": lift.untreated,
        "verdict": names[0] if names else MEASURED,
        "reason": " ".join(doubt.reason for doubt in doubts),
    }
    rows: list[dict[str, Any]] = []
    for part in PARTS:
        first = {measure: lift.effects[part, measure].effect for measure in MEASURES}
        second = {measure: lift.synthetic[part, measure] for measure in MEASURES}
        expected = lift.effects[part, MEASURES[0]].expected
        numbers = _numbers(lift, first, second, {}, {}, names, confidence)
        rows.append(shared | {"part": part, "expected_transactions": expected} | numbers)
    rows[PARTS.index(PROMOTED)]["naive_transactions"] = lift.naive
    first = {measure: lift.net(measure) for measure in MEASURES}
    second = {measure: lift.synthetic_net(measure) for measure in MEASURES}
    earlier = lift.earlier or {}
    alone = {measure: first[measure] - lift.effects[OTHERS, measure].effect for measure in MEASURES}
    net = _numbers(lift, first, second, earlier, alone, names, confidence)
    rows.append(shared | {"part": NET, "naive_transactions": lift.naive} | net | _placebos(lift))
    return rows


def _numbers(
    lift: Lift,
    first: dict[str, Floats],
    second: dict[str, Floats],
    earlier: Mapping[str, Floats],
    without_halo: Mapping[str, Floats],
    doubts: Sequence[str],
    confidence: float,
) -> dict[str, float]:
    found: dict[str, float] = {}
    for measure, name in _NAMES.items():
        estimate, lower, upper = interval(first[measure], lift.degrees, confidence)
        if DESIGNS_DISAGREE in doubts:
            _, other_lower, other_upper = interval(second[measure], lift.degrees, confidence)
            lower, upper = min(lower, other_lower), max(upper, other_upper)
        if PLACEBO_FAILED in doubts and earlier:
            violation = abs(float(earlier[measure][0]))
            lower, upper = lower - violation, upper + violation
        if BUSIER_STORES in doubts and measure in without_halo:
            _, other_lower, other_upper = interval(without_halo[measure], lift.degrees, confidence)
            lower, upper = min(lower, other_lower), max(upper, other_upper)
        found |= {name: estimate, f"{name}_lower": lower, f"{name}_upper": upper}
    transactions = MEASURES[0]
    return found | {
        "synthetic_transactions": float(second[transactions][0]),
        "p_value": p_value(first[transactions], lift.degrees),
    }


def _placebos(lift: Lift) -> dict[str, float | None]:
    earlier = None if lift.earlier is None else lift.earlier[MEASURES[0]]
    return {
        "space_placebo_p_value": lift.space_p_value,
        "time_placebo_transactions": None if earlier is None else float(earlier[0]),
        "time_placebo_p_value": None if earlier is None else p_value(earlier, lift.degrees),
    }


def _doubts(lift: Lift) -> list[Verdict]:
    """What speaks against the number, the gravest first; nothing where it is simply measured."""
    first, second = lift.net(MEASURES[0]), lift.synthetic_net(MEASURES[0])
    own, others = (lift.effects[part, MEASURES[0]].effect for part in (PROMOTED, OTHERS))
    found: list[Verdict] = []
    if _is_doubt(first - second, lift.degrees):
        both = f"imputation says {first[0]:+.0f}, a synthetic store {second[0]:+.0f}"
        found.append(Verdict(DESIGNS_DISAGREE, f"The designs differ by more than chance: {both} transactions."))
    if lift.earlier is not None and _is_doubt(lift.earlier[MEASURES[0]], lift.degrees):
        before = f"{lift.earlier[MEASURES[0]][0]:+.0f} transactions"
        found.append(Verdict(PLACEBO_FAILED, f"{before} are found in weeks before it as well."))
    if _is_doubt(others, lift.degrees) and abs(others[0]) > abs(own[0]):
        moved = f"Other groups moved by {others[0]:+.0f} transactions and the promoted line by {own[0]:+.0f}"
        found.append(Verdict(BUSIER_STORES, f"{moved}: the stores sold more or less of everything in these weeks."))
    return found


def _is_doubt(replicates: Floats, degrees: float) -> bool:
    return abs(float(replicates[0])) >= _LEAST_TRANSACTIONS and p_value(replicates, degrees) < _DOUBT


def _facts(own: pl.DataFrame) -> dict[str, Any]:
    names = ("event_id", "product_group", "product_line", "kind")
    return (
        {"level": "event"}
        | {name: own[name][0] for name in names}
        | {
            "first_week_start_date": own["first_week_start_date"].min(),
            "last_week_start_date": own["last_week_start_date"].max(),
            "planned_stores": own.height,
        }
    )
