"""Gold: the promotion ledger.

Belongs here: which silver rows it is made from. Does not belong here: what an event is (ml.promotion_events).
"""

import dagster as dg

from assets.automation.conditions import weekly_after_close
from assets.graph import Graph, materialise
from assets.product_lines import line_weeks, lines_in_scope, whole_weeks
from ml.promotion_events import promotion_events
from resources.lake import Lake
from resources.settings import PROJECT_ROOT

CODE = [
    PROJECT_ROOT / "ml/promotion_events.py",
    PROJECT_ROOT / "assets/product_lines.py",
    PROJECT_ROOT / "assets/gold/promotion_events.py",
]
EVENTS = ("gold", "promotion_events")


def promotion_event_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The ledger, where the source plans promotions."""
    return [_events(graph)] if graph.has(*EVENTS) else []


def _events(graph: Graph) -> dg.AssetsDefinition:
    scope = graph.settings.lake.scope

    @graph.asset(
        *EVENTS,
        kinds={"spark", "polars", "deltalake"},
        code=CODE,
        deps=[
            ("silver", "fct_promotions"),
            ("silver", "fct_receipt_lines"),
            ("silver", "dim_product"),
            ("gold", "demand_series"),
        ],
        settings=[graph.settings.lake.as_of, scope.product_groups],
        condition=weekly_after_close(),
    )
    def events(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        plans = lake.query(
            "SELECT store_id, product_group, product_line, kind, week_start_date, COUNT(*) AS products, "
            "MIN(event_at) AS event_at, MAX(known_at) AS known_at FROM silver.fct_promotions "
            f"JOIN ({lines_in_scope(scope.product_groups)}) USING (product_id) "
            "GROUP BY store_id, product_group, product_line, kind, week_start_date"
        )
        receipts = lake.query(
            "SELECT store_id, week_start_date, COUNT(DISTINCT transaction_id) AS transactions "
            "FROM silver.fct_receipt_lines GROUP BY store_id, week_start_date"
        )
        rows = promotion_events(plans, line_weeks(lake, graph), receipts, whole_weeks(lake, graph))
        counts = dict(rows["execution"].value_counts().iter_rows())
        figures = {"events": rows["event_id"].n_unique(), **{f"stores_{name}": counts[name] for name in sorted(counts)}}
        return materialise(context, lake, graph, graph.contract(*EVENTS), rows, metadata=figures)

    return events
