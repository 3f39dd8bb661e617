"""Forecasts: what is expected in total, by product group, store and series, vintage by vintage.

Belongs here: issuing totals from an issue's forecasts. Does not belong here: expected values and their ranges (ml). A
vintage is written for its issue week and never changed later.
"""

from datetime import date

import dagster as dg
import polars as pl

from assets.automation.conditions import when_inputs_pass
from assets.evidence import TOTALS_CODE
from assets.graph import Graph, materialise
from ml.totals_tables import issue_totals
from resources.lake import Lake


def totals_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """Issued totals."""

    @graph.asset(
        "forecasts",
        "demand_totals",
        kinds={"polars", "deltalake"},
        code=TOTALS_CODE,
        weeks="issue",
        deps=[("forecasts", "demand_forecasts"), ("models", "totals_backtest")],
        read_through={("gold", "demand_series"): 0},
        condition=when_inputs_pass(),
    )
    def demand_totals(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        weeks = context.partition_key_range
        issues = [week for week in graph.week_dates() if weeks.start <= week.isoformat() <= weeks.end]
        rows = pl.concat([totals_of(lake, week) for week in issues])
        window = rows.filter(pl.col("level") == "total")
        figures = {
            "expected": float(window["expected"].sum()),
            "summed_medians": float(window["p50_sum"].sum()),
            "tests": int(window["tests"].max() or 0),  # type: ignore[arg-type]  a column of integers
        }
        contract = graph.contract("forecasts", "demand_totals")
        return materialise(context, lake, graph, contract, rows, metadata=figures)

    return [demand_totals]


def totals_of(lake: Lake, week: date) -> pl.DataFrame:
    """The totals of one issue week.

    Raises:
        LookupError: nothing was issued for the week.
    """
    issued = lake.read("forecasts.demand_forecasts", where=f"issue_week_start_date = DATE'{week}'")
    if issued.is_empty():
        raise LookupError(f"Nothing was issued for the week of {week}: materialise forecasts.demand_forecasts for it.")
    series = lake.read("gold.demand_series", where=f"week_start_date <= DATE'{week}'")
    return issue_totals(issued, series, lake.read("models.totals_backtest"))
