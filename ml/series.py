"""The dense weekly demand series.

Belongs here: weekly sums on a spine without holes. Does not belong here: receipts (they are summed in
Spark before), features, labels.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta
from itertools import pairwise

import polars as pl

from ml.business_calendar import DAYS_PER_WEEK, UTC_INSTANT, week_ends
from ml.frame_checks import SERIES_KEY, WEEK, BadFrame, require_columns, require_unique

DECIMAL = pl.Decimal(18, 4)
SERIES_SCHEMA: dict[str, pl.DataType] = {
    "store_id": pl.String(),
    "product_group": pl.String(),
    "week_start_date": pl.Date(),
    "transactions": pl.Int64(),
    "quantity_units": DECIMAL,
    "net_sales_usd": DECIMAL,
    "gross_sales_usd": DECIMAL,
    "display_products": pl.Int64(),
    "mailer_products": pl.Int64(),
    "display_share": pl.Float64(),
    "mailer_share": pl.Float64(),
    "is_partial_week": pl.Boolean(),
    "event_at": UTC_INSTANT,
    "known_at": UTC_INSTANT,
}
_MEASURES = ("transactions", "quantity_units", "net_sales_usd", "gross_sales_usd")
_PROMOTIONS = ("display_products", "mailer_products", "display_share", "mailer_share")


def dense_series(
    lines_weekly: pl.DataFrame,
    plans: pl.DataFrame,
    weeks: Sequence[date],
    timezone: str,
    *,
    partial_weeks: Collection[date] = (),
    latency: timedelta = timedelta(0),
) -> pl.DataFrame:
    """Every series from its first week with a sale to the last covered week, zeros in between.

    Args:
        lines_weekly: one row per (store_id, product_group, week_start_date) with transactions BIGINT
            (distinct baskets) and quantity_units, net_sales_usd, gross_sales_usd as DECIMAL(18,4).
        plans: one row per key and week with display_products, mailer_products, display_share, mailer_share.
        weeks: the covered business weeks, contiguous; a series has a row in each from its listing on.
        timezone: IANA zone in which a week ends at local midnight.
        partial_weeks: covered weeks of which the source holds only some days.
        latency: time from a week's end until its sums are known.

    Returns:
        gold.demand_series: columns of SERIES_SCHEMA, sorted by key; event_at = end of the week,
        known_at = event_at + latency. A week without sales or promotions holds zeros.

    Raises:
        BadFrame: columns or types are wrong, keys repeat, weeks have holes, or a sale lies outside them.
    """
    _require_inputs(lines_weekly, plans, weeks, partial_weeks)
    spine = _spine(lines_weekly, sorted(weeks))
    key = [*SERIES_KEY, WEEK]
    frame = spine.join(lines_weekly.select(*key, *_MEASURES), on=key, how="left").join(
        plans.select(*key, *_PROMOTIONS), on=key, how="left"
    )
    ends = week_ends(frame[WEEK], timezone)
    return (
        frame.with_columns(
            *(pl.col(name).fill_null(0).cast(SERIES_SCHEMA[name]) for name in (*_MEASURES, *_PROMOTIONS)),
            is_partial_week=pl.col(WEEK).is_in(list(partial_weeks)),
            event_at=ends,
            known_at=ends + latency,
        )
        .select(pl.col(name).cast(dtype) for name, dtype in SERIES_SCHEMA.items())
        .sort(key)
    )


def _spine(lines_weekly: pl.DataFrame, weeks: list[date]) -> pl.DataFrame:
    sold = lines_weekly.filter(pl.col("transactions") > 0)
    listed = sold.group_by(SERIES_KEY).agg(_first_week=pl.col(WEEK).min())
    calendar = pl.DataFrame({WEEK: weeks}, schema={WEEK: pl.Date})
    return listed.join(calendar, how="cross").filter(pl.col(WEEK) >= pl.col("_first_week")).drop("_first_week")


def _require_inputs(
    lines_weekly: pl.DataFrame, plans: pl.DataFrame, weeks: Sequence[date], partial_weeks: Collection[date]
) -> None:
    key = [*SERIES_KEY, WEEK]
    require_columns(lines_weekly, [*key, *_MEASURES], "lines_weekly")
    require_columns(plans, [*key, *_PROMOTIONS], "plans")
    for name, frame in (("lines_weekly", lines_weekly), ("plans", plans)):
        require_unique(frame, key, name)
    for column in ("quantity_units", "net_sales_usd", "gross_sales_usd"):
        if lines_weekly.schema[column] != DECIMAL:
            raise BadFrame(f"lines_weekly.{column} is {lines_weekly.schema[column]}; cast it to DECIMAL(18,4).")
    ordered = sorted(weeks)
    steps = {(after - before).days for before, after in pairwise(ordered)}
    if not ordered or steps - {DAYS_PER_WEEK}:
        raise BadFrame(f"weeks must be contiguous business weeks, each once; got steps of {sorted(steps)} days.")
    outside = lines_weekly.filter(~pl.col(WEEK).is_in(ordered))
    if outside.height:
        raise BadFrame(f"{outside.height} rows of lines_weekly lie outside the covered weeks; extend weeks.")
    unknown = sorted(set(partial_weeks) - set(ordered))
    if unknown:
        raise BadFrame(f"The partial weeks {unknown} are not among the covered weeks.")
