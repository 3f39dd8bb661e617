"""Point metrics against loops and against textbook numbers; no number where there is none."""

from __future__ import annotations

import csv
import math
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.evaluation_points import NotMeasurable, mape, pinball, rmse, rmsse, wape, wrmsse

AMOUNTS = st.lists(st.tuples(st.floats(0.5, 1e6), st.floats(0, 1e6)), min_size=1, max_size=40)


@given(AMOUNTS)
def test_mape_wape_and_rmse_equal_loops(pairs: list[tuple[float, float]]) -> None:
    actual, forecast = [a for a, _ in pairs], [f for _, f in pairs]
    count = len(pairs)
    assert mape(actual, forecast) == pytest.approx(100 * math.fsum(abs(f - a) / a for a, f in pairs) / count)
    assert wape(actual, forecast) == pytest.approx(100 * math.fsum(abs(f - a) for a, f in pairs) / math.fsum(actual))
    assert rmse(actual, forecast) == pytest.approx(math.sqrt(math.fsum((f - a) ** 2 for a, f in pairs) / count))


@given(AMOUNTS, st.floats(0.01, 100.0))
def test_relative_metrics_do_not_depend_on_the_unit(pairs: list[tuple[float, float]], factor: float) -> None:
    actual, forecast = np.array(pairs).T
    assert mape(actual * factor, forecast * factor) == pytest.approx(mape(actual, forecast))
    assert wape(actual * factor, forecast * factor) == pytest.approx(wape(actual, forecast))


def test_rmsse_starts_at_the_first_sale() -> None:
    # From the first sale on: 2, 4, 4, 1; steps 2, 0, -3: mean square 13 / 3. Errors 1 and 2: mean square 5 / 2.
    assert rmsse([0, 0, 2, 4, 4, 1], [3, 3], [4, 1]) == pytest.approx(math.sqrt(2.5 / (13 / 3)))


def test_one_step_naive_forecast_of_a_series_scores_one_on_its_own_history() -> None:
    history = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0])
    assert rmsse(history, history[1:], history[:-1]) == pytest.approx(1.0)


@pytest.mark.parametrize("history", [[0, 0, 0], [0, 0, 5], [5, 5, 5], [], [1.0, math.nan]])
def test_a_series_without_naive_error_has_no_rmsse(history: list[float]) -> None:
    with pytest.raises(NotMeasurable, match="history"):
        rmsse(history, [1.0], [1.0])


def test_wrmsse_weights_the_series() -> None:
    assert wrmsse({"a": 1.0, "b": 3.0}, {"a": 1.0, "b": 3.0}) == pytest.approx(2.5)
    with pytest.raises(NotMeasurable, match="differ"):
        wrmsse({"a": 1.0}, {"b": 1.0})
    with pytest.raises(NotMeasurable, match="weights"):
        wrmsse({"a": 1.0}, {"a": 0.0})


@given(AMOUNTS, st.floats(0.05, 0.95))
def test_pinball_is_least_at_the_sample_quantile(pairs: list[tuple[float, float]], level: float) -> None:
    actual = np.array([a for a, _ in pairs])
    best = np.quantile(actual, level, method="inverted_cdf")
    own = pinball(actual, np.full(len(actual), best), level)
    others = [pinball(actual, np.full(len(actual), value), level) for value in actual]
    assert own <= min(others) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("actual", "forecast"), [([1.0, 0.0], [1.0, 1.0]), ([], []), ([1.0], [math.nan]), ([1.0], [1.0, 2.0])]
)
def test_mape_refuses_what_it_cannot_measure(actual: list[float], forecast: list[float]) -> None:
    with pytest.raises(NotMeasurable):
        mape(actual, forecast)


def test_wape_refuses_outcomes_that_add_up_to_nothing() -> None:
    with pytest.raises(NotMeasurable, match="add up"):
        wape([0.0, 0.0], [1.0, 2.0])


def test_scores_of_forecasters_on_real_sales_stand_in_the_published_order() -> None:
    """On eight items of M5 the mean of 28 days beats the last value, as it did in the contest."""
    root = os.environ.get("LIFTLAKE_REFERENCE_DATA")
    if not root or not (Path(root) / "m5-scores").is_dir():
        pytest.skip("LIFTLAKE_REFERENCE_DATA has no m5-scores")
    series: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    with (Path(root) / "m5-scores" / "m5_sales_exog_small.csv").open() as file:
        for row in csv.DictReader(file):
            series[row["unique_id"]].append((row["ds"], float(row["y"]), float(row["sell_price"] or 0)))
    scores: dict[str, dict[str, float]] = {"naive": {}, "mean": {}}
    weights = {}
    for name, days in series.items():
        sold = np.array([y for _, y, _ in sorted(days)])
        past, future = sold[:-28], sold[-28:]
        scores["naive"][name] = rmsse(past, future, np.full(28, past[-1]))
        scores["mean"][name] = rmsse(past, future, np.full(28, past[-28:].mean()))
        weights[name] = sum(y * price for _, y, price in sorted(days)[-56:-28])
    assert wrmsse(scores["mean"], weights) < wrmsse(scores["naive"], weights)
