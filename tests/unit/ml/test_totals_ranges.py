"""The range of a total's error and the error by level, against naive loops."""

from __future__ import annotations

from datetime import date, timedelta
from statistics import fmean

import polars as pl
import pytest

from ml.totals_ranges import WHOLE_WINDOW, observed_ranges, wape_by_level
from ml.totals_tables import totals_backtest
from tests.unit.ml.totals_data import MODEL, make_scored, make_series

FIRST = date(2024, 1, 1)


@pytest.fixture(scope="module")
def tests() -> pl.DataFrame:
    series = make_series()
    return totals_backtest(make_scored(series), series, "transactions")


def of_ratios(ratios: list[float], level: str = "total") -> pl.DataFrame:
    """One test a week at one horizon, of which 100 was expected."""
    return pl.DataFrame({
        "level": level, "store_id": "all", "product_group": "all", "horizon_weeks": 1,
        "cutoff_week_start_date": [FIRST + timedelta(weeks=place) for place in range(len(ratios))],
        "actual_sum": [100 * ratio for ratio in ratios], "expected": [100.0] * len(ratios),
    }, schema_overrides={"horizon_weeks": pl.Int32})  # fmt: skip


@pytest.mark.parametrize(
    ("tests", "low", "high", "coverage"), [(3, 0, 2, 0.5), (4, 0, 3, 0.6), (9, 0, 8, 0.8), (19, 1, 17, 0.8)]
)
def test_the_range_is_made_of_order_statistics(tests: int, low: int, high: int, coverage: float) -> None:
    ratios = [float((7 * place) % tests) for place in range(tests)]
    row = observed_ranges(of_ratios(ratios)).row(0, named=True)
    assert (row["low_ratio"], row["high_ratio"], row["tests"]) == (low, high, tests)
    assert row["least_coverage"] == pytest.approx(coverage)


@pytest.mark.parametrize("tests", [3, 4, 9, 19, 25])
def test_the_stated_chance_is_exact_for_exchangeable_errors(tests: int) -> None:
    """Any of n + 1 exchangeable errors may be the next one: the share of choices that fall inside is the chance."""
    errors = [0.5 + place / tests for place in range(tests + 1)]
    inside, chances = [], set()
    for held_out in errors:
        row = observed_ranges(of_ratios([error for error in errors if error != held_out])).row(0, named=True)
        inside.append(row["low_ratio"] <= held_out <= row["high_ratio"])
        chances.add(row["least_coverage"])
    (chance,) = chances
    assert chance == pytest.approx(fmean(inside))
    assert chance >= 0.8 or tests < 9


def test_too_few_tests_and_single_series_show_no_range() -> None:
    assert observed_ranges(of_ratios([0.9, 1.1])).is_empty()
    assert observed_ranges(of_ratios([0.9, 1.0, 1.1], level="series")).is_empty()
    nothing = of_ratios([0.9, 1.0, 1.1]).with_columns(expected=pl.Series([0.0, 100.0, 100.0]))
    assert observed_ranges(nothing).is_empty()


def test_the_expected_value_lies_inside_even_if_every_test_was_lower() -> None:
    row = observed_ranges(of_ratios([0.7, 0.8, 0.9])).row(0, named=True)
    assert (row["low_ratio"], row["high_ratio"]) == pytest.approx((0.7, 1.0))


def test_ranges_of_a_horizon_and_of_the_window_equal_loops(tests: pl.DataFrame) -> None:
    own = tests.filter(pl.col("method") == MODEL)
    found = {row[:4]: row[4:] for row in observed_ranges(own).rows()}
    cutoffs = own["cutoff_week_start_date"].unique().sort().to_list()
    for level, store, group in (("total", "all", "all"), ("product_group", "all", "g1"), ("store", "a/b", "all")):
        mine = {
            (row["cutoff_week_start_date"], row["horizon_weeks"]): (float(row["actual_sum"]), float(row["expected"]))
            for row in own.filter(level=level, store_id=store, product_group=group).iter_rows(named=True)
        }
        for horizons, key in (([2], 2), ([1, 2, 3, 4], WHOLE_WINDOW)):
            ratios = [
                sum(mine[cutoff, h][0] for h in horizons) / sum(mine[cutoff, h][1] for h in horizons)
                for cutoff in cutoffs
            ]
            low, high, coverage, count = found[level, store, group, key]
            assert (low, high) == pytest.approx((min(*ratios, 1.0), max(*ratios, 1.0)))
            assert (coverage, count) == (pytest.approx(0.6), 4)


def test_a_test_without_all_horizons_has_no_window(tests: pl.DataFrame) -> None:
    newest = pl.col("cutoff_week_start_date") == tests["cutoff_week_start_date"].max()
    shorter = tests.filter(pl.col("method") == MODEL, ~(newest & (pl.col("horizon_weeks") == 4)))
    counts = dict(observed_ranges(shorter).filter(level="total").select("horizon_weeks", "tests").iter_rows())
    assert counts == {WHOLE_WINDOW: 3, 1: 4, 2: 4, 3: 4, 4: 3}


def test_wape_by_level_equals_a_loop(tests: pl.DataFrame) -> None:
    found = {(method, level): errors for method, level, *errors in wape_by_level(tests).iter_rows()}
    assert {level for _, level in found} == {"total", "product_group", "store", "series"}
    for (method, level), errors in found.items():
        rows = tests.filter(method=method, level=level).rows(named=True)
        actual = sum(float(row["actual_sum"]) for row in rows)
        wanted = [
            100 * sum(abs(float(row[name]) - float(row["actual_sum"])) for row in rows) / actual
            for name in ("p50_sum", "expected")
        ]
        assert errors == pytest.approx(wanted)
    assert found[MODEL, "total"][1] < found[MODEL, "total"][0]
    unsold = wape_by_level(tests.with_columns(actual_sum=pl.lit(0.0)))
    assert unsold["wape_p50"].null_count() == unsold.height
