"""Scaled totals and the range of their error, against naive loops."""

from __future__ import annotations

from statistics import fmean

import polars as pl
import pytest

from assets.insights.totals import MAX_FACTOR, WHOLE_WINDOW, observed_range, scaling
from tests.unit.assets.insights.small_frames import GROUPS, make_backtest

Sums = dict[tuple[str, object, int], tuple[float, float]]


def test_too_few_tests_show_no_range() -> None:
    assert observed_range([0.9, 1.1]) is None


@pytest.mark.parametrize(
    ("tests", "low", "high", "coverage"), [(3, 0, 2, 0.5), (4, 0, 3, 0.6), (9, 0, 8, 0.8), (19, 1, 17, 0.8)]
)
def test_the_range_is_made_of_order_statistics(tests: int, low: int, high: int, coverage: float) -> None:
    ratios = [float((7 * place) % tests) for place in range(tests)]
    span = observed_range(ratios)
    assert span is not None
    assert (span.low, span.high, span.tests) == (low, high, tests)
    assert span.coverage == pytest.approx(coverage)


@pytest.mark.parametrize("tests", [3, 4, 9, 19, 25])
def test_the_stated_chance_is_exact_for_exchangeable_errors(tests: int) -> None:
    """Any of n + 1 exchangeable errors may be the next one: the share of choices that fall inside is the chance."""
    errors = [float(value) for value in range(tests + 1)]
    inside, chances = [], set()
    for held_out in errors:
        span = observed_range([error for error in errors if error != held_out])
        assert span is not None
        inside.append(span.low <= held_out <= span.high)
        chances.add(span.coverage)
    (chance,) = chances
    assert chance == pytest.approx(fmean(inside))
    assert chance >= 0.8 or tests < 9


def _sums(backtest: pl.DataFrame, method: str) -> Sums:
    rows = backtest.filter(pl.col("method") == method).iter_rows(named=True)
    return {
        (row["slice"], row["cutoff_week_start_date"], row["horizon_weeks"]): (
            row["actual_sum"],
            row["actual_sum"] * (1 + row["bias"] / 100),
        )
        for row in rows
    }


def _factor(sums: Sums, group: str, without: object = None) -> float:
    kept = [value for (name, cutoff, _), value in sums.items() if name == group and cutoff != without]
    return sum(actual for actual, _ in kept) / sum(forecast for _, forecast in kept)


def test_scaling_equals_naive_loops() -> None:
    backtest = make_backtest()
    found = scaling(backtest, "catboost", "mean_8", GROUPS)
    model, rule = _sums(backtest, "catboost"), _sums(backtest, "mean_8")
    assert found.methods == {"COFFEE": "catboost", "SOFT DRINKS": "catboost", "TEAS": "mean_8"}
    source = {group: model if found.methods[group] == "catboost" else rule for group in GROUPS}
    assert found.factors == pytest.approx({group: _factor(source[group], group) for group in GROUPS})

    cutoffs = sorted({cutoff for _, cutoff, _ in model}, key=str)
    total_ratios, group_ratios, weekly_ratios = [], [], []
    for cutoff in cutoffs:
        predicted = {
            (group, horizon): source[group][group, cutoff, horizon][1] * _factor(source[group], group, cutoff)
            for group in GROUPS
            for horizon in range(1, 5)
        }
        actual = sum(model["all", cutoff, horizon][0] for horizon in range(1, 5))
        total_ratios.append(actual / sum(predicted.values()))
        tea = sum(model["TEAS", cutoff, horizon][0] for horizon in range(1, 5))
        group_ratios.append(tea / sum(value for (group, _), value in predicted.items() if group == "TEAS"))
        second = sum(value for (_, horizon), value in predicted.items() if horizon == 2)
        weekly_ratios.append(model["all", cutoff, 2][0] / second)
    for key, ratios in (
        (("all", WHOLE_WINDOW), total_ratios),
        (("TEAS", WHOLE_WINDOW), group_ratios),
        (("all", 2), weekly_ratios),
    ):
        span = found.ranges[key]
        assert (span.low, span.high) == pytest.approx((min(*ratios, 1.0), max(*ratios, 1.0)))
        assert (span.tests, span.coverage) == (4, pytest.approx(0.6))


def test_too_few_issues_scale_nothing() -> None:
    found = scaling(make_backtest(2), "catboost", "mean_8", GROUPS)
    assert (found.issues, found.factors, found.ranges) == (2, {}, {})
    assert set(found.methods.values()) == {"catboost"}


def test_medians_that_are_all_zero_have_no_scale() -> None:
    """Without a forecast sum there is nothing to scale, and no rule to stand in when the model is its own rule."""
    zero = pl.when(pl.col("slice") == "TEAS").then(-100.0).otherwise(pl.col("bias"))
    found = scaling(make_backtest().with_columns(zero.alias("bias")), "catboost", "catboost", GROUPS)
    assert "TEAS" not in found.factors
    assert ("TEAS", WHOLE_WINDOW) not in found.ranges
    # The total lacks TEAS in every test, so every test sold more; the range still holds the estimate itself.
    assert found.ranges["all", WHOLE_WINDOW].low == 1.0 < found.ranges["all", WHOLE_WINDOW].high


def test_a_group_without_sales_in_one_test_still_has_the_others() -> None:
    unsold = (pl.col("slice") == "TEAS") & (pl.col("cutoff_week_start_date") == pl.col("cutoff_week_start_date").min())
    unknown = pl.when(unsold).then(None).otherwise(pl.col("bias"))
    found = scaling(make_backtest().with_columns(unknown.alias("bias")), "naive", "naive", GROUPS)
    assert found.ranges["TEAS", WHOLE_WINDOW].tests == 3
    assert max(found.factors.values()) < MAX_FACTOR
