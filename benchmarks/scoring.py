"""Scoring from Delta to Delta: what the guard, the intervals and the stamps add to read, raw predict and write.

Belongs here: synthetic feature rows, both contestants on one table. Does not belong here: scoring (ml.scoring), how
it is timed (side_by_side).

Both read the same published table whole and write three quantiles per row with the same keys to a Delta table. Ours
checks the signature, verifies the bundle's files, predicts, calibrates, orders quantiles and rows, and stamps the
version; the other calls CatBoost's predict on the columns and writes what it says. Both must give the same medians: the
middle one of what CatBoost says, whose quantiles may cross.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from catboost import Pool

from benchmarks.memory import MemoryWatch
from benchmarks.program import Options
from benchmarks.side_by_side import alternate, rivals, throwaway_lake
from checks.contracts.loader import load_contracts
from ml.backtest import MODEL
from ml.business_calendar import week_ends
from ml.features import DEMAND_FEATURES, FEATURE_KEY, HORIZON, TARGET_WEEK, feature_table_columns
from ml.forecaster import CalibratedModel
from ml.frame_checks import SERIES_KEY, WEEK
from ml.intervals import calibrate
from ml.packaging import load_bundle, model_version, save_bundle
from ml.scoring import ISSUE_WEEK, score
from ml.training import FORECAST_COLUMNS, TrainConfig, fit, predict_raw
from resources.commits import Provenance
from resources.lake import Lake

STORES, GROUPS, WEEKS, HORIZONS = 250, 25, 40, (1, 2, 3, 4)
TRAINING_ROWS = 60_000
REPETITIONS = 5
SEED = 20171204
FIRST_WEEK = date(2017, 1, 2)


def bench_scoring(_options: Options) -> dict[str, Any]:
    """Seconds of both contestants on a million rows, and their ratio."""
    began = time.monotonic()
    with throwaway_lake() as lake, MemoryWatch(lake.settings.home, with_self=True) as memory, _bench(lake) as bench:
        seconds = alternate({"liftlake": bench.ours, "raw predict": bench.raw}, REPETITIONS)
        bench.require_same_medians()
        peak = memory.peak_mb()
    return {
        "name": "scoring",
        "configuration": {
            "rows": bench.rows, "features": len(DEMAND_FEATURES), "trees": bench.config.iterations,
            "threads": lake.settings.threads, "spark_memory": lake.settings.spark_memory, "repetitions": REPETITIONS,
        },
        "metrics": {
            "scoring_seconds": round(statistics.median(seconds["liftlake"]), 3),
            "rows_per_second": round(bench.rows / statistics.median(seconds["liftlake"])),
        },
        "published": {},
        "seconds": round(time.monotonic() - began, 1),
        "peak_rss_mb": peak,
        "rivals": rivals(seconds, "liftlake"),
    }  # fmt: skip


def feature_rows(stores: int, groups: int, weeks: int, seed: int = SEED) -> pl.DataFrame:
    """gold.demand_features with random values: one row per store, group, cutoff week and horizon, sorted by it."""
    dice = np.random.default_rng(seed)
    names = {"store_id": [f"s{n:04}" for n in range(stores)], "product_group": [f"g{n:03}" for n in range(groups)]}
    cutoffs = [FIRST_WEEK + timedelta(weeks=n) for n in range(weeks)]
    rows = pl.DataFrame({"store_id": names["store_id"]})
    for column, values in (("product_group", names["product_group"]), (WEEK, cutoffs), (HORIZON, list(HORIZONS))):
        rows = rows.join(pl.DataFrame({column: values}), how="cross")
    known = week_ends(rows[WEEK], "America/New_York")
    rows = rows.with_columns(
        (pl.col(WEEK) + pl.duration(weeks=1) * pl.col(HORIZON)).alias(TARGET_WEEK), event_at=known, known_at=known
    )
    columns = feature_table_columns()
    missing = [name for name in columns if name not in rows.columns]
    values = [
        pl.Series(name, dice.choice(["none", "labor_day", "christmas"], rows.height))
        if columns[name] == pl.String
        else pl.Series(name, dice.gamma(2.0, 3.0, rows.height).round(3))
        for name in missing
    ]
    filled = rows.with_columns(values)
    return filled.select(pl.col(name).cast(dtype) for name, dtype in columns.items()).sort(FEATURE_KEY)


@contextmanager
def _bench(lake: Lake) -> Iterator[_Bench]:
    with tempfile.TemporaryDirectory() as folder:
        yield _Bench(lake, Path(folder) / "bundle")


class _Bench:
    """Both contestants on one lake and one bundle."""

    def __init__(self, lake: Lake, bundle: Path) -> None:
        self._lake, self._bundle = lake, bundle
        self._contract = load_contracts()["forecasts", "demand_forecasts"]
        self.config = TrainConfig(thread_count=lake.settings.threads)
        features = feature_rows(STORES, GROUPS, WEEKS)
        self.rows = features.height
        self._publish(features)
        self._version = self._train(features.sample(TRAINING_ROWS, seed=SEED).sort(FEATURE_KEY))
        self._written: dict[str, pl.DataFrame] = {}

    def ours(self) -> None:
        features = self._lake.read("gold.demand_features")
        rows = score(load_bundle(self._bundle, self._version), features)
        self._write("liftlake", rows)

    def raw(self) -> None:
        features = self._lake.read("gold.demand_features")
        model = load_bundle(self._bundle).fitted.model
        categorical = set(model.signature.categorical)
        inputs = features.select(
            pl.col(name) if name in categorical else pl.col(name).cast(pl.Float32) for name in model.signature.names
        )
        predicted = model.regressor.predict(Pool(inputs.to_pandas(), cat_features=sorted(categorical)))
        rows = features.select(
            pl.col(WEEK).alias(ISSUE_WEEK), *SERIES_KEY, TARGET_WEEK, HORIZON,
            method=pl.lit(MODEL), measure=pl.lit("quantity_units"), model_version=pl.lit(self._version),
        )  # fmt: skip
        self._write("raw", rows.hstack(pl.DataFrame(np.asarray(predicted), schema=FORECAST_COLUMNS)))

    def require_same_medians(self) -> None:
        """Raise AssertionError when keys or medians differ (calibration leaves a median where it is)."""
        key = [ISSUE_WEEK, *SERIES_KEY, HORIZON]
        ours, raw = (self._written[name].sort(key) for name in ("liftlake", "raw"))
        assert ours.select(key).equals(raw.select(key)), "the keys differ"
        middle = raw.select(pl.concat_list(FORECAST_COLUMNS).list.median()).to_series().clip(lower_bound=0.0)
        worst = (ours["p50"] - middle).abs().max()
        assert isinstance(worst, float), "there are no rows"
        assert worst < 1e-9, f"the medians differ by up to {worst}"

    def _write(self, name: str, rows: pl.DataFrame) -> None:
        issued = rows.with_columns(
            issued_as_of=pl.lit(self._lake.settings.as_of).dt.cast_time_unit("us"), data_version=pl.lit("0" * 64)
        )
        self._lake.write(self._contract, issued, Provenance(name))
        self._written[name] = rows

    def _publish(self, features: pl.DataFrame) -> None:
        contract = load_contracts()["gold", "demand_features"]
        made_from = Provenance("synthetic")
        self._lake.publish(contract, self._lake.write(contract, features, made_from), made_from)

    def _train(self, rows: pl.DataFrame) -> str:
        """A model of units, saved; its version."""
        dice = np.random.default_rng(SEED)
        outcome = rows["quantity_units_mean_8"] * dice.gamma(4.0, 0.25, rows.height)
        labelled = rows.with_columns(quantity_units=outcome, actual=outcome)
        model = fit(labelled, DEMAND_FEATURES, "quantity_units", self.config)
        fitted = CalibratedModel(model, calibrate(labelled.hstack(predict_raw(model, labelled))))
        save_bundle(self._bundle, fitted, {})
        return model_version(fitted)
