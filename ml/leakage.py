"""Does a feature know the future? Everything after a cutoff is changed, and no earlier feature may move.

Belongs here: another future for the same past, and the comparison. Does not belong here: features, reading tables.

A row lies after a cutoff when it happened after it or became known after it (both times). Its values become others;
plans that became known later change or vanish, and every later week gets plans that nobody knew of. A feature whose
value at the cutoff differs then reads what it could not have known. The reverse does not hold for certain: a leak that
these changes do not reach stays unseen, so that each cutoff gets a future of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from ml.feature_declaration import Feature
from ml.features import DEMAND_FEATURES, FEATURE_KEY, compute_features
from ml.frame_checks import SERIES_KEY, WEEK

LEAK_SCHEMA: dict[str, pl.DataType] = {
    "cutoff_week_start_date": pl.Date(),
    "feature": pl.String(),
    "rows_changed": pl.Int64(),
    "rows_compared": pl.Int64(),
}
_CHANGED = ("transactions", "quantity_units", "net_sales_usd", "gross_sales_usd", "display_products", "mailer_products")
_SHARE_OF_LATER_PLANS_KEPT = 0.7
_SHARE_OF_PARTIAL_WEEKS = 0.3


def leaks(
    series: pl.DataFrame,
    plans: pl.DataFrame,
    cutoffs: Sequence[date],
    horizons: Sequence[int],
    *,
    features: Sequence[Feature] = DEMAND_FEATURES,
    seed: int = 20171204,
    progress: Callable[[date], None] | None = None,
) -> pl.DataFrame:
    """The features that move when the future of a cutoff is another one.

    Args:
        series: gold.demand_series, weeks after the cutoffs included.
        plans: see ml.features.compute_features.
        cutoffs: cutoff weeks to test; a cutoff without any later row proves nothing and is refused.
        horizons: weeks ahead.
        features: the feature set under test.
        seed: of the other futures.
        progress: called with each cutoff that is done.

    Returns:
        Columns of LEAK_SCHEMA, one row per (cutoff week, leaking feature), sorted; empty when nothing leaks.

    Raises:
        ValueError: nothing lies after a cutoff.
    """
    found = [pl.DataFrame(schema=LEAK_SCHEMA)]
    weeks = series[WEEK].unique().sort()
    for number, cutoff in enumerate(sorted(cutoffs)):
        end = series.filter(pl.col(WEEK) == cutoff)["event_at"].max()
        if not isinstance(end, datetime) or series.filter(_is_later(end)).is_empty():
            raise ValueError(f"Nothing lies after the cutoff week {cutoff}: test an earlier one.")
        # With the last week in the same call, as all cutoffs are computed at once: a window that looks ahead shows.
        asked = [cutoff, weeks[-1]]
        other_series, other_plans = another_future(series, plans, end, seed + number)
        honest = compute_features(series, plans, asked, horizons, features=features)
        moved = compute_features(other_series, other_plans, asked, horizons, features=features)
        found.append(_differences(honest, moved, cutoff))
        if progress is not None:
            progress(cutoff)
    return pl.concat(found).sort("cutoff_week_start_date", "feature")


def another_future(
    series: pl.DataFrame, plans: pl.DataFrame, end: datetime, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same past, and other values for whatever happened or became known after `end`.

    Returns:
        (series, plans) with the columns and keys of the given ones; plans may have more and fewer rows.
    """
    random = np.random.default_rng(seed)
    is_later = _is_later(end)
    noise = pl.Series("_noise", random.integers(1, 50, series.height))
    flags = pl.Series("_flag", random.random(series.height) < _SHARE_OF_PARTIAL_WEEKS)
    changed = series.with_columns(noise, flags).with_columns(
        *(
            pl.when(is_later).then((pl.col(name) + pl.col("_noise")).cast(series.schema[name])).otherwise(pl.col(name))
            for name in _CHANGED
            if name in series.columns
        ),
        is_partial_week=pl.when(is_later).then(pl.col("_flag")).otherwise(pl.col("is_partial_week")),
    )
    return changed.drop("_noise", "_flag"), _other_plans(plans, end, random)


def _is_later(end: datetime) -> pl.Expr:
    return (pl.col("event_at") > end) | (pl.col("known_at") > end)


def _other_plans(plans: pl.DataFrame, end: datetime, random: np.random.Generator) -> pl.DataFrame:
    key = [*SERIES_KEY, WEEK]
    known = plans.filter(pl.col("known_at") <= end)
    later = plans.filter(pl.col("known_at") > end).sort(key)
    later = later.sample(fraction=_SHARE_OF_LATER_PLANS_KEPT, seed=int(random.integers(1_000_000))).with_columns(
        display_products=pl.col("display_products") + 7, mailer_share=pl.col("mailer_share") + 0.5
    )
    # A plan for a week that is over may not be a surprise: compute_features refuses it.
    ahead = plans.filter(pl.col(WEEK).cast(pl.Datetime("us", "UTC")) > end).select(WEEK).unique()
    surprise = (
        plans.select(SERIES_KEY)
        .unique()
        .join(ahead, how="cross")
        .join(pl.concat([known, later]), on=key, how="anti")
        .with_columns(known_at=pl.lit(end) + timedelta(microseconds=1))
    )
    return pl.concat([known, later, _filled(surprise, plans)])


def _filled(surprise: pl.DataFrame, plans: pl.DataFrame) -> pl.DataFrame:
    """Plans of 9 products, or nine tenths, that begin with their week, with the columns and types of `plans`."""
    given: dict[str, pl.Expr] = {"event_at": pl.col(WEEK)}
    columns = [
        (pl.col(name) if name in surprise.columns else given.get(name, pl.lit(9 if dtype == pl.Int64 else 0.9)))
        .cast(dtype)
        .alias(name)
        for name, dtype in plans.schema.items()
    ]
    return surprise.select(columns)


def _differences(honest: pl.DataFrame, moved: pl.DataFrame, cutoff: date) -> pl.DataFrame:
    keys = list(FEATURE_KEY)
    before = honest.filter(pl.col(WEEK) == cutoff).sort(keys)
    after = moved.filter(pl.col(WEEK) == cutoff).sort(keys)
    if not before.select(keys).equals(after.select(keys)):
        raise ValueError(f"The rows at the cutoff week {cutoff} depend on the future, not only their values.")
    changed = {name: int((~before[name].eq_missing(after[name])).sum()) for name in before.columns if name not in keys}
    rows = [(cutoff, name, count, before.height) for name, count in changed.items() if count]
    return pl.DataFrame(rows, schema=LEAK_SCHEMA, orient="row")
