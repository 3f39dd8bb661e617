"""Accuracy of quantile forecasts.

Belongs here: metrics of rows that hold an outcome and a forecast. Does not belong here: where the rows
come from (ml.backtest, or forecasts joined with outcomes) and what is good enough (ml.promotion).

A scored row has `actual`, `p10`, `p50`, `p90` (DOUBLE, one unit) and any grouping columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from ml.frame_checks import BadFrame, require_columns

QUANTILE_LEVELS: dict[str, float] = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
VALUE_COLUMNS: tuple[str, ...] = ("actual", *QUANTILE_LEVELS)
METRICS: tuple[str, ...] = ("wape", "bias", "pinball", "coverage_80", "interval_width")
_PERCENT = 100.0


def absolute_error() -> pl.Expr:
    """|actual - p50| of a row."""
    return (pl.col("actual") - pl.col("p50")).abs()


def row_pinball() -> pl.Expr:
    """Mean over the three quantiles of the pinball loss of a row, in units of the measure.

    pinball(y, q, level) = max(level * (y - q), (level - 1) * (y - q)); Koenker and Bassett (1978).
    """
    losses = [
        pl.max_horizontal(level * (pl.col("actual") - pl.col(name)), (level - 1) * (pl.col("actual") - pl.col(name)))
        for name, level in QUANTILE_LEVELS.items()
    ]
    return pl.sum_horizontal(losses) / len(losses)


def wape() -> pl.Expr:
    """Weighted absolute percentage error of p50: 100 * sum |actual - p50| / sum actual; null when that sum is 0."""
    return _percent_of_actual(absolute_error().sum())


def bias() -> pl.Expr:
    """Signed error of p50 in percent: 100 * (sum p50 - sum actual) / sum actual; null when that sum is 0."""
    return _percent_of_actual((pl.col("p50") - pl.col("actual")).sum())


def coverage() -> pl.Expr:
    """Fraction of outcomes in the closed interval [p10, p90]."""
    return pl.col("actual").is_between("p10", "p90").mean()


def metrics(rows: pl.DataFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """All metrics per group.

    Args:
        rows: scored rows.
        by: grouping columns; none gives one row over all.

    Returns:
        One row per group, sorted by it: `by`, row_count BIGINT, actual_sum DOUBLE, wape DOUBLE*, bias DOUBLE*,
        pinball, coverage_80, interval_width DOUBLE.

    Raises:
        BadFrame: there are no rows, columns are missing, or a value is null or not finite.
    """
    require_columns(rows, (*by, *VALUE_COLUMNS), "scored rows")
    _require_finite(rows)
    # Sums of doubles depend on their order: one order, so that equal rows give equal bits.
    ordered = rows.sort([*by, *(name for name in rows.columns if name not in by)])
    expressions = [
        pl.len().cast(pl.Int64).alias("row_count"),
        pl.col("actual").sum().alias("actual_sum"),
        wape().alias("wape"),
        bias().alias("bias"),
        row_pinball().mean().alias("pinball"),
        coverage().alias("coverage_80"),
        (pl.col("p90") - pl.col("p10")).mean().alias("interval_width"),
    ]
    if not by:
        return ordered.select(expressions)
    return ordered.group_by(by, maintain_order=True).agg(expressions).sort(by)


def sliced_metrics(rows: pl.DataFrame, by: Sequence[str], slices: Mapping[str, pl.Expr], slice_of: str) -> pl.DataFrame:
    """Metrics per group for several, possibly overlapping, slices of the rows; see `sliced`.

    Returns:
        The columns of `metrics` with `slice` STRING after `by`, sorted by (by, slice).
    """
    return metrics(sliced(rows, slices, slice_of), [*by, "slice"])


def sliced(rows: pl.DataFrame, slices: Mapping[str, pl.Expr], slice_of: str) -> pl.DataFrame:
    """The rows once per slice that they are in.

    Args:
        rows: rows with `slice_of`.
        slices: name of a slice to the condition of its rows; a slice without rows is absent from the result.
        slice_of: column whose every value is a slice of its own, such as the product group.

    Returns:
        The columns of `rows` and `slice` STRING.

    Raises:
        BadFrame: a value of `slice_of` has the name of a slice.
    """
    clash = sorted(set(slices) & set(rows[slice_of].unique()))
    if clash:
        raise BadFrame(f"{slice_of} has values with the names of slices: {clash}. Rename the slice or the value.")
    parts = [rows.filter(condition).with_columns(pl.lit(name).alias("slice")) for name, condition in slices.items()]
    parts.append(rows.with_columns(pl.col(slice_of).cast(pl.String).alias("slice")))
    return pl.concat(parts)


def _percent_of_actual(total: pl.Expr) -> pl.Expr:
    actual = pl.col("actual").sum()
    return pl.when(actual > 0).then(_PERCENT * total / actual)


def _require_finite(rows: pl.DataFrame) -> None:
    values = rows.select(pl.col(name).cast(pl.Float64) for name in VALUE_COLUMNS)
    broken = values.filter(~pl.all_horizontal(pl.all().is_finite().fill_null(value=False)))
    if broken.height:
        raise BadFrame(f"{broken.height} scored rows hold null or non-finite values, for example {broken.row(0)}.")
    if not rows.height:
        raise BadFrame("There are no rows to score: features and outcomes have no key in common.")
