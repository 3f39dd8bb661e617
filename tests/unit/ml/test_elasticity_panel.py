"""Panels hold every week of what is sold, with the price that a buyer would have found."""

from __future__ import annotations

from datetime import date, timedelta

import duckdb
import numpy as np
import polars as pl
import pytest

from ml.elasticity_panel import LEAST_SOLD_WEEKS, price_panel, promotion_panel
from ml.frame_checks import BadFrame
from tests.unit.ml.demand_data import make_demand

WEEKS = [date(2017, 1, 2) + timedelta(weeks=number) for number in range(12)]
PROMOTED = {"store_id": pl.String, "product_id": pl.String, "week_start_date": pl.Date, "kind": pl.String}
NOTHING = pl.DataFrame(schema=PROMOTED)


def sold(prices: dict[tuple[str, str], list[float | None]]) -> pl.DataFrame:
    """One basket of two units per store, product and week with a price."""
    rows = [
        (store, product, "TEA", week, 1, 2.0, 2 * price)
        for (store, product), path in prices.items()
        for week, price in zip(WEEKS, path, strict=True)
        if price is not None
    ]
    columns = ["store_id", "product_id", "product_group", "week_start_date", "transactions", "quantity_units"]
    return pl.DataFrame(rows, schema=[*columns, "sales_usd"], orient="row")


def prices_of(panel: pl.DataFrame, store: str, product: str, usual: float) -> list[float]:
    own = panel.filter(pl.col("store_id") == store, pl.col("product_id") == product)
    return [round(float(np.exp(value)) * usual, 2) for value in own["log_price"]]


def test_a_price_of_the_chain_holds_where_nothing_sold() -> None:
    path = [2.0] * 5 + [1.5, 1.5] + [2.0] * 5
    rare = [2.0, 2.0, 2.0, 2.0, None, None, None, 2.0, 2.0, 2.0, 2.0, 2.0]
    panel = price_panel(sold({("1", "a"): path, ("2", "a"): path, ("3", "a"): rare}), NOTHING, WEEKS)
    assert prices_of(panel, "3", "a", 2.0) == path
    assert panel.filter(pl.col("store_id") == "3")["transactions"].to_list() == [float(p is not None) for p in rare]


def test_elsewhere_the_price_is_that_of_the_stores_that_moved_with_it() -> None:
    """Two zones of three stores; one store of the dearer zone sells nothing after its price rose."""
    cheap, dear = [2.0] * 12, [3.0] * 6 + [3.5] * 6
    silent = [*dear[:6], None, None, None, *dear[9:]]
    paths = {(store, "a"): cheap for store in "123"} | {(store, "a"): dear for store in "45"} | {("6", "a"): silent}
    panel = price_panel(sold(paths), NOTHING, WEEKS)
    assert prices_of(panel, "6", "a", float(np.median(dear))) == dear
    assert prices_of(panel, "1", "a", 2.0) == cheap


def test_only_what_sells_often_enough_and_while_it_is_sold() -> None:
    often, rarely = [2.0] * 8 + [None] * 4, [2.0] * (LEAST_SOLD_WEEKS - 1) + [None] * (13 - LEAST_SOLD_WEEKS)
    wild = [2.0, 20.0] + [2.0] * 10
    panel = price_panel(sold({("1", "a"): often, ("2", "a"): rarely, ("1", "b"): wild}), NOTHING, WEEKS)
    counts = dict(
        panel.group_by("store_id", "product_id")
        .len()
        .select(pl.concat_str("store_id", "product_id"), "len")
        .iter_rows()
    )
    assert counts == {"1a": 8, "1b": 11}


def test_a_lake_in_which_nothing_sells_often_has_an_empty_panel() -> None:
    rare = sold({("1", "a"): [2.0] + [None] * 11})
    wanted = price_panel(sold({("1", "a"): [2.0] * 12}), NOTHING, WEEKS).schema
    for rows, weeks in ((rare, WEEKS), (rare.clear(), WEEKS), (rare, [])):
        panel = price_panel(rows, NOTHING, weeks)
        assert panel.is_empty()
        assert panel.schema == wanted


def test_promotions_are_flags_of_their_week() -> None:
    path = [2.0] * 12
    rows = [("1", "a", WEEKS[3], "display"), ("1", "a", WEEKS[3], "display"), ("1", "a", WEEKS[4], "mailer")]
    panel = price_panel(sold({("1", "a"): path}), pl.DataFrame(rows, schema=PROMOTED, orient="row"), WEEKS)
    assert panel["display"].to_list() == [float(week == WEEKS[3]) for week in WEEKS]
    assert panel["mailer"].to_list() == [float(week == WEEKS[4]) for week in WEEKS]
    with pytest.raises(BadFrame, match="one row per"):
        price_panel(pl.concat([sold({("1", "a"): path})] * 2), NOTHING, WEEKS)


def test_groups_carry_their_promotions_and_those_before_as_sql_has_them() -> None:
    series = make_demand(seed=5, weeks=20, stores=3, groups=3).series
    prices = pl.DataFrame(
        {
            "store_id": ["s0", "s0", "s1"],
            "product_id": ["a", "b", "a"],
            "product_group": ["g0"] * 3,
            "week_start_date": [series["week_start_date"].max()] * 3,
            "transactions": [3.0, 1.0, 5.0],
            "log_price": [0.1, -0.3, 0.2],
        }
    )
    found = promotion_panel(series, prices)
    wanted = duckdb.sql("""
        WITH whole AS (SELECT * FROM series WHERE NOT is_partial_week)
        SELECT a.store_id, a.product_group, a.week_start_date, CAST(a.transactions AS DOUBLE) AS transactions,
            a.display_share AS display, a.mailer_share AS mailer,
            avg(b.display_share) AS display_before, avg(b.mailer_share) AS mailer_before,
            coalesce((SELECT sum(log_price * weight) / sum(weight) FROM prices JOIN (
                    SELECT product_id, sum(transactions) AS weight FROM prices GROUP BY 1) USING (product_id)
                WHERE store_id = a.store_id AND product_group = a.product_group
                    AND week_start_date = a.week_start_date), 0) AS log_price,
            ln((SELECT coalesce(sum(transactions), 0) FROM whole o WHERE o.store_id = a.store_id
                AND o.week_start_date = a.week_start_date AND o.product_group <> a.product_group) + 0.5)
                AS log_elsewhere
        FROM whole a JOIN whole b ON b.store_id = a.store_id AND b.product_group = a.product_group
            AND b.week_start_date BETWEEN a.week_start_date - INTERVAL 21 DAY AND a.week_start_date - INTERVAL 7 DAY
        GROUP BY ALL HAVING count(b.display_share) = 3 AND a.display_share IS NOT NULL ORDER BY 1, 2, 3
    """).pl()
    assert found.height == wanted.height > 0
    for name in wanted.columns:
        if wanted[name].dtype == pl.Float64:
            assert found[name].to_list() == pytest.approx(wanted[name].to_list(), abs=1e-9), name
        else:
            assert found[name].to_list() == wanted[name].to_list()
    assert (found["log_price"] != 0).sum() == 2
