"""Native kernels against loops: windows, missing weeks, series boundaries."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from statsforecast.models import SimpleExponentialSmoothing, SimpleExponentialSmoothingOptimized

from ml import kernels
from tests.unit.ml import feature_oracle as oracle

LENGTHS = (1, 2, 7, 30)


@pytest.fixture(scope="module")
def panel() -> tuple[np.ndarray, kernels.Layout]:
    random = np.random.default_rng(11)
    values = random.poisson(1.5, size=sum(LENGTHS)).astype(np.float64)
    values[random.random(values.shape[0]) < 0.15] = np.nan
    values[-40:-30] = 0.0
    starts = np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int32)
    return values, kernels.Layout(starts)


def loop(values: np.ndarray, layout: kernels.Layout, function: object, *arguments: int) -> list[float | None]:
    """Apply an oracle to the history of every row."""
    result: list[float | None] = []
    for start, stop in zip(layout.starts, layout.starts[1:], strict=False):
        history = [None if np.isnan(value) else value for value in values[start:stop]]
        result += [function(history[: end + 1], *arguments) for end in range(len(history))]  # type: ignore[operator]
    return result


CASES = [
    *((kernels.lag, oracle.lag, weeks) for weeks in (0, 1, 5)),
    *((kernels.rolling_mean, oracle.mean, weeks) for weeks in (1, 2, 4, 13)),
    *((kernels.rolling_std, oracle.std, weeks) for weeks in (2, 4, 13)),
    *((kernels.rolling_max, oracle.largest, weeks) for weeks in (1, 4, 13)),
    *((kernels.weighted_mean, oracle.weighted_mean, weeks) for weeks in (1, 3, 12)),
    (kernels.expanding_mean, oracle.expanding_mean, None),
    (kernels.exponential_smoothing, oracle.exponential_smoothing, None),
    (kernels.weeks_since_positive, oracle.weeks_since_positive, None),
]


@pytest.mark.parametrize(("kernel", "naive", "weeks"), CASES, ids=lambda case: getattr(case, "__name__", str(case)))
def test_kernel_equals_the_loop(panel: tuple, kernel: object, naive: object, weeks: int | None) -> None:
    values, layout = panel
    arguments = [] if weeks is None else [weeks]
    found = kernel(values, layout, *arguments)  # type: ignore[operator]
    wanted = loop(values, layout, naive, *arguments)
    assert found == pytest.approx([np.nan if value is None else value for value in wanted], abs=1e-9, nan_ok=True)


def test_smoothing_equals_statsforecast_at_its_best_weight_of_the_grid() -> None:
    random = np.random.default_rng(17)
    series = [random.poisson(random.gamma(2.0, 2.0) * np.linspace(1, random.uniform(0.2, 3), 40)) for _ in range(8)]
    values = np.concatenate(series).astype(np.float64)
    layout = kernels.Layout(np.arange(0, values.shape[0] + 1, 40, dtype=np.int32))
    found = kernels.exponential_smoothing(values, layout).reshape(8, 40)
    chosen = set()
    for row, own in zip(values.reshape(8, 40), found, strict=True):
        for weeks in (3, 10, 40):
            past = row[:weeks]
            rivals = []
            for weight in kernels.SMOOTHING_WEIGHTS:
                forecast = SimpleExponentialSmoothing(alpha=weight).forecast(y=past, h=1, fitted=True)
                error = ((past - forecast["fitted"])[1:] ** 2).sum()
                rivals.append((error, weight, forecast["mean"][0]))
            error, weight, level = min(rivals)
            chosen.add(weight)
            assert own[weeks - 1] == pytest.approx(level, rel=1e-9)
            fitted = SimpleExponentialSmoothingOptimized().forecast(y=past, h=1, fitted=True)["fitted"]
            assert error <= ((past - fitted)[1:] ** 2).sum() * 1.01
    assert len(chosen) > 4


def test_an_empty_window_is_exactly_zero() -> None:
    values = np.array([0.1, 0.2, 0.3, 1e6, 0.7] + [0.0] * 8) * 10_000
    layout = kernels.Layout(np.array([0, values.shape[0]], dtype=np.int32))
    assert kernels.rolling_mean(np.round(values), layout, 4)[-1] == 0.0


def test_ratio_has_no_value_over_nothing() -> None:
    ratio = kernels.ratio(np.array([1.0, 1.0, np.nan, 1.0]), np.array([2.0, 0.0, 1.0, np.nan]))
    assert ratio == pytest.approx([0.5, np.nan, np.nan, np.nan], nan_ok=True)


def test_layout_of_a_frame() -> None:
    frame = pl.DataFrame({"key": ["a", "a", "b"]})
    assert kernels.Layout.of(frame, ("key",)).starts.tolist() == [0, 2, 3]
    assert kernels.Layout.of(frame, ("key",)).positions.tolist() == [0, 1, 0]
    assert kernels.Layout.of(frame, ()).starts.tolist() == [0, 3]


@pytest.mark.parametrize("kernel", [kernels.rolling_mean, kernels.rolling_std, kernels.rolling_max])
def test_a_series_alone_has_the_digits_that_it_has_among_others(kernel: object) -> None:
    own, other = np.array([0.1, 0.2, 0.3, 1e6, 0.7] + [0.0] * 8), np.random.default_rng(7).normal(0, 1e6, 13)
    alone = kernel(own, kernels.Layout(np.array([0, 13], dtype=np.int32)), 4)  # type: ignore[operator]
    both = kernels.Layout(np.array([0, 13, 26], dtype=np.int32))
    np.testing.assert_array_equal(kernel(np.concatenate([own, other]), both, 4)[:13], alone)  # type: ignore[operator]


@pytest.mark.parametrize("kernel", [kernels.rolling_mean, kernels.rolling_std, kernels.rolling_max])
def test_a_gap_in_another_series_changes_no_digit(kernel: object) -> None:
    values = np.random.default_rng(5).gamma(2.0, 3.0, 80)
    layout = kernels.Layout(np.array([0, 40, 80], dtype=np.int32))
    with_gap = values.copy()
    with_gap[60] = np.nan
    both = [kernel(series, layout, 8)[:40] for series in (values, with_gap)]  # type: ignore[operator]
    np.testing.assert_array_equal(*both)
