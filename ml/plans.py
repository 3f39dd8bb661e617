"""Promotion plans per store, product group and week.

Belongs here: how planned displays and mailers of products become figures of a group. Does not belong here: whether a
plan was known (features filter on known_at).
"""

from __future__ import annotations

import polars as pl

from ml.business_calendar import UTC_INSTANT
from ml.frame_checks import SERIES_KEY, WEEK, require_columns, require_unique

KINDS = ("display", "mailer")
PLAN_SCHEMA: dict[str, pl.DataType] = {
    "store_id": pl.String(),
    "product_group": pl.String(),
    "week_start_date": pl.Date(),
    "display_products": pl.Int64(),
    "mailer_products": pl.Int64(),
    "display_share": pl.Float64(),
    "mailer_share": pl.Float64(),
    "event_at": UTC_INSTANT,
    "known_at": UTC_INSTANT,
}


def promotion_plans(counts: pl.DataFrame, group_sizes: pl.DataFrame) -> pl.DataFrame:
    """gold.promotion_plans: one row per (store_id, product_group, week_start_date) with a promotion.

    A share is the number of promoted products over all products of the group in the product file: a denominator that
    no sale changes, so that a plan carries no trace of its outcome.

    Args:
        counts: one row per key and kind (display, mailer): products BIGINT, event_at, known_at.
        group_sizes: one row per product_group: products BIGINT.

    Raises:
        BadFrame: columns are missing or keys repeat. ValueError: a group has no size.
    """
    key = [*SERIES_KEY, WEEK]
    require_columns(counts, (*key, "kind", "products", "event_at", "known_at"), "counts")
    require_unique(counts, (*key, "kind"), "counts")
    require_unique(group_sizes, ("product_group",), "group_sizes")
    unsized = set(counts["product_group"]) - set(group_sizes["product_group"])
    if unsized:
        raise ValueError(f"No number of products for {sorted(unsized)}: group_sizes must cover every group of counts.")
    per_kind = [
        pl.col("products").filter(pl.col("kind") == kind).sum().cast(pl.Int64).alias(f"{kind}_products")
        for kind in KINDS
    ]
    plans = counts.group_by(key).agg(*per_kind, pl.col("event_at").min(), pl.col("known_at").max())
    sized = plans.join(group_sizes.rename({"products": "_size"}), on="product_group")
    shares = [(pl.col(f"{kind}_products") / pl.col("_size")).alias(f"{kind}_share") for kind in KINDS]
    return sized.with_columns(shares).select(list(PLAN_SCHEMA)).sort(key)
