"""Zero weeks that are not believed: the state machine over all series against a loop over one series at a time."""

from __future__ import annotations

import math
import statistics
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.censoring import CENSORED_SCHEMA, CensoringRule, censored_counts, censored_weeks
from ml.frame_checks import BadFrame
from tests.conftest import tries
from tests.unit.ml.demand_data import business_weeks

EAGER = CensoringRule(reference_weeks=6, least_reference_weeks=3, least_probability=0.05, delisted_from_weeks=4)
SCHEMA = {
    "store_id": pl.String,
    "product_group": pl.String,
    "week_start_date": pl.Date,
    "transactions": pl.Int64,
    "is_partial_week": pl.Boolean,
}
RULES = st.sampled_from([CensoringRule(), EAGER])


def series_of(sales: dict[str, list[int]], partial: frozenset[int] = frozenset(), store: str = "s") -> pl.DataFrame:
    """One series per product group in one store; each ends with the last of the weeks."""
    weeks = business_weeks(max(map(len, sales.values())))
    return pl.DataFrame(
        [
            (store, group, week, value, position in partial)
            for group, values in sales.items()
            for value, (position, week) in zip(values, list(enumerate(weeks))[-len(values) :], strict=True)
        ],
        schema=SCHEMA,
        orient="row",
    )


def random_series(seed: int, weeks: int) -> pl.DataFrame:
    """Stores with series of all levels, late listings, outages, closed and partial weeks."""
    random = np.random.default_rng(seed)
    partial = frozenset(random.integers(0, weeks, size=2).tolist())
    stores = []
    for store in range(3):
        closed = random.random(weeks) < 0.1
        sales = {}
        for group in range(3):
            values = random.poisson(random.choice([0.3, 1.0, 4.0]), size=weeks) * random.choice([1, 3])
            outage = int(random.integers(0, weeks))
            values[outage : outage + int(random.integers(0, weeks))] = 0
            values = np.where(closed, 0, values)[int(random.integers(0, weeks // 2)) :]
            sales[f"g{group}"] = values.tolist()
        stores.append(series_of(sales, partial, f"s{store}"))
    return pl.concat(stores)


def by_loop(series: pl.DataFrame, rule: CensoringRule) -> list[tuple]:
    open_weeks = {(store, week) for store, _, week, transactions, _ in series.iter_rows() if transactions > 0}
    wanted = []
    for (store, group), own in series.group_by("store_id", "product_group"):
        believed: list[int] = []
        run, reference = 0, []
        for _, _, week, transactions, is_partial in own.sort("week_start_date").iter_rows():
            if transactions:
                run = 0
            if is_partial or (store, week) not in open_weeks:
                continue
            if transactions == 0:
                reference = believed[-rule.reference_weeks :] if run == 0 else reference
                run += 1
                if len(reference) >= rule.least_reference_weeks and improbable(reference, run, rule):
                    kind = "delisted" if run >= rule.delisted_from_weeks else "stock_out"
                    wanted.append((store, group, week, kind))
                    continue
            believed.append(transactions)
    return sorted(wanted)


def improbable(reference: list[int], run: int, rule: CensoringRule) -> bool:
    mean = statistics.fmean(reference)
    dispersion = max(1.0, statistics.variance(reference) / mean) if mean else 1.0
    evidence, weeks = sum(reference) / dispersion + 0.5, len(reference)
    return math.pow(weeks / (weeks + run), evidence) < rule.least_probability


@settings(max_examples=tries(30, 600), deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), weeks=st.integers(4, 45), rule=RULES)
def test_flags_equal_a_loop(seed: int, weeks: int, rule: CensoringRule) -> None:
    series = random_series(seed, weeks)
    found = censored_weeks(series, rule)
    assert found.rows() == by_loop(series, rule)
    assert dict(found.schema) == CENSORED_SCHEMA


def test_the_loop_is_given_both_kinds() -> None:
    kinds = {row[3] for seed in range(20) for row in by_loop(random_series(seed, 45), CensoringRule())}
    assert kinds == {"stock_out", "delisted"}


@settings(max_examples=tries(30, 600), deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), weeks=st.integers(6, 40), rule=RULES, data=st.data())
def test_no_later_week_changes_a_flag_and_order_does_not_matter(
    seed: int, weeks: int, rule: CensoringRule, data: st.DataObject
) -> None:
    series = random_series(seed, weeks)
    last = data.draw(st.sampled_from(sorted(series["week_start_date"].unique())))
    found = censored_weeks(series, rule).filter(pl.col("week_start_date") <= last)
    assert found.equals(censored_weeks(series.filter(pl.col("week_start_date") <= last), rule))
    others = pl.when(pl.col("week_start_date") > last).then(7 - pl.col("transactions").clip(upper_bound=7))
    changed = series.with_columns(others.otherwise("transactions").alias("transactions"))
    assert found.equals(censored_weeks(changed, rule).filter(pl.col("week_start_date") <= last))
    shuffled = series.sample(fraction=1.0, shuffle=True, seed=seed)
    assert censored_weeks(shuffled, rule).equals(censored_weeks(series, rule))


def test_a_busy_series_is_out_of_stock_then_delisted_until_it_sells_again() -> None:
    regular = [4, 5, 4, 3] * 4
    sales = {"busy": [*regular, *([0] * 10), 5, 0], "other": [1] * (len(regular) + 12)}
    weeks = business_weeks(len(sales["busy"]))
    found = dict(censored_weeks(series_of(sales)).select("week_start_date", "censoring").iter_rows())
    # 52 sales in 13 weeks: (13 / 15) ** 52.5 is below 0.001, (13 / 14) ** 52.5 is not.
    assert [found.get(week) for week in weeks[16:]] == [None, *["stock_out"] * 6, *["delisted"] * 3, None, None]
    assert censored_counts(censored_weeks(series_of(sales))) == {"stock_out": 6, "delisted": 3}


@pytest.mark.parametrize(
    ("sales", "why"),
    [
        ({"thin": [1, 0, 0, 0] * 4 + [0] * 9, "other": [1] * 25}, "a thin series is often without a sale"),
        ({"young": [5] * 7 + [0] * 9, "other": [1] * 16}, "seven weeks are too few to know a level"),
        ({"busy": [5] * 13 + [0] * 9, "other": [1] * 13 + [0] * 9}, "a closed store is not a stock-out"),
        ({"lumpy": [0, 0, 0, 0, 0, 0, 0, 40] * 2 + [0] * 9, "other": [1] * 25}, "few large weeks are little evidence"),
    ],
)
def test_zeros_that_are_believed(sales: dict[str, list[int]], why: str) -> None:
    assert censored_weeks(series_of(sales)).is_empty(), why


def test_a_partial_week_neither_lengthens_a_run_nor_ends_it() -> None:
    sales = {"busy": [4] * 13 + [0] * 4, "other": [1] * 17}
    weeks = business_weeks(17)
    assert censored_weeks(series_of(sales))["week_start_date"].to_list() == weeks[14:]
    assert censored_weeks(series_of(sales, frozenset({14})))["week_start_date"].to_list() == weeks[15:]


def test_wrong_input_is_refused() -> None:
    series = series_of({"g": [1, 2, 3]})
    with pytest.raises(BadFrame, match="every week of a series"):
        censored_weeks(series.filter(pl.col("week_start_date") != date(2017, 1, 2)))
    with pytest.raises(BadFrame, match="one row per"):
        censored_weeks(pl.concat([series, series]))
    with pytest.raises(ValueError, match="least_probability"):
        CensoringRule(least_probability=0)
    with pytest.raises(ValueError, match="least_reference_weeks"):
        CensoringRule(least_reference_weeks=14)
    assert censored_weeks(series.clear()).is_empty()
