"""Rules of misses: each holds where a loop says so, the first one counts, and later weeks change nothing."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from ml.frame_checks import BadFrame
from ml.misses import RULES, classified, miss_summary, with_circumstances

START = date(2017, 8, 7)
WEEKS = 24
HORIZONS = (1, 2, 3, 4)
SERIES = [(store, group) for store in ("a", "b", "c") for group in ("beer", "tea")]


def week(number: int) -> date:
    return START + timedelta(weeks=number)


@pytest.fixture(scope="module")
def series() -> pl.DataFrame:
    """Store c closes for two weeks, tea in a is new, beer in a runs empty, tea in b has a promotion peak.

    A promotion lies nine weeks before the cutoff of week 13 too: no part of what is usual then.
    """
    random = np.random.default_rng(3)
    rows = []
    for store, group in SERIES:
        for number in range(WEEKS):
            sold = int(random.poisson(12))
            sold = 0 if store == "c" and number in (14, 15) else sold
            sold = 0 if (store, group) == ("a", "tea") and number < 10 else sold
            sold = 0 if (store, group) == ("a", "beer") and number == 13 else sold
            sold = sold * 4 if (store, group) == ("b", "beer") and number >= 12 else sold
            sold = 30 if (store, group, number) == ("b", "tea", 14) else sold
            display = 20 if (store, group, number) == ("b", "tea", 14) else 3
            display = 90 if (store, group, number) == ("b", "tea", 5) else display
            rows.append((store, group, week(number), sold, display, 1))
    names = ["store_id", "product_group", "week_start_date", "transactions", "display_products", "mailer_products"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(is_partial_week=pl.lit(value=False))


@pytest.fixture(scope="module")
def scored(series: pl.DataFrame) -> pl.DataFrame:
    """Three cutoffs; every forecast is 10 with a band of 9 to 13."""
    sold = {row[:3]: float(row[3]) for row in series.iter_rows()}
    rows = [
        (week(cutoff), store, group, horizon, week(cutoff + horizon), sold[store, group, week(cutoff + horizon)])
        for cutoff in (11, 13, 15)
        for store, group in SERIES
        for horizon in HORIZONS
    ]
    names = ["cutoff_week_start_date", "store_id", "product_group", "horizon_weeks", "target_week_start_date", "actual"]
    band = {"p10": 9.0, "p50": 10.0, "p90": 13.0}
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.lit(v).alias(k) for k, v in band.items())


def loop_rule(row: dict[str, Any], scored: list[dict[str, Any]], series: list[dict[str, Any]]) -> str:
    """The rule of one row, by loops over everything."""
    if row["p10"] <= row["actual"] <= row["p90"]:
        return "within_band"
    key = (row["store_id"], row["product_group"])
    mine = [item for item in series if (item["store_id"], item["product_group"]) == key]
    if row["actual"] == 0:
        target = row["target_week_start_date"]
        in_store = [i for i in series if i["store_id"] == key[0] and i["week_start_date"] == target]
        # Beer in a sells a dozen a week and then, in one week, none: its fixture says that it ran empty.
        return "closed_store" if not any(i["transactions"] for i in in_store) else "censored_week"
    cutoff = row["cutoff_week_start_date"]
    first = min(item["week_start_date"] for item in mine if item["transactions"] > 0)
    if (cutoff - first).days // 7 < 13 <= (cutoff - START).days // 7:
        return "new_series"
    target = row["target_week_start_date"]
    # The only holidays in these weeks: Labor Day (4 September), Thanksgiving (23 November) and Christmas 2017.
    if any(
        target <= day < target + timedelta(days=7) for day in (date(2017, 9, 4), date(2017, 11, 23), date(2017, 12, 25))
    ):
        return "holiday_week"
    plans = {item["week_start_date"]: item["display_products"] + item["mailer_products"] for item in mine}
    last = [plans[cutoff - timedelta(weeks=back)] for back in range(8)]
    if plans[target] > 2 * max(sum(last) / 8, 1):
        return "promotion_week"
    issue = [
        item
        for item in scored
        if (item["store_id"], item["product_group"]) == key and item["cutoff_week_start_date"] == cutoff
    ]
    sides = [sum(item["actual"] > item["p90"] for item in issue), sum(item["actual"] < item["p10"] for item in issue)]
    return "level_shift" if max(sides) >= 3 and max(sides) >= 0.75 * len(issue) else "unexplained"


def test_every_rule_equals_a_loop(scored: pl.DataFrame, series: pl.DataFrame) -> None:
    found = classified(with_circumstances(scored, series, "transactions"))
    assert found.height == scored.height
    rows, past = scored.rows(named=True), series.rows(named=True)
    for row in found.iter_rows(named=True):
        assert row["rule"] == loop_rule(row, rows, past), row
        assert row["error"] == abs(row["actual"] - row["p50"])
    assert set(found["rule"]) == {rule.name for rule in RULES}


def test_the_summary_adds_up_and_equals_loops(scored: pl.DataFrame, series: pl.DataFrame) -> None:
    found = classified(with_circumstances(scored, series, "transactions"))
    summary = miss_summary(found)
    assert summary["rule"].to_list() == [rule.name for rule in RULES]
    assert summary["row_count"].sum() == found.height
    assert summary["error"].sum() == pytest.approx(found["error"].sum())
    assert summary["error_share"].sum() == pytest.approx(1)
    by_rule = {row["rule"]: row for row in summary.iter_rows(named=True)}
    outside = [row for row in found.iter_rows(named=True) if not row["p10"] <= row["actual"] <= row["p90"]]
    holidays = [sum(row["holiday"] != "none" for row in rows) / len(rows) for rows in (outside, found.rows(named=True))]
    holiday = by_rule["holiday_week"]
    assert [holiday["share_of_misses"], holiday["share_of_forecasts"]] == pytest.approx(holidays)
    assert by_rule["level_shift"]["share_of_misses"] is None


def test_weeks_after_the_last_target_change_nothing(scored: pl.DataFrame, series: pl.DataFrame) -> None:
    last = scored["target_week_start_date"].max()
    later = pl.col("week_start_date") > last
    bent = series.with_columns(
        pl.when(later).then(pl.col(name) * 50 + 9).otherwise(pl.col(name)).alias(name)
        for name in ("transactions", "display_products")
    )
    assert not bent.equals(series)
    assert with_circumstances(scored, bent, "transactions").equals(with_circumstances(scored, series, "transactions"))


def test_order_of_rows_does_not_matter(scored: pl.DataFrame, series: pl.DataFrame) -> None:
    shuffled = [frame.sample(fraction=1.0, shuffle=True, seed=1) for frame in (scored, series)]
    assert with_circumstances(*shuffled, "transactions").equals(with_circumstances(scored, series, "transactions"))


def test_unknown_plans_and_unknown_series_are_no_reason(scored: pl.DataFrame, series: pl.DataFrame) -> None:
    unplanned = series.with_columns(display_products=pl.lit(None, dtype=pl.Int64))
    assert "promotion_week" not in set(classified(with_circumstances(scored, unplanned, "transactions"))["rule"])
    alone = classified(with_circumstances(scored, series.clear(), "transactions"))
    assert set(alone["rule"]) == {"within_band", "holiday_week", "level_shift", "unexplained"}


def test_rows_of_two_methods_are_refused(scored: pl.DataFrame, series: pl.DataFrame) -> None:
    with pytest.raises(BadFrame, match="one method"):
        with_circumstances(pl.concat([scored, scored]), series, "transactions")
