"""Every table of the graph, in the order of the data.

Belongs here: which functions make assets. Does not belong here: what any asset does, jobs, checks, resources.
"""

from __future__ import annotations

import warnings

import dagster as dg

from assets.bronze.events import bronze_assets
from assets.forecasts.demand import forecast_assets
from assets.forecasts.totals import totals_assets
from assets.gold.demand import gold_assets
from assets.gold.event_features import event_feature_assets
from assets.gold.promotion_events import promotion_event_assets
from assets.gold.training_sets import training_set_assets
from assets.graph import Graph
from assets.insights.actions import action_assets
from assets.insights.drivers import driver_assets
from assets.insights.promotion_lift import promotion_lift_assets
from assets.insights.report import insight_assets
from assets.insights.response_curves import response_assets
from assets.models.comparisons import comparison_assets
from assets.models.demand import model_assets
from assets.models.drift import drift_assets
from assets.models.feature_uses import feature_use_assets
from assets.models.gate import gate_assets
from assets.models.study import study_assets
from assets.models.totals import totals_backtest_assets
from assets.silver import silver_assets

LAYERS = (
    bronze_assets, silver_assets, gold_assets, training_set_assets, study_assets, model_assets, comparison_assets,
    totals_backtest_assets, feature_use_assets, gate_assets, forecast_assets, totals_assets, drift_assets,
    driver_assets, response_assets, event_feature_assets, promotion_event_assets, promotion_lift_assets,
    action_assets, insight_assets,
)  # fmt: skip


def graph_assets(graph: Graph) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Every table of the graph."""
    # Dagster marks features as beta that this project pins and tests; a user cannot act on that.
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    warnings.filterwarnings("ignore", category=dg.PreviewWarning)
    return [asset for layer in LAYERS for asset in layer(graph)]
