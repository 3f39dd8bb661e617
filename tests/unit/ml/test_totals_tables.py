"""The tables of totals keep their own contracts, and no issue knows a test that was not over."""

from __future__ import annotations

from datetime import date, timedelta

import duckdb
import polars as pl
import pytest

from ml.baselines import SIMPLE_RULE
from ml.frame_checks import BadFrame
from ml.totals import expected_values, group_factors
from ml.totals_ranges import observed_ranges
from ml.totals_tables import BACKTEST_COLUMNS, TOTALS_COLUMNS, issue_totals, totals_backtest
from ml.young import young_backtest
from tests.unit.ml.prepared_data import Prepared
from tests.unit.ml.totals_data import HORIZONS, MODEL, SPARSE, make_issued, make_scored, make_series

KEY = ["level", "store_id", "product_group", "horizon_weeks"]


@pytest.fixture(scope="module")
def series() -> pl.DataFrame:
    return make_series()


@pytest.fixture(scope="module")
def scored(series: pl.DataFrame) -> pl.DataFrame:
    return make_scored(series)


@pytest.fixture(scope="module")
def tests(scored: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    return totals_backtest(scored, series, "transactions")


@pytest.fixture(scope="module")
def issued(series: pl.DataFrame) -> pl.DataFrame:
    return make_issued(series)


def test_backtest_sums_equal_sql(tests: pl.DataFrame, scored: pl.DataFrame) -> None:
    assert tests.columns == BACKTEST_COLUMNS
    wanted = duckdb.execute("""
        SELECT method, cutoff_week_start_date, coalesce(store_id, 'all') AS store_id,
               coalesce(product_group, 'all') AS product_group, horizon_weeks,
               sum(CAST(actual AS DECIMAL(18, 4))), sum(CAST(round(p50, 4) AS DECIMAL(18, 4)))
        FROM scored GROUP BY method, cutoff_week_start_date, horizon_weeks, CUBE (store_id, product_group)
        ORDER BY ALL""").fetchall()
    found = tests.drop("level", "measure", "expected").select(
        "method", "cutoff_week_start_date", "store_id", "product_group", "horizon_weeks", "actual_sum", "p50_sum"
    )
    assert found.sort(pl.all()).rows() == wanted


def test_a_test_is_predicted_as_an_issue_would_be_without_itself(
    tests: pl.DataFrame, scored: pl.DataFrame, series: pl.DataFrame
) -> None:
    groups = tests.filter(level="product_group")
    for method in (MODEL, SIMPLE_RULE):
        for cutoff in scored["cutoff_week_start_date"].unique():
            others = groups.filter(pl.col("cutoff_week_start_date") != cutoff)
            wanted = expected_values(
                scored.filter(cutoff_week_start_date=cutoff), group_factors(others, method), series,
                measure="transactions", cutoff=cutoff, method=method,
            )  # fmt: skip
            own = tests.filter(level="series", method=method, cutoff_week_start_date=cutoff)
            assert own.select(wanted.columns).equals(wanted)


def test_an_outcome_moves_no_expected_value_of_its_own_test(scored: pl.DataFrame, series: pl.DataFrame) -> None:
    newest = scored["cutoff_week_start_date"].max()
    is_newest = pl.col("cutoff_week_start_date") == newest
    bent = scored.with_columns(actual=pl.when(is_newest).then(pl.col("actual") * 7 + 50).otherwise("actual"))
    before, after = (totals_backtest(rows, series, "transactions") for rows in (scored, bent))
    assert before.filter(is_newest)["expected"].equals(after.filter(is_newest)["expected"])
    assert not before.filter(~is_newest)["expected"].equals(after.filter(~is_newest)["expected"])


def test_an_issue_is_scaled_by_all_tests(issued: pl.DataFrame, series: pl.DataFrame, tests: pl.DataFrame) -> None:
    found = issue_totals(issued, series, tests)
    assert found.columns == TOTALS_COLUMNS
    week = issued["issue_week_start_date"][0]
    factors = group_factors(tests.filter(level="product_group"), MODEL)
    wanted = expected_values(issued, factors, series, measure="transactions", cutoff=week, method=MODEL)
    assert found.filter(level="series").select(wanted.columns).equals(wanted)
    assert set(found["tests"]) == {4}
    basis = dict(found.filter(level="product_group").select("product_group", "basis").iter_rows())
    assert basis == dict(factors.select("product_group", "basis").iter_rows())
    assert basis[SPARSE] == SIMPLE_RULE
    assert found.filter(pl.col("level").is_in(["total", "store"]))["basis"].null_count() == (1 + 3) * len(HORIZONS)


def test_ranges_are_those_of_the_tests(issued: pl.DataFrame, series: pl.DataFrame, tests: pl.DataFrame) -> None:
    found = issue_totals(issued, series, tests)
    ranges = {row[:4]: row[4:7] for row in observed_ranges(tests.filter(method=MODEL)).rows()}
    for row in found.iter_rows(named=True):
        span = ranges.get(tuple(row[name] for name in KEY))
        if span is None:
            assert (row["low"], row["high"], row["least_coverage"]) == (None, None, None)
            assert row["level"] == "series"
        else:
            expected = float(row["expected"])
            assert (float(row["low"]), float(row["high"])) == pytest.approx(
                (expected * span[0], expected * span[1]), abs=1e-4
            )
            assert row["low"] <= row["expected"] <= row["high"]
            assert row["least_coverage"] == span[2]


def test_an_older_issue_knows_no_test_that_was_not_over(series: pl.DataFrame, tests: pl.DataFrame) -> None:
    """At week 20 the tests from weeks 12 to 16 are over and the one from week 18 is half over."""
    issued, weeks = make_issued(series, 20), series["week_start_date"].unique().sort()
    found = issue_totals(issued, series, tests)
    target = pl.col("cutoff_week_start_date") + pl.duration(weeks=pl.col("horizon_weeks").cast(pl.Int64))
    later = pl.when(target > weeks[20]).then(pl.lit(9)).otherwise(pl.lit(1))
    bent = tests.with_columns((pl.col(name) * later).cast(pl.Decimal(18, 4)) for name in ("actual_sum", "expected"))
    assert not bent.equals(tests)
    assert issue_totals(issued, series, bent).equals(found)
    assert issue_totals(issued, series.filter(pl.col("week_start_date") <= weeks[20]), tests).equals(found)
    assert set(found["tests"]) == {4}
    # Two tests are over at week 15 (partly), too few to measure anything: medians stand as they are, without a range.
    early = issue_totals(make_issued(series, 15), series, tests)
    assert (set(early["tests"]), early["low"].null_count()) == ({2}, early.height)
    assert set(early.filter(level="product_group")["basis"]) == {MODEL}


def test_tests_of_another_measure_have_no_say(issued: pl.DataFrame, series: pl.DataFrame, tests: pl.DataFrame) -> None:
    found = issue_totals(issued.with_columns(measure=pl.lit("quantity_units")), series, tests)
    assert (set(found["tests"]), found["low"].null_count(), set(found["measure"])) == (
        {0}, found.height, {"quantity_units"}
    )  # fmt: skip


def test_without_a_model_the_simple_rule_issues(
    issued: pl.DataFrame, series: pl.DataFrame, tests: pl.DataFrame
) -> None:
    found = issue_totals(issued.filter(pl.col("method") == SIMPLE_RULE), series, tests)
    assert (set(found["method"]), set(found["model_version"])) == ({SIMPLE_RULE}, {SIMPLE_RULE})
    assert found.filter(level="total")["low"].null_count() == 0


def test_two_issues_at_once_are_refused(issued: pl.DataFrame, series: pl.DataFrame, tests: pl.DataFrame) -> None:
    older = issued.with_columns(pl.col("issue_week_start_date") - timedelta(weeks=1))
    with pytest.raises(BadFrame, match="one issue week"):
        issue_totals(pl.concat([issued, older]), series, tests)


def test_a_lake_too_young_for_a_model_has_totals(prepared: Prepared) -> None:
    """Five whole weeks, no plans and no model: some horizons have too few tests, none has an error."""
    last: date = prepared.demand.weeks[6]
    known = pl.col("week_start_date") <= last
    series = prepared.demand.series.filter(known)
    labels = prepared.labels.filter(pl.col("target_week_start_date") <= last)
    plans = [
        pl.lit(None, dtype=pl.Float64).alias(name) for name in ("display_products_target", "mailer_products_target")
    ]
    features = prepared.features.filter(known).with_columns(plans)
    scored, _ = young_backtest(features, labels, "transactions")
    found = totals_backtest(scored, series, "transactions")
    assert set(found["method"]) == {SIMPLE_RULE}
    series_rows, total = (found.filter(level=level).group_by("cutoff_week_start_date", "horizon_weeks")
                          .agg(pl.col("expected").sum()).sort(pl.all()) for level in ("series", "total"))  # fmt: skip
    assert series_rows.equals(total)
    ranges = observed_ranges(found).filter(level="total")
    counts = dict(
        scored.filter(method=SIMPLE_RULE)
        .group_by("horizon_weeks")
        .agg(pl.col("cutoff_week_start_date").n_unique())
        .iter_rows()
    )
    assert dict(ranges.filter(pl.col("horizon_weeks") > 0).select("horizon_weeks", "tests").iter_rows()) == {
        horizon: count for horizon, count in counts.items() if count >= 3
    }
