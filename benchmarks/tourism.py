"""Reconciliation on Australian domestic tourism, beside the scores that hierarchicalforecast publishes for it.

Belongs here: the protocol (72 quarters to learn from, 8 to forecast, 425 series) and the choice between candidates.
Does not belong here: reconciliation (ml.reconciliation).

Candidates are AutoETS, AutoTheta, AutoCES and their means, each reconciled by ols and by mint_shrink. The run chooses
the one with the least overall RMSE on the 8 quarters before the test, learning from the quarters before those; the
test quarters are forecast once, by the one chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from statsforecast import StatsForecast
from statsforecast.models import AutoCES, AutoETS, AutoTheta

from benchmarks.program import Options, Stopwatch, progress, result
from ml.evaluation_points import rmse
from ml.reconciliation import Hierarchy, Method, build_hierarchy, incoherence, reconcile

LEVELS = [
    ["Country"],
    ["Country", "State"],
    ["Country", "Purpose"],
    ["Country", "State", "Region"],
    ["Country", "State", "Purpose"],
    ["Country", "State", "Region", "Purpose"],
]
# State x Purpose is reconciled but not scored, as in the published table.
SCORED = {
    "total": "Country",
    "purpose": "Country/Purpose",
    "state": "Country/State",
    "regions": "Country/State/Region",
    "bottom": "Country/State/Region/Purpose",
}
TEST_QUARTERS = 8
MEANS = {
    "AutoETS": ["AutoETS"],
    "AutoTheta": ["AutoTheta"],
    "CES": ["CES"],
    "AutoETS+AutoTheta": ["AutoETS", "AutoTheta"],
    "AutoETS+AutoTheta+CES": ["AutoETS", "AutoTheta", "CES"],
}
METHODS: tuple[Method, ...] = ("ols", "mint_shrink")


def bench_tourism(options: Options) -> dict[str, Any]:
    """RMSE per level of the chosen candidate; `incoherence` is the largest gap between a forecast and its parts."""
    watch = Stopwatch()
    folder = options.folder("tourism")
    hierarchy = build_hierarchy(read_tourism(folder / "tourism.csv"), LEVELS)
    quarters = sorted(set(hierarchy.series["ds"]))
    before = quarters[:-TEST_QUARTERS]
    progress("choosing on the 8 quarters before the test")
    trials = {
        name: rmse_by_level(forecast, hierarchy)["overall"]
        for name, forecast in _candidates(hierarchy, before[:-TEST_QUARTERS], before[-TEST_QUARTERS:]).items()
    }
    chosen = min(sorted(trials), key=lambda name: trials[name])
    progress(f"forecasting the test quarters with {chosen}")
    forecast = _candidates(hierarchy, before, quarters[-TEST_QUARTERS:], only=chosen)[chosen]
    scores = rmse_by_level(forecast, hierarchy)
    return result(
        "tourism",
        {
            "chosen": chosen,
            "validation_rmse_overall": {name: round(value, 3) for name, value in sorted(trials.items())},
        },
        {
            **{f"rmse_{level}": value for level, value in scores.items()},
            "incoherence": incoherence(forecast, hierarchy),
        },
        watch.seconds(),
        published=_published(folder),
    )


def read_tourism(path: Path) -> pl.DataFrame:
    """Bottom series: Country, State, Region, Purpose, ds DATE (first day of the quarter), y (thousand trips)."""
    rows = pl.read_csv(path)
    year, quarter = pl.col("Quarter").str.slice(0, 4).cast(pl.Int32), pl.col("Quarter").str.slice(6, 1).cast(pl.Int32)
    return rows.select(
        pl.lit("Australia").alias("Country"),
        "State",
        "Region",
        "Purpose",
        pl.date(year, (quarter - 1) * 3 + 1, 1).alias("ds"),
        pl.col("Trips").alias("y"),
    )


def rmse_by_level(forecast: pl.DataFrame, hierarchy: Hierarchy) -> dict[str, float]:
    """RMSE per series, then the plain mean over the series of a level; overall is the mean over the scored series."""
    both = forecast.join(hierarchy.series, on=["unique_id", "ds"])
    by_series = {
        str(name): rmse(rows["y"].to_numpy(), rows["point"].to_numpy()) for (name,), rows in both.group_by("unique_id")
    }
    levels = {level: [by_series[name] for name in hierarchy.levels[key]] for level, key in SCORED.items()}
    scores = {level: float(np.mean(values)) for level, values in levels.items()}
    return {**scores, "overall": float(np.mean([value for values in levels.values() for value in values]))}


def _candidates(
    hierarchy: Hierarchy, known: list[Any], ahead: list[Any], only: str | None = None
) -> dict[str, pl.DataFrame]:
    """Reconciled forecasts of the quarters ahead, per candidate `<base> by <method>`."""
    past = hierarchy.series.filter(pl.col("ds").is_in(known)).to_pandas().astype({"ds": "datetime64[ns]"})
    models = [AutoETS(season_length=4, model="ZZA"), AutoTheta(season_length=4), AutoCES(season_length=4)]
    engine = StatsForecast(models=models, freq="QS", n_jobs=1)
    forecasts = _plain(engine.forecast(df=past, h=len(ahead), fitted=True))
    fitted = _plain(engine.forecast_fitted_values())
    found: dict[str, pl.DataFrame] = {}
    for base, members in MEANS.items():
        point = pl.mean_horizontal(members).alias("point")
        for method in METHODS:
            name = f"{base} by {method}"
            if only in (None, name):
                found[name] = reconcile(
                    forecasts.select("unique_id", "ds", point),
                    hierarchy,
                    method,
                    fitted.select("unique_id", "ds", "y", point),
                )
    return found


def _plain(frame: Any) -> pl.DataFrame:
    return pl.from_pandas(frame).with_columns(pl.col("ds").cast(pl.Date))


def _published(folder: Path) -> Mapping[str, float]:
    rows = pl.read_csv(folder / "published_scores.csv").filter(pl.col("metric") == "rmse")
    return {
        f"{method}.rmse_{level.lower()}": value
        for level, *values in rows.select("level", "mint_shrink", "mint_ols").iter_rows()
        for method, value in zip(("mint_shrink", "mint_ols"), values, strict=True)
    }
