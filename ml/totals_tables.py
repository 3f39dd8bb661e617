"""The tables of totals: what each test would have expected, and what an issue expects.

Belongs here: the rows of models.totals_backtest and forecasts.demand_totals. Does not belong here: how an expected
value comes about (ml.totals) and how far it may miss (ml.totals_ranges).
"""

from __future__ import annotations

from datetime import date

import polars as pl

from ml.backtest import CUTOFF, MODEL
from ml.baselines import SIMPLE_RULE
from ml.business_calendar import DAYS_PER_WEEK
from ml.features import HORIZON, TARGET_WEEK
from ml.frame_checks import SERIES_KEY, BadFrame, require_columns
from ml.scoring import ISSUE_WEEK
from ml.series import DECIMAL
from ml.totals import expected_values, group_factors, level_sums
from ml.totals_ranges import observed_ranges

BACKTEST_COLUMNS = [
    "method", CUTOFF, "level", *SERIES_KEY, HORIZON, "measure", "actual_sum", "p50_sum", "expected",
]  # fmt: skip
TOTALS_COLUMNS = [
    ISSUE_WEEK, "issued_as_of", "level", *SERIES_KEY, TARGET_WEEK, HORIZON, "method", "measure", "basis", "p50_sum",
    "expected", "low", "high", "least_coverage", "tests", "model_version",
]  # fmt: skip


def totals_backtest(scored: pl.DataFrame, series: pl.DataFrame, measure: str) -> pl.DataFrame:
    """models.totals_backtest: each test predicted as an issue would be, with the factors of the other tests.

    Args:
        scored: rows of ml.backtest.SCORED_COLUMNS.
        series: gold.demand_series.
        measure: what was forecast.

    Returns:
        BACKTEST_COLUMNS, one row per (method, cutoff week, level, store_id, product_group, horizon_weeks), sorted: of
        the model where it was tested, and of the simple rule. actual_sum, p50_sum and expected are DECIMAL(18,4);
        sums over series are exact.

    Raises:
        BadFrame: the rows are not those of whole issues, see `ml.totals.expected_values`.
    """
    require_columns(scored, ("method", CUTOFF, *SERIES_KEY, HORIZON, "actual", "p50"), "scored rows")
    rows = scored.with_columns(actual_sum=pl.col("actual").cast(DECIMAL), p50_sum=pl.col("p50").cast(DECIMAL))
    tests = level_sums(rows, ["method", CUTOFF, HORIZON], ["actual_sum", "p50_sum"]).filter(
        pl.col("level") == "product_group"
    )
    key, values = [*SERIES_KEY, HORIZON], ["actual_sum", "p50_sum", "expected"]
    parts = []
    for method in (name for name in (MODEL, SIMPLE_RULE) if name in rows["method"]):
        for (cutoff,), part in rows.group_by(CUTOFF):
            assert isinstance(cutoff, date)
            factors = group_factors(tests, method, left_out=cutoff)
            found = expected_values(part, factors, series, measure=measure, cutoff=cutoff, method=method)
            actual = part.filter(pl.col("method") == method).select(*key, "actual_sum")
            sums = level_sums(found.join(actual, on=key), [HORIZON], values)
            parts.append(sums.with_columns(pl.lit(method).alias("method"), pl.lit(cutoff).alias(CUTOFF)))
    found = pl.concat(parts).with_columns(measure=pl.lit(measure))
    return found.select(BACKTEST_COLUMNS).sort(BACKTEST_COLUMNS[:6])


def issue_totals(issued: pl.DataFrame, series: pl.DataFrame, tests: pl.DataFrame) -> pl.DataFrame:
    """forecasts.demand_totals of one issue week.

    An issue week that is made anew later is scaled by the tests that were over by its end, and by no other.

    Args:
        issued: forecasts.demand_forecasts of one issue week, all methods.
        series: gold.demand_series, at least up to the issue week.
        tests: models.totals_backtest.

    Returns:
        TOTALS_COLUMNS, one row per (level, store_id, product_group, horizon_weeks), sorted. method is the model's where
        it issued, else the simple rule; basis the method whose medians a group and its series are scaled from, null
        where groups are summed; low and high are null for single series and without 3 tests; tests is how many there
        were.

    Raises:
        BadFrame: the forecasts are not of one issue week, or not whole; see `ml.totals.expected_values`.
    """
    require_columns(issued, (ISSUE_WEEK, "issued_as_of", TARGET_WEEK, "measure", "model_version"), "issued forecasts")
    if issued[ISSUE_WEEK].n_unique() != 1:
        raise BadFrame(f"Totals are of one issue week; got {issued[ISSUE_WEEK].unique().sort().to_list()}.")
    method = MODEL if MODEL in issued["method"] else SIMPLE_RULE
    own = issued.filter(pl.col("method") == method)
    week, measure = own[ISSUE_WEEK][0], own["measure"][0]
    over = pl.col(CUTOFF) + pl.duration(days=DAYS_PER_WEEK * pl.col(HORIZON).cast(pl.Int64)) <= week
    known = tests.filter(pl.col("measure") == measure, over)
    factors = group_factors(known.filter(pl.col("level") == "product_group"), method)
    values = expected_values(issued, factors, series, measure=measure, cutoff=week, method=method)
    facts = own.select(ISSUE_WEEK, "issued_as_of", TARGET_WEEK, HORIZON, "method", "measure", "model_version").unique()
    own_tests = known.filter(pl.col("method") == method)
    ranges = observed_ranges(own_tests).drop("tests")
    found = (
        level_sums(values, [HORIZON], ["p50_sum", "expected"])
        .join(facts, on=HORIZON, how="left")
        .join(ranges, on=["level", *SERIES_KEY, HORIZON], how="left")
        .join(factors.drop("factor"), on="product_group", how="left")
        .with_columns(
            pl.when(pl.col("level").is_in(["product_group", "series"]))
            .then(pl.coalesce("basis", "method"))
            .alias("basis"),
            low=pl.min_horizontal("expected", _share("low_ratio")),
            high=pl.max_horizontal("expected", _share("high_ratio")),
            tests=pl.lit(own_tests[CUTOFF].n_unique(), dtype=pl.Int32),
        )
        # A bound is the expected value itself where there is no ratio.
        .with_columns(
            pl.when(pl.col("least_coverage").is_not_null()).then(name).alias(name) for name in ("low", "high")
        )
    )
    return found.select(TOTALS_COLUMNS).sort(TOTALS_COLUMNS[:6])


def _share(ratio: str) -> pl.Expr:
    return (pl.col("expected").cast(pl.Float64) * pl.col(ratio)).cast(DECIMAL)
