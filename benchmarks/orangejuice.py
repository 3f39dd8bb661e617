"""Weekly orange juice at Dominick's, by the protocol of the public leaderboard TSPerf.

Belongs here: reading the data, the rounds, and the fixed configuration. Does not belong here: features and models
(ml.cube_features, ml.point_forecaster).

Round r learns from weeks 40 to 135 + 2 (r - 1), leaves one week out, and forecasts the two weeks after it for every
store and brand. Price, deal and feature advertising are known up to the last forecast week and cut off there; sales are
cut off at the last week of training before a feature is computed. Scored are the rows that exist.

The configurations below were chosen on rounds of the same shape whose forecast weeks end at 135 or before (cutoffs 112,
118, 124, 127, 130, 132; docs/benchmarks.md has the scores of what was tried), and then fixed. One is for MAPE and one
for WAPE, because no forecast is best for both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.program import Options, Stopwatch, progress, result
from ml.cube import Cube, build_cube
from ml.cube_features import CubeFeatureSpec, cube_features
from ml.evaluation_points import mape, wape
from ml.frame_checks import BadFrame
from ml.point_forecaster import EXPECTED, Member, Objective, PointConfig, fit_points, predict_points
from resources.settings import load_settings

FIRST_WEEK, FIRST_CUTOFF = 40, 135
HORIZONS = (2, 3)
# Before this many weeks the features of a cutoff have too little past to be worth learning from.
FIRST_TRAINING_POSITION = 26
LAST_ROUND = 12
BRANDS = range(1, 12)
SPEC = CubeFeatureSpec(scale="log", promotion_bandwidth={"deal": 0.67, "feat": 0.25})
MEMBERS: dict[Objective, tuple[Member, ...]] = {
    "mape": (Member("lightgbm"), Member("lightgbm", offset=EXPECTED), Member("catboost", None, 400, 0.1, 0.25, 6)),
    "wape": (Member("lightgbm"), Member("lightgbm", size=63, column_share=0.3, seed=2)),
}
# Rounds 1 to 6, recomputed from the published submissions: the best of the leaderboard in each metric.
PUBLISHED = {"mape": 36.04, "wape": 45.02}


def bench_orangejuice(options: Options) -> dict[str, Any]:
    """MAPE and WAPE over the rounds asked for, each by the configuration for it; per round too."""
    watch = Stopwatch()
    folder = options.folder("orangejuice")
    sales = read_sales(folder)
    numbers = rounds_of(options.rounds, max(sales["week"].to_list()))
    scored = []
    for number in numbers:
        scored.append(forecast_round(sales, FIRST_CUTOFF + 2 * (number - 1)).with_columns(round=pl.lit(number)))
        progress(f"round {number}: " + ", ".join(f"{k} {v:.2f}" for k, v in scores(scored[-1]).items()))
    rows = pl.concat(scored)
    metrics = scores(rows)
    for number, part in zip(numbers, scored, strict=True):
        metrics |= {f"{name}_r{number}": value for name, value in scores(part).items()}
    is_published = numbers == list(range(1, 7))
    return result(
        "orangejuice",
        {
            "rounds": f"{numbers[0]}-{numbers[-1]}",
            "rows": rows.height,
            "members": {k: len(v) for k, v in MEMBERS.items()},
        },
        metrics,
        watch.seconds(),
        published=PUBLISHED if is_published else {},
    )


def read_sales(folder: Path) -> pl.DataFrame:
    """All rows of orangejuice_sales_*.parquet whose store is in orangejuice_stores.csv: units are round(exp(logmove)).

    Raises:
        BadFrame: there is no such file, or rows repeat.
    """
    files = sorted(folder.glob("orangejuice_sales_*.parquet"))
    stores = folder / "orangejuice_stores.csv"
    if not files or not stores.is_file():
        raise BadFrame(f"{folder} must hold orangejuice_sales_*.parquet and orangejuice_stores.csv.")
    known = pl.read_csv(stores)["STORE"].to_list()
    sales = pl.concat([pl.read_parquet(file) for file in files], how="vertical_relaxed").unique(maintain_order=True)
    return sales.filter(pl.col("store").is_in(known)).with_columns(demand_units=pl.col("logmove").exp().round())


def rounds_of(text: str | None, last_week: int) -> list[int]:
    """The rounds asked for, default those that the weeks allow.

    Raises:
        BadFrame: a round is outside 1 to 12 or the data do not reach its forecast weeks.
    """
    possible = min(LAST_ROUND, (last_week - FIRST_CUTOFF - max(HORIZONS)) // 2 + 1)
    first, _, last = (text or f"1-{max(possible, 1)}").partition("-")
    asked = list(range(int(first), int(last or first) + 1))
    if not asked or asked[0] < 1 or asked[-1] > possible:
        raise BadFrame(f"Rounds 1 to {possible} can be scored with weeks up to {last_week}; got {text}.")
    return asked


def cube_at(sales: pl.DataFrame, cutoff_week: int) -> Cube:
    """What is known when a round is forecast: sales up to the cutoff, plans up to the last forecast week."""
    last_week = cutoff_week + max(HORIZONS)
    known = sales.filter(pl.col("week").is_between(FIRST_WEEK, last_week)).with_columns(
        store_id=pl.col("store").cast(pl.String).str.zfill(3),
        product_group=pl.col("brand").cast(pl.String).str.zfill(2),
    )
    rows = known.select(
        "store_id",
        "product_group",
        "week",
        pl.when(pl.col("week") <= cutoff_week).then("demand_units").alias("demand_units"),
        pl.col("deal", "feat").cast(pl.Float64),
    )
    # A row states the prices of all brands in its store and week.
    stated = known.unique(["store_id", "week"], keep="first", maintain_order=True).drop("product_group")
    prices = stated.unpivot(
        [f"price{brand}" for brand in BRANDS],
        index=["store_id", "week"],
        variable_name="product_group",
        value_name="price",
    ).with_columns(pl.col("product_group").str.strip_prefix("price").str.zfill(2))
    return build_cube(rows, list(range(FIRST_WEEK, last_week + 1)), ("deal", "feat"), prices)


def forecast_round(sales: pl.DataFrame, cutoff_week: int) -> pl.DataFrame:
    """One row per store, brand and forecast week that exists: actual and a forecast per objective, in units."""
    cutoff = cutoff_week - FIRST_WEEK
    features = cube_features(cube_at(sales, cutoff_week), range(FIRST_TRAINING_POSITION, cutoff + 1), HORIZONS, SPEC)
    past, ahead = (
        features.filter(pl.col("cutoff_position") < cutoff),
        features.filter(pl.col("cutoff_position") == cutoff),
    )
    threads = load_settings().threads
    for objective, members in MEMBERS.items():
        config = PointConfig(objective, SPEC.scale, members, threads=threads)
        ahead = ahead.with_columns(predict_points(fit_points(past, config), ahead).alias(objective))
    outcomes = sales.select(
        store_id=pl.col("store").cast(pl.String).str.zfill(3),
        product_group=pl.col("brand").cast(pl.String).str.zfill(2),
        target_position=(pl.col("week") - FIRST_WEEK).cast(pl.Int32),
        outcome="demand_units",
    )
    key = ["store_id", "product_group", "target_position"]
    return ahead.select(*key, *MEMBERS).join(outcomes, on=key).sort(key)


def scores(rows: pl.DataFrame) -> dict[str, float]:
    """MAPE of the forecasts made for it, WAPE of those made for it, in percent."""
    actual = rows["outcome"].to_numpy()
    return {"mape": mape(actual, rows["mape"].to_numpy()), "wape": wape(actual, rows["wape"].to_numpy())}
