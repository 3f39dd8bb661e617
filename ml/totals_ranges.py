"""How far totals may lie from what is expected, from what they missed by in tests.

Belongs here: ranges of ratios, and the error by level. Does not belong here: expected values (ml.totals). Single series
have the bands of their forecasts (ml.intervals).

Sums of P10 or P90 are no band: not every series has a bad week at once. What can be measured is the sum itself. Each
test is predicted with the factors of the other tests, and its ratio actual / expected is kept. From n such ratios the
range runs from the k-th lowest to the k-th highest. If the next issue is like the tests, it falls inside with a
probability of at least (n + 1 - 2k) / (n + 1) (Wilks, Annals of Mathematical Statistics 12, 1941); k grows with n only
while that stays at 80 % or more.
"""

from __future__ import annotations

import polars as pl

from ml.backtest import CUTOFF
from ml.features import HORIZON
from ml.frame_checks import SERIES_KEY
from ml.totals import MIN_TESTS

TARGET_COVERAGE = 0.8
# In place of a horizon: the sum over all horizons of an issue.
WHOLE_WINDOW = 0
_PERCENT = 100.0
_KEY = ("level", *SERIES_KEY, HORIZON)


def observed_ranges(tests: pl.DataFrame) -> pl.DataFrame:
    """The range of actual / expected of every sum, by horizon and for the whole window.

    Args:
        tests: rows of models.totals_backtest of one method.

    Returns:
        level, store_id, product_group, horizon_weeks (0: all horizons together), low_ratio <= 1 <= high_ratio,
        least_coverage, tests; sorted. No row for single series, nor for a sum of which fewer than 3 tests expected
        anything.
    """
    sums = tests.filter(pl.col("level") != "series").select(
        *_KEY, CUTOFF, pl.col("actual_sum", "expected").cast(pl.Float64)
    )
    whole = (
        sums.group_by("level", *SERIES_KEY, CUTOFF)
        .agg(pl.col("actual_sum", "expected").sum(), horizons=pl.len())
        .filter(pl.col("horizons") == sums[HORIZON].n_unique())
        .select(*_KEY[:-1], pl.lit(WHOLE_WINDOW, dtype=pl.Int32).alias(HORIZON), CUTOFF, "actual_sum", "expected")
    )
    count = pl.col("ratio").len().cast(pl.Int64)
    # Less a hair, so that a rank that is whole in theory is not rounded down.
    rank = ((count + 1) * (1 - TARGET_COVERAGE) / 2 + 1e-9).floor().cast(pl.Int64).clip(lower_bound=1)
    return (
        pl.concat([sums, whole])
        .filter(pl.col("expected") > 0)
        .with_columns(ratio=pl.col("actual_sum") / pl.col("expected"))
        .group_by(_KEY)
        # All tests of one horizon may lie on one side: the expected value is inside, and wider only adds coverage.
        .agg(
            low_ratio=pl.col("ratio").sort().get(rank - 1, null_on_oob=True).clip(upper_bound=1.0),
            high_ratio=pl.col("ratio").sort().get(count - rank, null_on_oob=True).clip(lower_bound=1.0),
            least_coverage=(count + 1 - 2 * rank) / (count + 1),
            tests=count,
        )
        .filter(pl.col("tests") >= MIN_TESTS)
        .sort(_KEY)
    )


def wape_by_level(tests: pl.DataFrame) -> pl.DataFrame:
    """The error at every level over all cutoffs and horizons, of summed medians and of what is expected.

    Args:
        tests: rows of models.totals_backtest.

    Returns:
        method, level, wape_p50, wape_expected (percent, null where nothing sold); sorted.
    """
    values = tests.with_columns(pl.col("actual_sum", "p50_sum", "expected").cast(pl.Float64))
    actual = pl.col("actual_sum")
    errors = {
        f"wape_{name}": (pl.col(column) - actual).abs().sum()
        for name, column in (("p50", "p50_sum"), ("expected", "expected"))
    }
    return (
        values.group_by("method", "level")
        .agg(
            pl.when(actual.sum() > 0).then(_PERCENT * miss / actual.sum()).alias(name) for name, miss in errors.items()
        )
        .sort("method", "level")
    )
