"""Weeks without a sale that say nothing about demand: stock-outs and de-listings, told from the past only.

Belongs here: which zero weeks of a series are not believed, and as what. Does not belong here: what learns without them
(ml.forecaster), features (a zero week stays a zero in them).

No source gives stock, so the rule is statistical: a zero week is believed until the run of zeros is improbable for the
series. With S sales in the last n weeks before the run, a Poisson rate with Jeffreys' prior predicts k weeks without a
sale with probability (n / (n + k)) ** (S + 1/2): the negative binomial that allows for the rate being an estimate
(Gelman et al., Bayesian Data Analysis, 3rd ed., 2013, section 2.6). Counts that vary more than Poisson ones carry less
information: S is divided by their dispersion, variance over mean where that is above 1 (quasi-likelihood: Wedderburn,
Biometrika 61, 1974). ADR 0015 compares the rule with plain Poisson on real rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.business_calendar import DAYS_PER_WEEK
from ml.frame_checks import SERIES_KEY, WEEK, require_columns, require_contiguous_weeks, require_unique

STOCK_OUT, DELISTED = "stock_out", "delisted"
CENSORING = "censoring"
CENSORED_SCHEMA: dict[str, pl.DataType] = {
    "store_id": pl.String(),
    "product_group": pl.String(),
    "week_start_date": pl.Date(),
    CENSORING: pl.String(),
}
_KINDS = (None, STOCK_OUT, DELISTED)
_JEFFREYS = 0.5


@dataclass(frozen=True)
class CensoringRule:
    """When a zero is not believed.

    Attributes:
        reference_weeks: weeks before a run that say how much the series sells.
        least_reference_weeks: with fewer of them every zero is believed.
        least_probability: a run less probable than this is censored.
        delisted_from_weeks: a censored run is a de-listing from this length on, until the next sale.
    """

    reference_weeks: int = 13
    least_reference_weeks: int = 8
    least_probability: float = 0.001
    delisted_from_weeks: int = 8

    def __post_init__(self) -> None:
        if not 2 <= self.least_reference_weeks <= self.reference_weeks or self.delisted_from_weeks < 1:  # noqa: PLR2004
            raise ValueError("Needs 2 <= least_reference_weeks <= reference_weeks and delisted_from_weeks >= 1.")
        if not 0 < self.least_probability < 1:
            raise ValueError(f"least_probability lies between 0 and 1; got {self.least_probability}.")


DEFAULT_RULE = CensoringRule()


def is_believed() -> pl.Expr:
    """Condition on rows with `censoring`: the outcome is demand, not the lack of goods."""
    return pl.col(CENSORING).is_null()


def censored_weeks(series: pl.DataFrame, rule: CensoringRule = DEFAULT_RULE) -> pl.DataFrame:
    """The weeks whose zero is not believed. Whether a week is among them depends on no later week.

    A week counts when it is whole and the store sold anything: a closed store and a partial week neither lengthen a run
    nor end it. Any sale ends a run. The reference of a run are the last counted weeks before it that were believed.

    Args:
        series: gold.demand_series from each series' first week on, in any order.
        rule: when a zero is not believed.

    Returns:
        One row per censored (store_id, product_group, week_start_date), sorted, with `censoring` STRING: `stock_out` or
        `delisted`.

    Raises:
        BadFrame: columns are missing, keys repeat, or a series skips a week.
    """
    require_columns(series, (*SERIES_KEY, WEEK, "transactions", "is_partial_week"), "series")
    require_unique(series, (*SERIES_KEY, WEEK), "series")
    store_sales = pl.col("transactions").sum().over("store_id", WEEK)
    rows = (
        series.select(*SERIES_KEY, WEEK, "transactions", "is_partial_week")
        .with_columns(_counts=~pl.col("is_partial_week") & (store_sales > 0))
        .sort(*SERIES_KEY, WEEK)
    )
    require_contiguous_weeks(rows, SERIES_KEY, "series")
    if rows.is_empty():
        return pl.DataFrame(schema=CENSORED_SCHEMA)
    place = rows.select(
        pl.struct(SERIES_KEY).rank("dense").cast(pl.Int64) - 1,
        (pl.col(WEEK) - pl.col(WEEK).min()).dt.total_days() // DAYS_PER_WEEK,
    ).to_numpy()
    series_at, week_at = place[:, 0], place[:, 1]
    shape = (int(series_at.max()) + 1, int(week_at.max()) + 1)
    sales, counts = np.zeros(shape), np.zeros(shape, dtype=np.bool_)
    sales[series_at, week_at] = rows["transactions"].to_numpy()
    counts[series_at, week_at] = rows["_counts"].to_numpy()
    kinds = _kinds(sales, counts, rule)[series_at, week_at]
    return (
        rows.with_columns(pl.Series(CENSORING, [_KINDS[kind] for kind in kinds], dtype=pl.String))
        .filter(~is_believed())
        .select(list(CENSORED_SCHEMA))
    )


def censored_counts(rows: pl.DataFrame) -> dict[str, int]:
    """How many rows are censored, by kind."""
    return {kind: rows.filter(pl.col(CENSORING) == kind).height for kind in (STOCK_OUT, DELISTED)}


def _kinds(sales: NDArray[np.float64], counts: NDArray[np.bool_], rule: CensoringRule) -> NDArray[np.int8]:
    """Position in _KINDS per series and week, shape (n_series, n_weeks). One step per week over all series at once."""
    n_series, n_weeks = sales.shape
    kinds = np.zeros((n_series, n_weeks), dtype=np.int8)
    recent = np.full((n_series, rule.reference_weeks), np.nan)
    run = np.zeros(n_series, dtype=np.int64)
    weeks, evidence = np.zeros(n_series), np.zeros(n_series)
    for week in range(n_weeks):
        sold, counted = sales[:, week] > 0, counts[:, week]
        is_zero = counted & ~sold
        begins = is_zero & (run == 0)
        weeks[begins], evidence[begins] = _reference(recent[begins])
        run = np.where(sold, 0, run + is_zero)
        improbable = _log_probability(weeks, evidence, run) < math.log(rule.least_probability)
        censored = is_zero & improbable & (weeks >= rule.least_reference_weeks)
        kinds[:, week] = censored * np.where(run >= rule.delisted_from_weeks, 2, 1)
        believed = counted & ~censored
        recent[believed] = np.column_stack([recent[believed, 1:], sales[believed, week]])
    return kinds


def _reference(recent: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Number of weeks, and their sales over their dispersion, of rows that are NaN where there is no week yet."""
    known = np.isfinite(recent)
    weeks = known.sum(axis=1).astype(np.float64)
    total = np.where(known, recent, 0.0).sum(axis=1)
    mean = total / np.maximum(weeks, 1.0)
    spread = np.where(known, recent - mean[:, np.newaxis], 0.0)
    variance = (spread**2).sum(axis=1) / np.maximum(weeks - 1.0, 1.0)
    return weeks, total / np.maximum(variance / np.where(mean > 0, mean, 1.0), 1.0)


def _log_probability(
    weeks: NDArray[np.float64], evidence: NDArray[np.float64], run: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Log of the predictive probability of `run` weeks without a sale; 0 for a run of none."""
    return (evidence + _JEFFREYS) * np.log(np.maximum(weeks, 1.0) / (np.maximum(weeks, 1.0) + run))
