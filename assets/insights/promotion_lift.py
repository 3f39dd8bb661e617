"""Insights: what each promotion added at the point of sale.

Belongs here: which tables it is measured on. Does not belong here: the measurement (ml.lift).
"""

import dagster as dg
import polars as pl

from assets.automation.conditions import weekly_after_close
from assets.graph import Graph, materialise
from assets.product_lines import line_weeks, whole_weeks
from ml.lift import DEFAULT_DESIGN, NET, promotion_lift
from ml.lift_panel import MEASURES
from resources.lake import Lake
from resources.settings import PROJECT_ROOT

CODE = [
    *sorted((PROJECT_ROOT / "ml").glob("lift*.py")),
    PROJECT_ROOT / "assets/product_lines.py",
    PROJECT_ROOT / "assets/insights/promotion_lift.py",
]
LIFT = ("insights", "promotion_lift")


def promotion_lift_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The lift of promotions, where the source plans any."""
    return [_lift(graph)] if graph.has(*LIFT) else []


def _lift(graph: Graph) -> dg.AssetsDefinition:
    @graph.asset(
        *LIFT,
        kinds={"spark", "polars"},
        code=CODE,
        deps=[
            ("gold", "promotion_events"),
            ("gold", "demand_series"),
            ("silver", "fct_receipt_lines"),
            ("silver", "dim_product"),
        ],
        settings=[graph.settings.lake.as_of, graph.settings.lake.scope.product_groups, DEFAULT_DESIGN],
        condition=weekly_after_close(),
    )
    def lift(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        groups = lake.read("gold.demand_series", ["store_id", "product_group", "week_start_date", *MEASURES])
        rows = promotion_lift(
            lake.read("gold.promotion_events"), line_weeks(lake, graph), groups, whole_weeks(lake, graph)
        )
        events = rows.filter((pl.col("level") == "event") & (pl.col("part") == NET))
        figures = {
            f"events_{name}": count for name, count in events["verdict"].value_counts().sort("verdict").iter_rows()
        }
        return materialise(context, lake, graph, graph.contract(*LIFT), rows, metadata=figures)

    return lift
