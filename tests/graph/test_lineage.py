"""Who uses a column of the real graph: what the code says, checked against what is known of it."""

from __future__ import annotations

import pytest

from assets.catalogue import graph_assets
from assets.graph import Graph
from assets.lineage import consumers, data_tests, data_tests_on, read_manifest
from checks.contracts.impact import Consumer, Use, impact
from checks.contracts.loader import load_contracts
from resources.dbt_project import manifest_path
from resources.mapping import load_mapping
from resources.settings import Settings

LINES = "silver.fct_receipt_lines"


# The log of decisions is an input: no table is read for it.
WRITTEN_BY_PEOPLE = {"bronze.action_assignments"}


@pytest.fixture(scope="module")
def code(graph_settings: Settings) -> tuple[Consumer, ...]:
    graph = Graph(graph_settings, load_contracts(), load_mapping(graph_settings.lake.source))
    return consumers(graph, graph_assets(graph), read_manifest(manifest_path(graph_settings)))


def told(code: tuple[Consumer, ...], table: str, column: str) -> dict[str, Use]:
    return {use.table: use for use in impact({table: {column}}, code)}


def test_every_table_has_its_code(code: tuple[Consumer, ...]) -> None:
    shown = {item.table: item for item in code if item.is_shown}
    assert set(shown) == {".".join(key) for key in load_contracts()}
    for name, item in shown.items():
        assert item.words or item.unseen or name in WRITTEN_BY_PEOPLE, name


def test_money_is_followed_through_its_new_names(code: tuple[Consumer, ...]) -> None:
    paid = told(code, LINES, "sales_amount_usd")
    assert paid["gold.demand_series"].columns == ("gross_sales_usd",)
    assert "discount_depth_4" in paid["gold.demand_features"].columns
    found = told(code, LINES, "net_sales_usd")
    assert found["gold.demand_series"].columns == ("net_sales_usd",)
    assert "transactions_lag_0" not in found["gold.demand_features"].columns
    assert found["gold.demand_labels"].columns == ("net_sales_usd",)


def test_a_column_that_nobody_reads_reaches_nobody(code: tuple[Consumer, ...]) -> None:
    assert told(code, LINES, "coupon_discount_usd") == {}


def test_staging_models_are_seen_through(code: tuple[Consumer, ...]) -> None:
    """Ephemeral models name every column; only the table that keeps one uses it."""
    found = told(code, "bronze.pos_lines", "coupon_match_discount_usd")
    assert [name for name, use in found.items() if use.certainty == "uses"] == [LINES]
    assert found[LINES].columns == ("coupon_match_discount_usd",)
    assert "silver.dim_store" not in found
    assert told(code, "bronze.pos_lines", "household_id")["silver.dim_household"].certainty == "uses"


def test_a_key_of_the_series_reaches_every_feature(code: tuple[Consumer, ...]) -> None:
    features = told(code, LINES, "store_id")["gold.demand_features"]
    assert len(features.columns) == len(load_contracts()["gold", "demand_features"].columns)


def test_promotions_reach_features_through_the_plans(code: tuple[Consumer, ...]) -> None:
    found = told(code, "silver.fct_promotions", "kind")
    assert found["gold.promotion_plans"].certainty == "uses"
    assert "display_share_target" in found["gold.demand_features"].columns
    assert found["forecasts.demand_forecasts"].certainty == "uses"


def test_a_feature_whose_name_is_put_together_is_used_by_whoever_reads_them_all(code: tuple[Consumer, ...]) -> None:
    found = told(code, "gold.demand_features", "transactions_lag_7")
    assert found["gold.training_sets"].certainty == "uses"
    assert found["forecasts.demand_forecasts"].certainty == "uses"


def test_a_star_hands_on_what_the_table_keeps(graph_settings: Settings) -> None:
    graph = Graph(graph_settings, load_contracts(), load_mapping(graph_settings.lake.source))
    source = {"resource_type": "source", "source_name": "bronze", "name": "pos_lines"}
    model = {
        "resource_type": "model",
        "name": "dim_store",
        "raw_code": "select * from {{ source('bronze', 'pos_lines') }} -- coupon_discount_usd",
        "config": {"materialized": "lake_table"},
        "depends_on": {"nodes": ["source"], "macros": []},
    }
    manifest = {"nodes": {"model": model}, "sources": {"source": source}, "macros": {}}
    starred = consumers(graph, [], manifest)
    assert told(starred, "bronze.pos_lines", "store_id")["silver.dim_store"].certainty == "uses"
    assert told(starred, "bronze.pos_lines", "coupon_discount_usd") == {}


def test_data_data_tests_on_a_column_are_named(graph_settings: Settings) -> None:
    tests = data_tests(read_manifest(manifest_path(graph_settings)))
    by_name = {test.name: test for test in tests}
    assert len(by_name) == len(tests) >= 20
    tokens = {name for _, name in data_tests_on({"silver.dim_household": {"household_token"}}, tests)}
    assert {"unique_dim_household_household_token", "not_null_dim_household_household_token"} <= tokens
    assert any(name.startswith("relationships_fct_redemptions_household_token") for name in tokens)
    assert "not_null_dim_store_store_id" not in tokens
    sums = {name for _, name in data_tests_on({"bronze.pos_lines": {"sales_amount_usd"}}, tests)}
    assert sums == {"fct_receipt_lines_reconcile_with_bronze"}
    # One test reads whole tables, so that it reads every column of them.
    assert data_tests_on({"silver.dim_product": {"package_size"}}, tests) == [
        ("silver.dim_product", "silver_names_no_household")
    ]
