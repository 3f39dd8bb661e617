"""Features of households and stores from app events: what happened in each hour.

Belongs here: the features of an hour, and the law by which those of two sets of events are put together. Does not
belong here: reading events, tokens, tables.

The features of an hour are counts, sums and extremes: put together in any order and in any pieces they are the same to
the last digit, so that what a micro-batch brings is added to what is there and equals a recompute of everything (the
tiles of Chronon and Tecton). A trailing window is a sum of hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import polars as pl

from ml.frame_checks import WEEK

HOUR = "hour_start_at"
# Kind of event -> the feature that counts it.
COUNTED = {
    "impression": "impression_events",
    "offer_view": "offer_view_events",
    "add_to_basket": "add_to_basket_events",
    "redemption": "redemption_events",
}
ADDED_UNITS = "added_quantity_units"
# How the features of an hour are put together.
SUMS = (*COUNTED.values(), ADDED_UNITS)
LEAST, GREATEST = ("first_event_at",), ("last_event_at", "known_at")
UNITS = pl.Decimal(38, 4)


def event_features(events: pl.DataFrame, key: str) -> pl.DataFrame:
    """The features of each hour in which something happened.

    Args:
        events: one row per event, each event once: `key`, week_start_date, event_type, quantity_units, event_at and
            known_at (UTC). An event without a key counts for nobody.
        key: whose features: household_token or store_id.

    Returns:
        One row per key, week and hour, in this order: counts by kind, units put into baskets, the first and the last
        event, and when the last of them was known.
    """
    units = pl.col("quantity_units").cast(UNITS).fill_null(0)
    counts = [(pl.col("event_type") == kind).sum().cast(pl.Int64).alias(name) for kind, name in COUNTED.items()]
    return (
        events.filter(pl.col(key).is_not_null())
        .group_by(key, WEEK, pl.col("event_at").dt.truncate("1h").alias(HOUR))
        .agg(
            *counts,
            units.filter(pl.col("event_type") == "add_to_basket").sum().alias(ADDED_UNITS),
            pl.col("event_at").min().alias("first_event_at"),
            pl.col("event_at").max().alias("last_event_at"),
            pl.col("known_at").max(),
        )
        .sort(key, WEEK, HOUR)
    )


def together(parts: Iterable[pl.DataFrame], key: str) -> pl.DataFrame:
    """The features of all events whose features the parts are; no event may be in two of them."""
    return (
        pl.concat(parts)
        .group_by(key, WEEK, HOUR)
        .agg(pl.col(*SUMS).sum(), pl.col(*LEAST).min(), pl.col(*GREATEST).max())
        .sort(key, WEEK, HOUR)
    )


def trailing(features: pl.DataFrame, key: str, at: datetime, hours: int) -> pl.DataFrame:
    """The features of the `hours` whole hours that end at `at`, a full hour (UTC): one row per key that has any.

    Raises:
        ValueError: `at` is not a full hour.
    """
    if at != at.replace(minute=0, second=0, microsecond=0):
        raise ValueError(f"A window of hours ends at a full hour, not at {at.isoformat()}.")
    first = at - timedelta(hours=hours)
    return (
        features.filter((pl.col(HOUR) >= first) & (pl.col(HOUR) < at))
        .group_by(key)
        .agg(pl.col(*SUMS).sum(), pl.col(*LEAST).min(), pl.col(*GREATEST).max())
        .sort(key)
    )
