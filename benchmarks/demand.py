"""Units per week of 1,484 series of the demo, beside what a user would build with the popular libraries.

Belongs here: the series, cutoffs and rows of the comparison, our configuration, one row of scores per method. Does not
belong here: the rivals (benchmarks.demand_rivals), features and models (ml).

Series: store x product category of the stores with 500 or more receipt lines in fourteen beverage categories, units per
source week, weeks without a sale as zeros. Cutoffs after weeks 40 to 49, horizons 1 to 4 with target weeks up to 52.
A method knows sales up to the cutoff and the promotions of the weeks ahead. That these carry no trace of the outcome
is measured in the same run (ml.plan_trace).

Intervals are conformal (ml.intervals): calibrated at each cutoff on the forecasts of the six cutoffs before, as they
were made then, for target weeks up to the cutoff.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import polars as pl

from benchmarks.demand_data import CUTOFF_WEEKS, HORIZONS, LAST_TARGET_WEEK, WEEKS, DemandData, read_demand
from benchmarks.demand_rivals import RIVALS
from benchmarks.program import Options, Stopwatch, progress, result
from ml.business_calendar import DAYS_PER_WEEK
from ml.cube import build_cube
from ml.cube_features import CubeFeatureSpec, cube_features
from ml.evaluation import metrics
from ml.evaluation_differences import wape_difference
from ml.evaluation_points import wape
from ml.intervals import apply, calibrate, point_rows
from ml.plan_trace import trace_of_outcome
from ml.point_forecaster import Member, PointConfig, fit_points, predict_points
from resources.settings import load_settings

SPEC = CubeFeatureSpec(scale="sqrt", means=(2, 4, 8, 13, 26), is_season_known=False, per_product_plans=False)
# Chosen on cutoffs 30 and 35, whose target weeks end before the first scored one (docs/benchmarks.md).
MEMBERS = (
    Member("lightgbm", None, 120, 0.1, 0.2, 31, 3),
    Member("catboost", None, 200, 0.1, 0.3, 6, 1),
)
CALIBRATION_CUTOFFS = 6
FIRST_TRAINING_WEEK = 9
# A date for week 1: only the order of weeks and their distance matter.
FIRST_WEEK_START = date(2017, 1, 2)
# One row per method, cutoff, series and horizon.
KEY = ["store_id", "product_group", "cutoff_week", "horizon_weeks"]


def bench_demand(options: Options) -> dict[str, Any]:
    """WAPE by horizon of every method, coverage of our interval by horizon and class of volume, seconds a cutoff."""
    watch = Stopwatch()
    data = read_demand(options.data)
    found = trace_of_outcome(data.promotions, data.sales)
    progress(f"plans: {found.sold_share:.1%} of rows had a sale; presence differs by {found.difference:+.4f}")
    own_watch = Stopwatch()
    own = forecast_ours(data, list(range(CUTOFF_WEEKS[0] - CALIBRATION_CUTOFFS, CUTOFF_WEEKS[-1] + 1)))
    own_seconds = own_watch.seconds() / (len(CUTOFF_WEEKS) + CALIBRATION_CUTOFFS)
    scored = with_intervals(own)
    configuration = {"series": len(data.stores) * len(data.groups), "rows": scored.height, "cutoff_weeks": CUTOFF_WEEKS}
    figures = {**wape_by_horizon(scored, "point"), **coverage(scored), "seconds_per_cutoff": own_seconds}
    figures |= {f"plan_trace_{name}": getattr(found, name) for name in ("sold_share", "difference", "lower", "upper")}
    rivals: dict[str, dict[str, float]] = {}
    for name, forecast in RIVALS.items():
        progress(name)
        rivals[name], scored = _rival(name, forecast, data, scored)
        rivals[name]["ratio"] = own_seconds / max(rivals[name]["seconds"], 1e-3)
        gap = wape_difference(_dated(scored), "point", name)
        figures |= {f"wape_less_{name}": gap.estimate, f"wape_less_{name}_upper": gap.upper}
    return result("demand", configuration, figures, watch.seconds(), rivals=rivals)


def forecast_ours(data: DemandData, cutoff_weeks: list[int]) -> pl.DataFrame:
    """KEY, target_week, actual, point, usual (mean weekly units before the cutoff) of each cutoff, by its own model."""
    cube = build_cube(data.rows, WEEKS, data.promotion_columns)
    positions = range(FIRST_TRAINING_WEEK - 1, cutoff_weeks[-1])
    features = cube_features(cube, positions, HORIZONS, SPEC)
    config = PointConfig("wape", SPEC.scale, MEMBERS, threads=load_settings().threads)
    parts = []
    for week in cutoff_weeks:
        at = week - 1
        model = fit_points(features.filter(pl.col("target_position") <= at), config)
        ahead = features.filter((pl.col("cutoff_position") == at) & (pl.col("target_position") < LAST_TARGET_WEEK))
        parts.append(ahead.with_columns(predict_points(model, ahead)))
        progress(f"forecast after week {week}")
    return pl.concat(parts).select(
        "store_id",
        "product_group",
        (pl.col("cutoff_position") + 1).alias("cutoff_week"),
        "horizon_weeks",
        (pl.col("target_position") + 1).alias("target_week"),
        "actual",
        "point",
        usual=pl.col("usual_level").cast(pl.Float64) ** 2,
    )


def with_intervals(forecasts: pl.DataFrame) -> pl.DataFrame:
    """The scored cutoffs with p10, p50, p90; each calibrated on forecasts made before it, of weeks known by then."""
    parts = []
    for week in CUTOFF_WEEKS:
        held_out = forecasts.filter(
            pl.col("cutoff_week").is_between(week - CALIBRATION_CUTOFFS, week - 1) & (pl.col("target_week") <= week)
        )
        issued = forecasts.filter(pl.col("cutoff_week") == week)
        raw = point_rows(issued).with_columns(point=issued["point"])
        parts.append(apply(raw, calibrate(point_rows(held_out))))
    return pl.concat(parts).sort(KEY)


def wape_by_horizon(rows: pl.DataFrame, column: str) -> dict[str, float]:
    """wape over all rows and wape_h1 to wape_h4, in percent."""
    parts = {f"wape_h{h}": rows.filter(pl.col("horizon_weeks") == h) for h in HORIZONS}
    return {name: wape(part["actual"], part[column]) for name, part in {"wape": rows, **parts}.items()}


def coverage(rows: pl.DataFrame) -> dict[str, float]:
    """Share of outcomes within [p10, p90]: over all, by horizon, and in the thin and the busy half of the series."""
    median = rows["usual"].median()
    classes = rows.with_columns(
        volume=pl.when(pl.col("usual") <= median).then(pl.lit("thin")).otherwise(pl.lit("busy")),
        horizon=pl.format("h{}", "horizon_weeks"),
    )
    found = {"coverage_80": float(metrics(rows)["coverage_80"][0])}
    for by in ("horizon", "volume"):
        for name, share in metrics(classes, [by]).select(by, "coverage_80").iter_rows():
            found[f"coverage_80_{name}"] = share
    return found


def _rival(
    name: str, forecast: Callable[[DemandData, int], pl.DataFrame], data: DemandData, scored: pl.DataFrame
) -> tuple[dict[str, float], pl.DataFrame]:
    watch = Stopwatch()
    parts = [forecast(data, week).with_columns(cutoff_week=pl.lit(week, dtype=pl.Int32)) for week in CUTOFF_WEEKS]
    seconds = watch.seconds() / len(CUTOFF_WEEKS)
    points = pl.concat(parts).select(*KEY, pl.col("point").clip(lower_bound=0.0).alias(name))
    joined = scored.join(points, on=KEY, how="left")
    if joined[name].null_count():
        raise ValueError(f"{name} has no forecast for {joined[name].null_count()} of {joined.height} rows.")
    return {**wape_by_horizon(joined, name), "seconds": seconds}, joined


def _dated(rows: pl.DataFrame) -> pl.DataFrame:
    """Source weeks as dates, for functions that think in business weeks."""
    days = (pl.col("target_week").cast(pl.Int64) - 1) * DAYS_PER_WEEK
    return rows.with_columns(target_week_start_date=pl.lit(FIRST_WEEK_START) + pl.duration(days=days))
