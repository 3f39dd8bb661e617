"""Insights: how demand answers to prices and promotions.

Belongs here: which sales and plans the answers are drawn from. Does not belong here: estimates and their refusals (ml).
"""

from collections.abc import Sequence
from datetime import date

import dagster as dg
import polars as pl

from assets.automation.conditions import weekly_after_close
from assets.graph import Graph, materialise
from assets.product_lines import lines_in_scope
from ml.elasticity import price_responses, promotion_responses
from ml.elasticity_panel import LEAST_SOLD_WEEKS, price_panel, promotion_panel
from ml.response_curves import response_curves
from resources.lake import Lake
from resources.plots import response_plot
from resources.settings import PROJECT_ROOT

ML = PROJECT_ROOT / "ml"
CODE = [
    *(ML / f"{name}.py" for name in ("elasticity", "elasticity_fit", "elasticity_panel", "response_curves")),
    PROJECT_ROOT / "assets/product_lines.py",
    PROJECT_ROOT / "assets/insights/response_curves.py",
]
PLANS = ("silver", "fct_promotions")
PLAN_SCHEMA = {
    "store_id": pl.String(), "product_id": pl.String(), "week_start_date": pl.Date(), "kind": pl.String(),
}  # fmt: skip


def response_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """Responses at the lake's clock, from all whole weeks before it."""

    @graph.asset(
        "insights",
        "response_curves",
        kinds={"spark", "polars"},
        code=CODE,
        deps=[
            ("silver", "fct_receipt_lines"),
            ("silver", "dim_product"),
            ("gold", "demand_series"),
            *([PLANS] if graph.has(*PLANS) else []),
        ],
        settings=[graph.settings.lake.as_of, graph.settings.lake.scope.product_groups],
        condition=weekly_after_close(),
    )
    def curves(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        last = graph.cutoff_week()
        series = lake.read("gold.demand_series", where=f"week_start_date <= DATE'{last}'")
        weeks = series.filter(~pl.col("is_partial_week"))["week_start_date"].unique().sort().to_list()
        prices = price_panel(sold(lake, graph, last), promoted(lake, graph, last), weeks)
        groups = series["product_group"].unique().to_list()
        responses = [
            *price_responses(prices, groups=groups),
            *promotion_responses(promotion_panel(series, prices), groups=groups),
        ]
        rows = response_curves(responses).with_columns(last_week_start_date=pl.lit(max(weeks, default=last)))
        counts = {status: len([one for one in responses if one.status == status]) for status in _STATUSES}
        figures = {**counts, "elasticities": dg.MetadataValue.md(response_plot(rows))}
        contract = graph.contract("insights", "response_curves")
        return materialise(context, lake, graph, contract, rows, metadata=figures)

    return [curves]


_STATUSES: Sequence[str] = ("estimated", "constrained", "contradicts", "refused")


def _in_scope(graph: Graph) -> str:
    return lines_in_scope(graph.settings.lake.scope.product_groups)


def sold(lake: Lake, graph: Graph, last: date) -> pl.DataFrame:
    """What was sold of every product of the groups in scope, by store and week; sales are before coupons."""
    return lake.query(
        "SELECT store_id, product_id, product_group, week_start_date, "
        "COUNT(DISTINCT transaction_id) AS transactions, CAST(SUM(quantity_units) AS DOUBLE) AS quantity_units, "
        "CAST(SUM(sales_amount_usd) AS DOUBLE) AS sales_usd "
        f"FROM silver.fct_receipt_lines JOIN ({_in_scope(graph)}) USING (product_id) "
        f"WHERE NOT is_returned AND NOT is_non_merchandise AND week_start_date <= DATE'{last}' "
        "GROUP BY store_id, product_id, product_group, week_start_date"
    )


def promoted(lake: Lake, graph: Graph, last: date) -> pl.DataFrame:
    """The promotions of the products and stores that the panel will hold; none where the source plans none."""
    if not graph.has(*PLANS):
        return pl.DataFrame(schema=PLAN_SCHEMA)
    often = (
        f"SELECT store_id, product_id FROM silver.fct_receipt_lines JOIN ({_in_scope(graph)}) USING (product_id) "
        f"WHERE week_start_date <= DATE'{last}' GROUP BY store_id, product_id "
        f"HAVING COUNT(DISTINCT week_start_date) >= {LEAST_SOLD_WEEKS}"
    )
    return lake.query(
        f"SELECT DISTINCT store_id, product_id, week_start_date, kind FROM silver.fct_promotions JOIN ({often}) "
        f"USING (store_id, product_id) WHERE week_start_date <= DATE'{last}'"
    )
