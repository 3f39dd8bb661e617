"""What a frame must look like before a function of the core accepts it.

Belongs here: checks that name the offending rows. Does not belong here: repair; a frame that breaks a
rule is refused with the mend.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

import polars as pl

from ml.business_calendar import DAYS_PER_WEEK

SERIES_KEY: tuple[str, ...] = ("store_id", "product_group")
WEEK = "week_start_date"
EXAMPLE_ROWS = 3


class BadFrame(ValueError):
    """A frame lacks columns, repeats keys or has holes."""


class LateRows(ValueError):
    """Rows became known only after the week in which they would be used."""


def require_columns(frame: pl.DataFrame, columns: Sequence[str], name: str) -> None:
    """Raise BadFrame when a column is absent."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise BadFrame(f"{name} lacks the columns {missing}; it has {frame.columns}.")


def require_unique(frame: pl.DataFrame, key: Sequence[str], name: str) -> None:
    """Raise BadFrame when two rows share a key."""
    repeated = frame.lazy().group_by(key).len().filter(pl.col("len") > 1).sort(key).collect()
    if repeated.height:
        raise BadFrame(
            f"{name} must have one row per {list(key)}; {repeated.height} keys repeat, "
            f"for example {repeated.head(EXAMPLE_ROWS).rows()}. Aggregate it first."
        )


def require_contiguous_weeks(frame: pl.DataFrame, key: Sequence[str], name: str) -> None:
    """Raise BadFrame when a series skips a week. The frame must be sorted by key and week."""
    step = (pl.col(WEEK) - pl.col(WEEK).shift(1)).dt.total_days()
    gap = step.over(*key) if key else step
    holes = frame.with_columns(_gap=gap).filter(pl.col("_gap") != DAYS_PER_WEEK)
    if holes.height:
        raise BadFrame(
            f"{name} must hold every week of a series; {holes.height} rows do not follow their predecessor by "
            f"{DAYS_PER_WEEK} days, for example {holes.select(*key, WEEK).head(EXAMPLE_ROWS).rows()}. "
            "Build it with ml.series.dense_series."
        )


def require_consecutive(weeks: Sequence[date]) -> None:
    """Raise BadFrame when there is no week, or business weeks, in any order, skip one or repeat."""
    pairs = pairwise(sorted(weeks))
    if not weeks or any((after - before).days != DAYS_PER_WEEK for before, after in pairs):
        raise BadFrame("weeks must be contiguous business weeks, each once.")


def require_on_time(frame: pl.DataFrame, deadline: pl.Expr, name: str) -> None:
    """Raise LateRows when a row's known_at is after its deadline.

    Features are computed by position in the series. That equals the filter "known by the cutoff" for every
    cutoff at once only when each row is known by the end of its own week.
    """
    late = frame.filter(pl.col("known_at") > deadline)
    if late.height:
        example = late.select(WEEK, "known_at").head(EXAMPLE_ROWS).rows()
        raise LateRows(
            f"{late.height} rows of {name} became known only after the end of their week, for example {example}. "
            "Give an as_of before they were known, move the cutoff back, or declare the source's latency."
        )
