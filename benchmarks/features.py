"""Twelve lag and rolling features on 7.3 M rows: our kernels beside mlforecast's preprocess, in one run.

Belongs here: synthetic series, both engines on one frame, equal values before any time counts. Does not belong here:
the kernels (ml.kernels).

Both are coreforecast below; what is measured is what stands around it. Both take a polars frame that is sorted by
series and day, and return it with twelve more columns in double precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from mlforecast import MLForecast
from mlforecast.lag_transforms import RollingMean, RollingStd

from benchmarks.asof import in_turns
from benchmarks.program import Options, Stopwatch, progress, result
from ml.kernels import Layout, lag, rolling_mean, rolling_std

SERIES, DAYS = 20_000, 365
LAGS, WINDOWS = (1, 7, 14, 28), (7, 14, 28, 56)
REPEATS = 5
SEED = 20171204
TOLERANCE = 1e-6


def bench_features(_options: Options) -> dict[str, Any]:
    """Seconds of both (median of five, in turns) and their ratio."""
    watch = Stopwatch()
    frame = daily_series()
    engines: dict[str, Callable[[], pl.DataFrame]] = {
        "liftlake": lambda: with_kernels(frame),
        "mlforecast": lambda: with_mlforecast(frame),
    }
    own, other = engines["liftlake"](), engines["mlforecast"]()
    names = own.columns[3:]
    for name, theirs in zip(names, other.columns[3:], strict=True):
        require_equal(name, own[name], other[theirs])
    progress(f"{len(names)} features are equal on {frame.height:,} rows")
    seconds = in_turns(engines, REPEATS)
    ratio = seconds["liftlake"] / seconds["mlforecast"]
    return result(
        "features",
        {"rows": frame.height, "series": SERIES, "features": len(names)},
        {"seconds_liftlake": seconds["liftlake"], "ratio_to_mlforecast": ratio},
        watch.seconds(),
        rivals={"mlforecast": {"seconds": seconds["mlforecast"], "ratio": ratio}},
    )


def daily_series(n_series: int = SERIES, n_days: int = DAYS) -> pl.DataFrame:
    """One row per (unique_id, ds), sorted: y DOUBLE."""
    random = np.random.default_rng(SEED)
    return pl.DataFrame({
        "unique_id": np.repeat(np.arange(n_series), n_days),
        "ds": np.tile(np.arange(n_days), n_series),
        "y": random.gamma(2.0, 3.0, n_series * n_days),
    })  # fmt: skip


def with_kernels(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with lags, rolling means and standard deviations of the weeks before, by ml.kernels."""
    layout, values = Layout.of(frame, ("unique_id",)), frame["y"].to_numpy()
    columns = {f"lag_{back}": lag(values, layout, back) for back in LAGS}
    columns |= {f"mean_{window}": rolling_mean(values, layout, window, 1) for window in WINDOWS}
    columns |= {f"std_{window}": rolling_std(values, layout, window, 1) for window in WINDOWS}
    return frame.with_columns(pl.Series(name, column) for name, column in columns.items())


def with_mlforecast(frame: pl.DataFrame) -> pl.DataFrame:
    """The same by mlforecast."""
    transforms: list[Any] = [RollingMean(window) for window in WINDOWS] + [RollingStd(window) for window in WINDOWS]
    engine = MLForecast(models=[], freq=1, lags=list(LAGS), lag_transforms={1: transforms})
    prepared: Any = engine.preprocess(frame, static_features=[], dropna=False)
    return prepared


def require_equal(name: str, own: pl.Series, other: pl.Series) -> None:
    """Raise unless both are missing at the same rows and equal elsewhere.

    Raises:
        ValueError: with the feature's name.
    """
    left, right = own.to_numpy(), other.to_numpy()
    if not np.allclose(left, right, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
        raise ValueError(f"{name} differs from mlforecast's by up to {np.nanmax(np.abs(left - right)):.3g}.")
