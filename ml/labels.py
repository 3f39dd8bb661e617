"""Labels: what came to pass at each horizon, and from when on it could be known.

Belongs here: the outcome of a target week, its maturity, and whether it was censored. Does not belong here: the rule of
censoring (ml.censoring), features, splits.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from ml.business_calendar import DAYS_PER_WEEK, UTC_INSTANT
from ml.censoring import CENSORING, censored_weeks
from ml.frame_checks import SERIES_KEY, WEEK, BadFrame, LateRows, require_columns, require_unique

LABEL_SCHEMA: dict[str, pl.DataType] = {
    "store_id": pl.String(),
    "product_group": pl.String(),
    "week_start_date": pl.Date(),
    "horizon_weeks": pl.Int32(),
    "target_week_start_date": pl.Date(),
    "transactions": pl.Int64(),
    "quantity_units": pl.Decimal(18, 4),
    "net_sales_usd": pl.Decimal(18, 4),
    CENSORING: pl.String(),
    "matures_at": UTC_INSTANT,
}
_KEY = (*SERIES_KEY, WEEK, "horizon_weeks")
_MEASURES = ("transactions", "quantity_units", "net_sales_usd")


def build_labels(series: pl.DataFrame, horizons: Sequence[int], latency: timedelta = timedelta(0)) -> pl.DataFrame:
    """The outcome of week c + h for every series, cutoff week c and horizon h.

    A cutoff is any week of the series; a pair exists when its target week is in the series and is whole
    (an outcome of a partial week cannot be compared with a forecast of a week).

    Args:
        series: gold.demand_series from each series' first week on: what came before says whether a zero is believed.
        horizons: weeks ahead, each at least 1.
        latency: time from the target week's end until the outcome counts as final.

    Returns:
        gold.demand_labels: columns of LABEL_SCHEMA, sorted by key; matures_at = end of target week + latency;
        censoring = `stock_out` or `delisted` where the zero of the target week is not believed, else null.

    Raises:
        BadFrame: columns are missing, keys repeat, a series skips a week, or a horizon is below 1.
        LateRows: an outcome became known only after it is said to be mature.
    """
    require_columns(series, (*SERIES_KEY, WEEK, *_MEASURES, "is_partial_week", "event_at", "known_at"), "series")
    require_unique(series, (*SERIES_KEY, WEEK), "series")
    if not horizons or min(horizons) < 1:
        raise BadFrame(f"Labels need horizons of at least 1 week; got {list(horizons)}.")
    late = series.filter(pl.col("known_at") > pl.col("event_at") + latency)
    if late.height:
        raise LateRows(f"{late.height} outcomes are known later than {latency} after their week; raise the latency.")
    flagged = series.join(censored_weeks(series), on=[*SERIES_KEY, WEEK], how="left")
    outcomes = flagged.filter(~pl.col("is_partial_week")).select(
        *SERIES_KEY,
        *_MEASURES,
        CENSORING,
        target_week_start_date=pl.col(WEEK),
        matures_at=pl.col("event_at") + latency,
    )
    grid = pl.DataFrame({"horizon_weeks": sorted(set(horizons))}, schema={"horizon_weeks": pl.Int32})
    weeks_ahead = pl.duration(days=DAYS_PER_WEEK) * pl.col("horizon_weeks").cast(pl.Int64)
    cutoffs = (
        series.select(*SERIES_KEY, WEEK)
        .join(grid, how="cross")
        .with_columns(target_week_start_date=pl.col(WEEK) + weeks_ahead)
    )
    return (
        cutoffs.join(outcomes, on=[*SERIES_KEY, "target_week_start_date"], how="inner")
        .select(pl.col(name).cast(dtype) for name, dtype in LABEL_SCHEMA.items())
        .sort(_KEY)
    )


def mature(labels: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The labels whose outcome could be known at `as_of`."""
    require_columns(labels, ("matures_at",), "labels")
    return labels.filter(pl.col("matures_at") <= as_of)
