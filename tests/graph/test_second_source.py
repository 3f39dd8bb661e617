"""The graph of a source that has receipts and nothing else: what it cannot fill is absent, not empty."""

from __future__ import annotations

import dagster as dg
import pytest

from checks.contracts.loader import load_contracts
from definitions import build_definitions, build_graph
from resources.lake_file import Lake
from resources.mapping import load_mapping
from resources.settings import Settings

TELEMETRY = {
    "bronze/telemetry_events", "silver/fct_telemetry", "gold/household_event_features", "gold/store_event_features",
}  # fmt: skip
ABSENT = {
    "bronze/promotions", "bronze/households", "bronze/campaigns", "bronze/offers", "bronze/offer_exposures",
    "bronze/redemptions", "silver/fct_promotions", "silver/fct_offer_exposures", "silver/fct_redemptions",
    "gold/promotion_plans", "gold/promotion_events", "insights/promotion_lift", "bronze/action_assignments",
    "insights/action_outcomes", "insights/next_actions", *TELEMETRY,
}  # fmt: skip


@pytest.fixture(scope="module")
def graph(graph_settings: Settings) -> dg.Definitions:
    mapping = load_mapping("online_retail")
    assert mapping.lake is not None
    lake = Lake(source="online_retail", **mapping.lake.model_dump())
    return build_definitions(build_graph(graph_settings.model_copy(update={"lake": lake})))


def test_what_the_source_cannot_fill_is_no_asset_and_no_dependency(graph: dg.Definitions):
    assets = graph.resolve_asset_graph()
    keys = {key.to_user_string() for key in assets.get_all_asset_keys()}
    everything = {f"{layer}/{name}" for layer, name in load_contracts()}
    assert keys == everything - ABSENT
    named = {parent.to_user_string() for key in assets.get_all_asset_keys() for parent in assets.get(key).parent_keys}
    assert named <= keys


def test_returns_are_a_table_where_the_source_has_them(graph: dg.Definitions, definitions: dg.Definitions):
    returns = dg.AssetKey(["silver", "fct_returns"])
    assert graph.resolve_asset_graph().has(returns)
    assert not definitions.resolve_asset_graph().has(returns)


def test_telemetry_is_a_table_where_the_lake_names_it_and_a_sensor_where_it_has_brokers(graph_settings: Settings):
    """The same table is fed from files or from a topic: only the sensor comes and goes with the brokers."""
    lake = graph_settings.lake.model_copy(update={"tables": ("telemetry_events",)})
    named = graph_settings.model_copy(update={"lake": lake})
    for brokers in (None, "127.0.0.1:9092"):
        found = build_definitions(build_graph(named.model_copy(update={"kafka_brokers": brokers})))
        keys = found.resolve_asset_graph().get_all_asset_keys()
        assert {dg.AssetKey(name.split("/")) for name in TELEMETRY} <= keys
        assert ("topics" in {sensor.name for sensor in found.sensors or ()}) == (brokers is not None)
