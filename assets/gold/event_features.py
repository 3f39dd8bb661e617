"""Gold: what households and stores did in the app, hour by hour.

Belongs here: the batch recompute of whole weeks, and which tables a follower of the topic keeps up. Does not belong
here: what a feature is (ml.event_features), how a batch is added (resources.event_features).

They are made from bronze, because silver is made by the week: an event is in its hour as soon as its batch is booked.
"""

from datetime import date

import dagster as dg

from assets.automation.conditions import when_inputs_pass
from assets.graph import Graph, materialise
from resources.event_features import KEYS, FeatureTable, features_where
from resources.lake import Lake
from resources.settings import PROJECT_ROOT
from resources.spans import between, where_sql
from resources.token_keys import FIRST_VERSION, key_version

CODE = [PROJECT_ROOT / name for name in ("ml/event_features.py", "ml/tokens.py", "resources/event_features.py")]
EVENTS = ("bronze", "telemetry_events")


def event_feature_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The feature tables, where the source has an app."""
    return [_features(graph, name) for name in KEYS if graph.has("gold", name)]


def followed_tables(graph: Graph) -> list[FeatureTable]:
    """The feature tables as one who adds to them has to know them."""
    found = [(asset.key.path[1], asset.specs_by_key[asset.key]) for asset in event_feature_assets(graph)]
    return [FeatureTable(graph.contract("gold", name), spec.code_version or "") for name, spec in found]


def _features(graph: Graph, name: str) -> dg.AssetsDefinition:
    version = key_version(graph.settings)
    # A rotated key makes every token anew; the first one is no setting that changed.
    rotated = [version] if version > FIRST_VERSION else []

    @graph.asset(
        "gold", name, kinds={"polars", "deltalake"}, code=CODE, deps=[EVENTS], weeks="covered", settings=rotated,
        condition=when_inputs_pass(),
    )  # fmt: skip
    def features(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        weeks = context.partition_key_range
        made = between(date.fromisoformat(weeks.start), date.fromisoformat(weeks.end))
        rows = features_where(lake, name, where_sql("week_start_date", made))
        return materialise(context, lake, graph, graph.contract("gold", name), rows)

    return features
