"""Expected values: factors against loops, reconciliation against its formula, sums against SQL, laws for any input."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal
from statistics import fmean

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.baselines import SIMPLE_RULE
from ml.frame_checks import BadFrame
from ml.totals import ALL, LEVELS, MAX_FACTOR, direct_forecasts, expected_values, group_factors, level_sums
from tests.conftest import tries
from tests.unit.ml.totals_data import HORIZONS, MODEL, SPARSE, make_scored, make_series

KEY = ["store_id", "product_group", "horizon_weeks"]
MONEY = pl.Decimal(18, 4)
NO_FACTORS = pl.DataFrame(schema={"product_group": pl.String, "basis": pl.String, "factor": pl.Float64})


@pytest.fixture(scope="module")
def series() -> pl.DataFrame:
    return make_series()


@pytest.fixture(scope="module")
def scored(series: pl.DataFrame) -> pl.DataFrame:
    return make_scored(series)


def group_tests(scored: pl.DataFrame) -> pl.DataFrame:
    key = ["method", "cutoff_week_start_date", "product_group", "horizon_weeks"]
    return scored.group_by(key).agg(actual_sum=pl.col("actual").sum(), p50_sum=pl.col("p50").sum())


def naive_factors(scored: pl.DataFrame, left_out: date | None) -> dict[str, tuple[str, float]]:
    """By a loop over single forecasts."""
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for row in scored.iter_rows(named=True):
        if row["cutoff_week_start_date"] != left_out:
            pair = sums[row["product_group"], row["method"]]
            pair[0] += row["actual"]
            pair[1] += row["p50"]
    found = {}
    for group in sorted({group for group, _ in sums}):
        ratios = {name: sums[group, name][0] / sums[group, name][1] for name in (MODEL, SIMPLE_RULE)}
        basis = SIMPLE_RULE if ratios[MODEL] > MAX_FACTOR >= ratios[SIMPLE_RULE] else MODEL
        found[group] = (basis, ratios[basis])
    return found


def test_factors_equal_a_loop_over_the_other_cutoffs(scored: pl.DataFrame) -> None:
    tests = group_tests(scored)
    bases = set()
    for left_out in (None, *scored["cutoff_week_start_date"].unique()):
        found = group_factors(tests, MODEL, left_out)
        wanted = naive_factors(scored, left_out)
        assert found["product_group"].to_list() == list(wanted)
        assert found["basis"].to_list() == [basis for basis, _ in wanted.values()]
        assert found["factor"].to_list() == pytest.approx([factor for _, factor in wanted.values()])
        bases |= {basis for basis, _ in wanted.values()}
        assert wanted[SPARSE][0] == SIMPLE_RULE
    assert bases == {MODEL, SIMPLE_RULE}


def test_the_left_out_cutoff_has_no_say(scored: pl.DataFrame) -> None:
    cutoff = scored["cutoff_week_start_date"].max()
    assert isinstance(cutoff, date)
    bent = scored.with_columns(
        pl.when(pl.col("cutoff_week_start_date") == cutoff).then(pl.lit(999.0)).otherwise("actual").alias("actual")
    )
    before, after = (group_factors(group_tests(rows), MODEL, cutoff) for rows in (scored, bent))
    assert before.equals(after)
    assert not group_factors(group_tests(bent), MODEL).equals(group_factors(group_tests(scored), MODEL))


def test_what_cannot_be_measured_is_not_scaled(scored: pl.DataFrame) -> None:
    cutoffs = scored["cutoff_week_start_date"].unique().sort()
    two = scored.filter(pl.col("cutoff_week_start_date").is_in(cutoffs[:2].to_list()))
    assert group_factors(group_tests(two), MODEL).is_empty()
    nothing = scored.with_columns(p50=pl.when(pl.col("product_group") == "g1").then(0.0).otherwise("p50"))
    assert "g1" not in group_factors(group_tests(nothing), MODEL)["product_group"]
    # Too small for the rule as well: the method's own factor, however large.
    both = scored.with_columns(p50=pl.when(pl.col("product_group") == "g1").then(pl.col("p50") / 9).otherwise("p50"))
    found = group_factors(group_tests(both), MODEL).filter(pl.col("product_group") == "g1").row(0, named=True)
    assert (found["basis"], found["factor"] > MAX_FACTOR) == (MODEL, True)


def test_direct_forecasts_equal_loops(series: pl.DataFrame) -> None:
    """The mean of the last 8 whole weeks; of all whole weeks where a sum is younger."""
    weeks = series["week_start_date"].unique().sort().to_list()
    for cutoff in (weeks[4], weeks[20]):
        sums: dict[tuple[str, str, str], dict[date, list[float]]] = defaultdict(lambda: defaultdict(list))
        for row in series.filter(pl.col("week_start_date") <= cutoff).iter_rows(named=True):
            value = float("nan") if row["is_partial_week"] else float(row["net_sales_usd"])
            for level, columns in LEVELS.items():
                labels = [row[name] if name in columns else ALL for name in ("store_id", "product_group")]
                sums[level, labels[0], labels[1]][row["week_start_date"]].append(value)
        found = {tuple(row[:3]): row[3] for row in direct_forecasts(series, "net_sales_usd", cutoff).iter_rows()}
        assert set(found) == {key for key in sums if key[0] != "series"}
        for key, direct in found.items():
            weekly = [sum(values) for _, values in sorted(sums[key].items())]
            recent = weekly[-8:] if len(weekly) >= 8 else weekly
            whole = [value for value in recent if not np.isnan(value)]
            assert direct == pytest.approx(fmean(whole)) if whole else direct is None


def test_expected_values_are_the_structural_projection(series: pl.DataFrame, scored: pl.DataFrame) -> None:
    """S (S' W^-1 S)^-1 S' W^-1 of scaled medians and direct forecasts, cut off at 0."""
    cutoff = scored["cutoff_week_start_date"].max()
    assert isinstance(cutoff, date)
    rows = scored.filter(pl.col("cutoff_week_start_date") == cutoff)
    factors = group_factors(group_tests(scored), MODEL, cutoff)
    by_group = {group: (basis, factor) for group, basis, factor in factors.iter_rows()}
    direct = {tuple(row[:3]): row[3] for row in direct_forecasts(series, "transactions", cutoff).iter_rows()}
    keys = rows.select("store_id", "product_group").unique().sort(pl.all()).rows()
    names = [("series", *key) for key in keys] + list(direct)
    summing = np.array([
        [name[1] in (ALL, store) and name[2] in (ALL, group) for store, group in keys] for name in names
    ], dtype=float)  # fmt: skip
    weighted = summing.T / summing.sum(axis=1)
    found = expected_values(rows, factors, series, measure="transactions", cutoff=cutoff, method=MODEL)
    for horizon in HORIZONS:
        p50 = {(row["method"], row["store_id"], row["product_group"]): row["p50"]
               for row in rows.filter(pl.col("horizon_weeks") == horizon).iter_rows(named=True)}  # fmt: skip
        points = [p50[by_group[group][0], store, group] * by_group[group][1] for store, group in keys]
        bottoms = np.linalg.solve(weighted @ summing, weighted @ np.array([*points, *direct.values()]))
        own = found.filter(pl.col("horizon_weeks") == horizon)
        assert own.select("store_id", "product_group").rows() == keys
        assert own["expected"].cast(pl.Float64).to_list() == pytest.approx(np.clip(bottoms, 0, None), abs=6e-5)
        assert own["p50_sum"].cast(pl.Float64).to_list() == [p50[MODEL, *key] for key in keys]


def test_level_sums_equal_sql(series: pl.DataFrame) -> None:
    rows = series.select(pl.col("week_start_date"), "store_id", "product_group", "net_sales_usd", "quantity_units")
    values = ["net_sales_usd", "quantity_units"]
    found = level_sums(rows, ["week_start_date"], values)
    wanted = duckdb.execute("""
        SELECT week_start_date,
               CASE GROUPING(store_id, product_group)
                   WHEN 3 THEN 'total' WHEN 2 THEN 'product_group' WHEN 1 THEN 'store' ELSE 'series' END AS level,
               coalesce(store_id, 'all') AS store_id, coalesce(product_group, 'all') AS product_group,
               CAST(sum(net_sales_usd) AS DECIMAL(18, 4)) AS net_sales_usd,
               CAST(sum(quantity_units) AS DECIMAL(18, 4)) AS quantity_units
        FROM rows GROUP BY GROUPING SETS (
            (week_start_date), (week_start_date, product_group), (week_start_date, store_id),
            (week_start_date, store_id, product_group))
        ORDER BY week_start_date, level, store_id, product_group""").fetchall()
    assert found.rows() == wanted


@st.composite
def hierarchies(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Any labels, any series of them, any medians, and three weeks of sales."""
    label = st.text(st.sampled_from("a/%=2F |'é"), min_size=1, max_size=4)
    stores, groups = (draw(st.lists(label, min_size=1, max_size=4, unique=True)) for _ in range(2))
    pairs = draw(
        st.lists(st.sampled_from([(s, g) for s in stores for g in groups]), min_size=1, max_size=8, unique=True)
    )
    median = st.floats(0, 1e6) | st.sampled_from([0.0, 1.0])
    forecasts = [(MODEL, *pair, horizon, draw(median)) for pair in pairs for horizon in (1, 2)]
    sales = [(*pair, date(2024, 1, day), draw(st.integers(0, 10**6)), False) for pair in pairs for day in (1, 8, 15)]
    names = ["store_id", "product_group", "week_start_date", "net_sales_usd", "is_partial_week"]
    past = pl.DataFrame(sales, schema=names, orient="row").with_columns((pl.col("net_sales_usd") / 100).cast(MONEY))
    return pl.DataFrame(forecasts, schema=["method", *KEY, "p50"], orient="row"), past


@settings(max_examples=tries(15, 100), deadline=None, derandomize=True)
@given(hierarchies(), st.integers(0, 99))
def test_totals_add_up_to_the_last_digit_whatever_the_order(
    frames: tuple[pl.DataFrame, pl.DataFrame], seed: int
) -> None:
    given_rows = {"measure": "net_sales_usd", "cutoff": date(2024, 1, 15), "method": MODEL}
    found = expected_values(frames[0], NO_FACTORS, frames[1], **given_rows)
    assert found["expected"].dtype == MONEY
    assert (found["expected"] >= 0).all()
    sums = level_sums(found, ["horizon_weeks"], ["expected"])
    values = {tuple(row[:4]): row[4] for row in sums.iter_rows()}
    series = [(key, value) for key, value in values.items() if key[1] == "series"]
    for (horizon, level, store, group), value in values.items():
        parts = [
            part for key, part in series if key[0] == horizon and store in (ALL, key[2]) and group in (ALL, key[3])
        ]
        assert value == sum(parts, Decimal(0)), level
    shuffled = (frame.sample(fraction=1, shuffle=True, seed=seed) for frame in frames)
    assert expected_values(next(shuffled), NO_FACTORS, next(shuffled), **given_rows).equals(found)


def test_forecasts_that_agree_with_the_sums_stay_as_they_are(series: pl.DataFrame, scored: pl.DataFrame) -> None:
    """Means of the last 8 weeks add up by themselves."""
    cutoff = scored["cutoff_week_start_date"].max()
    assert isinstance(cutoff, date)
    rows = scored.filter(pl.col("cutoff_week_start_date") == cutoff)
    found = expected_values(
        rows, NO_FACTORS, series, measure="transactions", cutoff=cutoff, method=SIMPLE_RULE
    ).with_columns(pl.col("p50_sum", "expected").cast(pl.Float64))
    assert found["expected"].to_list() == pytest.approx(found["p50_sum"].to_list(), abs=1e-3)


def test_what_would_mislead_is_refused(series: pl.DataFrame, scored: pl.DataFrame) -> None:
    cutoff = scored["cutoff_week_start_date"].max()
    rows = scored.filter(pl.col("cutoff_week_start_date") == cutoff)
    factors = group_factors(group_tests(scored), MODEL)

    def refused(forecasts: pl.DataFrame, match: str) -> None:
        with pytest.raises(BadFrame, match=match):
            expected_values(forecasts, factors, series, measure="transactions", cutoff=cutoff, method=MODEL)  # type: ignore[arg-type]

    refused(pl.concat([rows, rows.head(1)]), "one row per")
    refused(rows.filter(~((pl.col("store_id") == "7") & (pl.col("horizon_weeks") == 2))), "every horizon")
    refused(rows.filter(pl.col("method") == MODEL), "lack the method that their group is scaled from")
    refused(rows.with_columns(store_id=pl.col("store_id").replace({"7": ALL})), "store_id is called 'all'")
