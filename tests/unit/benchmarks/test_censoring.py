"""The benchmark of the censoring rule compares laws alone, on the rows and the control that are stated."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import polars as pl
import pytest

from benchmarks.censoring import (
    KEY,
    OUTAGE_AT,
    OUTAGES,
    STARTS,
    flagged,
    poisson,
    predictive,
    runs,
    shuffled,
    weekly_series,
    with_outages,
)
from benchmarks.demand_data import beverage_lines
from ml.censoring import censored_weeks

SERIES = ["store_id", "product_group"]


@pytest.fixture(scope="module")
def series() -> pl.DataFrame:
    return weekly_series(beverage_lines())


def our_law(reference: Sequence[int], run: int) -> float:
    mean = statistics.fmean(reference)
    dispersion = max(1.0, statistics.variance(reference) / mean) if mean else 1.0
    return (len(reference) / (len(reference) + run)) ** (sum(reference) / dispersion + 0.5)


def test_the_rows_are_those_of_the_lake(series: pl.DataFrame) -> None:
    whole = series.filter(~pl.col("is_partial_week"))["transactions"]
    assert (series.n_unique(SERIES), len(whole), (whole == 0).sum()) == (2_220, 92_480, 50_992)


def test_the_rivals_differ_from_our_rule_in_the_law_alone(series: pl.DataFrame) -> None:
    rows, _ = with_outages(series, *OUTAGES[0])
    found = flagged(our_law, rows)
    assert found.height > 0
    assert found.equals(censored_weeks(rows).select(KEY))


def test_probabilities_of_the_rivals() -> None:
    assert poisson([1, 3], 2) == pytest.approx(math.exp(-4))
    assert predictive([1, 3], 2) == pytest.approx(0.5**4.5)


def test_shuffled_series_sell_as_much_in_other_weeks(series: pl.DataFrame) -> None:
    drawn = shuffled(series, 1)
    assert drawn.equals(shuffled(series, 1))
    assert not drawn.equals(shuffled(series, 2))
    assert drawn.drop("transactions").equals(series.drop("transactions"))
    sales = [rows.group_by(SERIES).agg(pl.col("transactions").sort()).sort(SERIES) for rows in (series, drawn)]
    assert sales[0].equals(sales[1])
    moved = series.with_columns(drawn=drawn["transactions"]).filter(pl.col("transactions") != pl.col("drawn"))
    assert moved.height > series.height / 4
    first = pl.col("week_start_date") == series["week_start_date"].min()
    closed = pl.col("transactions").sum().over("store_id", "week_start_date") == 0
    still = series.with_columns(drawn=drawn["transactions"]).filter(first | closed)
    assert still["transactions"].equals(still["drawn"].alias("transactions"))


def test_outages_are_planted_in_series_of_the_level(series: pl.DataFrame) -> None:
    rows, last = with_outages(series, 4, 2)
    before = series.join(last, on=SERIES, how="semi").filter(
        pl.col("week_start_date").is_in(STARTS[OUTAGE_AT - 13 : OUTAGE_AT])
    )
    means = before.group_by(SERIES).agg(pl.col("transactions").mean())["transactions"]
    assert means.len() == last.height > 100
    assert means.is_between(1.5, 3.0, closed="left").all()
    changed = series.join(rows, on=KEY, suffix="_planted").filter(
        pl.col("transactions") != pl.col("transactions_planted")
    )
    assert changed["transactions_planted"].sum() == 0
    assert set(changed["week_start_date"]) == set(STARTS[OUTAGE_AT : OUTAGE_AT + 4])
    assert changed.join(last, on=SERIES, how="anti").is_empty()
    assert set(last["week_start_date"]) == {STARTS[OUTAGE_AT + 3]}


def test_a_run_ends_with_a_sale(series: pl.DataFrame) -> None:
    one = series.filter(pl.struct(SERIES) == pl.struct(SERIES).first()).sort(KEY).head(5)
    rows = one.with_columns(transactions=pl.Series([3, 0, 0, 1, 0]))
    assert runs(rows, rows.filter(pl.col("transactions") == 0)) == 2
