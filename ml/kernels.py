"""Native window kernels over contiguous weekly series.

Belongs here: lags, rolling and expanding statistics by position, in coreforecast (C++) on one float64
array and its series boundaries. Does not belong here: which features exist, dates, promotions, models.

Every kernel maps an array of shape (n_rows,) to one of the same shape: the value at row i uses rows up to and including
i of the same series (up to i - weeks_back where that is given), never a later one. NaN marks a week without a usable
value (a partial week) on the way in and a window that does not exist on the way out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from coreforecast.grouped_array import GroupedArray
from coreforecast.lag_transforms import (
    ExpandingMean,
    ExponentiallyWeightedMean,
    Lag,
    RollingMax,
    RollingMean,
    RollingStd,
)
from numpy.typing import NDArray

Values = NDArray[np.float64]
# Two threads gain nothing on series of one or two years and differ between machines; one is simplest.
_THREADS = 1
_LEAST_FOR_STD = 2
# The range in which statsforecast's SimpleExponentialSmoothingOptimized looks for the weight, as a grid.
SMOOTHING_WEIGHTS = (0.01, *(percent / 100 for percent in range(5, 100, 5)), 0.99)
# Windows always look for unusable weeks: to look only when there are some anywhere would let a gap in a later week, or
# in another series, change the last digits of earlier values.


@dataclass(frozen=True)
class Layout:
    """Where each series begins in the flat arrays.

    `starts` has shape (n_series + 1,): series s owns rows starts[s] to starts[s + 1] - 1.
    """

    starts: NDArray[np.int32]

    @classmethod
    def of(cls, frame: pl.DataFrame, key: tuple[str, ...]) -> Layout:
        """The layout of a frame that is sorted by key and week; an empty key is one series."""
        if not key:
            return cls(np.array([0, frame.height], dtype=np.int32))
        is_new = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift()) for name in key)
        begins = frame.select(is_new.arg_true()).to_series().to_numpy()
        # The shift puts a null before the first row, which a null key would equal.
        inner = begins[begins > 0]
        return cls(np.concatenate([[0][: frame.height], inner, [frame.height]]).astype(np.int32))

    @property
    def positions(self) -> NDArray[np.int64]:
        """The number of weeks of the same series before each row, shape (n_rows,)."""
        lengths = np.diff(self.starts)
        return np.arange(self.starts[-1]) - np.repeat(self.starts[:-1], lengths)

    def grouped(self, values: Values) -> GroupedArray:
        return GroupedArray(np.ascontiguousarray(values, dtype=np.float64), self.starts, _THREADS)


def lag(values: Values, layout: Layout, weeks_back: int) -> Values:
    """The value `weeks_back` weeks before (0 = this week)."""
    return Lag(weeks_back).transform(layout.grouped(values))


def rolling_mean(values: Values, layout: Layout, window_weeks: int, weeks_back: int = 0) -> Values:
    """Mean of the usable weeks among `window_weeks` that end `weeks_back` weeks before.

    Exists when the series is that long and at least half of the window is usable.
    """
    kernel = RollingMean(weeks_back, window_weeks, min_samples=max(1, window_weeks // 2), skipna=True)
    means = kernel.transform(layout.grouped(values))
    if means.size:
        # The kernel's running sum drifts by some ulps, which can push a mean of zeros below zero. The range is that of
        # the series itself, so that no last digit depends on which other series stand beside it.
        lengths, begins = np.diff(layout.starts), layout.starts[:-1]
        low, high = (np.repeat(edge.reduceat(values, begins), lengths) for edge in (np.fmin, np.fmax))
        np.clip(means, low, high, out=means)
    return _where_window_exists(means, layout, window_weeks + weeks_back)


def rolling_std(values: Values, layout: Layout, window_weeks: int, weeks_back: int = 0) -> Values:
    """Sample standard deviation (n - 1) of the usable weeks among `window_weeks` that end `weeks_back` weeks before."""
    least = max(_LEAST_FOR_STD, window_weeks // 2)
    kernel = RollingStd(weeks_back, window_weeks, min_samples=least, skipna=True)
    return _where_window_exists(kernel.transform(layout.grouped(values)), layout, window_weeks + weeks_back)


def rolling_max(values: Values, layout: Layout, window_weeks: int, weeks_back: int = 0) -> Values:
    """Largest usable value among `window_weeks` that end `weeks_back` weeks before."""
    least = max(1, window_weeks // 2)
    kernel = RollingMax(weeks_back, window_weeks, min_samples=least, skipna=True)
    return _where_window_exists(kernel.transform(layout.grouped(values)), layout, window_weeks + weeks_back)


def expanding_mean(values: Values, layout: Layout) -> Values:
    """Mean of all usable weeks so far."""
    return ExpandingMean(0, skipna=True).transform(layout.grouped(values))


def weighted_mean(values: Values, layout: Layout, half_life_weeks: int) -> Values:
    """Exponentially weighted mean whose weights halve every `half_life_weeks`, started at the first value.

    alpha = 1 - 0.5 ** (1 / half_life_weeks)
    """
    alpha = 1.0 - 0.5 ** (1.0 / half_life_weeks)
    return ExponentiallyWeightedMean(0, alpha, skipna=True).transform(layout.grouped(values))


def exponential_smoothing(values: Values, layout: Layout) -> Values:
    """Level of simple exponential smoothing, started at the first value, with a weight of its own at every row.

    The weight is that of SMOOTHING_WEIGHTS whose forecasts one week ahead have had the least squared error so far in
    the series, the smallest of equals (Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 2021, section
    8.1). An unusable week leaves the level as it was.
    """
    levels, least = np.full(values.shape, np.nan), np.full(values.shape, np.inf)
    for weight in SMOOTHING_WEIGHTS:
        level = ExponentiallyWeightedMean(0, weight, skipna=True).transform(layout.grouped(values))
        error = (values - Lag(1).transform(layout.grouped(level))) ** 2
        mean_error = ExpandingMean(0, skipna=True).transform(layout.grouped(error))
        is_better = np.isnan(levels) | (mean_error < least)
        levels, least = np.where(is_better, level, levels), np.where(mean_error < least, mean_error, least)
    return levels


def weeks_since_positive(values: Values, layout: Layout) -> Values:
    """Weeks since the last value above zero (0 = this week); NaN when there was none yet."""
    rows = np.arange(values.shape[0])
    last_positive = np.maximum.accumulate(np.where(values > 0, rows, -1))
    is_before_series = last_positive < np.repeat(layout.starts[:-1], np.diff(layout.starts))
    return np.where(is_before_series, np.nan, rows - last_positive).astype(np.float64)


def ratio(numerator: Values, denominator: Values) -> Values:
    """numerator / denominator, NaN where the denominator is not above zero."""
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def _where_window_exists(values: Values, layout: Layout, span_weeks: int) -> Values:
    """NaN in the first weeks of a series, where a window of that span would begin before it; in place."""
    starts, stops = layout.starts[:-1, np.newaxis], layout.starts[1:, np.newaxis]
    early = starts + np.arange(span_weeks - 1, dtype=np.int32)
    values[early[early < stops]] = np.nan
    return values
