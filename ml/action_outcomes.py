"""What became of the advice: what was expected of the treated, and what the held-out say that it added.

Belongs here: the comparison by week and to date. Does not belong here: the log (action_assignments), what the outcomes
teach of lift (action_recalibration).

The draw of the hold-out is the design: treated and held-out cells of a stratum differ by chance alone, so that their
difference is an effect. Each side's transactions are compared with what was forecast for it without an activity, by the
ratio of their sums (Cochran, Sampling Techniques, 1977, ch. 6), weighted by the inverse of the probability with which a
cell came to be on its side (Hajek, 1971); the lift is the difference of the two ratios, which takes out an error of the
forecast that both share. Its interval is Welch's (Biometrika 34, 1947). Counts vary at least as Poisson's law says, so
that a side on which nothing happened is not taken for certain.

Both are of the activity's own product group and week: what following weeks and other groups give or take shows nowhere
near a cell. The net share that lift measured is kept for what is advised. Net sales are compared in the same way: what
is promoted may be dearer or cheaper than its group.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import stdtrit

from ml.action_assignments import ASSIGNMENT_SCHEMA, NONE, standing
from ml.actions_candidates import CONFIDENCE, Z, total
from ml.actions_draws import HOLD_OUT, TREATED
from ml.actions_optimizer import ARM, CELL, TARGET_WEEK
from ml.frame_checks import SERIES_KEY, WEEK, require_columns, require_unique

ALL, ONE_WEEK, TO_DATE = "all", "week", "to_date"
OUTCOME_SCHEMA: dict[str, pl.DataType] = {
    TARGET_WEEK: pl.Date(),
    "period": pl.String(),
    "product_group": pl.String(),
    "kind": pl.String(),
    "treated_cells": pl.Int64(),
    "hold_out_cells": pl.Int64(),
    "left_out_cells": pl.Int64(),
    "base_transactions": pl.Float64(),
    "actual_transactions": pl.Float64(),
    "expected_incremental_transactions": pl.Float64(),
    "expected_lower": pl.Float64(),
    "expected_upper": pl.Float64(),
    "measured_incremental_transactions": pl.Float64(),
    "measured_lower": pl.Float64(),
    "measured_upper": pl.Float64(),
    "expected_lift_percent": pl.Float64(),
    "measured_lift_percent": pl.Float64(),
    "measured_lift_sd_percent": pl.Float64(),
    "base_net_sales_usd": pl.Float64(),
    "actual_net_sales_usd": pl.Float64(),
    "measured_net_sales_usd": pl.Float64(),
    "measured_net_sales_usd_lower": pl.Float64(),
    "measured_net_sales_usd_upper": pl.Float64(),
    "measured_sales_lift_percent": pl.Float64(),
    "measured_sales_lift_sd_percent": pl.Float64(),
    "is_expected_within": pl.Boolean(),
    "reason": pl.String(),
}
LEAST_CELLS = 2
TRANSACTIONS, NET_SALES = "transactions", "net_sales_usd"
_PERCENT = 100.0


@dataclass(frozen=True)
class _Ratio:
    """Actual over forecast of one side, the variance of it, and the degrees of freedom."""

    value: float
    variance: float
    freedom: float


def outcomes(log: pl.DataFrame, series: pl.DataFrame, through: date, since: date = date.min) -> pl.DataFrame:
    """insights.action_outcomes: advice against what happened, by target week and to date, by arm and over all.

    Args:
        log: rows of ml.action_assignments.ASSIGNMENT_SCHEMA.
        series: store_id, product_group, week_start_date, transactions, net_sales_usd of weeks that are over.
        through: the last of them; what was decided about later weeks is not looked at.
        since: the first target week to tell of; earlier ones count to date.

    Returns:
        One row per target week, period (the week, or all weeks up to it), product_group and kind (both all, or an arm);
        sorted; columns of OUTCOME_SCHEMA. Sums are over the treated cells that are compared. left_out_cells: edited,
        not randomised, never held out, without an outcome or without a forecast. Where a side has fewer than
        LEAST_CELLS cells nothing is measured and `reason` says so.

    Raises:
        Refused: see `ml.action_assignments.standing`. BadFrame: columns are missing or weeks repeat.
    """
    require_columns(log, tuple(ASSIGNMENT_SCHEMA), "The assignment log")
    require_columns(series, (*SERIES_KEY, WEEK, TRANSACTIONS, NET_SALES), "The series")
    require_unique(series, (*SERIES_KEY, WEEK), "The series")
    happened = series.select(
        *SERIES_KEY, pl.col(WEEK).alias(TARGET_WEEK), pl.col(TRANSACTIONS, NET_SALES).cast(pl.Float64)
    )
    decided = standing(log).filter((pl.col(TARGET_WEEK) <= through) & (pl.col("kind") != NONE))
    cells = decided.join(happened, on=CELL, how="left", maintain_order="left").with_columns(
        base_net_sales_usd=pl.col("base_transactions") * pl.col("net_sales_usd_per_transaction")
    )
    cells = cells.with_columns(
        is_compared=pl.col("is_randomised")
        & pl.col(TRANSACTIONS).is_not_null()
        & (pl.col("base_net_sales_usd") > 0).fill_null(value=False)
        & (pl.col("propensity") > 0)
        & (pl.col("propensity") < 1)
    )
    rows = [
        _row(part, week, period, group, kind)
        for week in cells.filter(pl.col(TARGET_WEEK) >= since)[TARGET_WEEK].unique().sort()
        for period, span in (
            (ONE_WEEK, cells.filter(pl.col(TARGET_WEEK) == week)),
            (TO_DATE, cells.filter(pl.col(TARGET_WEEK) <= week)),
        )
        for (group, kind), part in [((ALL, ALL), span), *span.partition_by(ARM, as_dict=True).items()]
    ]
    found = pl.DataFrame(rows, schema=OUTCOME_SCHEMA)
    return found.sort(TARGET_WEEK, "period", "product_group", "kind")


def _row(cells: pl.DataFrame, week: date, period: str, group: str, kind: str) -> dict[str, object]:
    compared = cells.filter("is_compared")
    treated, held = (compared.filter(pl.col("cell") == side) for side in (TREATED, HOLD_OUT))
    base, sales = float(treated["base_transactions"].sum()), float(treated["base_net_sales_usd"].sum())
    expected = total(treated, net=False)
    row: dict[str, object] = {
        TARGET_WEEK: week,
        "period": period,
        "product_group": group,
        "kind": kind,
        "treated_cells": treated.height,
        "hold_out_cells": held.height,
        "left_out_cells": cells.height - compared.height,
        "base_transactions": base,
        "actual_transactions": float(treated[TRANSACTIONS].sum()),
        **dict(zip(("expected_incremental_transactions", "expected_lower", "expected_upper"), expected, strict=True)),
        "expected_lift_percent": _PERCENT * expected[0] / base if base else None,
        "base_net_sales_usd": sales,
        "actual_net_sales_usd": float(treated[NET_SALES].sum()),
    }
    if min(treated.height, held.height) < LEAST_CELLS:
        row["reason"] = (
            f"{treated.height} treated and {held.height} held-out cells can be compared; "
            f"at least {LEAST_CELLS} of each are needed."
        )
        return row
    lift, half = _lift(treated, held, TRANSACTIONS)
    sales_lift, sales_half = _lift(treated, held, NET_SALES)
    return row | {
        "measured_incremental_transactions": base * lift,
        "measured_lower": base * (lift - half),
        "measured_upper": base * (lift + half),
        "measured_lift_percent": _PERCENT * lift,
        "measured_lift_sd_percent": _PERCENT * half / Z,
        "is_expected_within": abs(expected[0] - base * lift) <= base * half,
        "measured_net_sales_usd": sales * sales_lift,
        "measured_net_sales_usd_lower": sales * (sales_lift - sales_half),
        "measured_net_sales_usd_upper": sales * (sales_lift + sales_half),
        "measured_sales_lift_percent": _PERCENT * sales_lift,
        "measured_sales_lift_sd_percent": _PERCENT * sales_half / Z,
    }


def _lift(treated: pl.DataFrame, held: pl.DataFrame, measure: str) -> tuple[float, float]:
    """What the treated sold above the held-out, as a share of their forecast, and half of its interval."""
    one = _ratio(treated, 1 / treated["propensity"].to_numpy(), measure)
    other = _ratio(held, 1 / (1 - held["propensity"].to_numpy()), measure)
    variance = one.variance + other.variance
    freedom = variance**2 / (one.variance**2 / one.freedom + other.variance**2 / other.freedom)
    return one.value - other.value, float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * variance**0.5


def _ratio(cells: pl.DataFrame, weight: NDArray[np.float64], measure: str) -> _Ratio:
    """Weighted ratio of sums with its linearised variance."""
    actual, base = cells[measure].to_numpy(), cells[f"base_{measure}"].to_numpy()
    # What one transaction brings.
    each = base / cells["base_transactions"].to_numpy()
    whole = float((weight * base).sum())
    value = float((weight * actual).sum()) / whole
    count = cells.height
    sampled = count / (count - 1) * float(((weight * (actual - value * base)) ** 2).sum())
    # Jeffreys' half: a side that sold nothing may have sold something.
    sold = float(actual.sum()) + 0.5 * float(each.mean())
    poisson = float((weight**2 * base * each).sum()) * sold / float(base.sum())
    return _Ratio(value, max(sampled, poisson) / whole**2, count - 1)
