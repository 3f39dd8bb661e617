"""The frames that feature kernels run on: the series with its plans, and pools of series.

Belongs here: what is visible at a cutoff (both times), one kernel call per feature. Does not belong here: the list of
features (ml.features), what comes from other series (ml.surroundings), the arithmetic of windows (ml.kernels).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from ml import kernels
from ml.frame_checks import (
    SERIES_KEY,
    WEEK,
    BadFrame,
    require_columns,
    require_contiguous_weeks,
    require_on_time,
    require_unique,
)

SERIES_COLUMNS: tuple[str, ...] = (
    *SERIES_KEY,
    WEEK,
    "transactions",
    "quantity_units",
    "net_sales_usd",
    "gross_sales_usd",
    "is_partial_week",
    "event_at",
    "known_at",
)
PLAN_VALUES: tuple[str, ...] = ("display_products", "mailer_products", "display_share", "mailer_share")
PLAN_COLUMNS: tuple[str, ...] = (*SERIES_KEY, WEEK, *PLAN_VALUES, "known_at")
_PLAN_PREFIX = "plans."
_DECIMAL = pl.Decimal(18, 4)
# Decimals enter the kernels as whole ten-thousandths: float64 adds whole numbers exactly, so that a sum does
# not depend on its order and an empty window is exactly zero. 1 unit = 10_000 ten-thousandths.
_STEPS_PER_UNIT = 10_000.0
_MASKED = ("transactions", "quantity_units", "net_sales_usd", "gross_sales_usd")
_WINDOWED: dict[str, Callable[[kernels.Values, kernels.Layout, int], kernels.Values]] = {
    "lag": kernels.lag,
    "mean": kernels.rolling_mean,
    "std": kernels.rolling_std,
    "max": kernels.rolling_max,
    "weighted_mean": kernels.weighted_mean,
}
_UNBOUNDED: dict[str, Callable[[kernels.Values, kernels.Layout], kernels.Values]] = {
    "expanding_mean": kernels.expanding_mean,
    "exponential_smoothing": kernels.exponential_smoothing,
}


@dataclass(frozen=True)
class Panel:
    """Contiguous weekly series, sorted by key and week.

    `values` maps a source name to an array of shape (n_rows,), NaN in partial weeks; `steps` says how many
    steps of that array make one unit.
    """

    frame: pl.DataFrame
    layout: kernels.Layout
    values: dict[str, kernels.Values]
    steps: dict[str, float]


def require_inputs(series: pl.DataFrame, plans: pl.DataFrame) -> None:
    """Raise BadFrame when columns are missing, keys repeat or decimals are not DECIMAL(18,4)."""
    require_columns(series, SERIES_COLUMNS, "series")
    for column in ("quantity_units", "net_sales_usd", "gross_sales_usd"):
        if series.schema[column] != _DECIMAL:
            raise BadFrame(f"series.{column} is {series.schema[column]}; it must be DECIMAL(18,4).")
    require_unique(series, (*SERIES_KEY, WEEK), "series")
    require_columns(plans, PLAN_COLUMNS, "plans")
    require_unique(plans, (*SERIES_KEY, WEEK), "plans")


def series_panel(series: pl.DataFrame, plans: pl.DataFrame, planned_weeks: pl.DataFrame) -> Panel:
    """The panel of the given series.

    Args:
        series, plans: up to the last cutoff week, as known; see `require_inputs`.
        planned_weeks: see ml.surroundings.

    Raises:
        BadFrame: a series has holes.
        LateRows: a row of a used week became known after that week's end.
    """
    frame = series.select(SERIES_COLUMNS).sort(*SERIES_KEY, WEEK)
    require_contiguous_weeks(frame, SERIES_KEY, "series")
    require_on_time(frame, pl.col("event_at"), "series")
    ends = _week_ends(frame)
    past_plans = plans.join(ends, on=WEEK, how="inner")
    require_on_time(past_plans, pl.col("event_at"), "plans")
    frame = _join_plans(frame, past_plans, planned_weeks)
    return Panel(frame, kernels.Layout.of(frame, SERIES_KEY), *_source_values(frame))


def pool_panel(pool: pl.DataFrame, key: tuple[str, ...]) -> Panel:
    """The panel of a pool of series; see ml.surroundings."""
    frame = pool.sort(*key, WEEK)
    require_contiguous_weeks(frame, key, f"the pool of series by {list(key)}")
    values = frame["transactions"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return Panel(frame, kernels.Layout.of(frame, key), {"transactions": values}, {"transactions": 1.0})


def evaluate(panel: Panel, name: str, source: str, kernel: str, window: tuple[int, ...]) -> pl.Series:
    """One past feature at every row of the panel, null where it does not exist.

    Raises:
        BadFrame: the source or the kernel is unknown.
    """
    numerator, _, denominator = source.partition("/")
    unknown = [part for part in (numerator, denominator) if part and part not in panel.values]
    if unknown:
        raise BadFrame(f"Feature {name} reads {unknown}; the panel has {sorted(panel.values)}.")
    result = _evaluate(panel, numerator, denominator, kernel, window)
    return pl.Series(name, result, dtype=pl.Float64).fill_nan(None)


def target_plans(rows: pl.DataFrame, plans: pl.DataFrame, planned_weeks: pl.DataFrame) -> pl.DataFrame:
    """Adds `_target.plans.<value>` for each row's target week, as known at the end of its cutoff week.

    Args:
        rows: with store_id, product_group, target_week_start_date and event_at (end of the cutoff week).
        plans: see ml.features.compute_features, as known.
        planned_weeks: see ml.surroundings.

    Zero where the week has a plan known by then but this series has none; null where nothing is known.
    """
    target_week = "target_week_start_date"
    known = plans.rename({WEEK: target_week, "known_at": "_plan_known_at"})
    first_known = planned_weeks.select(pl.col(WEEK).alias(target_week), _week_planned_at="first_planned_at")
    # Prefixed, so that no column of the rows can be mistaken for a plan of the target week.
    values = [pl.col(value).cast(pl.Float64).alias(f"_plan.{value}") for value in PLAN_VALUES]
    joined = rows.join(
        known.select(*SERIES_KEY, target_week, *values, "_plan_known_at"),
        on=[*SERIES_KEY, target_week],
        how="left",
    ).join(first_known, on=target_week, how="left")
    is_visible = (pl.col("_plan_known_at") <= pl.col("event_at")).fill_null(value=False)
    is_planned = (pl.col("_week_planned_at") <= pl.col("event_at")).fill_null(value=False)
    return joined.with_columns(
        pl.when(is_visible)
        .then(pl.col(f"_plan.{value}"))
        .when(is_planned)
        .then(0.0)
        .alias(f"_target.{_PLAN_PREFIX}{value}")
        for value in PLAN_VALUES
    )


def _evaluate(panel: Panel, numerator: str, denominator: str, kernel: str, window: tuple[int, ...]) -> kernels.Values:
    values, layout, steps = panel.values[numerator], panel.layout, panel.steps[numerator]
    if kernel in _WINDOWED:
        return _WINDOWED[kernel](values, layout, window[0]) / steps
    if kernel in _UNBOUNDED:
        return _UNBOUNDED[kernel](values, layout) / steps
    if kernel == "mean_change":
        short, long = (kernels.rolling_mean(values, layout, weeks) for weeks in window)
        return kernels.ratio(short, long)
    if kernel == "weeks_since_positive":
        return kernels.weeks_since_positive(values, layout)
    if kernel == "age":
        return layout.positions.astype(np.float64)
    if kernel in ("quotient", "quotient_change") and denominator:
        parts = [_quotient(panel, numerator, denominator, weeks) for weeks in window]
        return parts[0] if kernel == "quotient" else kernels.ratio(parts[0], parts[1])
    raise BadFrame(f"Kernel {kernel} with source {numerator}/{denominator} is not one of the past kernels.")


def _quotient(panel: Panel, numerator: str, denominator: str, window_weeks: int) -> kernels.Values:
    """Quotient of two window sums, in units of the sources."""
    upper = kernels.rolling_mean(panel.values[numerator], panel.layout, window_weeks) / panel.steps[numerator]
    lower = kernels.rolling_mean(panel.values[denominator], panel.layout, window_weeks) / panel.steps[denominator]
    return kernels.ratio(upper, lower)


def _week_ends(frame: pl.DataFrame) -> pl.DataFrame:
    """The end instant of each week, once."""
    ends = frame.select(WEEK, "event_at").unique().sort(WEEK)
    require_unique(ends, (WEEK,), "the event times of series")
    return ends


def _join_plans(frame: pl.DataFrame, past_plans: pl.DataFrame, planned_weeks: pl.DataFrame) -> pl.DataFrame:
    planned = planned_weeks.select(WEEK, _is_planned=pl.lit(value=True))
    values = [pl.col(value).cast(pl.Float64).alias(_PLAN_PREFIX + value) for value in PLAN_VALUES]
    joined = frame.join(past_plans.select(*SERIES_KEY, WEEK, *values), on=[*SERIES_KEY, WEEK], how="left")
    return (
        joined.join(planned, on=WEEK, how="left")
        .with_columns(
            pl.when("_is_planned").then(pl.col(_PLAN_PREFIX + value).fill_null(0.0)).alias(_PLAN_PREFIX + value)
            for value in PLAN_VALUES
        )
        .drop("_is_planned")
        .sort(*SERIES_KEY, WEEK)
    )


def _source_values(frame: pl.DataFrame) -> tuple[dict[str, kernels.Values], dict[str, float]]:
    is_partial = frame["is_partial_week"].to_numpy()
    values: dict[str, kernels.Values] = {}
    for column in _MASKED:
        exact = frame[column].to_physical().cast(pl.Float64).to_numpy()
        values[column] = np.where(is_partial, np.nan, exact)
    values["discount_usd"] = values["gross_sales_usd"] - values["net_sales_usd"]
    values["is_zero_week"] = np.where(is_partial, np.nan, (values["transactions"] == 0).astype(np.float64))
    for value in PLAN_VALUES:
        name = _PLAN_PREFIX + value
        values[name] = frame[name].fill_null(np.nan).to_numpy()
    is_decimal = {"quantity_units", "net_sales_usd", "gross_sales_usd", "discount_usd"}
    return values, {name: _STEPS_PER_UNIT if name in is_decimal else 1.0 for name in values}
