"""Models: what each method adds over the simpler ones, from the rows of the backtest.

Belongs here: the comparison table as an asset. Does not belong here: the backtest, the interval (ml), the gate.
"""

import dagster as dg
import polars as pl

from assets.automation.conditions import weekly_after_close
from assets.evidence import evidence_path, newest_training_set
from assets.graph import Graph, materialise
from ml.comparisons import comparisons
from resources.lake import Lake
from resources.settings import PROJECT_ROOT

ML = PROJECT_ROOT / "ml"
CODE = [ML / f"{name}.py" for name in ("comparisons", "evaluation", "evaluation_differences")]


def comparison_assets(graph: Graph) -> list[dg.AssetsDefinition]:
    """The value added, slice by slice."""

    @graph.asset(
        "models",
        "demand_comparisons",
        kinds={"polars"},
        code=CODE,
        deps=[("models", "demand_backtest"), ("gold", "training_sets")],
        condition=weekly_after_close(),
    )
    def demand_comparisons(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        manifest = newest_training_set(lake, graph)
        rows = comparisons(pl.read_parquet(evidence_path(graph.settings, manifest["training_set_id"])))
        contract = graph.contract("models", "demand_comparisons")
        overall = rows.filter(pl.col("slice") == "all")
        figures = {
            f"{row['method']}_less_{row['rival']}": round(row["difference"], 4)
            for row in overall.iter_rows(named=True)
            if row["difference"] is not None
        }
        sure = rows.filter("is_sure")
        better, worse = (sure.filter(pl.col("difference") < 0).height, sure.filter(pl.col("difference") > 0).height)
        figures |= {"surely_better": better, "surely_worse": worse, "open": rows.height - sure.height}
        return materialise(context, lake, graph, contract, rows, metadata=figures)

    return [demand_comparisons]
