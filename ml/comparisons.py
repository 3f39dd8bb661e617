"""Value added: what a method is better by than each simpler one, slice by slice, and how sure that is.

Belongs here: the table of differences from scored rows. Does not belong here: the interval of one difference
(ml.evaluation_differences) and what follows from it (ml.fallback; ml.promotion decides on its own bounds).
"""

from __future__ import annotations

import polars as pl

from ml.backtest import CUTOFF, MODEL, SLICES
from ml.evaluation import sliced
from ml.evaluation_differences import Interval, is_large_enough, wape_difference
from ml.features import HORIZON, TARGET_WEEK
from ml.frame_checks import SERIES_KEY, BadFrame, require_columns

COMPARISON_SCHEMA: dict[str, pl.DataType] = {
    "method": pl.String(),
    "rival": pl.String(),
    "slice": pl.String(),
    "last_cutoff_week_start_date": pl.Date(),
    "row_count": pl.Int64(),
    "actual_sum": pl.Float64(),
    "wape": pl.Float64(),
    "rival_wape": pl.Float64(),
    "difference": pl.Float64(),
    "lower": pl.Float64(),
    "upper": pl.Float64(),
    "is_sure": pl.Boolean(),
    "simultaneous_lower": pl.Float64(),
    "simultaneous_upper": pl.Float64(),
}
_ROW = (CUTOFF, *SERIES_KEY, HORIZON, TARGET_WEEK)
_PERCENT = 100.0


def comparisons(scored: pl.DataFrame, *, confidence: float = 0.95, samples: int = 1000) -> pl.DataFrame:
    """models.demand_comparisons: the model beside every other method; without a model, each method beside each other.

    Args:
        scored: rows of ml.backtest.SCORED_COLUMNS; all methods on the same rows.
        confidence, samples: of the interval, see `ml.evaluation_differences.wape_difference`.

    Returns:
        One row per method, rival and slice, sorted; columns of COMPARISON_SCHEMA. last_cutoff_week_start_date: the
        newest cutoff of the slice; wape, rival_wape: percent, null where nothing was sold; difference = wape -
        rival_wape in points, below 0 where the method is better; lower, upper: its interval, null where two series and
        two blocks of weeks are not at hand; is_sure: the interval leaves out 0.
        These intervals are of one slice each and not widened for looking at many. simultaneous_lower,
        simultaneous_upper: an interval of the same difference for decisions that are taken on every product group, null
        for other slices, which overlap: its confidence is 1 - (1 - confidence) / n, n product groups times pairs of
        methods (Bonferroni), and Student's t counts blocks of weeks, so that all of them together hold their
        differences with the confidence asked for.

    Raises:
        BadFrame: columns are missing, or the methods were not scored on the same rows.
    """
    require_columns(scored, ("method", *_ROW, "actual", "p50"), "scored rows")
    methods = sorted(set(scored["method"]), key=lambda name: (name != MODEL, name))
    facts = [name for name in scored.columns if name not in ("method", "p10", "p50", "p90")]
    wide = scored.filter(pl.col("method") == methods[0]).select(facts)
    for name in methods:
        own = scored.filter(pl.col("method") == name).select(*_ROW, "actual", pl.col("p50").alias(_point(name)))
        joined = wide.join(own, on=[*_ROW, "actual"], how="inner")
        if joined.height != wide.height or own.height != wide.height:
            raise BadFrame(f"{name} was not scored on the same rows as {methods[0]}: {own.height}, {wide.height} rows.")
        wide = joined
    parts = dict(
        sliced(wide.sort(_ROW), SLICES, "product_group").partition_by("slice", as_dict=True, maintain_order=True)
    )
    leaders = methods[:1] if methods[0] == MODEL else methods
    pairs = [(method, rival) for method in leaders for rival in methods if rival != method]
    shared = 1 - (1 - confidence) / max(1, wide["product_group"].n_unique() * len(pairs))
    rows = [
        _row(part, method, rival, str(name), samples, confidence, None if name in SLICES else shared)
        for (name,), part in parts.items()
        for method, rival in pairs
    ]
    return pl.DataFrame(rows, schema=COMPARISON_SCHEMA, orient="row").sort("method", "rival", "slice")


def _row(
    part: pl.DataFrame, method: str, rival: str, name: str, samples: int, confidence: float, shared: float | None
) -> tuple[object, ...]:
    """`part` is in order of _ROW, so that sums of floats come out the same."""
    own, other = _point(method), _point(rival)
    actual = float(part["actual"].sum())
    errors = [float((part[column] - part["actual"]).abs().sum()) for column in (own, other)]
    facts = (method, rival, name, part[CUTOFF].max(), part.height, actual)
    if actual <= 0:
        return *facts, None, None, None, None, None, False, None, None
    wapes = [_PERCENT * error / actual for error in errors]
    alone = together = None
    if is_large_enough(part):
        rows = part.drop("slice")
        alone = wape_difference(rows, own, other, confidence=confidence, samples=samples)
        if shared is not None:
            together = wape_difference(rows, own, other, confidence=shared, units="blocks", samples=samples)
    is_sure = alone is not None and alone.is_sure
    return *facts, *wapes, wapes[0] - wapes[1], *_ends(alone), is_sure, *_ends(together)


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (interval.lower, interval.upper)


def _point(method: str) -> str:
    return f"p50_of_{method}"
