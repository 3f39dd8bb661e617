"""Frames of the small report about activities: drivers of forecasts, the lift of promotions, advice."""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from ml.action_outcomes import OUTCOME_SCHEMA
from tests.unit.assets.insights.small_frames import GROUPS, KNOWN_WEEKS, METHODS, STORES, make_forecasts, week

LIFT_SCHEMA = {
    "level": pl.String, "event_id": pl.String, "part": pl.String, "product_group": pl.String, "product_line": pl.String,
    "kind": pl.String, "first_week_start_date": pl.Date, "measured_stores": pl.Int32, "verdict": pl.String,
    "incremental_transactions": pl.Float64, "incremental_transactions_lower": pl.Float64,
    "incremental_transactions_upper": pl.Float64, "naive_transactions": pl.Float64,
}  # fmt: skip


def make_drivers() -> pl.DataFrame:
    """Parts of the model's forecasts that add up to them; the mailer of COFFEE is not stable."""
    mine = make_forecasts().filter(pl.col("method") == METHODS[0])
    place = pl.int_range(pl.len())
    parts = {
        ("base", "average"): pl.lit(30.0),
        ("base", "features"): pl.col("p50") - 30.0 - (place % 3) - (place % 2) / 2 + 0.5,
        ("mailer", "features"): (place % 3).cast(pl.Float64),
        ("display", "features"): (place % 2) / 2,
        ("unexplained", "rounding"): pl.lit(-0.5),
    }
    frames = [
        mine.select(
            "store_id", "product_group", "horizon_weeks", "p50",
            driver=pl.lit(driver),
            part=pl.lit(part),
            contribution=adds,
            counterfactual=adds * 2 if driver in ("mailer", "display") else pl.lit(None, dtype=pl.Float64),
            refit_count=pl.lit(None if driver == "unexplained" else 5, dtype=pl.Int32),
            refit_mean=adds,
            same_sign_share=pl.when(pl.lit(driver) != "unexplained", adds != 0).then(
                pl.when(pl.lit(driver) == "mailer").then(0.6).otherwise(1.0)
            ),
        )
        for (driver, part), adds in parts.items()
    ]  # fmt: skip
    return pl.concat(frames)


def make_lift() -> pl.DataFrame:
    """Two promotions that are measured, one surely bad, and two of which nothing can be said."""
    rows = []
    for number, net in enumerate((30.0, -12.0)):
        facts = (GROUPS[0], f"{GROUPS[0]} / 10{number}", "display", week(number), 7, "measured")
        rows.append(("event", f"e{number}", "promoted", *facts, net + 5, net - 5, net + 15, 44.0))
        rows.append(("event", f"e{number}", "net", *facts, net, net - 40 * (1 - number) - 5, net + 10 - number, 44.0))
    for number, verdict in enumerate(("no_untreated_store", "too_small")):
        facts = (GROUPS[1], f"{GROUPS[1]} / 20{number}", "mailer", week(number), 0, verdict)
        rows.append(("event", f"r{number}", "net", *facts, None, None, None, 3.0))
    for level, event, group, kind in (("group", "display:COFFEE", GROUPS[0], "display"), ("all", "all", None, None)):
        for part, net in (("promoted", 28.0), ("net", 18.0)):
            rows.append((level, event, part, group, None, kind, None, 7, "measured", net, net - 30, net + 25, 88.0))
    return pl.DataFrame(rows, schema=LIFT_SCHEMA, orient="row")


def make_advice() -> pl.DataFrame:
    """Three activities, one of them held out."""
    rows = [
        {
            "target_week_start_date": week(KNOWN_WEEKS), "store_id": STORES[number % 2], "product_group": group,
            "kind": "display", "cell": "hold_out" if number == 1 else "treated",
            "incremental_transactions": 3.0 - number, "incremental_transactions_lower": -1.0 - number,
            "incremental_transactions_upper": 6.5, "assumed_cost_usd": Decimal("0.8000"),
            "assumed": "assumed: a display costs 0.80 USD", "reason": f"Displays of {group} added 9 % in 7 stores.",
            "optimality_gap_percent": 0.25,
        }
        for number, group in enumerate(GROUPS)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def make_outcomes() -> pl.DataFrame:
    """Two weeks over all cells, the second of which is measured, and both together."""
    facts = ("target_week_start_date", "period", "product_group", "kind", "treated_cells", "hold_out_cells")
    values = (
        "expected_incremental_transactions", "expected_lower", "expected_upper", "measured_incremental_transactions",
        "measured_lower", "measured_upper", "is_expected_within", "reason",
    )  # fmt: skip
    nothing = (None, None, None, None, "1 treated and 0 held-out cells can be compared.")
    rows = [
        ((week(KNOWN_WEEKS - 2), "week", "all", "all", 1, 0), (3.0, 1.0, 5.0, *nothing)),
        ((week(KNOWN_WEEKS - 1), "week", "all", "all", 9, 4), (20.0, 8.0, 32.0, 12.0, -4.0, 28.0, True, None)),
        ((week(KNOWN_WEEKS - 2), "to_date", "all", "all", 1, 0), (3.0, 1.0, 5.0, *nothing)),
        ((week(KNOWN_WEEKS - 1), "to_date", "all", "all", 10, 4), (23.0, 9.0, 37.0, 13.0, -4.0, 30.0, True, None)),
        (
            (week(KNOWN_WEEKS - 1), "to_date", "COFFEE", "display", 10, 4),
            (23.0, 9.0, 37.0, 2.0, -9.0, 8.0, False, None),
        ),
    ]
    named = [dict(zip((*facts, *values), (*fact, *value), strict=True)) for fact, value in rows]
    return pl.DataFrame(named, schema=OUTCOME_SCHEMA)
