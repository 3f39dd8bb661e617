"""The promotion ledger: which lines were promoted where and when, what of it was seen at the till, who could see it.

Belongs here: events from weekly plans, and planned, executed and exposed told apart. Does not belong here: what an
event added (ml.lift).

A line is what one manufacturer sells of one type in one group: products that are priced and promoted together. An event
is one kind of promotion of one line in consecutive weeks; stores that begin within a week of each other share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from ml.business_calendar import DAYS_PER_WEEK, UTC_INSTANT
from ml.frame_checks import WEEK, require_columns, require_consecutive, require_unique

EVENT_SCHEMA: dict[str, pl.DataType] = {
    "event_id": pl.String(),
    "store_id": pl.String(),
    "product_group": pl.String(),
    "product_line": pl.String(),
    "kind": pl.String(),
    "first_week_start_date": pl.Date(),
    "last_week_start_date": pl.Date(),
    "planned_weeks": pl.Int64(),
    "planned_products": pl.Int64(),
    "sold_weeks": pl.Int64(),
    "price_cut_weeks": pl.Int64(),
    "execution": pl.String(),
    "promoted_transactions": pl.Int64(),
    "exposed_transactions": pl.Int64(),
    "event_at": UTC_INSTANT,
    "known_at": UTC_INSTANT,
}
NOT_DUE, PRICE_CUT, SOLD, NOT_SEEN = "not_due", "price_cut", "sold", "not_seen"
# Stores that begin so many weeks apart share an event.
MOST_STAGGER_WEEKS = 1
# A line is cut in price where the till gave away so much of its regular sales.
LEAST_DISCOUNT = 0.05
_LINE = ("product_group", "product_line")
_RUN = ("store_id", *_LINE, "kind")


def promotion_events(
    plans: pl.DataFrame, line_weeks: pl.DataFrame, store_weeks: pl.DataFrame, weeks: Sequence[date]
) -> pl.DataFrame:
    """gold.promotion_events: one row per event and store.

    Args:
        plans: one row per store_id, product_group, product_line, kind and week_start_date that is promoted: products
            (how many of the line), event_at (begin of the week), known_at.
        line_weeks: one row per store_id, product_group, product_line and week_start_date with a sale: transactions,
            sales_amount_usd (paid), retail_discount_usd (given away at the till).
        store_weeks: one row per store_id and week_start_date: transactions, all receipts of the store.
        weeks: the business weeks that are over and wholly delivered; contiguous.

    Returns:
        Columns of EVENT_SCHEMA, sorted by event_id and store_id. event_id: first week, kind and line of the event.
        planned_weeks: consecutive weeks in this store; planned_products: most of the line at once. Of the weeks that
        are over: sold_weeks with a sale of the line, price_cut_weeks in which the till gave away LEAST_DISCOUNT of its
        regular sales, promoted_transactions that hold the line, exposed_transactions: receipts of the store, which are
        all who could see it. execution: not_due (no week is over), price_cut, sold (at the regular price), not_seen (no
        sale at all, which a sparse line may do by chance).

    Raises:
        BadFrame: columns are missing, keys repeat, weeks have holes.
    """
    _require(plans, line_weeks, store_weeks, weeks)
    runs = _runs(plans)
    events = _with_events(runs)
    cells = events.join(plans.select(*_RUN, WEEK), on=_RUN, how="inner").filter(
        pl.col(WEEK).is_between("first_week_start_date", "last_week_start_date")
    )
    seen = cells.filter(pl.col(WEEK).is_in(list(weeks)))
    paid, given = pl.col("sales_amount_usd").cast(pl.Float64), pl.col("retail_discount_usd").cast(pl.Float64)
    sales = line_weeks.select(
        "store_id", *_LINE, WEEK, "transactions", is_cut=given > LEAST_DISCOUNT * (paid + given)
    )  # fmt: skip
    receipts = store_weeks.select("store_id", WEEK, exposed="transactions")
    counted = (
        seen.join(sales, on=["store_id", *_LINE, WEEK], how="left")
        .join(receipts, on=["store_id", WEEK], how="left")
        .group_by("event_id", "store_id")
        .agg(
            due_weeks=pl.len(),
            sold_weeks=(pl.col("transactions").fill_null(0) > 0).sum(),
            price_cut_weeks=(pl.col("is_cut").fill_null(value=False) & (pl.col("transactions") > 0)).sum(),
            promoted_transactions=pl.col("transactions").fill_null(0).sum(),
            exposed_transactions=pl.col("exposed").fill_null(0).sum(),
        )
    )
    facts = events.join(counted, on=["event_id", "store_id"], how="left").with_columns(pl.col(pl.UInt32).fill_null(0))
    measures = ("due_weeks", "sold_weeks", "price_cut_weeks", "promoted_transactions", "exposed_transactions")
    filled = facts.with_columns(pl.col(measures).fill_null(0))
    return (
        filled.with_columns(_execution().alias("execution"))
        .select(pl.col(name).cast(dtype) for name, dtype in EVENT_SCHEMA.items())
        .sort("event_id", "store_id")
    )


def _execution() -> pl.Expr:
    return (
        pl.when(pl.col("due_weeks") == 0)
        .then(pl.lit(NOT_DUE))
        .when(pl.col("price_cut_weeks") > 0)
        .then(pl.lit(PRICE_CUT))
        .when(pl.col("sold_weeks") > 0)
        .then(pl.lit(SOLD))
        .otherwise(pl.lit(NOT_SEEN))
    )


def _runs(plans: pl.DataFrame) -> pl.DataFrame:
    """One row per store, line, kind and run of consecutive weeks."""
    ordered = plans.sort(*_RUN, WEEK)
    gap = (pl.col(WEEK) - pl.col(WEEK).shift(1).over(_RUN)).dt.total_days()
    run = (gap.fill_null(0) != DAYS_PER_WEEK).cum_sum().over(_RUN)
    return (
        ordered.with_columns(run.alias("_run"))
        .group_by(*_RUN, "_run")
        .agg(
            first_week_start_date=pl.col(WEEK).min(),
            last_week_start_date=pl.col(WEEK).max(),
            planned_weeks=pl.len(),
            planned_products=pl.col("products").max(),
            event_at=pl.col("event_at").min(),
            # A run is known when the last of its weeks is.
            known_at=pl.col("known_at").sort_by(WEEK).first(),
        )
        .drop("_run")
    )


def _with_events(runs: pl.DataFrame) -> pl.DataFrame:
    """The runs with the event that each is part of: an event takes the starts of MOST_STAGGER_WEEKS after its first."""
    starts = runs.select(*_LINE, "kind", "first_week_start_date").unique().sort(*_LINE, "kind", "first_week_start_date")
    rows: list[tuple[str, str, str, date, date]] = []
    opened: tuple[str, str, str] | None = None
    began = date.min
    for group, line, kind, start in starts.iter_rows():
        if opened != (group, line, kind) or start - began > timedelta(weeks=MOST_STAGGER_WEEKS):
            opened, began = (group, line, kind), start
        rows.append((group, line, kind, start, began))
    schema = {name: starts.schema[name] for name in starts.columns} | {"_began": pl.Date()}
    named = pl.DataFrame(rows, schema=schema, orient="row")
    event = pl.format("{}:{}:{}", pl.col("_began").dt.strftime("%Y-%m-%d"), "kind", "product_line").alias("event_id")
    return runs.join(named, on=[*_LINE, "kind", "first_week_start_date"]).with_columns(event).drop("_began")


def _require(plans: pl.DataFrame, lines: pl.DataFrame, stores: pl.DataFrame, weeks: Sequence[date]) -> None:
    require_columns(plans, (*_RUN, WEEK, "products", "event_at", "known_at"), "plans")
    require_unique(plans, (*_RUN, WEEK), "plans")
    require_columns(
        lines, ("store_id", *_LINE, WEEK, "transactions", "sales_amount_usd", "retail_discount_usd"), "line_weeks"
    )
    require_unique(lines, ("store_id", *_LINE, WEEK), "line_weeks")
    require_columns(stores, ("store_id", WEEK, "transactions"), "store_weeks")
    require_unique(stores, ("store_id", WEEK), "store_weeks")
    require_consecutive(weeks)
