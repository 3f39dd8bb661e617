"""The market: files sum to its panel, truth to what it did, and promotions lie where more is sold anyway."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from benchmarks.market import MarketSettings, make_world
from benchmarks.market_demand import expected_demand
from benchmarks.market_files import STAPLE, write_market
from benchmarks.market_plan import during, make_plan
from benchmarks.market_tables import Market, group_weeks, make_market, product_weeks, promotions, store_weeks
from resources.mapping import load_mapping
from resources.settings import load_settings

SMALL = MarketSettings(stores=12, groups=2, products_per_group=4, weeks=40, promotions_per_group=2)
ONE = replace(SMALL, groups=2, promotions_per_group=1, unexecuted_share=0.3)


@pytest.fixture(scope="module")
def market() -> Market:
    return make_market(ONE, 3)


@pytest.fixture(scope="module")
def folder(market: Market, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("market")
    write_market(market, home)
    return home


def test_the_same_seed_is_the_same_market_and_another_is_not(market: Market) -> None:
    again, other = make_market(ONE, 3), make_market(ONE, 4)
    assert np.array_equal(again.sold.quantity_units, market.sold.quantity_units)
    assert again.truth().equals(market.truth())
    assert not np.array_equal(other.sold.baskets, market.sold.baskets)


def test_files_have_the_columns_and_types_of_the_source(folder: Path) -> None:
    source = load_mapping("completejourney").folder(load_settings())
    names = {path.name for path in source.glob("*.parquet")}
    assert {path.name for path in folder.glob("*.parquet")} == names
    for name in names:
        assert pl.read_parquet_schema(folder / name) == pl.read_parquet_schema(source / name)


def test_receipts_sum_to_the_panel(market: Market, folder: Path) -> None:
    panel = product_weeks(market.world, market.plan, market.sold)
    lines = duckdb.sql(f"""
        SELECT CAST(store_id AS VARCHAR) AS store_id, CAST(product_id AS VARCHAR) AS product_id,
               DATE '2016-12-26' + CAST(7 * (week - 1) AS INT) AS week_start_date, count(DISTINCT basket_id) AS baskets,
               sum(quantity) AS units, sum(sales_value) AS sales
        FROM '{folder}/transactions.parquet' WHERE product_id <> {STAPLE} GROUP BY ALL
    """).pl()
    sold = panel.filter(pl.col("transactions") > 0)
    both = sold.join(lines, on=["store_id", "product_id", "week_start_date"], how="left")
    assert lines.height == sold.height > 0
    assert (both["baskets"] == both["transactions"]).all()
    assert (both["units"] == both["quantity_units"]).all()
    assert (both["sales"] - both["net_sales_usd"]).abs().max() == pytest.approx(0, abs=1e-6)


def test_groups_and_stores_count_a_receipt_once(market: Market, folder: Path) -> None:
    panel = product_weeks(market.world, market.plan, market.sold)
    counted = duckdb.sql(f"""
        SELECT product_category, week, count(DISTINCT basket_id) FROM '{folder}/transactions.parquet'
        JOIN '{folder}/products.parquet' USING (product_id) WHERE product_id <> {STAPLE} GROUP BY ALL ORDER BY ALL
    """).fetchall()
    groups = group_weeks(panel).group_by("product_group", "week_start_date").agg(pl.col("transactions").sum())
    assert [row[2] for row in counted] == groups.sort("product_group", "week_start_date")["transactions"].to_list()
    receipts = duckdb.sql(f"SELECT count(DISTINCT basket_id) FROM '{folder}/transactions.parquet'").fetchall()
    assert receipts == [(store_weeks(market.world, market.sold)["transactions"].sum(),)]


def test_a_receipt_has_one_household_of_its_store_and_one_instant_of_its_week(market: Market, folder: Path) -> None:
    rows = duckdb.sql(f"""
        SELECT DISTINCT count(DISTINCT household_id) AS households, count(DISTINCT store_id) AS stores,
               count(DISTINCT transaction_timestamp) AS instants, count(DISTINCT product_id) = count(*) AS one_line,
               bool_and(transaction_timestamp - INTERVAL 5 HOUR >= DATE '2016-12-26' + CAST(7 * (week - 1) AS INT)
                   AND transaction_timestamp < DATE '2016-12-26' + CAST(7 * week AS INT)) AS in_week
        FROM '{folder}/transactions.parquet' GROUP BY basket_id
    """).fetchall()
    assert rows == [(1, 1, 1, True, True)]


def test_promotions_are_written_as_planned(market: Market, folder: Path) -> None:
    planned = promotions(market)
    assert not planned["is_executed"].all()
    written = duckdb.sql(f"""
        SELECT CAST(store_id AS VARCHAR), CAST(product_id AS VARCHAR),
               DATE '2016-12-26' + CAST(7 * (week - 1) AS INT),
               CASE WHEN display_location <> '0' THEN 'display' ELSE 'mailer' END
        FROM '{folder}/promotions.parquet' ORDER BY ALL
    """).fetchall()
    key = ["store_id", "product_id", "week_start_date", "kind"]
    assert written == planned.filter(pl.col("kind") != "price_cut").select(key).sort(key).rows()


def test_coupons_are_redeemed_by_who_holds_them(folder: Path) -> None:
    [rows] = duckdb.sql(f"""
        SELECT count(*), count(e.household_id), bool_and(redemption_date BETWEEN start_date AND end_date)
        FROM '{folder}/coupon_redemptions.parquet' r JOIN '{folder}/campaign_descriptions.parquet' USING (campaign_id)
        LEFT JOIN '{folder}/campaigns.parquet' e USING (campaign_id, household_id)
    """).fetchall()
    assert rows[0] == rows[1] > 0
    assert rows[2]


def test_parts_sum_to_all_that_an_event_did_and_its_signs_are_those_planted() -> None:
    market = make_market(SMALL, 1)
    parts = market.truth()
    events = parts["event_id"].n_unique()
    assert events == 4
    for measure in ("transactions", "quantity_units", "net_sales_usd"):
        wide = parts.pivot(on="part", index="event_id", values=measure)
        others = ("promoted", "rest_of_group", "other_groups", "following_weeks")
        assert wide.select(pl.sum_horizontal(others)).to_series().to_list() == pytest.approx(wide["net"].to_list())
    signs = parts.group_by("part").agg(pl.col("transactions").sign().unique()).sort("part")
    assert dict(signs.iter_rows()) == {
        "following_weeks": [-1], "net": [1], "other_groups": [1], "promoted": [1], "rest_of_group": [-1],
    }  # fmt: skip


def test_without_an_effect_nothing_is_added_and_the_same_is_sold_as_without_a_plan() -> None:
    market = make_market(replace(SMALL, has_effect=False), 1)
    assert market.truth()["transactions"].abs().max() == 0
    bare = expected_demand(market.world, make_plan(market.world, [], []))
    assert np.allclose(expected_demand(market.world, market.plan).baskets, bare.baskets)


def test_an_elasticity_is_what_a_price_cut_alone_does() -> None:
    settings = replace(SMALL, pull_forward=0.0, cannibalisation=0.0, halo=0.0)
    world = make_world(settings, 2)
    plan = make_plan(world, [], [])
    plan.price_ratio[:] = 0.8
    found = np.log(expected_demand(world, plan).baskets / world.base) / np.log(0.8)
    assert np.allclose(found, world.elasticity[None, :, None])


@pytest.mark.parametrize(("confounding", "is_biased"), [(0.0, False), (2.0, True)])
def test_promotions_lie_where_more_is_sold_anyway(confounding: float, is_biased: bool) -> None:
    gaps = []
    for seed in range(20):
        market = make_market(replace(SMALL, stores=30, confounding=confounding, unexecuted_share=0.0), seed)
        base = market.world.base
        for event in market.placed:
            own = base[:, event.products, :]
            cells = during(event, executed=True)
            gaps.append(np.log(base[cells].mean() / own.mean()))
    error = np.std(gaps) / np.sqrt(len(gaps))
    assert (np.mean(gaps) > 4 * error) == is_biased
    assert is_biased or abs(np.mean(gaps)) < 3 * error


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="above zero"):
        make_market(replace(SMALL, stores=0), 1)
    with pytest.raises(ValueError, match="below zero"):
        make_market(replace(SMALL, elasticity=(-2.0, 0.5)), 1)
    with pytest.raises(ValueError, match="raise weeks"):
        make_market(replace(SMALL, promotions_per_group=9), 1)


def test_a_promotion_is_of_a_whole_line_of_one_manufacturer_and_type(market: Market, folder: Path) -> None:
    makers = duckdb.sql(f"""
        SELECT manufacturer_id, product_type, list(CAST(product_id AS VARCHAR) ORDER BY product_id)
        FROM '{folder}/products.parquet' GROUP BY ALL
    """).fetchall()
    lines = [products for *_, products in makers]
    promoted = promotions(market).group_by("event_id").agg(pl.col("product_id").unique().sort())
    assert promoted.height == 2
    assert all(products in lines and len(products) == 2 for products in promoted["product_id"].to_list())
