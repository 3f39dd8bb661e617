"""Totals of many series: scaled by what the back-tests measured, with a range that was really observed.

Here: the scaling of summed medians, and the range of a total's error.
Not here: the forecasts of single series, whose 80 % bands are the model's own and are shown unchanged.

Why at all. A P50 is a median. Sales of a store and group are small whole numbers, their median lies below their
mean, and medians do not add up: the sum of 1,484 medians is too low for the total by a large and stable share.
Sums of P10 or P90 are no band either, because not every series has a bad week at once. What can be measured is
the total itself: the back-test holds, per issue, horizon and slice, the actual sum and the signed bias, hence the
forecast sum = actual sum x (1 + bias / 100).

- Scale of a group: actual sum / forecast sum over all test issues and horizons.
- Range: each test issue is predicted with the scale of the other issues (so that it is judged by a scale that has
  not seen it), and its ratio actual / prediction is kept. From n such ratios the range runs from the k-th lowest
  to the k-th highest. If the next issue is like the test issues, it falls inside with the probability
  (n + 1 - 2k) / (n + 1) at least, which the page states; k grows with n only while that stays at 80 % or more.
- A group whose medians carry less than half of what sold (a basket every few weeks) would need a scale above two,
  and rounding decides such a scale. Its total is taken from the simple rule instead, scaled in the same way, and
  the page says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from assets.insights.content import ALL, PERCENT

MIN_ISSUES = 3
MAX_FACTOR = 2.0
TARGET_COVERAGE = 0.8
WHOLE_WINDOW = 0  # the "horizon" under which ratios of the whole window are kept
_SUMS = (pl.col("actual_sum").sum(), pl.col("forecast_sum").sum())


@dataclass(frozen=True)
class Range:
    """Low and high ratio actual / scaled forecast among the tests, and the least chance that the next falls inside."""

    low: float
    high: float
    coverage: float
    tests: int


@dataclass(frozen=True)
class Scaling:
    """How sums of P50 become totals. Keys of `ranges` are (slice, horizon); horizon 0 is the whole window.

    `factors` lacks a group that cannot be scaled: its sum then stands as it is. `methods` names, for every group,
    the method whose sum is scaled.
    """

    issues: int
    factors: Mapping[str, float]
    methods: Mapping[str, str]
    ranges: Mapping[tuple[str, int], Range]


def observed_range(ratios: Sequence[float]) -> Range | None:
    """The range of ratios by order statistics; None below `MIN_ISSUES` tests."""
    tests = len(ratios)
    if tests < MIN_ISSUES:
        return None
    rank = max(1, int((tests + 1) * (1 - TARGET_COVERAGE) / 2 + 1e-9))
    ordered = sorted(ratios)
    return Range(ordered[rank - 1], ordered[tests - rank], (tests + 1 - 2 * rank) / (tests + 1), tests)


def scaling(backtest: pl.DataFrame, method: str, rule: str, groups: Sequence[str]) -> Scaling:
    """Scales and ranges of the groups and of their total.

    Args:
        backtest: models.demand_backtest; one row per method, cutoff week, horizon and slice.
        method: the method whose sums are scaled.
        rule: the simple rule that stands in for a group whose medians are too small to be scaled.
        groups: the product groups; their slices carry their names, the total is the slice `all`.
    """
    tests = _test_sums(backtest, method)
    issues = tests["cutoff_week_start_date"].n_unique()
    methods = dict.fromkeys(groups, method)
    if issues < MIN_ISSUES:
        return Scaling(issues, {}, methods, {})
    factors, by_rule = _factors(tests, groups), _test_sums(backtest, rule)
    rule_factors = _factors(by_rule, groups)
    for group in groups:
        if factors.get(group, math.inf) > MAX_FACTOR and rule_factors.get(group, math.inf) <= MAX_FACTOR:
            methods[group], factors[group] = rule, rule_factors[group]
    own = [group for group in groups if methods[group] == method]
    by_group = pl.concat(
        [
            tests.filter(pl.col("slice").is_in(own)),
            by_rule.filter(pl.col("slice").is_in([group for group in groups if group not in own])),
        ]
    )
    predicted = _predict_left_out(by_group)
    total = _total_predictions(tests, predicted)
    return Scaling(issues, factors, methods, _ranges(pl.concat([predicted, total])))


def _factors(tests: pl.DataFrame, groups: Sequence[str]) -> dict[str, float]:
    """Actual sum / forecast sum of each group over all its tests; a group without either is left out."""
    sums = tests.filter(pl.col("slice").is_in(list(groups))).group_by("slice").agg(*_SUMS)
    known = sums.filter(pl.col("forecast_sum") > 0, pl.col("actual_sum") > 0)
    return dict(known.select("slice", pl.col("actual_sum") / pl.col("forecast_sum")).iter_rows())


def _test_sums(backtest: pl.DataFrame, method: str) -> pl.DataFrame:
    """Columns `slice, cutoff_week_start_date, horizon_weeks, actual_sum, forecast_sum`.

    Rows without actual sales have no bias and drop out: their forecast sum is not known.
    """
    return backtest.filter(pl.col("method") == method, pl.col("bias").is_not_null()).select(
        "slice",
        "cutoff_week_start_date",
        pl.col("horizon_weeks").cast(pl.Int32),
        "actual_sum",
        (pl.col("actual_sum") * (1 + pl.col("bias") / PERCENT)).alias("forecast_sum"),
    )


def _predict_left_out(by_group: pl.DataFrame) -> pl.DataFrame:
    """Adds `predicted`: each test sum, scaled by the other issues of its slice (unscaled where they cannot say)."""
    issue = by_group.group_by("slice", "cutoff_week_start_date").agg(*_SUMS)
    others = issue.with_columns(
        (pl.col("actual_sum").sum().over("slice") - pl.col("actual_sum")).alias("other_actual"),
        (pl.col("forecast_sum").sum().over("slice") - pl.col("forecast_sum")).alias("other_forecast"),
    ).select(
        "slice",
        "cutoff_week_start_date",
        pl.when((pl.col("other_forecast") > 0) & (pl.col("other_actual") > 0))
        .then(pl.col("other_actual") / pl.col("other_forecast"))
        .otherwise(1.0)
        .alias("left_out_factor"),
    )
    return by_group.join(others, on=["slice", "cutoff_week_start_date"], how="left").select(
        "slice",
        "cutoff_week_start_date",
        "horizon_weeks",
        "actual_sum",
        (pl.col("forecast_sum") * pl.col("left_out_factor")).alias("predicted"),
    )


def _total_predictions(tests: pl.DataFrame, predicted: pl.DataFrame) -> pl.DataFrame:
    """The total as it is issued: the sum of the scaled groups, beside the actual sum of all series."""
    key = ["cutoff_week_start_date", "horizon_weeks"]
    summed = predicted.group_by(key).agg(pl.col("predicted").sum())
    actual = tests.filter(pl.col("slice") == ALL).select("slice", *key, "actual_sum")
    return actual.join(summed, on=key, how="inner").select(predicted.columns)


def _ranges(predicted: pl.DataFrame) -> dict[tuple[str, int], Range]:
    horizons = predicted["horizon_weeks"].n_unique()
    whole = (
        predicted.group_by("slice", "cutoff_week_start_date")
        .agg(pl.col("actual_sum").sum(), pl.col("predicted").sum(), pl.len().alias("horizons"))
        .filter(pl.col("horizons") == horizons)
        .with_columns(pl.lit(WHOLE_WINDOW, dtype=pl.Int32).alias("horizon_weeks"))
    )
    ratios = (
        pl.concat([predicted, whole.select(predicted.columns)])
        .filter(pl.col("predicted") > 0)
        .with_columns((pl.col("actual_sum") / pl.col("predicted")).alias("ratio"))
        .group_by("slice", "horizon_weeks")
        .agg(pl.col("ratio"))
    )
    found = {(str(name), int(horizon)): observed_range(values) for name, horizon, values in ratios.iter_rows()}
    return {key: _around_estimate(span) for key, span in found.items() if span is not None}


def _around_estimate(span: Range) -> Range:
    """The range with the estimate inside. All tests of one horizon may lie on one side; wider only adds coverage."""
    return replace(span, low=min(span.low, 1.0), high=max(span.high, 1.0))
